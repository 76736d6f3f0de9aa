// A Plotly chart that stays in its place: what changes is drawn into the element that is there.
// The figure comes as bytes: a line of JSON about the element, then the figure itself.

const MOVE_MS = 250; // how long lines take to their places after a step
const ICON = "M5 20h14v-2H5v2zM19 9h-4V3H9v6H5l7 7 7-7z"; // an arrow onto a tray

// All charts of a page share one copy of plotly.js.
const shared = (globalThis[Symbol.for("ncviz.plotly")] ??= { source: null, library: null });

export default function ({ data, parentElement, setTriggerValue }) {
  const chart = (parentElement.ncvizPlot ??= new Chart(parentElement));
  chart.tell = (told) => setTriggerValue("gesture", told);
  chart.show(data);
  return () => chart.leave();
}

function library(address) {
  shared.library ??= load(new URL(address, import.meta.url));
  return shared.library;
}

async function load(address) {
  const answer = await fetch(address, { cache: "force-cache" });
  shared.source = await answer.text();
  const script = document.createElement("script");
  script.textContent = shared.source;
  document.head.append(script);
  return globalThis.Plotly;
}

class Chart {
  constructor(parent) {
    this.root = document.createElement("div");
    this.root.className = "ncviz-plot";
    this.plot = document.createElement("div");
    this.plot.setAttribute("role", "img");
    this.button = document.createElement("button");
    this.button.className = "save";
    this.button.type = "button";
    this.button.onclick = () => this.save();
    this.button.append(icon());
    this.root.append(this.plot, this.button);
    parent.append(this.root);
    this.turn = 0;
    this.resizing = new ResizeObserver(() => this.fit());
  }

  // Plotly may still be moving lines, so the plot is left to the garbage collector.
  leave() {
    this.resizing.disconnect();
  }

  async show(data) {
    this.resizing.observe(this.root);
    const text = new TextDecoder().decode(data);
    const end = text.indexOf("\n");
    this.about = JSON.parse(text.slice(0, end));
    const same = this.figure === text.slice(end + 1);
    this.figure = text.slice(end + 1);
    this.root.style.minHeight = `${this.about.height ?? 450}px`;
    this.plot.setAttribute("aria-label", this.about.alt);
    const kind = this.about.format.toUpperCase();
    this.button.title = `Save as ${kind}`;
    this.button.setAttribute("aria-label", `Save this chart as ${kind}`);
    if (same && this.drawn) return;
    const turn = ++this.turn;
    const Plotly = await library(this.about.plotly);
    if (turn !== this.turn || !this.root.isConnected) return; // something newer has come
    const { data: traces, layout } = JSON.parse(this.figure);
    layout.uirevision = this.about.place;
    layout.autosize = true;
    if (this.about.gestures.includes("span")) {
      [layout.dragmode, layout.selectdirection] = ["select", "h"];
    } else if (this.about.gestures.includes("lasso")) {
      layout.dragmode = "lasso";
    }
    if (this.drawn && !calm()) layout.transition = { duration: MOVE_MS, easing: "cubic-out" };
    await Plotly.react(this.plot, traces, layout, this.config());
    if (!this.drawn) this.listen();
    this.drawn = true;
    this.root.dataset.drawn = turn;
  }

  config() {
    const unused = ["select2d", "lasso2d", "autoScale2d", "toImage"];
    if (this.about.gestures.includes("span")) unused.shift();
    if (this.about.gestures.includes("lasso")) unused.splice(1, 1);
    return { displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: unused };
  }

  listen() {
    this.plot.on("plotly_click", ({ points: [point] }) => {
      if (!point || !this.about.gestures.includes("click")) return;
      const place = point.pointIndex ?? point.pointNumber;
      const data = Array.from(point.customdata ?? []);
      this.tell({ kind: "click", trace: point.curveNumber, place, data });
    });
    this.plot.on("plotly_selected", (event) => {
      if (event) this.tellSelected(event);
    });
  }

  tellSelected({ points = [], range, lassoPoints }) {
    const axis = range && Object.keys(range).find((name) => name.startsWith("x"));
    if (axis && !lassoPoints && this.about.gestures.includes("span")) {
      this.tell({ kind: "span", span: range[axis] });
      Plotly.relayout(this.plot, { selections: [] });
    } else if (lassoPoints && this.about.gestures.includes("lasso")) {
      const found = {};
      for (const { curveNumber, pointIndex } of points) (found[curveNumber] ??= []).push(pointIndex);
      this.tell({ kind: "lasso", points: found });
      Plotly.relayout(this.plot, { selections: [] });
    }
  }

  fit() {
    if (this.drawn && this.root.isConnected && this.root.clientWidth) globalThis.Plotly.Plots.resize(this.plot);
  }

  async save() {
    if (!this.drawn) return;
    const { format, file } = this.about;
    const { data, layout } = JSON.parse(this.figure);
    layout.paper_bgcolor = getComputedStyle(this.root).getPropertyValue("--st-background-color");
    if (format === "html") {
      download(`${file}.html`, page(file, data, layout));
      return;
    }
    const { clientWidth: width, clientHeight: height } = this.plot;
    const options = { format, filename: file, width, height, scale: format === "png" ? 2 : 1 };
    await globalThis.Plotly.downloadImage({ data, layout }, options);
  }
}

// One file that draws the chart anywhere, without a network.
function page(title, data, layout) {
  const inside = (text) => text.replace(/<\/(script)/gi, "<\\/$1");
  const figure = JSON.stringify({ data, layout }).replace(/</g, "\\u003c");
  return [
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">",
    `<title>${title}</title>\n<div id="chart"></div>`,
    `<script>${inside(shared.source)}</script>`,
    `<script>const figure = ${figure};`,
    'Plotly.newPlot("chart", figure.data, figure.layout, ',
    "{ displaylogo: false, showSendToCloud: false, responsive: true });</script>\n</html>\n",
  ].join("\n");
}

function download(name, text) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type: "text/html" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function icon() {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICON);
  path.setAttribute("fill", "currentColor");
  for (const [name, value] of [["viewBox", "0 0 24 24"], ["width", "18"], ["height", "18"]]) {
    drawing.setAttribute(name, value);
  }
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(path);
  return drawing;
}

// Readers may ask their system for pages that do not move.
function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
