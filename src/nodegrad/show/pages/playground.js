// The playground: trains a network in the page and shows the output of each neuron.
//
// PROGRAMS, written by Python, holds for each activation `step` (loss and gradient of a row) and `said` (the
// output of every neuron); UPDATE is the rule of the optimizer for one parameter, KEPT how many numbers it keeps.

const setup = JSON.parse(byId("data").textContent);
const { sizes, places, names, shown } = setup;
const spans = [...setup.spans]; // what the pictures show
const COUNT = names.length;
const WIDTH = sizes[0];
const ONE = WIDTH === 1;
const SIDE = 24; // points along a side of a neuron's plane
const FINE = 48; // and of the output's
const BUDGET = 12; // milliseconds of training before a frame is painted

// Training.

/** Make the trainer: the parameters, the optimizer's state, the losses so far. */
function makeTrainer() {
  const parameters = Float64Array.from(setup.parameters);
  const kept = Float64Array.from(setup.kept);
  const gradient = new Float64Array(COUNT);
  const x = new Float64Array(COUNT + WIDTH + 1);
  const out = new Float64Array(COUNT + 1);
  const given = new Float64Array(3 + KEPT);
  const after = new Float64Array(1 + KEPT);
  const trainer = {
    parameters, losses: [], rows: setup.rows, targets: setup.targets, program: 0, rate: setup.rate, batch: 0,
    l1: 0, l2: 0, used: [], held: [], heldLosses: [], order: [], place: 0, epochs: 0, random: makeRandom(1),
  };
  const isWeight = new Set(places.flat().flatMap(([weights]) => weights));

  /** Add up loss and gradient over some rows; return the mean loss. */
  function measure(rows) {
    gradient.fill(0);
    x.set(parameters);
    let [total, count] = [0, 0];
    const { step } = PROGRAMS[trainer.program];
    for (const at of rows) {
      x.set(trainer.rows[at], COUNT);
      x[COUNT + WIDTH] = trainer.targets[at];
      if (!step(x, [], out)) throw new RangeError("these numbers take a branch that was not recorded");
      total += out[0];
      count += 1;
      for (let i = 0; i < COUNT; i++) gradient[i] += out[i + 1];
    }
    for (let i = 0; i < COUNT; i++) gradient[i] /= count;
    return total / count;
  }

  /** The rows of the next step: all that are not held out, or the next batch of a shuffled order. */
  function next() {
    const count = trainer.used.length;
    if (!trainer.batch || trainer.batch >= count) return trainer.used;
    if (trainer.place === 0) trainer.order = shuffled(count, trainer.random).map((at) => trainer.used[at]);
    const rows = trainer.order.slice(trainer.place, trainer.place + trainer.batch);
    trainer.place += trainer.batch;
    if (trainer.place >= count) {
      trainer.place = 0;
      trainer.epochs += 1;
    }
    return rows;
  }

  /** The derivative of the penalties on a weight; where L1 has none, at 0, what keeps the weight there if it can. */
  function pull(weight, slope) {
    const { l1, l2 } = trainer;
    return l2 * weight + (weight ? l1 * Math.sign(weight) : Math.max(-l1, Math.min(l1, -slope)));
  }

  trainer.step = () => {
    trainer.losses.push(measure(next()));
    for (let i = 0; i < COUNT; i++) {
      const before = (given[0] = parameters[i]);
      given[1] = gradient[i] + (isWeight.has(i) ? pull(before, gradient[i]) : 0);
      for (let k = 0; k < KEPT; k++) given[2 + k] = kept[i * KEPT + k];
      given[2 + KEPT] = trainer.rate;
      UPDATE(given, [], after);
      const isHeld = before * after[0] < 0 || (before === 0 && given[1] === 0);
      parameters[i] = isHeld && trainer.l1 > 0 && isWeight.has(i) ? 0 : after[0]; // by L1, at 0, against momentum too
      for (let k = 0; k < KEPT; k++) kept[i * KEPT + k] = after[1 + k];
    }
  };
  /** The mean loss over some rows; NaN if there are none, or one takes a branch that was not recorded. */
  trainer.loss = (rows) => {
    try {
      return measure(rows);
    } catch {
      return NaN;
    }
  };
  /** Hold out a share of the rows, the same ones each time; only their loss is computed. */
  trainer.holdOut = (share) => {
    const order = shuffled(trainer.rows.length, makeRandom(11));
    trainer.held = order.splice(0, Math.round(share * order.length));
    trainer.used = order.sort((a, b) => a - b);
    trainer.heldLosses = [];
    trainer.place = 0;
  };
  trainer.reset = () => {
    parameters.set(setup.parameters);
    kept.set(setup.kept);
    trainer.losses = [];
    trainer.heldLosses = [];
    trainer.place = trainer.epochs = 0;
    trainer.random = makeRandom(1);
  };
  return trainer;
}

