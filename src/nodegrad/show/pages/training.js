// Scrubs through the frames that Python recorded: loss, parameters, the model's answers, one sample's graph.

const { parameters, frames, view } = JSON.parse(byId("data").textContent);
const nodes = frames[0].texts.map((_, at) => byId(`node-${at}`));
const CHART = { left: 66, right: 350, top: 12, bottom: 262 };

// The loss.
const { low, high, logarithmic, up: lossAt } = lossScale(frames.map((frame) => frame.loss), [CHART.bottom, CHART.top]);
const stepAt = scale([0, frames.length - 1], [CHART.left, CHART.right]);
const marker = shape("circle", { r: 5 });

function drawLoss() {
  const points = frames.flatMap(({ loss }, at) => (loss === null ? [] : `${stepAt(at)} ${lossAt(loss)}`));
  const text = (of) => frames.find((frame) => frame.loss === of)?.lossText ?? "";
  document.querySelector(".chart").append(
    shape("path", { class: "axis", d: `M${CHART.left} ${CHART.top}V${CHART.bottom}H${CHART.right}` }),
    shape("path", { d: points.length ? `M${points.join("L")}` : "" }),
    shape("text", { x: CHART.left - 5, y: CHART.top + 4, "text-anchor": "end" }, text(high)),
    shape("text", { x: CHART.left - 5, y: CHART.bottom + 4, "text-anchor": "end" }, text(low)),
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

// The model's output: a plane of shades, a curve, or predictions against targets.
const canvas = document.querySelector("canvas");
const pen = canvas.getContext("2d");
const SIDE = 680;
canvas.width = canvas.height = SIDE;
const x = scale(view.x, [0, SIDE]);
const y = scale(view.y, [SIDE, 0]);

/** The colour of a byte of the plane: a class, or how near the output is to the one or the other target. */
const colourOf = (byte) => (view.classes ? tint(byte, 0.55) : shade(byte / 127.5 - 1));

function drawPlane(bytes) {
  const colours = [...atob(bytes)].map((char) => colourOf(char.charCodeAt(0)));
  spread(pen, plane(view.side, colours), !view.classes);
}

const drawLine = (points) => drawCurve(pen, points.map(([across, up]) => [x(across), up === null ? NaN : y(up)]), 5);

function drawView(frame) {
  pen.fillStyle = dark.matches ? "#0d1117" : "#ffffff";
  pen.fillRect(0, 0, SIDE, SIDE);
  if (view.kind === "plane") drawPlane(frame.plane);
  if (view.kind === "curve") drawLine(view.at.map((at, index) => [at, frame.plane[index]]));
  if (view.kind === "targets") drawLine(view.x.map((end) => [end, end]));
  view.points.forEach(([across, up, mark], at) => {
    drawSample(pen, x(across), y(view.kind === "targets" ? frame.predictions[at] : up), mark, 10);
  });
}

function show(index) {
  const frame = frames[index];
  byId("loss-now").textContent = `${frame.lossText} at step ${frame.step}`;
  marker.setAttribute("cx", stepAt(index));
  marker.setAttribute("cy", frame.loss === null ? CHART.top : lossAt(frame.loss));
  rows.forEach((row, at) => {
    row.value.textContent = frame.values[at];
    row.gradient.textContent = frame.gradients[at];
    row.bars.forEach((bar, which) => showBar(bar, frame.sizes[at][which], largest[which]));
  });
  panel.classList.toggle("waiting", frame.texts.length === 0);
  frame.texts.forEach((text, at) => {
    text.split("\n").forEach((line, which, { length }) => length > 1 && setLine(nodes[at], which, line));
  });
  drawView(frame);
}

fitPicture();
keepFitted(() => {});
byId("view-head").textContent = {
  plane: "The model's output over the plane",
  curve: "The model's output",
  targets: "Predictions against targets",
}[view.kind];
if (view.names && (view.classes || view.names.length === 2)) canvas.after(makeLegend(view.names));
drawLoss();
const transport = makeTransport(show, byId("view"));
transport.setCount(frames.length);
transport.go(0);
dark.addEventListener("change", () => transport.go(transport.index()));
