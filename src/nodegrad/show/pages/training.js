// Scrubs through the frames that Python recorded: loss, parameters, the model's answers, one sample's graph.

const { parameters, frames, view } = JSON.parse(byId("data").textContent);
const nodes = frames[0].texts.map((_, at) => byId(`node-${at}`));
const COLOURS = [ // of Okabe and Ito, which colour-blind readers tell apart
  [0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [90, 90, 90],
];
const CHART = { left: 52, right: 350, top: 12, bottom: 262 };

/** Make an element of SVG with attributes and text. */
function shape(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** Map numbers from one range to another. */
const scale = ([low, high], [from, to]) => (x) => from + ((x - low) / (high - low || 1)) * (to - from);

// The loss, on a logarithmic scale where it spans more than a factor of 30.
const known = frames.map((frame) => frame.loss).filter((loss) => loss !== null);
const lowest = Math.min(...known);
const highest = Math.max(...known);
const logarithmic = lowest > 0 && highest / lowest > 30;
const height = (loss) => (logarithmic ? Math.log(loss) : loss);
const lossAt = scale([height(lowest), height(highest)], [CHART.bottom, CHART.top]);
const stepAt = scale([0, frames.length - 1], [CHART.left, CHART.right]);
const marker = shape("circle", { r: 5 });

function drawLoss() {
  const points = frames.flatMap(({ loss }, at) => (loss === null ? [] : `${stepAt(at)} ${lossAt(height(loss))}`));
  const text = (of) => frames.find((frame) => frame.loss === of).lossText;
  document.querySelector(".chart").append(
    shape("path", { class: "axis", d: `M${CHART.left} ${CHART.top}V${CHART.bottom}H${CHART.right}` }),
    shape("path", { d: `M${points.join("L")}` }),
    shape("text", { x: CHART.left - 5, y: CHART.top + 4, "text-anchor": "end" }, text(highest)),
    shape("text", { x: CHART.left - 5, y: CHART.bottom + 4, "text-anchor": "end" }, text(lowest)),
    shape("text", { x: CHART.left, y: CHART.bottom + 18 }, `step ${frames[0].step}`),
    shape("text", { x: CHART.right, y: CHART.bottom + 18, "text-anchor": "end" }, `${frames.at(-1).step}`),
    shape("text", { x: CHART.right, y: CHART.top + 4, "text-anchor": "end" }, logarithmic ? "logarithmic" : ""),
    marker,
  );
}

// The parameters: a row each, with bars on a scale shared by all frames.
const sizes = (which) => frames.flatMap((frame) => frame.sizes.map((pair) => Math.abs(pair[which] ?? 0)));
const largest = [0, 1].map((which) => sizes(which).reduce((most, size) => Math.max(most, size), 0) || 1);
const rows = parameters.map((name) => {
  const row = element("tr");
  const bars = [element("span", "", "bar"), element("span", "", "bar")];
  row.append(element("td", name));
  for (const bar of bars) {
    const cell = element("td");
    bar.append(element("i"));
    cell.append(bar);
    row.append(element("td"), cell);
  }
  document.querySelector("#parameters tbody").append(row);
  return { value: row.cells[1], gradient: row.cells[3], bars: bars.map((bar) => bar.firstChild) };
});

function showBar(bar, size, most) {
  const share = 50 * Math.sqrt(Math.abs(size ?? 0) / most); // small ones can still be seen
  bar.className = size < 0 ? "below" : "";
  bar.style.width = `${share}%`;
  bar.style.left = `${size < 0 ? 50 - share : 50}%`;
}

// What the model says: a plane of shades, a curve, or predictions against targets.
const canvas = document.querySelector("canvas");
const pen = canvas.getContext("2d");
const SIDE = 680;
canvas.width = canvas.height = SIDE;
const x = scale(view.x, [0, SIDE]);
const y = scale(view.y, [SIDE, 0]);
const dark = matchMedia("(prefers-color-scheme: dark)");

/** The shade of a byte of the plane: a class, or how near the output is to the one or the other target. */
function shade(byte) {
  const paper = dark.matches ? 13 : 255;
  const colour = view.classes ? COLOURS[byte % COLOURS.length] : COLOURS[byte < 128 ? 0 : 1];
  const strength = view.classes ? 0.55 : 0.12 + 0.6 * Math.abs(byte / 127.5 - 1);
  return colour.map((part) => paper + (part - paper) * strength);
}

function drawPlane(bytes) {
  const image = new ImageData(view.side, view.side);
  [...atob(bytes)].forEach((char, at) => image.data.set([...shade(char.charCodeAt(0)), 255], 4 * at));
  const small = new OffscreenCanvas(view.side, view.side);
  small.getContext("2d").putImageData(image, 0, 0);
  const margin = SIDE / (view.side - 1) / 2; // the outermost points lie on the edges
  pen.imageSmoothingEnabled = !view.classes;
  pen.drawImage(small, -margin, -margin, SIDE + 2 * margin, SIDE + 2 * margin);
}

function drawLine(points) {
  pen.strokeStyle = dark.matches ? "#7cacf8" : "#0b57d0";
  pen.lineWidth = 5;
  pen.beginPath();
  for (const [across, up] of points) if (up !== null) pen.lineTo(x(across), y(up));
  pen.stroke();
}

/** A sample: a circle, a triangle or a square by its class, with a light rim. */
function drawPoint(across, up, mark) {
  pen.beginPath();
  const sides = [3, 24, 4][mark % 3];
  for (let corner = 0; corner < sides; corner++) {
    const angle = (2 * Math.PI * corner) / sides - Math.PI / 2;
    pen.lineTo(x(across) + 11 * Math.cos(angle), y(up) + 11 * Math.sin(angle));
  }
  pen.closePath();
  pen.fillStyle = `rgb(${COLOURS[mark % COLOURS.length]})`;
  pen.strokeStyle = "#ffffff";
  pen.lineWidth = 3;
  pen.fill();
  pen.stroke();
}

function drawView(frame) {
  pen.fillStyle = dark.matches ? "#0d1117" : "#ffffff";
  pen.fillRect(0, 0, SIDE, SIDE);
  if (view.kind === "plane") drawPlane(frame.plane);
  if (view.kind === "curve") drawLine(view.at.map((at, index) => [at, frame.plane[index]]));
  if (view.kind === "targets") drawLine(view.x.map((end) => [end, end]));
  view.points.forEach(([across, up, mark], at) => {
    drawPoint(across, view.kind === "targets" ? frame.predictions[at] : up, mark);
  });
}

function show(index) {
  const frame = frames[index];
  byId("loss-now").textContent = `${frame.lossText} at step ${frame.step}`;
  marker.setAttribute("cx", stepAt(index));
  marker.setAttribute("cy", frame.loss === null ? CHART.top : lossAt(height(frame.loss)));
  rows.forEach((row, at) => {
    row.value.textContent = frame.values[at];
    row.gradient.textContent = frame.gradients[at];
    row.bars.forEach((bar, which) => showBar(bar, frame.sizes[at][which], largest[which]));
  });
  byId("graph").classList.toggle("waiting", frame.texts.length === 0);
  frame.texts.forEach((text, at) => {
    text.split("\n").forEach((line, which, { length }) => length > 1 && setLine(nodes[at], which, line));
  });
  drawView(frame);
}

fitPicture(byId("graph"));
addEventListener("resize", () => fitPicture(byId("graph")));
byId("view-head").textContent = {
  plane: "What the model says over the plane",
  curve: "What the model says",
  targets: "Predictions against targets",
}[view.kind];
drawLoss();
const transport = makeTransport(show, byId("view"));
transport.setCount(frames.length);
transport.go(0);
dark.addEventListener("change", () => transport.go(transport.index()));
