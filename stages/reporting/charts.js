const AXES = { x: "zoom_epoch", y: "zoom_value" };  // Vega-Lite's names for the domains of the parameter `zoom`

const DARK = { "#2b6cb0": "#7ab8ff", "#bd1f01": "#ff8a6b", "#4a4a4a": "#b8bcc4", "#d5d5da": "#3a3e47" };  // the charts' colours on a dark page

const views = new Map();  // the Vega view of each chart, by its key

function scale(view, factor) {
  for (const [axis, signal] of Object.entries(AXES)) {
    const [low, high] = view.scale(axis).domain();
    const middle = (low + high) / 2, half = (high - low) / 2 * factor;
    view.signal(signal, factor ? [middle - half, middle + half] : null);
  }
  view.runAsync();
}

async function draw(figure) {
  let text = figure.querySelector("script").textContent;
  if (matchMedia("(prefers-color-scheme: dark)").matches) {
    for (const [light, dark] of Object.entries(DARK)) text = text.replaceAll(light, dark);
  }
  const spec = JSON.parse(text);
  const { view } = await vegaEmbed(figure.querySelector(".plot"), spec, { renderer: "svg", actions: false });
  views.set(figure.dataset.key, view);
  const buttons = figure.querySelector(".buttons");
  if (!buttons) return;
  buttons.hidden = false;
  buttons.addEventListener("click", (event) => {
    const factor = event.target.dataset.zoom;
    if (factor !== undefined) scale(view, Number(factor));
  });
}

const drawn = Promise.all([...document.querySelectorAll(".chart")].map(draw));

// Open all details for printing, except the numbers of each epoch, which are in the curves.
const closed = () => document.querySelectorAll("details:not([open], .numbers)");
let opened = [];
addEventListener("beforeprint", () => { opened = [...closed()]; opened.forEach((item) => { item.open = true; }); });
addEventListener("afterprint", () => { opened.forEach((item) => { item.open = false; }); opened = []; });
