// The graph: every number forward and backward, computed from the leaves by the rows of the table.
//
// ROWS, written by Python, holds for each operation used {value, partials, selects}: its value, a partial per
// operand (null where that is 0 everywhere), and whether a partial of 0 says that an operand was not chosen.

const MODES = [
  { name: "as it should be", says: "Each node waits until every node that uses it has added its share." },
  {
    name: "in naive order",
    says: "Wrong on purpose: each node passes its gradient on when it is first reached, before the others that use it have added theirs.",
    naive: true,
  },
  {
    name: "with = instead of +=",
    says: "Wrong on purpose: where two paths meet, the second overwrites what the first brought.",
    overwrite: true,
  },
  {
    name: "without zeroing",
    says: "Wrong on purpose: a second pass adds to the gradients that the first one left in the leaves.",
    leftover: true,
  },
];

const LEAF = -1;
const CONSTANT = -2;

/** Multiply two factors of the chain rule; what does not influence the output contributes nothing. */
function chain(upstream, partial, selects) {
  return upstream === 0 || (selects && partial === 0) ? 0 : upstream * partial;
}

/**
 * Make a graph from what Python recorded: per node its row, its operands, and its number as it was.
 * `fixed` holds the local derivatives of nodes that cannot be computed here, by node.
 */
function makeGraph({ row, operands, numbers, fixed }) {
  const count = row.length;
  const root = count - 1;
  const recorded = numbers.map(Number);
  const data = Float64Array.from(recorded);
  const firstLocal = []; // where the local derivatives of a node begin
  let locals = 0;
  for (const from of operands) {
    firstLocal.push(locals);
    locals += from.length;
  }
  const local = new Float64Array(locals);
  const consumers = row.map(() => []);
  operands.forEach((from, node) => from.forEach((operand, index) => consumers[operand].push([node, index])));

  const smooth = (node, index) => node in fixed || ROWS[row[node]].partials[index] !== null;
  const selects = (node) => !(node in fixed) && ROWS[row[node]].selects;

  /** Compute every node from its operands, and its local derivatives. */
  function forward() {
    for (let node = 0; node < count; node++) {
      const from = operands[node];
      if (from.length === 0) continue;
      if (node in fixed) {
        fixed[node].forEach((partial, index) => (local[firstLocal[node] + index] = Number(partial)));
        continue;
      }
      const { value, partials } = ROWS[row[node]];
      const numbers = from.map((operand) => data[operand]);
      const out = (data[node] = value(numbers));
      partials.forEach((partial, index) => {
        if (partial !== null) local[firstLocal[node] + index] = partial(numbers, out);
      });
    }
  }

  /** List the nodes in the order in which a mode visits them. */
  function order(mode) {
    if (!mode.naive) return row.map((_, at) => root - at);
    const found = new Set();
    const stack = [root];
    while (stack.length) {
      const node = stack.pop();
      if (found.has(node)) continue;
      found.add(node);
      stack.push(...[...operands[node]].reverse());
    }
    return [...found];
  }

  /** List the backward steps of a mode: in each, a node hands its gradient to one operand. */
  function pushes(mode) {
    const used = (node, operand, index) => row[operand] !== CONSTANT && smooth(node, index);
    return order(mode).flatMap((node) =>
      operands[node].flatMap((operand, index) => (used(node, operand, index) ? [[node, index]] : [])),
    );
  }

  /** Return the gradients before the first step of a mode: 1 at the output, elsewhere 0 or what is left over. */
  function starts(mode) {
    const grads = new Float64Array(count);
    if (mode.leftover) row.forEach((kind, node) => (grads[node] = kind === LEAF ? right()[node] : 0));
    grads[root] = 1;
    return grads;
  }

  /** Go backward by some steps, and return the gradients and what the last one changed. */
  function backward(mode, steps) {
    const grads = starts(mode);
    let last = null;
    for (const [node, index] of steps) {
      const operand = operands[node][index];
      const partial = local[firstLocal[node] + index];
      const before = grads[operand];
      const share = chain(grads[node], partial, selects(node));
      grads[operand] = mode.overwrite ? share : before + share;
      last = { node, index, operand, partial, share, upstream: grads[node], before, after: grads[operand] };
    }
    return { grads, last };
  }

  const everyPush = pushes(MODES[0]);
  let known = null;

  /** Return the gradients of backward(). */
  function right() {
    known ??= backward(MODES[0], everyPush).grads;
    return known;
  }

  /** Set the number of a leaf, and compute again everything that depends on it. */
  function set(leaf, x) {
    data[leaf] = x;
    known = null;
    forward();
  }

  forward();
  return {
    data, row, operands, root, consumers, pushes, backward, right, set, smooth, selects,
    partial: (node, index) => local[firstLocal[node] + index],
    reset() {
      recorded.forEach((x, node) => (data[node] = x));
      known = null;
      forward();
    },
  };
}
