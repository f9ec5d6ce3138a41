// The player: steps through the graph, lets every leaf be changed, and shows what follows from it at once.

const page = JSON.parse(byId("data").textContent);
const graph = makeGraph(page);
const story = makeStory(graph, page);
const { data, row, operands, root } = graph;
const computed = operands.flatMap((from, node) => (from.length ? [node] : []));
const inOrder = [...new Set([...computed.flatMap((node) => operands[node]), root])].filter((node) => row[node] === LEAF);
const isShared = (leaf) => graph.consumers[leaf].length > 1;
const leaves = [...inOrder.filter(isShared), ...inOrder.filter((leaf) => !isShared(leaf))]; // inputs, then as they are used
const initial = Float64Array.from(data);
const AT_ONCE = 250; // boxes or rows; of more, those in view come first
const SOON = 120; // milliseconds until the rest follows

let mode = MODES[0];
let pushes = [];
let chosen = null; // what was clicked: {node} or {node, index}

/** Describe the step at an index: 0 is the start, then each node forward, then each push backward. */
function stepAt(index) {
  const forward = Math.min(index, computed.length);
  const backward = index - computed.length - 1;
  if (backward < 0) {
    const node = index === 0 ? null : computed[index - 1];
    const edges = node === null ? [] : operands[node].map((_, at) => [node, at]);
    return { known: forward, grads: null, at: node, to: null, edges, forward: true };
  }
  const { grads, last } = graph.backward(mode, pushes.slice(0, backward));
  if (last === null) return { known: forward, grads, at: root, to: null, edges: [], last };
  return { known: forward, grads, at: last.node, to: last.operand, edges: [[last.node, last.index]], last };
}

function told(step) {
  if (chosen) return "index" in chosen ? story.ofEdge(chosen.node, chosen.index) : story.ofNode(chosen.node);
  if (step.grads) return step.last ? story.pushed(mode, step.last) : story.seeded(mode);
  return step.at === null ? story.start(picture.boxes.length < row.length) : story.computed(step.at);
}

// The pictures: the folded one, one for each fold that can be opened, and one with every node.

/** Show a picture of the graph in the panel: the boxes with their lines, and what each shows now. */
function makePicture({ boxes: held, prefix, opens }) {
  const boxes = held.map((box) => (typeof box === "number" ? views[0].boxes[box] : box));
  const boxOf = new Map();
  boxes.forEach((members, box) => members.forEach((node) => boxOf.set(node, box)));
  for (let node = root; node >= 0; node--) // a partial sum without a box is part of the sum that uses it
    if (!boxOf.has(node)) boxOf.set(node, boxOf.get(graph.consumers[node][0][0]));
  const shapes = boxes.map((_, box) => {
    const shape = byId(`${prefix}node-${box}`);
    const lines = shape.querySelectorAll("tspan");
    const side = (name) => Number(shape.querySelector(".body").getAttribute(name));
    const right = side("x") + side("width");
    const room = lines.length ? 2 * (right - lines[0].getAttribute("x")) - 8 : 0; // for a line of text
    return {
      shape, lines, room, texts: [], state: shape.getAttribute("class"), now: "", name: (lines[0] ?? shape.querySelector("text")).textContent,
      left: side("x"), top: side("y"), right, bottom: side("y") + side("height"),
    };
  });
  const edgeOf = (node, index) => {
    const operand = operands[node][index];
    const ends = `${prefix}edge-${boxOf.get(operand)}-${boxOf.get(node)}`;
    const parallel = operands[node].slice(0, index).filter((other) => other === operand).length;
    return byId(`${ends}-${parallel}`) ?? byId(`${ends}-0`);
  };
  return { boxes, boxOf, shapes, edgeOf, opens, lit: new Set(), parts: makeParts(shapes) };
}

/** The numbers in the id of a part of the picture: that of a box; of an edge the two boxes, and which of several it is. */
const numbersOf = (part) => part.id.split(/node-|edge-/)[1].split("-").map(Number);

