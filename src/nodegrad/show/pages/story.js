// The story: what happens at each step, and the chain rule of a node or an edge, in words and formulas.

/** Put texts into the places {0}, {1} ... of a pattern; those in (? ?) get brackets if they begin with a minus. */
function filled(pattern, texts) {
  return pattern.replace(/\(\?\{(\d+)\}\?\)|\{(\d+)\}/g, (_, bracketed, plain) => {
    const text = texts[bracketed ?? plain];
    return bracketed !== undefined && text.startsWith("-") ? `(${text})` : text;
  });
}

const factor = (x) => (x < 0 ? `(${number(x)})` : number(x));
const equation = (...sides) => sides.filter((side, at) => side !== "" && side !== sides[at - 1]).join(" = ");

/** Tell the story of a graph: `names` by node, `patterns` by row, `forms` of local derivatives by node. */
function makeStory(graph, { names, patterns, forms, form }) {
  const { data, row, operands, root } = graph;
  const label = (node) => (row[node] === CONSTANT ? number(data[node]) : names[node]);
  const applied = (node, texts) => filled(patterns[row[node]], texts);
  const definition = (node) => applied(node, operands[node].map(label));
  const derivative = (top, bottom) => `∂${names[top]}/∂${names[bottom]}`;
  const local = (node, index) => {
    const pattern = forms[form[node]][index];
    return filled(pattern, [...operands[node].map(label), names[node]]);
  };
  const localEquation = (node, index) =>
    equation(derivative(node, operands[node][index]), local(node, index), number(graph.partial(node, index)));

  function start(folded) {
    const folds = folded ? " A click or Enter opens a box of several nodes." : "";
    return {
      phase: "before the start",
      headline: "Only the leaves hold numbers",
      lines: [
        "Drag a leaf sideways, or type a number in the table: everything computed from it follows.",
        `Click a node or an edge, or reach it by ↑ and ↓, to see its chain rule.${folds}`,
      ],
      plain: true,
    };
  }

  function computed(node) {
    const numbers = applied(node, operands[node].map((operand) => number(data[operand])));
    const sides = [definition(node), numbers, number(data[node])];
    return {
      phase: "forward",
      headline: `Compute ${names[node]}`,
      lines: sides.map((side) => `${names[node]} = ${side}`),
    };
  }

  function seeded(mode) {
    return {
      phase: "backward",
      headline: `Start at ${names[root]}`,
      lines: [
        mode.leftover ? "the leaves keep their old gradients" : "every gradient starts at 0",
        `${derivative(root, root)} = 1`,
      ],
    };
  }

  function pushed(mode, { node, index, operand, partial, upstream, before, after }) {
    const [from, to] = [names[node], names[operand]];
    const factors = `${factor(upstream)} · ${factor(partial)}`;
    const sum = mode.overwrite ? factors : `${number(before)} + ${factors}`;
    return {
      phase: "backward",
      headline: `${from} hands its share to ${to}`,
      lines: [
        localEquation(node, index),
        `${to}.grad ${mode.overwrite ? "=" : "+="} ${from}.grad · ${derivative(node, operand)}`,
        `${to}.grad = ${sum} = ${number(after)}`,
      ],
    };
  }

  /** The chain rule of a node: what each of its consumers hands back to it, and the sum. */
  function ofNode(node) {
    const grads = graph.right();
    const uses = graph.consumers[node].filter(([consumer, index]) => graph.smooth(consumer, index));
    const shown = uses.length > 9 ? uses.slice(0, 8) : uses;
    const share = ([consumer, index]) =>
      chain(grads[consumer], graph.partial(consumer, index), graph.selects(consumer));
    const made = operands[node].length ? definition(node) : "";
    const lines = [`${names[node]} = ${equation(made, number(data[node]))}`];
    if (node === root) {
      lines.push(`${derivative(root, root)} = 1`);
      return { phase: "the chain rule", headline: `${names[root]} is the result`, lines };
    }
    for (const [consumer, index] of shown) {
      const chained = `${derivative(root, consumer)} · ${derivative(consumer, node)}`;
      const numbers = `${factor(grads[consumer])} · ${factor(graph.partial(consumer, index))}`;
      lines.push(equation(`through ${names[consumer]}: ${chained}`, numbers, number(share([consumer, index]))));
    }
    if (uses.length > shown.length) lines.push(`and ${uses.length - shown.length} more`);
    const sum = shown.length === uses.length ? uses.map((use) => factor(share(use))).join(" + ") : "";
    lines.push(equation(derivative(root, node), sum, number(grads[node])));
    return { phase: "the chain rule", headline: `How ${names[node]} reaches ${names[root]}`, lines };
  }

  /** The chain rule of an edge: the local derivative, and what it brings to the gradient. */
  function ofEdge(node, index) {
    const operand = operands[node][index];
    const headline = `From ${label(operand)} to ${names[node]}`;
    if (row[operand] === CONSTANT) return { phase: "an edge", headline, lines: [`${label(operand)} is a constant`] };
    if (!graph.smooth(node, index)) {
      return { phase: "an edge", headline, lines: [`${derivative(node, operand)} = 0 everywhere`] };
    }
    const upstream = graph.right()[node];
    const partial = graph.partial(node, index);
    return {
      phase: "an edge",
      headline,
      lines: [
        localEquation(node, index),
        equation(
          `share in ${derivative(root, operand)}: ${derivative(root, node)} · ${derivative(node, operand)}`,
          `${factor(upstream)} · ${factor(partial)}`,
          number(chain(upstream, partial, graph.selects(node))),
        ),
      ],
    };
  }

  return { start, computed, local, seeded, pushed, ofNode, ofEdge };
}
