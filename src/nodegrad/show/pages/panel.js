// The panel that shows a graph: fitted into its room, scrolled to the nodes that a step is about.

const panel = byId("graph");
const whole = byId("whole");
const LEAST = 2 / 3; // of its size: text of 8 pixels; a smaller picture could not be read

/** Write a text into one line of a node of the picture. */
function setLine(node, line, text) {
  node.querySelectorAll("tspan")[line].textContent = text;
}

/**
 * Scroll so that nodes of the picture are in view: all of them if there is room, else the first.
 * In a new picture they go to the middle, at once.
 */
function reveal(nodes, isNew = false) {
  const outer = panel.getBoundingClientRect();
  const boxes = nodes.map((node) => node.getBoundingClientRect());
  const by = (from, to, least, most, room) => {
    const [low, high] = [Math.min(...boxes.map((box) => box[from])), Math.max(...boxes.map((box) => box[to]))];
    if (!isNew && low >= least && high <= most) return 0;
    return (high - low <= room ? (low + high) / 2 : (boxes[0][from] + boxes[0][to]) / 2) - (least + most) / 2;
  };
  const across = by("left", "right", outer.left, outer.right, panel.clientWidth);
  const down = by("top", "bottom", outer.top, outer.bottom, panel.clientHeight);
  if (across || down) panel.scrollBy({ left: across, top: down, behavior: isNew ? "auto" : motion() });
}

/**
 * Show the whole graph if its text is then at least 8 pixels high. If not, it keeps a size that can be read, the panel
 * scrolls, and a button shows all of it at once, however small.
 */
function fitPicture() {
  const drawing = panel.querySelector("svg");
  const { width, height } = drawing.viewBox.baseVal;
  const around = 2 * parseFloat(getComputedStyle(panel).padding) + 1;
  const [across, down] = [(panel.clientWidth - around) / width, (panel.clientHeight - around) / height];
  const best = Math.min(1.35, across, down);
  whole.hidden = best >= LEAST;
  const isWhole = whole.hidden || whole.getAttribute("aria-pressed") === "true";
  const factor = isWhole ? best : Math.max(LEAST, Math.min(1, across));
  drawing.setAttribute("width", width * factor);
  drawing.setAttribute("height", height * factor);
}

/** Keep the picture fitted when the window changes or the button is pressed; `follow` then shows the step again. */
function keepFitted(follow) {
  addEventListener("resize", () => {
    fitPicture();
    follow();
  });
  whole.addEventListener("click", () => {
    whole.setAttribute("aria-pressed", whole.getAttribute("aria-pressed") !== "true");
    fitPicture();
    follow();
    panel.scrollIntoView({ block: "nearest", behavior: motion() });
  });
}