/** List what can be chosen, each box after the edges into it, and give all of it names for screen readers. */
function makeParts(shapes) {
  const place = ([box, target = box + 0.5]) => target;
  const found = [...svgs[shown].querySelectorAll(".node:not(.constant), .edge")].map((part) => [part, numbersOf(part)]);
  return found.sort(([, a], [, b]) => place(a) - place(b)).map(([part, [box, target]]) => {
    const own = part.getAttribute("aria-label") ?? shapes[box].name;
    const name = target === undefined ? own : `from ${shapes[box].name} to ${shapes[target].name}`;
    for (const [key, to] of [["tabindex", -1], ["role", "button"], ["aria-label", name]]) part.setAttribute(key, to);
    return part;
  });
}

const views = page.pictures;
const svgs = views.map(() => null); // as they are unpacked
let picture = null;
let shown = 0; // which picture

/** Show another picture. */
async function showPicture(which) {
  if (page.packed[which] !== null && svgs[which] === null) {
    const parsedText = new DOMParser().parseFromString(await unpacked(page.packed[which]), "image/svg+xml");
    svgs[which] = document.importNode(parsedText.documentElement, true);
  }
  svgs[which] ??= panel.querySelector("svg");
  panel.querySelector("svg")?.remove();
  panel.prepend(svgs[which]);
  svgs[which].setAttribute("role", "group"); // an image would have no buttons inside
  shown = which;
  picture = makePicture(views[which]);
  byId("fold").hidden = which === 0;
  byId("all").hidden = which === views.length - 1 || views.at(-1).prefix !== "all-";
  fitPicture();
  reveal([picture.shapes.reduce((first, box) => (box.left < first.left ? box : first)).shape], true);
}

const range = (numbers) => {
  if (numbers.some(Number.isNaN)) return "nan";
  const [low, high] = [numbers.reduce((a, b) => Math.min(a, b)), numbers.reduce((a, b) => Math.max(a, b))];
  return number(low) === number(high) ? number(low) : `${number(low)} … ${number(high)}`;
};

function write(box, line, text) {
  if (box.texts[line] === text) return;
  box.texts[line] = text;
  const held = box.lines[line].firstChild;
  if (held) held.data = text; // cheaper than a new text
  else box.lines[line].textContent = text;
  if (widthOf(text) < box.room) return box.lines[line].removeAttribute("textLength");
  box.lines[line].setAttribute("lengthAdjust", "spacingAndGlyphs"); // narrow letters, for which there is room
  box.lines[line].setAttribute("textLength", box.room);
}

/** Estimate the width of a number in a picture. */
const widthOf = (text) => 6.7 * text.length - 3.2 * (text.match(/[ .t-]/g) ?? []).length;

function showBox(box, members, step, right, atEnd) {
  const [node] = members;
  if (row[node] === CONSTANT) return;
  const isKnown = operands[node].length === 0 || step.lastComputed >= node;
  const many = members.length > 1;
  const show = (numbers) => (many ? range(members.map((member) => numbers[member])) : number(numbers[node]));
  write(box, 1, isKnown ? `data ${show(data)}` : "");
  write(box, 2, step.grads ? `grad ${show(step.grads)}` : "");
  const off = atEnd && members.some((member) => !same(step.grads[member], right[member]));
  const here = (node) => !chosen && members.includes(node);
  const marks = { waiting: !isKnown, at: here(step.at), to: here(step.to), off };
  const chosenHere = chosen && !("index" in chosen) && members.includes(chosen.node);
  const names = Object.keys(marks).filter((name) => marks[name]);
  const now = [box.state, ...names, ...(chosenHere ? ["chosen"] : [])].join(" ");
  if (box.now !== now) box.shape.setAttribute("class", now);
  box.now = now;
}

const same = (x, y) => x === y || number(x) === number(y);

function light(step) {
  const edges = chosen ? ("index" in chosen ? [[chosen.node, chosen.index]] : graph.consumers[chosen.node]) : step.edges;
  const lit = new Set(edges.map(([node, index]) => picture.edgeOf(node, index)).filter((edge) => edge !== null));
  picture.lit.forEach((edge) => lit.has(edge) || edge.classList.remove("lit", "forward"));
  for (const edge of (picture.lit = lit)) {
    edge.classList.add("lit");
    edge.classList.toggle("forward", Boolean(step.forward) && !chosen);
  }
}

