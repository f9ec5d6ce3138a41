// Goes through the steps of an explanation: marks the text of a step, and lights its nodes in the graph.

const steps = JSON.parse(byId("data").textContent);
const text = byId("text");
const sections = [...text.querySelectorAll(".step")];
const shapes = [...panel.querySelectorAll(".node, .edge")];

/** Light the nodes and edges of a step; before the first one all of the graph is lit. */
function show(index) {
  const step = steps[index - 1] ?? { at: null, to: [], edges: [] };
  const about = new Set([step.at, ...step.to].map((box) => `node-${box}`).concat(step.edges));
  for (const shape of shapes) {
    shape.classList.toggle("dim", index > 0 && !about.has(shape.id));
    shape.classList.toggle("at", step.to.some((box) => shape.id === `node-${box}`)); // they hand back to it
    shape.classList.toggle("to", shape.id === `node-${step.at}`);
    shape.classList.toggle("lit", step.edges.includes(shape.id));
  }
  sections.forEach((section, at) => section.classList.toggle("now", at === index - 1));
  const now = sections[index - 1];
  byId("said").textContent = now ? now.querySelector("p").textContent : "";
  if (now) now.setAttribute("aria-current", "step");
  sections.forEach((section) => section !== now && section.removeAttribute("aria-current"));
  if (now) text.scrollTo({ top: now.offsetTop - text.offsetTop - text.clientHeight / 3 });
  else text.scrollTo({ top: 0 });
  if (step.at !== null) reveal([step.at, ...step.to].map((box) => byId(`node-${box}`)));
}

/** Give a picture that is wider than its column the whole width, above the text. */
function arrange() {
  const main = document.querySelector("main");
  main.classList.remove("wide");
  const { width } = panel.querySelector("svg").viewBox.baseVal;
  main.classList.toggle("wide", width * LEAST > panel.clientWidth);
}

addEventListener("resize", arrange);
arrange();
fitPicture();
const transport = makeTransport(show, text);
transport.setCount(steps.length + 1);
sections.forEach((section, at) => section.addEventListener("click", () => transport.go(at + 1)));
keepFitted(() => transport.go(transport.index()));
transport.go(0);
