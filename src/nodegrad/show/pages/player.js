// Plays the steps that Python recorded. A step says what happens and which lines of the picture change.

const data = JSON.parse(byId("data").textContent);
const graph = byId("graph");
const nodes = data.nodes.map((_, at) => byId(`node-${at}`));
const DATA = 1;
const GRAD = 2;

const rows = data.rows.map((at) => {
  const row = element("tr");
  row.append(element("td", data.nodes[at].name), element("td"), element("td", data.right[at]), element("td"));
  document.querySelector("#gradients tbody").append(row);
  return { at, now: row.cells[1], verdict: row.cells[3] };
});

let steps = [];

/** The texts of all nodes after a step: nothing computed at first, then each step's changes in order. */
function stateAfter(index) {
  const state = data.nodes.map((node) => [node.name, node.leaf ? node.data : "", ""]);
  for (const step of steps.slice(0, index + 1)) {
    for (const [at, line, text] of step.changes) state[at][line] = text;
  }
  return state;
}

function show(index) {
  const step = steps[index];
  const state = stateAfter(index);
  const atEnd = index === steps.length - 1;

  nodes.forEach((node, at) => {
    if (data.nodes[at].constant) return;
    setLine(node, DATA, state[at][DATA] && `data ${state[at][DATA]}`);
    setLine(node, GRAD, state[at][GRAD] && `grad ${state[at][GRAD]}`);
    node.classList.toggle("waiting", !state[at][DATA]);
    node.classList.toggle("at", at === step.at);
    node.classList.toggle("to", at === step.to);
    node.classList.toggle("off", atEnd && state[at][GRAD] !== data.right[at]);
  });
  graph.querySelectorAll(".flow").forEach((edge) => edge.classList.remove("flow", "forward"));
  for (const name of step.edges) {
    byId(name).classList.add("flow");
    byId(name).classList.toggle("forward", step.phase === "forward");
  }
  if (step.at !== null) reveal(graph, nodes[step.to ?? step.at]);

  byId("phase").textContent = step.phase;
  byId("headline").textContent = step.headline;
  byId("lines").replaceChildren(
    ...step.lines.map((line, at) => element("p", line, at === step.lines.length - 1 ? "result" : "")),
  );
  for (const row of rows) {
    const now = state[row.at][GRAD];
    const same = now === data.right[row.at];
    row.now.textContent = now;
    row.verdict.textContent = atEnd ? (same ? "✓" : "✗") : "";
    row.verdict.className = same ? "same" : "other";
  }
}

const transport = makeTransport(show, byId("story"));

function choose(mode) {
  steps = [...data.forward, ...mode.steps];
  byId("says").textContent = mode.says;
  transport.setCount(steps.length);
  transport.go(transport.index());
}

data.modes.forEach((mode, at) => byId("mode").append(new Option(mode.name, at)));
byId("mode").addEventListener("change", () => choose(data.modes[Number(byId("mode").value)]));

fitPicture(graph);
choose(data.modes[0]);