/** Whether a box of the picture is in view. */
function makeInView() {
  const svg = svgs[shown];
  const { x, y, width } = svg.viewBox.baseVal;
  const factor = Number(svg.getAttribute("width")) / width;
  const { left: svgLeft, top: svgTop } = svg.getBoundingClientRect();
  const { left, top } = panel.getBoundingClientRect();
  const [fromX, fromY] = [(left - svgLeft) / factor + x, (top - svgTop) / factor + y];
  const [toX, toY] = [fromX + panel.clientWidth / factor, fromY + panel.clientHeight / factor];
  return (box) => box.right >= fromX && box.left <= toX && box.bottom >= fromY && box.top <= toY;
}

// The table: a row for each node except constants, leaves first; a leaf's number can be typed. If there are many
// rows, only those in view are part of the page: otherwise a change of one cell would lay out all of them again.

const body = document.querySelector("#gradients tbody");
const scroller = document.querySelector("#gradients .scroll");
const listed = [...leaves, ...computed];
const rows = new Map(); // by node, made when first seen
const above = element("tr", "", "spacer");
const below = element("tr", "", "spacer");
let [firstRow, lastRow] = [0, 0];
document.querySelector("#gradients table").setAttribute("aria-rowcount", listed.length + 1);

function rowOf(node) {
  if (!rows.has(node)) {
    const line = element("tr");
    const name = element("button", "", "name");
    const split = Math.max(0, page.names[node].length - 5);
    name.append(element("span", page.names[node].slice(0, split), "head"), page.names[node].slice(split));
    name.title = `${page.names[node]}: show its chain rule`;
    name.addEventListener("click", () => choose({ node }));
    const cells = ["td", "td", "td", "td", "td"].map((tag) => element(tag));
    cells[0].append(name);
    const field = row[node] === LEAF ? makeField(node) : null;
    if (field) cells[1].append(field);
    line.append(...cells);
    rows.set(node, { node, line, field, cells, texts: [] });
  }
  return rows.get(node);
}

const rowHeight = () => body.querySelector("tr:not(.spacer)")?.offsetHeight || 30;

/** Scroll the table so that the row of a node is in view; return whether it had to. */
function revealRow(node) {
  const [at, height] = [listed.indexOf(node), rowHeight()];
  const [top, room] = [at * height, scroller.clientHeight - 2 * height]; // below the head, above the last one
  const isInView = top >= scroller.scrollTop && top <= scroller.scrollTop + room;
  const isFar = at >= 0 && !isInView;
  if (isFar) scroller.scrollTop = top - room / 2;
  return isFar;
}

/** Return the rows in view, after making them part of the page. */
function rowsInView() {
  const height = rowHeight();
  const all = listed.length <= AT_ONCE;
  const first = all ? 0 : Math.max(0, Math.min(listed.length - 20, Math.floor(scroller.scrollTop / height) - 8));
  const last = all ? listed.length : Math.min(listed.length, first + Math.ceil(scroller.clientHeight / height) + 16);
  const found = listed.slice(first, last).map(rowOf);
  if (first !== firstRow || last !== lastRow) {
    [firstRow, lastRow] = [first, last];
    above.style.height = `${first * height}px`;
    below.style.height = `${(listed.length - last) * height}px`;
    const spacers = [first > 0 ? [above] : [], last < listed.length ? [below] : []];
    body.replaceChildren(...spacers[0], ...found.map(({ line }) => line), ...spacers[1]);
  }
  return found;
}

function makeField(leaf) {
  const field = element("input");
  field.inputMode = "decimal";
  field.setAttribute("role", "spinbutton");
  field.setAttribute("aria-label", `the number of ${page.names[leaf]}`);
  field.autocomplete = "off";
  field.spellcheck = false;
  field.addEventListener("focus", () => {
    field.value = exact(data[leaf]);
    field.select();
  });
  field.addEventListener("blur", () => {
    setWrong(field, false);
    render();
  });
  field.addEventListener("input", () => {
    const typed = parsed(field.value);
    setWrong(field, typed === undefined);
    if (typed !== undefined) change(leaf, typed);
  });
  field.addEventListener("keydown", (event) => {
    const turns = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    event.stopPropagation(); // the arrows belong to the field, not to the playback
    if (event.key === "Escape" || event.key === "Enter") field.blur();
    if (turns === undefined) return;
    event.preventDefault();
    change(leaf, moved(data[leaf], turns * (event.shiftKey ? 1 : 10)));
    field.value = exact(data[leaf]);
  });
  makeDraggable(field, () => leaf);
  return field;
}