/** A generator of numbers from 0 to 1 that gives the same ones on every machine (mulberry32). */
function makeRandom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(count, random) {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

const trainer = makeTrainer();
const means = setup.rows[0].map((_, at) => setup.rows.reduce((sum, row) => sum + row[at], 0) / setup.rows.length);
const neuronCount = sizes.slice(1).reduce((sum, size) => sum + size, 0);
const saidX = new Float64Array(COUNT + WIDTH);
const saidOut = new Float64Array(neuronCount);

/** The outputs of all neurons at a point of the plane; the inputs that are not shown stay at their mean. */
function saidAt(point) {
  saidX.set(trainer.parameters);
  saidX.set(means, COUNT);
  shown.forEach((which, at) => (saidX[COUNT + which] = point[at]));
  PROGRAMS[trainer.program].said(saidX, [], saidOut);
  return saidOut;
}

const short = (x) => String(Number(x.toPrecision(6)));
const between = ([low, high], share) => low + (high - low) * share;

/** The outputs of neurons over the line or the plane: a row of numbers per point, from the top left. */
function field(side) {
  const found = [];
  const rows = ONE ? 1 : side;
  for (let j = 0; j < rows; j++)
    for (let i = 0; i < side; i++) {
      const point = [between(spans[0], i / (side - 1))];
      if (!ONE) point.push(between(spans[1], 1 - j / (side - 1)));
      found.push(Float64Array.from(saidAt(point)));
    }
  return found;
}

// Pictures of the outputs of neurons.

/** The shades of a neuron's output: the last one's between the targets, or as probabilities; others' around 0. */
function shades(points, which) {
  const said = points.map((numbers) => numbers[which]);
  if (which === neuronCount - 1 && setup.logits) return said.map((x) => shade(2 / (1 + Math.exp(-x)) - 1));
  const most = said.reduce((found, x) => Math.max(found, Math.abs(x)), 0) || 1;
  const [low, high] = which === neuronCount - 1 ? ends() : [-most, most];
  return said.map((x) => shade((2 * (x - low)) / (high - low || 1) - 1));
}

function paintCurve(canvas, points, which) {
  canvas.width = canvas.height = 88;
  const numbers = points.map((said) => said[which]);
  const y = scale([Math.min(...numbers), Math.max(...numbers)], [74, 14]);
  drawCurve(canvas.getContext("2d"), numbers.map((said, at) => [(88 * at) / (points.length - 1), y(said)]), 5);
}

// The network.

const holder = byId("network");
const nameOf = (input) => (ONE ? "x" : `x[${input}]`);
const every = Array.from({ length: WIDTH }, (_, at) => at);
const drawn = [...shown, ...every.filter((at) => !shown.includes(at))].slice(0, 12).sort((a, b) => a - b); // inputs
const tallest = Math.max(drawn.length, ...sizes.slice(1));
const wires = []; // by parameter: {wire, hit} or undefined
const neurons = []; // {canvas, button, which}

function makeNetwork() {
  const height = Math.max(3, tallest) * 52;
  holder.style.height = `${height}px`;
  const columns = sizes.length;
  const left = (layer) => 7 + (86 * layer) / (columns - 1);
  const top = (at, count) => (height * (at + 0.5)) / count;
  const svg = shape("svg", { viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  holder.append(svg);
  drawn.forEach((input, at) => {
    const made = element("div", nameOf(input), "input");
    place(made, left(0), top(at, drawn.length));
    holder.append(made);
  });
  if (drawn.length < WIDTH) byId("network-head").textContent = `Network, with ${drawn.length} of its ${WIDTH} inputs`;
  let which = 0;
  places.forEach((layer, index) => {
    const counts = [index ? sizes[index] : drawn.length, sizes[index + 1]];
    layer.forEach(([weights], at) => {
      const sources = index ? weights : drawn.map((input) => weights[input]);
      sources.forEach((parameter, from) => {
        const [x0, x1] = [left(index), left(index + 1)];
        const [y0, y1] = [top(from, counts[0]), top(at, counts[1])];
        const d = `M${x0} ${y0}C${(x0 + x1) / 2} ${y0} ${(x0 + x1) / 2} ${y1} ${x1} ${y1}`;
        const stroke = { d, "vector-effect": "non-scaling-stroke" };
        const pair = { wire: shape("path", { ...stroke, class: "wire" }), hit: shape("path", { ...stroke, class: "hit" }) };
        pair.hit.addEventListener("click", () => choose(parameter));
        const label = shape("title", {}, names[parameter]);
        const tell = () => (label.textContent = `${names[parameter]}: ${short(trainer.parameters[parameter])}`);
        pair.hit.addEventListener("pointerenter", tell);
        pair.hit.append(label);
        svg.append(pair.wire, pair.hit);
        wires[parameter] = pair;
      });
      const button = element("button");
      const canvas = document.createElement("canvas");
      button.type = "button";
      button.setAttribute("aria-label", `Neuron ${at + 1} of layer ${index + 1}: play its graph`);
      button.append(canvas);
      const own = which++;
      button.addEventListener("click", () => playNeuron(index, at, own));
      for (const [event, seen] of [["mouseenter", own], ["focus", own], ["mouseleave", null], ["blur", null]])
        button.addEventListener(event, () => look(seen));
      place(button, left(index + 1), top(at, counts[1]));
      holder.append(button);
      neurons.push({ canvas, button, which: own });
    });
  });
}

function place(made, x, y) {
  made.style.left = `${x}%`;
  made.style.top = `${y}px`;
}

function drawWires() {
  trainer.parameters.forEach((number, parameter) => {
    const pair = wires[parameter];
    if (!pair || !Number.isFinite(number)) return;
    pair.wire.setAttribute("class", number < 0 ? "wire minus" : "wire plus");
    pair.wire.setAttribute("stroke-width", Math.min(9, 0.6 + 3 * Math.sqrt(Math.abs(number))).toFixed(2));
    pair.wire.setAttribute("stroke-opacity", Math.min(0.95, 0.25 + Math.abs(number)).toFixed(2));
    pair.hit.classList.toggle("picked", parameter === chosen);
  });
}

function drawNeurons() {
  const points = field(ONE ? 44 : SIDE);
  for (const { canvas, which } of neurons) {
    if (ONE) paintCurve(canvas, points, which);
    else if (canvas.width !== SIDE) canvas.width = canvas.height = SIDE;
    if (!ONE) canvas.getContext("2d").drawImage(plane(SIDE, shades(points, which)), 0, 0);
  }
}

// The output, with the data.

const output = byId("output");
const SIZE = (output.width = output.height = 840);
const pen = output.getContext("2d");
const across = (x) => scale(spans[0], [0, SIZE])(x);
let looked = null; // the neuron whose plane is shown in place of the output's
let heights = [0, 1]; // what the picture of the curve spans
const ends = () => [Math.min(...trainer.targets), Math.max(...trainer.targets)];

/** Choose a range with all targets, and with the curve as it is now unless the targets would become tiny. */
function takeHeights() {
  const [low, high] = ends();
  const curve = field(44).map((said) => said[neuronCount - 1]);
  const room = high - low || 1;
  const [from, to] = [Math.max(low - room, Math.min(low, ...curve)), Math.min(high + room, Math.max(high, ...curve))];
  heights = [from - 0.1 * (to - from), to + 0.1 * (to - from)];
}

function drawOutput() {
  pen.clearRect(0, 0, SIZE, SIZE);
  if (ONE) drawFit();
  else drawOver();
}

const isHeld = (row) => trainer.held.includes(row);

/** Draw the output of a neuron over the plane, and the samples. */
function drawOver() {
  spread(pen, plane(FINE, shades(field(FINE), looked ?? neuronCount - 1)), true);
  const up = scale(spans[1], [SIZE, 0]);
  const middle = ends().reduce((low, high) => (low + high) / 2);
  trainer.rows.forEach((row, at) =>
    drawSample(pen, across(row[shown[0]]), up(row[shown[1]]), trainer.targets[at] < middle ? 0 : 1, 11, isHeld(at)),
  );
}

/**
 * Draw the fitted curve, the samples, and each error that counts as a square: on the free side of the curve if there is
 * room for it, else where there is more room.
 */
function drawFit() {
  const up = scale(heights, [SIZE, 0]);
  const said = (x) => saidAt([x])[neuronCount - 1];
  const rising = said(spans[0][1]) >= said(spans[0][0]);
  pen.strokeStyle = `rgba(${CLASSES[0].colour}, 0.5)`;
  pen.fillStyle = `rgba(${CLASSES[0].colour}, ${Math.min(0.2, 1.5 / trainer.used.length)})`; // many overlap
  pen.lineWidth = 2;
  trainer.used.forEach((at) => {
    const row = trainer.rows[at];
    const [x, y] = [across(row[0]), up(trainer.targets[at])];
    const off = up(said(row[0])) - y;
    const side = Math.abs(off); // of the square whose area is the loss of the row
    const isFreeLeft = off > 0 === rising;
    const isLeft = side <= (isFreeLeft ? x : SIZE - x) ? isFreeLeft : 2 * x > SIZE;
    const square = [isLeft ? x - side : x, Math.min(y, y + off), side, side];
    pen.fillRect(...square);
    pen.strokeRect(...square);
  });
  trainer.rows.forEach((row, at) => drawSample(pen, across(row[0]), up(trainer.targets[at]), null, 10, isHeld(at)));
  const xs = Array.from({ length: 121 }, (_, at) => between(spans[0], at / 120));
  drawCurve(pen, xs.map((x) => [across(x), up(said(x))]), 8);
}

/** Write the names and the ends of the axes beside the picture. */
function labelAxes() {
  const ranges = { across: [nameOf(shown[0]), spans[0]], up: ONE ? ["y", heights] : [nameOf(shown[1]), spans[1]] };
  for (const [id, [name, ends]] of Object.entries(ranges)) {
    const [low, high] = ends.map((x) => String(Number(x.toPrecision(3))));
    byId(id).replaceChildren(...[low, name, high].map((text) => element("span", text)));
  }
}

/** Draw the losses by step, up to `now`, and those of the rows held out as a dashed line. */
function drawLoss(now) {
  const canvas = byId("loss");
  const wide = (canvas.width = 2 * canvas.clientWidth);
  const tall = (canvas.height = 2 * canvas.clientHeight);
  const pen = canvas.getContext("2d");
  const curves = [[...trainer.losses, now].map((loss, at) => [at, loss]), trainer.heldLosses];
  const losses = curves.flat().map(([, loss]) => loss);
  if (!losses.some(Number.isFinite)) return;
  const { high, logarithmic, up } = lossScale(losses, [tall - 24, 34]);
  const along = scale([0, Math.max(1, trainer.losses.length)], [8, wide - 12]);
  curves.forEach((curve, isHeldOut) => {
    const every = Math.max(1, Math.floor(curve.length / 800));
    const points = curve.filter((_, at) => at % every === 0 || at === curve.length - 1);
    pen.setLineDash(isHeldOut ? [12, 8] : []);
    drawCurve(pen, points.map(([at, loss]) => [along(at), up(loss)]), 4, isHeldOut ? flow() : line());
  });
  pen.fillStyle = line();
  pen.beginPath();
  pen.arc(along(trainer.losses.length), up(now), 8, 0, 7);
  pen.fill();
  pen.font = "24px system-ui, sans-serif";
  pen.fillStyle = soft();
  pen.textAlign = "right";
  pen.fillText(`highest ${high.toPrecision(3)}${logarithmic ? ", logarithmic" : ""}`, wide - 4, 24);
}

// What the reader does.

let chosen = 0; // which parameter
let running = false;

/** Show the output of a neuron instead of the network's; null shows the output again. */
function look(which) {
  looked = ONE || which === neuronCount - 1 ? null : which;
  const title = ONE ? "The curve, and the squares of its errors" : looked === null ? "Output" : "Output of this neuron";
  byId("output-head").textContent = title + (WIDTH > 2 ? ", the other inputs at their mean" : "");
  drawOutput();
}

function choose(parameter) {
  chosen = parameter;
  byId("weight").value = parameter;
  drawWires();
  showChosen();
}

/** The number of the chosen weight as its field shows it. */
function chosenNumber() {
  const number = trainer.parameters[chosen];
  return Number.isFinite(number) ? short(number) : "";
}

function showChosen() {
  if (document.activeElement !== byId("value")) byId("value").value = chosenNumber();
}

/** Play the graph of a neuron for the first row: its player's page, with the numbers of this one. */
async function playNeuron(layer, at, which) {
  neurons.forEach(({ button, which: other }) => button.classList.toggle("picked", other === which));
  const [weights, bias] = places[layer][at];
  const said = saidAt(shown.map((input) => trainer.rows[0][input]));
  const start = sizes.slice(1, layer).reduce((sum, size) => sum + size, 0);
  const inputs = layer ? Array.from(said.slice(start, start + sizes[layer])) : trainer.rows[0];
  const numbers = {};
  weights.forEach((parameter, i) => (numbers[`w[${i}]`] = trainer.parameters[parameter]));
  inputs.forEach((x, i) => (numbers[`x[${i}]`] = x));
  if (bias !== null) numbers.b = trainer.parameters[bias];
  const page = await unpacked(setup.pages[layer]);
  const parsed = new DOMParser().parseFromString(page, "text/html");
  const held = parsed.getElementById("data");
  const graph = JSON.parse(held.textContent);
  graph.names.forEach((name, node) => {
    if (graph.row[node] === -1 && name in numbers) graph.numbers[node] = numbers[name];
  });
  held.textContent = JSON.stringify(graph).replace(/[<>&]/g, (mark) => `\\u00${mark.charCodeAt(0).toString(16)}`);
  byId("neuron-head").textContent = `Neuron ${at + 1} of layer ${layer + 1}, for the first row`;
  byId("neuron-card").hidden = false;
  byId("neuron").srcdoc = `<!doctype html>${parsed.documentElement.outerHTML}`;
  byId("neuron-card").scrollIntoView({ behavior: motion(), block: "start" });
}

function draw() {
  drawWires();
  drawNeurons();
  drawOutput();
  const loss = trainer.loss(trainer.used);
  const held = trainer.loss(trainer.held);
  if (trainer.held.length > 0) trainer.heldLosses.push([trainer.losses.length, held]);
  drawLoss(loss);
  const epoch = trainer.batch ? `, epoch ${trainer.epochs}` : "";
  byId("clock").textContent = `step ${trainer.losses.length}${epoch}${running ? "" : ", paused"}`;
  byId("loss-now").textContent = Number.isFinite(loss) ? loss.toPrecision(5) : "";
  byId("held-now").textContent = Number.isFinite(held) ? `held out ${held.toPrecision(5)}` : "";
  showChosen();
}

/** Train by one step and return true; where that cannot go on, say why. */
function advance() {
  try {
    if (!diverged()) trainer.step();
  } catch (error) {
    tell(`Stopped: ${error.message}.`);
    return false;
  }
  if (diverged()) tell("Stopped: the training diverged, its loss is not finite. Reset, then try a smaller learning rate.");
  return !diverged();
}

const diverged = () => ![trainer.losses.at(-1) ?? 0, ...trainer.parameters].every(Number.isFinite);
const tell = (trouble) => (byId("trouble").textContent = trouble);

let due = 0; // steps, of which a slow pace has less than one a frame

function turn() {
  if (!running) return;
  const until = performance.now() + BUDGET;
  for (due += Number(byId("speed").value); due >= 1 && performance.now() < until; due--)
    if (!advance()) return toggle(false);
  due = Math.min(due, 1); // what a frame has no time for is dropped
  draw();
  requestAnimationFrame(turn);
}

function toggle(on = !running) {
  running = on;
  due = 0;
  for (const name of ["clock", "loss-now", "held-now"]) byId(name).setAttribute("aria-live", on ? "off" : "polite"); // not 60 a second
  byId("run").classList.toggle("playing", on);
  byId("run").setAttribute("aria-label", on ? "Pause" : "Run");
  if (on) requestAnimationFrame(turn);
  else draw();
}

function step() {
  toggle(false);
  advance();
  draw();
}

/** Use the chosen data, with as much noise as the slider says; show all of them. */
function takeData() {
  const data = setup.sets[byId("set").value] ?? setup;
  const random = makeRandom(7);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const noise = Number(byId("noise").value);
  trainer.rows = data.rows.map((row) =>
    row.map((x, at) => {
      const which = shown.indexOf(at);
      const width = which < 0 ? 0 : (setup.spans[which][1] - setup.spans[which][0]) / 2;
      return x + noise * width * normal();
    }),
  );
  shown.forEach((at, which) => {
    const [low, high] = setup.spans[which];
    const margin = 0.03 * (high - low);
    const edges = trainer.rows.flatMap((row) => [row[at] - margin, row[at] + margin]);
    spans[which] = [Math.min(low, ...edges), Math.max(high, ...edges)];
  });
  trainer.targets = data.targets;
  if (diverged()) trainer.reset();
  holdOut();
}

/** Hold out as many rows as is chosen. */
function holdOut() {
  trainer.holdOut(Number(byId("share").value));
  byId("light").hidden = trainer.held.length === 0;
  startOver();
}

/** Draw everything, with a new range for the curve. */
function startOver() {
  tell("");
  if (ONE) takeHeights();
  labelAxes();
  draw();
}

/** Use what is typed into a field, if it is a number that is allowed; else say so, and put the number in use back in the end. */
function takeNumber(name, wanted, isAllowed, use, inUse) {
  const field = byId(name);
  const check = (isGood) => {
    setWrong(field, !isGood);
    byId("wrong").textContent = isGood ? "" : `${wanted}; ${inUse()} is still in use.`;
    return isGood;
  };
  field.setAttribute("aria-describedby", "wrong");
  field.addEventListener("input", () => {
    if (check(field.value !== "" && isAllowed(Number(field.value)))) use(Number(field.value));
  });
  field.addEventListener("keydown", ({ key }) => ["Enter", "Escape"].includes(key) && field.blur());
  field.addEventListener("blur", () => {
    check(true);
    field.value = inUse();
  });
}

function fill(name, options) {
  options.forEach(([value, text]) => {
    const option = element("option", text);
    option.value = value;
    byId(name).append(option);
  });
}

fill("batch", [[0, "all rows"], ...[1, 8, 32].filter((size) => size < setup.rows.length).map((size) => [size, size])]);
fill("share", [0, 0.1, 0.2, 0.5].filter((x) => x * setup.rows.length >= 1 || !x).map((x) => [x, x ? `${100 * x} %` : "none"]));
fill("activation", setup.activations.map((name, at) => [at, name]));
fill("set", [["", "yours"], ...Object.keys(setup.sets).map((name) => [name, name])]);
byId("set").parentElement.hidden = Object.keys(setup.sets).length === 0;
fill("weight", names.map((name, at) => [at, name]));
fill("speed", [[0.1, "slow"], [1, "normal"], [10, "10 times"], [Infinity, "fast"]]);
byId("speed").value = 1;
byId("run").addEventListener("click", () => toggle());
byId("step").addEventListener("click", step);
byId("reset").addEventListener("click", () => {
  toggle(false);
  trainer.reset();
  startOver();
});
for (const name of ["rate", "l1", "l2"]) {
  const wanted = `${byId(name).parentElement.textContent.trim()} takes a number of at least 0`;
  takeNumber(name, wanted, (x) => x >= 0, (x) => (trainer[name] = x), () => trainer[name]);
  byId(name).value = trainer[name];
}
byId("batch").addEventListener("change", ({ target }) => {
  trainer.batch = Number(target.value);
  trainer.place = 0;
});
byId("activation").addEventListener("change", ({ target }) => {
  trainer.program = Number(target.value);
  tell("");
  draw();
});
byId("noise").addEventListener("input", takeData);
byId("set").addEventListener("change", takeData);
byId("share").addEventListener("change", holdOut);
byId("weight").addEventListener("change", ({ target }) => choose(Number(target.value)));
takeNumber("value", "A weight is a number", Number.isFinite, (x) => ((trainer.parameters[chosen] = x), draw()), chosenNumber);
byId("controls").addEventListener("submit", (event) => event.preventDefault());
addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, button, iframe")) return;
  if (event.key === " ") toggle();
  else if (event.key === "ArrowRight") step();
  else return;
  event.preventDefault();
});
output.setAttribute("aria-label", ONE ? "Fitted curve with squared errors" : "Output over the plane, with the data");
const classes = [...new Set(setup.targets)].sort((a, b) => a - b);
const middle = short((ends()[0] + ends()[1]) / 2);
const legend = classes.length === 2 ? classes : [`below ${middle}`, `${middle} and above`];
if (!ONE) byId("plot").after(makeLegend(legend));
document.querySelector("main").classList.toggle("tall", tallest > 5); // then the loss stands below the output
makeNetwork();
trainer.holdOut(0);
choose(0);
look(null);
startOver();
dark.addEventListener("change", draw);
