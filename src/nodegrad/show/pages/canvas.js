// What pages paint on canvases: colours of classes, planes of shades, samples, curves.
//
// CLASSES, written by Python, holds for each class its colour and its mark. Low and
// negative numbers get the colour of the first class, high and positive ones that of the second.

const dark = matchMedia("(prefers-color-scheme: dark)");
const ink = () => (dark.matches ? "#e6edf3" : "#1f2328");
const soft = () => (dark.matches ? "#9aa4af" : "#59636e");
const line = () => (dark.matches ? "#7cacf8" : "#0b57d0");
const flow = () => (dark.matches ? "#fb923c" : "#c2410c");

/** Mix the colour of a class with the page's: 0 gives the page's, 1 the colour itself. */
function tint(which, strength) {
  const paper = dark.matches ? 13 : 255;
  return CLASSES[which % CLASSES.length].colour.map((part) => Math.round(paper + (part - paper) * strength));
}

/** The shade of a number from -1 to 1; nan has the page's colour. */
const shade = (x) => tint(x < 0 ? 0 : 1, Math.min(1, Math.abs(x) || 0) * 0.75);

/** Return a small canvas with a colour per point, from the top left. */
function plane(side, colours) {
  const canvas = element("canvas");
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  colours.forEach((colour, at) => image.data.set([...colour, 255], 4 * at));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Draw a small canvas over a whole one; its outermost points lie on the edges. */
function spread(pen, small, smooth) {
  const size = pen.canvas.width;
  const margin = size / (small.width - 1) / 2;
  pen.imageSmoothingEnabled = smooth;
  pen.drawImage(small, -margin, -margin, size + 2 * margin, size + 2 * margin);
}

// Corners, the turn of the first one in parts of a circle, and whether every other corner lies further in.
const MARKS = { o: [32, 0], s: [4, 0.125], D: [4, 0], "^": [3, 0], v: [3, 0.5], P: [8, 0, true], X: [8, 0.125, true] };

/** Draw a sample with the mark and colour of its class, and a light rim; a plain circle if it has none, the colours swapped if light. */
function drawSample(pen, x, y, which, radius, isLight = false) {
  const { mark, colour } = which === null ? { mark: "o" } : CLASSES[which % CLASSES.length];
  const [corners, turn, star] = MARKS[mark];
  pen.beginPath();
  for (let corner = 0; corner < corners; corner++) {
    const angle = 2 * Math.PI * (corner / corners + turn) - Math.PI / 2;
    const reach = radius * (star && corner % 2 ? 0.45 : corners === 32 ? 0.9 : 1.15);
    pen.lineTo(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
  }
  pen.closePath();
  pen.fillStyle = colour ? `rgb(${colour})` : ink();
  pen.strokeStyle = "#ffffff";
  if (isLight) [pen.fillStyle, pen.strokeStyle] = [pen.strokeStyle, pen.fillStyle];
  pen.lineWidth = 0.4 * radius;
  pen.stroke();
  pen.fill();
}

const GLYPHS = { o: "●", s: "■", D: "◆", "^": "▲", v: "▼", P: "✚", X: "✖" };

/** Say which mark stands for which class. */
function makeLegend(names) {
  const legend = element("p", "", "legend");
  names.forEach((name, which) => {
    const { colour, mark } = CLASSES[which % CLASSES.length];
    const glyph = element("span", GLYPHS[mark]);
    glyph.style.color = `rgb(${colour})`;
    legend.append(glyph, ` ${name} `);
  });
  return legend;
}

/** Draw a curve through points; it stops where a number is missing. */
function drawCurve(pen, points, width, colour = line()) {
  pen.strokeStyle = colour;
  pen.lineWidth = width;
  pen.lineJoin = "round";
  pen.beginPath();
  let broken = true;
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) broken = true;
    else if (broken) pen.moveTo(x, y), (broken = false);
    else pen.lineTo(x, y);
  }
  pen.stroke();
}

/** Map losses to heights, logarithmic where they span more than a factor of 30; tell their range too. */
function lossScale(losses, ends) {
  const known = losses.filter(Number.isFinite);
  const low = known.reduce((x, y) => Math.min(x, y), Infinity);
  const high = known.reduce((x, y) => Math.max(x, y), -Infinity);
  const logarithmic = low > 0 && high / low > 30;
  const height = (loss) => (logarithmic ? Math.log(loss) : loss);
  const up = scale([height(low), height(high)], ends);
  return { low, high, logarithmic, up: (loss) => up(height(loss)) };
}

/** Make an element of SVG with attributes and text. */
function shape(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

/** Map numbers from one range to another. */
const scale = ([low, high], [from, to]) => (x) => from + ((x - low) / (high - low || 1)) * (to - from);