function showRow(line, step, right, atEnd) {
  const { node, cells, texts, field } = line;
  const isKnown = operands[node].length === 0 || step.lastComputed >= node;
  const shown = [isKnown ? number(data[node]) : "", step.grads ? number(step.grads[node]) : "", number(right[node])];
  if (field && document.activeElement !== field) field.value = shown[0];
  if (field) field.setAttribute("aria-valuenow", data[node]);
  const agrees = atEnd ? (same(step.grads[node], right[node]) ? "✓" : "✗") : "";
  [...shown, agrees].forEach((text, at) => {
    if (texts[at] === text || (at === 0 && field)) return;
    texts[at] = text;
    cells[at + 1].textContent = text;
  });
  cells[4].className = agrees === "✗" ? "other" : "same";
  const mark = chosen ? "" : node === step.to ? "to" : node === step.at ? "at" : "";
  if (line.line.className !== mark) line.line.className = mark;
}

// Everything that is shown, after each step and each change.

let soon = null;

/** Show the step at the slider: the story, then the boxes and rows in view, and soon the others. */
function render(everything = false) {
  clearTimeout(soon);
  const step = stepAt(transport.index());
  step.lastComputed = step.known === 0 ? -1 : computed[step.known - 1];
  const right = graph.right();
  const atEnd = transport.index() === computed.length + 1 + pushes.length;
  const all = everything || picture.boxes.length <= AT_ONCE;
  const inView = all ? () => true : makeInView();
  const listedInView = rowsInView(); // before anything is written: a question about layout would lay it all out
  const { phase, headline, lines, plain } = told(step);
  byId("phase").textContent = phase;
  byId("headline").textContent = headline;
  byId("lines").replaceChildren(
    ...lines.map((line, at) => element("p", line, plain ? "plain" : at === lines.length - 1 ? "result" : "")),
  );
  picture.shapes.forEach((box, at) => inView(box) && showBox(box, picture.boxes[at], step, right, atEnd));
  light(step);
  listedInView.forEach((line) => showRow(line, step, right, atEnd));
  if (!all) soon = setTimeout(() => render(true), SOON);
  return step;
}

const shapeOf = (node) => picture.shapes[picture.boxOf.get(node)].shape;

/** Show the step, and bring its nodes into view. */
function follow(isNew) {
  const step = render();
  const nodes = [step.to, step.at].filter((node) => node !== null);
  if (nodes.length === 0) return;
  reveal(nodes.map(shapeOf), isNew);
  if (revealRow(nodes[0])) render(); // the rows that have come into view
}

function show() {
  chosen = null;
  panel.classList.remove("still");
  follow();
}

/** Set the number of a leaf and show the result; at the start, go to the end to see it. */
function change(leaf, x) {
  graph.set(leaf, x);
  byId("reset").disabled = false;
  if (transport.index() === 0) transport.go(computed.length + 1 + pushes.length);
  panel.classList.add("still");
  render();
}

function choose(what) {
  chosen = what;
  render();
}

// Dragging a leaf; clicking a node, an edge, a fold.

/** Change a number by so many steps of its scale; the result is short to write. */
function moved(x, turns) {
  const scale = 10 ** Math.floor(Math.log10(Math.max(1, Math.abs(x)))) / 100;
  const from = Number.isFinite(x) ? Math.round(x / scale) : 0;
  return Number(((from + Math.round(turns)) * scale).toPrecision(12));
}

/** Let a drag across an element change the leaf that `leafAt` finds for the event. */
function makeDraggable(target, leafAt) {
  let drag = null;
  target.addEventListener("pointerdown", (event) => {
    const leaf = leafAt(event);
    if (leaf !== undefined && event.button === 0) drag = { leaf, x: event.clientX, from: data[leaf], moving: false };
  });
  target.addEventListener("pointermove", (event) => {
    if (!drag || event.buttons === 0) return;
    const across = event.clientX - drag.x;
    if (!drag.moving && Math.abs(across) < 4) return;
    if (!drag.moving) {
      drag.moving = true;
      target.setPointerCapture?.(event.pointerId);
      if (target.blur && target.tagName === "INPUT") target.blur();
    }
    event.preventDefault();
    change(drag.leaf, moved(drag.from, across * (event.shiftKey ? 0.1 : 1)));
  });
  const end = (event) => {
    const wasMoving = drag?.moving;
    drag = null;
    if (wasMoving) target.addEventListener("click", (click) => click.stopImmediatePropagation(), { once: true, capture: true });
  };
  target.addEventListener("pointerup", end);
  target.addEventListener("pointercancel", () => (drag = null));
}

