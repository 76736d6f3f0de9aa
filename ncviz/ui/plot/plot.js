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
    this.nameButton();
    if (same && this.drawn) return;
    const turn = ++this.turn;
    const Plotly = await library(this.about.plotly);
    if (turn !== this.turn || !this.root.isConnected) return; // something newer has come
    const { data: traces, layout } = JSON.parse(this.figure);
    this.title = plain(layout.title.text);
    this.nameButton();
    layout.uirevision = this.about.place;
    layout.autosize = true;
    if (this.about.gestures.includes("span")) {
      [layout.dragmode, layout.selectdirection] = ["select", "h"];
    } else if (this.about.gestures.includes("lasso")) {
      layout.dragmode = "lasso";
    }
    this.ranges = rangesOf(layout);
    await this.draw(Plotly, traces, layout);
    if (!this.drawn) this.listen();
    this.drawn = true;
    this.root.dataset.drawn = turn;
  }

  // Marks, titles and notes change by themselves: a step often changes nothing else, and Plotly
  // leaves them as they are while it moves what has new data.
  async draw(Plotly, traces, layout) {
    const before = this.given;
    const now = { traces, content: JSON.stringify(traces), layout: parts(layout) };
    this.given = now;
    if (before) {
      const changed = Object.keys({ ...before.layout, ...now.layout })
        .filter((name) => before.layout[name] !== now.layout[name]);
      const still = now.content === before.content && !changed.some(isAxis);
      const glides = !calm() && alike(before.traces, traces);
      if (still || glides) {
        const marks = new Marks(this.plot);
        const loose = changed.filter((name) => !isAxis(name));
        const update = Object.fromEntries(loose.map((name) => [name, layout[name] ?? null]));
        if (loose.length) Plotly.relayout(this.plot, update);
        if (!calm()) marks.glide(moveTime());
      }
      if (still) return;
      if (glides) layout.transition = { duration: moveTime(), easing: "cubic-out" };
    }
    await Plotly.react(this.plot, traces, layout, this.config());
  }

  nameButton() {
    const words = `Save as ${this.about.format.toUpperCase()}`;
    this.button.title = words;
    this.button.setAttribute("aria-label", this.title ? `${words}: ${this.title}` : words);
  }

  config() {
    const drags = { span: "select2d", lasso: "lasso2d" };
    const { gestures } = this.about;
    const unused = Object.keys(drags).filter((name) => !gestures.includes(name));
    return {
      displaylogo: false,
      showSendToCloud: false,
      modeBarButtonsToRemove: ["autoScale2d", "toImage", ...unused.map((name) => drags[name])],
      // Named, for Plotly offers them where there are single points alone, and a span takes none.
      modeBarButtonsToAdd: Object.keys(drags).filter((name) => gestures.includes(name)).map((name) => drags[name]),
    };
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
    // Where a drag selects, Plotly's double click forgets a selection and leaves a zoom.
    this.plot.on("plotly_deselect", () => {
      if (this.about.gestures.includes("span")) globalThis.Plotly.relayout(this.plot, this.ranges);
    });
  }

  tellSelected({ points = [], range, lassoPoints }) {
    const axis = range && Object.keys(range).find((name) => name.startsWith("x"));
    if (axis && !lassoPoints && this.about.gestures.includes("span")) {
      this.tell({ kind: "span", span: range[axis] });
      globalThis.Plotly.relayout(this.plot, { selections: [] });
    } else if (lassoPoints && this.about.gestures.includes("lasso")) {
      const found = {};
      for (const { curveNumber, pointIndex } of points) (found[curveNumber] ??= []).push(pointIndex);
      this.tell({ kind: "lasso", points: found });
      globalThis.Plotly.relayout(this.plot, { selections: [] });
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
      download(`${file}.html`, page(data, layout));
      return;
    }
    const { clientWidth: width, clientHeight: height } = this.plot;
    const options = { format, filename: file, width, height, scale: format === "png" ? 2 : 1 };
    await globalThis.Plotly.downloadImage({ data, layout }, options);
  }
}

// One file that draws the chart anywhere, without a network.
function page(data, layout) {
  const inside = (text) => text.replace(/<\/(script)/gi, "<\\/$1");
  const figure = JSON.stringify({ data, layout }).replace(/</g, "\\u003c");
  const name = plain(layout.title.text).replace(/&/g, "&amp;").replace(/</g, "&lt;");
  return [
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">",
    `<title>${name}</title>`,
    `<style>body { margin: 16px; background: ${layout.paper_bgcolor}; }</style>`,
    '<div id="chart"></div>',
    `<script>${inside(shared.source)}</script>`,
    `<script>const figure = ${figure};`,
    'Plotly.newPlot("chart", figure.data, figure.layout, ',
    "{ displaylogo: false, showSendToCloud: false, responsive: true });</script>\n</html>\n",
  ].join("\n");
}

// The range of each axis as it was drawn first; null: as far as what is on it reaches.
function rangesOf(layout) {
  const axes = Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name));
  return Object.fromEntries(
    axes.map((name) =>
      layout[name].range ? [`${name}.range`, [...layout[name].range]] : [`${name}.autorange`, true],
    ),
  );
}

// A title as text: Plotly reads some HTML in it.
function plain(title) {
  return new DOMParser().parseFromString(title ?? "", "text/html").body.textContent;
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

// The lines and boxes of a chart, which Plotly draws anew: they glide from where they were.
class Marks {
  constructor(plot) {
    this.plot = plot;
    this.before = this.places().map(({ box }) => box);
  }

  places() {
    const found = [...this.plot.querySelectorAll(".shapelayer path")];
    return found.map((path) => ({ path, box: path.getBBox() }));
  }

  glide(time) {
    this.places().forEach(({ path, box }, at) => {
      const from = this.before[at];
      if (!from || from.width !== box.width || from.height !== box.height) return;
      const [x, y] = [from.x - box.x, from.y - box.y];
      if (!x && !y) return;
      const way = [{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }];
      path.animate(way, { duration: time, easing: "ease-out" });
    });
  }
}

// The parts of a layout as text, to tell which have changed.
function parts(layout) {
  return Object.fromEntries(
    Object.entries(layout).map(([name, part]) => [name, JSON.stringify(part)]),
  );
}

function isAxis(name) {
  return /^[xy]axis/.test(name);
}

// Whether the same lines and bars have moved: from one number of points to another there is no way
// that means anything, and maps of colours cannot move.
function alike(before, after) {
  const size = (values) => values?.bdata?.length ?? values?.length;
  return before.length === after.length && after.every((trace, at) => {
    const old = before[at];
    const moves = ["scatter", "bar", "box"].includes(trace.type ?? "scatter");
    const same = ["x", "y"].every((axis) => size(old[axis]) === size(trace[axis]));
    return moves && same && old.type === trace.type;
  });
}

// While the epochs are played, a move ends before the next begins; see player.js.
function moveTime() {
  const pace = globalThis[Symbol.for("ncviz.player")]?.pace;
  return pace ? Math.min(MOVE_MS, 0.7 * pace) : MOVE_MS;
}

// Readers may ask their system for pages that do not move.
function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
