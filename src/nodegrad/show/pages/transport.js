// What pages share: elements by name, moving through steps, and texts that Python packed.

const byId = (id) => document.getElementById(id);

/** Make an element with text in it; texts are never markup. */
function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

/**
 * Move through frames: play, pause, step and scrub, by button, slider, keyboard and swipe.
 * Calls show(index) for every frame; returns {setCount, go, index}.
 */
function makeTransport(show, swiped) {
  const slider = byId("slider");
  let count = 1;
  let index = 0;
  let timer = null;

  function go(to) {
    index = Math.max(0, Math.min(count - 1, to));
    slider.value = index;
    slider.setAttribute("aria-valuetext", `step ${index} of ${count - 1}`);
    byId("position").textContent = `step ${index} of ${count - 1}`;
    byId("first").disabled = byId("back").disabled = index === 0;
    byId("next").disabled = byId("last").disabled = index === count - 1;
    show(index);
    if (index === count - 1) pause();
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    byId("play").classList.remove("playing");
    byId("play").setAttribute("aria-label", "Play");
  }

  function play() {
    if (index === count - 1) go(0);
    clearInterval(timer);
    timer = setInterval(() => go(index + 1), 1400 / Number(byId("speed").value));
    byId("play").classList.add("playing");
    byId("play").setAttribute("aria-label", "Pause");
  }

  function step(by) {
    pause();
    go(index + by);
  }

  const toggle = () => (timer === null ? play() : pause());
  const keys = {
    " ": toggle,
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    Home: () => step(-index),
    End: () => step(count),
  };

  byId("first").addEventListener("click", keys.Home);
  byId("back").addEventListener("click", keys.ArrowLeft);
  byId("play").addEventListener("click", toggle);
  byId("next").addEventListener("click", keys.ArrowRight);
  byId("last").addEventListener("click", keys.End);
  byId("speed").addEventListener("change", () => timer !== null && play());
  slider.addEventListener("input", () => step(Number(slider.value) - index));

  document.addEventListener("keydown", (event) => {
    const action = keys[event.key];
    const inside = event.target.tagName;
    if (!action || event.ctrlKey || event.altKey || event.metaKey || inside === "SELECT") return;
    if (inside === "BUTTON" && event.key === " ") return; // the button does what it says
    event.preventDefault();
    action();
  });

  let start = null;
  swiped.addEventListener("pointerdown", (event) => (start = event.pointerType === "touch" ? event : null));
  swiped.addEventListener("pointerup", (event) => {
    const across = start ? event.clientX - start.clientX : 0;
    if (Math.abs(across) > 40 && Math.abs(event.clientY - start.clientY) < 40) step(across < 0 ? 1 : -1);
    start = null;
  });

  return {
    go,
    index: () => index,
    setCount(to) {
      count = to;
      slider.max = count - 1;
    },
  };
}

/** Say whether what is typed into a field is wrong: to the eye and to screen readers. */
const setWrong = (field, isWrong) => field.setAttribute("aria-invalid", isWrong);

/** Return the text that Python packed. */
async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

/** How to scroll: smoothly, unless the reader has asked for less motion. */
const motion = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");