const membersAt = (part) => (part?.matches(".node") ? picture.boxes[numbersOf(part)[0]] : undefined);

makeDraggable(panel, ({ target }) => {
  const members = membersAt(target.closest(".node"));
  return members?.length === 1 && row[members[0]] === LEAF ? members[0] : undefined;
});

const AROUND = [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5];
const NEAR = AROUND.flatMap((dx) => AROUND.map((dy) => [dx, dy])).sort(([a, b], [c, d]) => a * a + b * b - c * c - d * d);

/** Return the edge nearest to a point: lines are too thin to be hit. */
function edgeNear(x, y) {
  for (const [dx, dy] of NEAR) {
    const edge = document.elementFromPoint(x + dx, y + dy)?.closest(".edge");
    if (edge) return edge;
  }
  return null;
}

/** Show the chain rule of a node or an edge of the picture, or open a box of several nodes. */
function pick(part) {
  const members = membersAt(part);
  if (members?.length > 1) return open(picture.opens[numbersOf(part)[0]], members);
  if (members) return row[members[0]] === CONSTANT ? undefined : choose({ node: members[0] });
  if (!part) return choose(null);
  const [source, target, parallel] = numbersOf(part);
  const uses = picture.boxes[target].flatMap((node) =>
    operands[node].flatMap((operand, index) => (picture.boxOf.get(operand) === source ? [{ node, index }] : [])),
  );
  return choose(uses[parallel] ?? uses[0]);
}

panel.addEventListener("click", ({ target, clientX, clientY }) =>
  pick(target.closest(".node, .edge") ?? edgeNear(clientX, clientY)),
);

// In the graph ↑ and ↓ go through the edges and nodes, from the one chosen or at work; Enter does what a click does.
panel.addEventListener("keydown", async (event) => {
  const { parts } = picture;
  const active = document.activeElement;
  const here = chosen?.node ?? stepAt(transport.index()).at;
  const at = parts.indexOf(active === panel && here !== null ? shapeOf(here) : active);
  const turn = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!turn && !(["Enter", " "].includes(event.key) && parts.includes(active))) return;
  event.preventDefault();
  event.stopPropagation(); // the space bar would play
  if (turn) return parts[Math.max(0, Math.min(parts.length - 1, at + turn))].focus();
  await pick(active);
  if (!active.isConnected) panel.focus();
});

/** Show another picture at the current step: the nodes of the fold that it opens, or those of the step. */
async function open(which, members) {
  if (which === undefined || which === shown) return;
  light({ edges: [] });
  await showPicture(which);
  if (!members) return follow(true);
  reveal([members[members.length >> 1], ...members].map(shapeOf), true);
  render();
}

byId("fold").addEventListener("click", () => open(0));
byId("all").addEventListener("click", () => open(views.length - 1));
panel.addEventListener("scroll", () => picture.boxes.length > AT_ONCE && render());
scroller.addEventListener("scroll", () => listed.length > AT_ONCE && render());
byId("reset").addEventListener("click", () => {
  graph.reset();
  byId("reset").disabled = true;
  render();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") chosen ? choose(null) : open(0);
});

const transport = makeTransport(show, byId("story"));

function use(which) {
  mode = which;
  pushes = graph.pushes(mode);
  byId("says").textContent = [mode.says, ...page.notes].join(" ");
  transport.setCount(computed.length + 2 + pushes.length);
  transport.go(transport.index());
}

MODES.forEach(({ name }, at) => byId("mode").append(new Option(name, at)));
byId("mode").addEventListener("change", () => use(MODES[Number(byId("mode").value)]));

showPicture(0).then(() => {
  use(MODES[0]);
  fitPicture(); // again: the panel has the room that story and table leave
  keepFitted(() => follow(true));
});
