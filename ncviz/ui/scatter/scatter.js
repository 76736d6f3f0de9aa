// Maps of all epochs on canvases. Two elements of the page run this: one brings the points of every
// epoch as bytes and shows nothing, the other says how to draw them. Names out of files only ever
// become text (textContent, fillText), never markup.

import { saveMap } from "./map_file.js";

const STEP_MS = 180; // how long points take to their places after a step
const RADIUS = 3.2;
const FAINT = 0.3;
const FADED = 0.25; // of what is not chosen, where something is
const CHOSEN = 1.25; // how much larger a chosen sample is
const HALO = 1.3; // pixels of the edge around chosen samples
const MIN_ZOOM = 0.25;
const MAX_ZOOM = 50;
const LIFT = 12; // pixels from the middle of a class up to its name
const DOT = 5; // half the width of the dot before a name
const MAX_NAME = 160;
const KEY_ZOOM = 1.4;
const NEAR = 9; // pixels within which the pointer finds a sample
const UNKNOWN = "#8A9099"; // of samples that the colours say nothing about
const SCORE_STEPS = 32;
const SHAPES = ["circle", "square", "cross"]; // of ID, near and far samples

// The elements need not share a copy of this script, so they meet here.
const shared = (globalThis[Symbol.for("ncviz.scatter")] ??= { frames: null, charts: new Set() });
// The epoch control of the page finds the maps here; see player.js.
const bus = (globalThis[Symbol.for("ncviz.player")] ??= {
  player: null, maps: new Set(), live: null, pace: null, speed: 0,
});

export default function ({ data, parentElement, setTriggerValue }) {
  if (data instanceof Uint8Array || data instanceof ArrayBuffer) {
    shared.frames = decode(data);
    for (const chart of shared.charts) chart.update();
    return undefined;
  }
  const chart = (parentElement.ncviz ??= new Chart(parentElement));
  chart.show(data, setTriggerValue);
  return () => chart.leave();
}

function decode(data) {
  // A copy starts at byte 0, as views on wider numbers need it.
  const bytes = new Uint8Array(data).slice();
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const frames = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const types = {
    uint8: Uint8Array, uint16: Uint16Array, int16: Int16Array, float32: Float32Array,
  };
  for (const [name, [type, start, size]] of Object.entries(frames.arrays)) {
    frames.arrays[name] = new types[type](bytes.buffer, 4 + length + start, size);
  }
  frames.groupOf = frames.arrays.sets.map((set) => frames.groups[set]);
  return frames;
}

function element(kind, name, parent, text) {
  const made = document.createElement(kind);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  parent.append(made);
  return made;
}

class Chart {
  constructor(parent) {
    this.root = element("div", "root", parent);
    const head = element("div", "head", this.root);
    const words = element("div", "words", head);
    this.title = element("div", "title", words);
    this.shown = element("div", "shown", words);
    const tools = element("div", "tools", head);
    this.lassoButton = element("button", "", tools, "Lasso");
    this.lassoButton.title = "Draw around samples to choose them; so does dragging with Shift held";
    this.resetButton = element("button", "", tools, "Reset zoom");
    this.saveButton = element("button", "", tools, "Save");
    this.legend = element("div", "legend", this.root);
    this.told = element("div", "told", this.root);
    this.told.setAttribute("role", "img");
    this.grid = element("div", "panels", this.root);
    this.panels = [];
    this.picked = null; // the sample that is looked at, by its number
    this.asked = []; // such samples told to the server whose answers are still to come
    this.hovered = null;
    this.chosen = null; // 1 for each chosen sample; null where none is
    this.lassoing = false;
    this.frames = null;
    this.at = null; // position of the shown epoch
    this.lassoButton.onclick = () => this.lasso(!this.lassoing);
    this.resetButton.onclick = () => this.resetZoom();
    this.saveButton.onclick = () => this.save();
    this.describeTools();
    this.resizing = new ResizeObserver(() => this.draw());
  }

  leave() {
    this.resizing.disconnect();
    shared.charts.delete(this);
    bus.maps.delete(this);
  }

  // What the page wants; arrives after every run of its script.
  show(view, tell) {
    this.view = view;
    this.tell = tell;
    this.resizing.observe(this.grid);
    shared.charts.add(this);
    bus.maps.add(this);
    this.update();
  }

  // Whether this is a map of that run, ready to be moved.
  shows(run) {
    return this.frames !== null && this.view.run === run && this.frames.token === this.view.token;
  }

  has(epoch) {
    return this.frames.epochs.includes(epoch);
  }

  // Draw once the points that the page means are here: they come in a message of their own.
  update() {
    const frames = shared.frames;
    if (!this.view || !frames || frames.token !== this.view.token) return;
    const fresh = frames !== this.frames;
    if (fresh) this.adopt(frames);
    this.root.style.visibility = "visible";
    this.told.setAttribute("aria-label", this.view.alt);
    this.title.textContent = this.view.title;
    this.chosen = bits(this.view.chosen, frames.samples);
    this.answer(this.view.looked_at);
    this.drawLegend();
    // The reader may be ahead of the page.
    this.go(bus.live !== null && this.has(bus.live) ? bus.live : this.view.epoch);
    this.describeTools();
  }

  // The answer to a click; any other sample has been chosen elsewhere.
  answer(sample) {
    const found = this.asked.indexOf(sample);
    if (found >= 0) this.asked.splice(0, found + 1);
    else if (sample !== this.answered) this.asked = [];
    this.answered = sample;
    if (!this.asked.length) this.picked = sample;
    this.root.dataset.picked = this.picked ?? "";
  }

  adopt(frames) {
    const before = this.frames;
    const moved = !before || before.samples !== frames.samples || this.place !== this.view.place;
    this.frames = frames;
    this.place = this.view.place;
    this.at = null;
    if (moved) {
      [this.hovered, this.asked] = [null, []];
      this.now = null;
    }
    if (moved || this.panels.length !== frames.layers.length) {
      this.grid.replaceChildren();
      this.panels = frames.layers.map((_, layer) => new Panel(this, layer));
    }
  }

  lasso(wanted) {
    this.lassoing = wanted;
    for (const panel of this.panels) panel.forget();
    this.describeTools();
  }

  describeTools() {
    this.lassoButton.setAttribute("aria-pressed", this.lassoing);
    this.grid.dataset.lasso = this.lassoing ? "on" : "off";
    this.resetButton.disabled = this.panels.every((panel) => panel.zoom === 1);
    if (this.view) this.saveButton.textContent = `Save ${this.view.save_as.toUpperCase()}`;
  }

  // Move the points to their places at `epoch`; a move that is under way there goes on.
  go(epoch, duration = STEP_MS) {
    const position = this.frames.epochs.indexOf(epoch);
    const points = this.frames.arrays.points;
    const size = this.frames.layers.length * this.frames.samples * 2;
    const known = this.now?.length === size;
    if (known && position === this.at) {
      this.restyle();
      return;
    }
    const target = points.subarray(position * size, (position + 1) * size);
    cancelAnimationFrame(this.moving);
    this.at = position;
    this.root.dataset.epoch = this.frames.epochs[position];
    this.chooseStyles();
    this.writeTitles();
    if (!known || matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.now = Float32Array.from(target);
      delete this.root.dataset.moving;
      this.draw();
      return;
    }
    this.root.dataset.moving = "yes";
    const [from, start] = [this.now, performance.now()];
    this.now = new Float32Array(size);
    const step = (time) => {
      const share = Math.min(1, Math.max(0, (time - start) / duration));
      const eased = share * (2 - share);
      for (let i = 0; i < size; i += 1) this.now[i] = from[i] + (target[i] - from[i]) * eased;
      this.draw();
      if (share < 1) this.moving = requestAnimationFrame(step);
      else delete this.root.dataset.moving;
    };
    step(start);
  }

  restyle() {
    this.chooseStyles();
    this.writeTitles();
    this.draw();
  }

  writeTitles() {
    const { epochs, layers, nc1 } = this.frames;
    const parts = [this.view.run, `epoch ${epochs[this.at]}`, this.view.layers];
    const count = this.chosen?.reduce((sum, each) => sum + each, 0);
    if (count) parts.push(`${count.toLocaleString("en")} chosen`);
    this.shown.textContent = parts.join(" · ");
    this.panels.forEach((panel, layer) => {
      const value = nc1[this.at][layer];
      const collapse = value === null ? "NC1 not measured" : `NC1 ${digits(value)}`;
      panel.name.textContent = `${layers[layer]} · ${collapse}`;
    });
  }

  // For each sample its colour, strength and rank; what counts most is drawn last.
  chooseStyles() {
    const { samples, groupOf } = this.frames;
    const styles = new Map();
    this.styles = [];
    this.styleOf = new Uint16Array(samples);
    for (let i = 0; i < samples; i += 1) {
      const [colour, rank] = this.colourOf(i);
      const chosen = this.chosen && this.chosen[i];
      const key = `${colour} ${rank} ${groupOf[i]} ${chosen}`;
      if (!styles.has(key)) {
        styles.set(key, this.styles.length);
        this.styles.push({ colour, rank: rank + 3 * chosen, chosen, shape: SHAPES[groupOf[i]] });
      }
      this.styleOf[i] = styles.get(key);
    }
    const rank = (i) => this.styles[this.styleOf[i]].rank;
    this.order = Uint32Array.from({ length: samples }, (_, i) => i);
    const shuffled = (i) => (i * 7919) % samples; // no class always covers the one before it
    this.order.sort((a, b) => rank(a) - rank(b) || shuffled(a) - shuffled(b));
    this.centres = this.view.colour === "class" ? this.classCentres() : [];
  }

  colourOf(i) {
    const { groupOf, arrays, samples } = this.frames;
    const { colour, colours } = this.view;
    const known = groupOf[i] === 0;
    if (colour === "ID/OOD") return [colours[groupOf[i]], known ? 1 : 2];
    if (colour === "score") {
      const step = Math.round(arrays.percentiles[this.at * samples + i] * SCORE_STEPS);
      return [blend(colours, step / SCORE_STEPS), 1];
    }
    if (!known) return [UNKNOWN, 0];
    const label = arrays.labels[i];
    if (colour === "correctness") {
      const right = arrays.predicted[this.at * samples + i] === label;
      return right ? [colours[0], 1] : [colours[1], 2];
    }
    return colours[label] ? [colours[label], 1] : [UNKNOWN, 0];
  }

  // Where to write the name of each coloured class: the median of its samples, at every layer.
  classCentres() {
    const { arrays, classes, samples, layers, groupOf } = this.frames;
    const members = new Map();
    for (let i = 0; i < samples; i += 1) {
      const label = arrays.labels[i];
      if (groupOf[i] !== 0 || !this.view.colours[label]) continue;
      if (!members.has(label)) members.set(label, []);
      members.get(label).push(i);
    }
    const offset = this.at * layers.length * samples * 2;
    return layers.map((_, layer) =>
      [...members].map(([label, found]) => {
        const start = offset + layer * samples * 2;
        const [x, y] = [0, 1].map((axis) => {
          const along = found.map((i) => arrays.points[start + 2 * i + axis]).sort((a, b) => a - b);
          return along[along.length >> 1];
        });
        return { text: classes[label], colour: this.view.colours[label], x, y };
      }),
    );
  }

  drawLegend() {
    this.legend.replaceChildren();
    for (const { text, group, tint } of this.view.legend) {
      const entry = element("span", "", this.legend);
      if (group !== null) {
        const icon = stamp(SHAPES[group], tint ?? UNKNOWN, 4.5, 1);
        icon.style.width = icon.style.height = `${icon.width / icon.ratio}px`;
        entry.append(icon);
      }
      entry.append(text);
      if (group === null) this.drawRamp(entry);
    }
  }

  drawRamp(entry) {
    const ramp = element("i", "ramp", entry);
    ramp.style.background = `linear-gradient(to right, ${this.view.colours.join(",")})`;
    entry.append("above all ID");
  }

  draw() {
    if (!this.frames || !this.now) return;
    for (const panel of this.panels) panel.draw();
  }

  resetZoom() {
    for (const panel of this.panels) panel.reset();
    this.zoomed();
  }

  zoomed() {
    this.describeTools();
    this.root.dataset.zoom = this.panels.map((panel) => panel.zoom.toFixed(3)).join(" ");
    this.draw();
  }

  // Title, legend and panels in one file that explains itself.
  save() {
    const name = `ncviz-embeddings-${this.view.run}-epoch-${this.frames.epochs[this.at]}`;
    const marker = (group, tint) => stamp(SHAPES[group], tint ?? UNKNOWN, 4.5, 1);
    saveMap(this, this.view.save_as, name.replace(/[^\p{L}\p{N}._-]+/gu, "-"), { marker, blend });
  }

  ink() {
    const style = getComputedStyle(this.root);
    const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
    return {
      text: style.color,
      page: read("--st-background-color", "#FFFFFF"),
      border: read("--st-border-color", "#D5D9E0"),
      font: style.fontFamily,
    };
  }

  point(panel, i, event) {
    if (i !== this.hovered) {
      this.hovered = i;
      this.draw();
    }
    for (const other of this.panels) other.tip.hidden = true;
    if (i !== null) panel.tell(this.describe(i), event);
  }

  describe(i) {
    const { arrays, sets, classes, samples, groupOf, epochs } = this.frames;
    const at = this.at * samples + i;
    const kind = ["known (ID)", "near OOD", "far OOD"][groupOf[i]];
    const lines = [`${sets[arrays.sets[i]]} · ${kind}`];
    if (groupOf[i] === 0 && arrays.labels[i] >= 0) lines.push(`is ${classes[arrays.labels[i]]}`);
    if (arrays.predicted[at] >= 0) lines.push(`predicted ${classes[arrays.predicted[at]]}`);
    if (arrays.scores) {
      const share = (100 * arrays.percentiles[at]).toFixed(1);
      lines.push(`${this.view.detector} ${digits(arrays.scores[at])}, percentile ${share}%`);
    }
    lines.push(`at epoch ${epochs[this.at]}`);
    return lines;
  }

  pick(i) {
    const picked = i === this.picked ? null : i;
    if (picked === this.picked) return;
    this.picked = picked;
    this.root.dataset.picked = picked ?? "";
    this.asked.push(picked);
    this.tell("look", { sample: picked });
    this.draw();
  }

  choose(layer, samples) {
    if (!samples.length) return; // a line around nothing leaves the choice as it is
    const chosen = packed(samples, this.frames.samples);
    this.tell("lasso", { chosen, layer, epoch: this.frames.epochs[this.at] });
  }
}

class Panel {
  constructor(chart, layer) {
    this.chart = chart;
    this.layer = layer;
    const panel = element("div", "panel", chart.grid);
    this.name = element("div", "name", panel);
    const plot = element("div", "plot", panel);
    this.canvas = element("canvas", "", plot);
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "group");
    this.canvas.setAttribute("aria-keyshortcuts", "+ - 0");
    this.line = new Line(plot);
    this.tip = element("div", "tip", plot);
    this.tip.hidden = true;
    this.reset();
    this.listen();
  }

  reset() {
    [this.zoom, this.left, this.top] = [1, 0, 0];
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY / 400));
    }, { passive: false });
    canvas.onpointerdown = (event) => this.grasp(event);
    canvas.onpointermove = (event) => this.drag(event);
    canvas.onpointerup = (event) => this.release(event);
    canvas.onpointercancel = () => this.forget();
    canvas.onpointerleave = () => this.chart.point(this, null);
    canvas.ondblclick = () => {
      if (this.chart.lassoing) return;
      this.reset();
      this.chart.zoomed();
    };
    canvas.onkeydown = (event) => this.press(event);
  }

  grasp(event) {
    const lasso = this.chart.lassoing || event.shiftKey;
    if (lasso) bus.player?.stop(); // nobody can draw around what moves
    this.grip = { x: event.offsetX, y: event.offsetY, moved: false, lasso };
    this.canvas.setPointerCapture(event.pointerId);
  }

  drag(event) {
    const { grip } = this;
    if (!grip) {
      this.chart.point(this, this.nearest(event.offsetX, event.offsetY), event);
      return;
    }
    const [x, y] = [event.offsetX - grip.x, event.offsetY - grip.y];
    if (!grip.moved && Math.hypot(x, y) < 4) return;
    this.chart.point(this, null);
    if (grip.lasso) {
      if (!grip.moved) this.line.add(this.inside(grip.x, grip.y));
      this.line.add(this.inside(event.offsetX, event.offsetY));
      grip.moved = true;
      return;
    }
    this.grip = { ...grip, x: event.offsetX, y: event.offsetY, moved: true };
    this.canvas.className = "dragged";
    this.move(x, y);
  }

  release(event) {
    const { grip, line } = this;
    if (grip && !grip.moved) this.chart.pick(this.nearest(event.offsetX, event.offsetY));
    if (grip?.lasso && grip.moved) this.chart.choose(this.layer, this.within(line.places));
    this.forget();
  }

  forget() {
    this.grip = null;
    this.line.clear();
    this.canvas.className = "";
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const middle = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    if (event.key === "+" || event.key === "=") this.zoomAt(...middle, KEY_ZOOM);
    else if (event.key === "-") this.zoomAt(...middle, 1 / KEY_ZOOM);
    else if (event.key === "0") {
      this.reset();
      this.chart.zoomed();
    } else if (event.key !== "Escape") return;
    else if (this.grip) this.forget();
    else this.chart.lasso(false);
    event.preventDefault();
  }

  // A line may leave the panel; samples out of sight are not chosen by it.
  inside(x, y) {
    const { clientWidth, clientHeight } = this.canvas;
    return [Math.min(clientWidth, Math.max(0, x)), Math.min(clientHeight, Math.max(0, y))];
  }

  // The samples inside a closed line, which may cross itself.
  within(line) {
    const { now, frames } = this.chart;
    const [lens, start] = [this.lens(), this.start()];
    const found = [];
    for (let i = 0; i < frames.samples; i += 1) {
      const place = [lens.x(now[start + 2 * i]), lens.y(now[start + 2 * i + 1])];
      if (surrounds(line, ...place)) found.push(i);
    }
    return found;
  }

  zoomAt(x, y, factor) {
    const zoom = Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, this.zoom * factor));
    const by = zoom / this.zoom;
    [this.left, this.top, this.zoom] = [x - (x - this.left) * by, y - (y - this.top) * by, zoom];
    this.move(0, 0);
  }

  move(x, y) {
    // A part of the map stays in sight: its middle may go to a corner and no further.
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const within = (size, place) => Math.min(size, Math.max(-size * this.zoom, place));
    this.left = within(width, this.left + x);
    this.top = within(height, this.top + y);
    this.chart.zoomed();
  }

  // The scale and shift from steps of the points to pixels; one scale for both axes.
  lens() {
    const [left, low, wide, tall] = this.chart.frames.windows[this.layer];
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const fit = Math.min(width / wide, height / tall);
    const scale = (fit * this.zoom) / 65535;
    const x = this.left + (width / 2 - (left + wide / 2) * fit) * this.zoom;
    const y = this.top + (height / 2 + (low + tall / 2) * fit) * this.zoom;
    return { x: (value) => x + value * scale, y: (value) => y - value * scale };
  }

  start() {
    return this.layer * this.chart.frames.samples * 2;
  }

  nearest(x, y) {
    const { now, frames } = this.chart;
    const [lens, start] = [this.lens(), this.start()];
    let [found, best] = [null, NEAR * NEAR];
    for (let i = 0; i < frames.samples; i += 1) {
      const [dx, dy] = [lens.x(now[start + 2 * i]) - x, lens.y(now[start + 2 * i + 1]) - y];
      const distance = dx * dx + dy * dy;
      if (distance < best) [found, best] = [i, distance];
    }
    return found;
  }

  draw() {
    const width = this.canvas.parentElement.clientWidth;
    if (!width) return;
    const height = Math.round(Math.min(640, Math.max(320, width * 0.95)));
    const ratio = Math.min(devicePixelRatio || 1, 2);
    if (this.canvas.width !== width * ratio || this.canvas.height !== height * ratio) {
      [this.canvas.width, this.canvas.height] = [width * ratio, height * ratio];
      this.canvas.style.height = `${height}px`;
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.paint(pen, this.chart.ink(), width, height);
  }

  // By the pen of the canvas, or by one that writes a file.
  paint(pen, ink, width, height) {
    pen.fillStyle = ink.page;
    pen.fillRect(0, 0, width, height);
    const lens = this.lens();
    const outside = this.drawPoints(pen, lens, ink, width, height);
    this.drawPath(pen, lens, ink);
    for (const i of new Set([this.chart.picked, this.chart.hovered])) this.ring(pen, lens, ink, i);
    this.drawNames(pen, lens, ink, width, height);
    this.count(pen, ink, outside, height);
  }

  drawPoints(pen, lens, ink, width, height) {
    const { now, order, styles, styleOf } = this.chart;
    const start = this.start();
    const radius = RADIUS * Math.min(2, 1 + Math.log(this.zoom) / 6);
    const icons = styles.map(({ shape, colour, rank, chosen }) => {
      if (chosen) return sprite(shape, colour, radius * CHOSEN, 1);
      const strength = rank === 0 ? FAINT : 0.85;
      return sprite(shape, colour, radius, chosen === 0 ? strength * FADED : strength);
    });
    // The halos of chosen samples lie under all of them, so that crowds keep their colours.
    const halos = styles.map(({ shape, chosen }) =>
      (chosen ? sprite(shape, ink.text, radius * CHOSEN, 1, HALO) : null));
    // Says whether the sample lies out of view.
    const put = (i, icon) => {
      const [x, y] = [lens.x(now[start + 2 * i]), lens.y(now[start + 2 * i + 1])];
      const size = icon.width / icon.ratio;
      if (x > -9 && y > -9 && x < width + 9 && y < height + 9) {
        pen.drawImage(icon, x - size / 2, y - size / 2, size, size);
      }
      return x < 0 || y < 0 || x > width || y > height;
    };
    const last = order.findIndex((i) => styles[styleOf[i]].chosen);
    const plain = last < 0 ? order : order.subarray(0, last);
    const chosen = last < 0 ? [] : order.subarray(last);
    let outside = 0;
    for (const i of plain) outside += put(i, icons[styleOf[i]]);
    for (const i of chosen) put(i, halos[styleOf[i]]);
    for (const i of chosen) outside += put(i, icons[styleOf[i]]);
    return outside;
  }

  // The frame leaves the few samples out that lie far off: the reader is told.
  count(pen, ink, outside, height) {
    if (!outside) return;
    pen.font = `12px ${ink.font}`;
    [pen.textAlign, pen.textBaseline, pen.lineJoin] = ["left", "bottom", "round"];
    const text = `${outside.toLocaleString("en")} out of view`;
    [pen.strokeStyle, pen.lineWidth, pen.fillStyle] = [ink.page, 4, ink.text];
    pen.strokeText(text, 8, height - 6);
    pen.fillText(text, 8, height - 6);
  }

  // The way of the clicked sample through all epochs.
  drawPath(pen, lens, ink) {
    const { picked, frames } = this.chart;
    if (picked === null) return;
    const size = frames.layers.length * frames.samples * 2;
    pen.beginPath();
    frames.epochs.forEach((_, at) => {
      const place = at * size + this.start() + 2 * picked;
      pen.lineTo(lens.x(frames.arrays.points[place]), lens.y(frames.arrays.points[place + 1]));
    });
    [pen.strokeStyle, pen.lineWidth] = [ink.text, 1.5];
    pen.stroke();
  }

  ring(pen, lens, ink, i) {
    if (i === null) return;
    const { now } = this.chart;
    const start = this.start() + 2 * i;
    pen.beginPath();
    pen.arc(lens.x(now[start]), lens.y(now[start + 1]), 7, 0, 2 * Math.PI);
    [pen.strokeStyle, pen.lineWidth] = [ink.text, 2];
    pen.stroke();
  }

  // Names that would cover each other are left out; zooming in makes room for them.
  drawNames(pen, lens, ink, width, height) {
    const names = this.chart.centres[this.layer] ?? [];
    const size = names.length > 20 ? 11 : 13;
    pen.font = `600 ${size}px ${ink.font}`;
    [pen.textAlign, pen.textBaseline, pen.lineJoin] = ["center", "middle", "round"];
    const taken = [];
    for (const { text, colour, x, y } of names) {
      const [at, up] = [lens.x(x), lens.y(y) - LIFT];
      if (at < 0 || up < 0 || at > width || up > height) continue;
      const half = Math.min(pen.measureText(text).width, MAX_NAME) / 2 + DOT;
      const middle = Math.min(width - half - 4, Math.max(half + 4, at));
      const box = [middle - half - 2, up - size / 2 - 1, middle + half + 2, up + size / 2 + 1];
      if (taken.some((b) => b[0] < box[2] && box[0] < b[2] && b[1] < box[3] && box[1] < b[3])) {
        continue;
      }
      taken.push(box);
      [pen.strokeStyle, pen.lineWidth] = [ink.page, 4];
      pen.strokeText(text, middle + DOT, up, MAX_NAME);
      pen.fillStyle = ink.text;
      pen.fillText(text, middle + DOT, up, MAX_NAME);
      pen.beginPath();
      pen.arc(middle - half + DOT / 2, up, DOT - 1, 0, 2 * Math.PI);
      pen.fillStyle = colour;
      pen.lineWidth = 2;
      pen.stroke();
      pen.fill();
    }
  }

  tell(lines, event) {
    this.tip.replaceChildren();
    for (const line of lines) element("div", "", this.tip, line);
    this.tip.hidden = false;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const { offsetWidth, offsetHeight } = this.tip;
    const right = event.offsetX + 14 + offsetWidth < width;
    const x = right ? event.offsetX + 14 : event.offsetX - 14 - offsetWidth;
    this.tip.style.left = `${Math.max(2, x)}px`;
    this.tip.style.top = `${Math.max(2, Math.min(event.offsetY, height - offsetHeight - 2))}px`;
  }
}

// The line of a lasso, above the points.
class Line {
  constructor(plot) {
    const space = "http://www.w3.org/2000/svg";
    this.drawing = document.createElementNS(space, "svg");
    this.drawing.setAttribute("class", "line");
    this.drawing.setAttribute("aria-hidden", "true");
    this.shape = document.createElementNS(space, "polygon");
    this.drawing.append(this.shape);
    plot.append(this.drawing);
    this.clear();
  }

  add(place) {
    this.places.push(place);
    this.shape.setAttribute("points", this.places.map((each) => each.join()).join(" "));
    this.drawing.toggleAttribute("hidden", false);
  }

  clear() {
    this.places = [];
    this.drawing.toggleAttribute("hidden", true);
  }
}

// Whether a ray from (x, y) to the right crosses the closed line an odd number of times.
function surrounds(line, x, y) {
  let within = false;
  let [fromX, fromY] = line.at(-1);
  for (const [toX, toY] of line) {
    const crosses = fromY > y !== toY > y;
    if (crosses && x < fromX + ((toX - fromX) * (y - fromY)) / (toY - fromY)) within = !within;
    [fromX, fromY] = [toX, toY];
  }
  return within;
}

// A bit for each sample, in base64: a choice of thousands takes a kilobyte.
function packed(samples, count) {
  const bytes = new Uint8Array(Math.ceil(count / 8));
  for (const i of samples) bytes[i >> 3] |= 1 << (i & 7);
  return btoa(String.fromCharCode(...bytes));
}

function bits(text, count) {
  if (!text) return null;
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Uint8Array.from({ length: count }, (_, i) => (bytes[i >> 3] >> (i & 7)) & 1);
}

// A marker drawn once and stamped many times; `halo` makes it broader by so many pixels.
const sprites = new Map();

function sprite(shape, colour, radius, strength, halo = 0) {
  const key = `${shape} ${colour} ${radius.toFixed(1)} ${strength} ${halo} ${devicePixelRatio}`;
  if (!sprites.has(key)) {
    if (sprites.size > 2000) sprites.clear();
    sprites.set(key, stamp(shape, colour, radius, strength, halo));
  }
  return sprites.get(key);
}

function stamp(shape, colour, radius, strength, halo = 0) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const half = radius + halo + 1.5;
  const icon = document.createElement("canvas");
  icon.width = icon.height = Math.ceil(2 * half * ratio);
  icon.ratio = ratio;
  icon.mark = (pen) => mark(pen, shape, colour, radius, strength, halo);
  const pen = icon.getContext("2d");
  pen.scale(ratio, ratio);
  pen.translate(half, half);
  icon.mark(pen);
  return icon;
}

// A marker around (0, 0).
function mark(pen, shape, colour, radius, strength, halo) {
  [pen.fillStyle, pen.strokeStyle, pen.globalAlpha] = [colour, colour, strength];
  [pen.lineWidth, pen.lineCap] = [1.5 + 2 * halo, halo ? "round" : "butt"];
  pen.beginPath();
  if (shape === "circle") {
    pen.arc(0, 0, radius + halo, 0, 2 * Math.PI);
    pen.fill();
  } else if (shape === "square") {
    pen.strokeRect(1 - radius, 1 - radius, 2 * radius - 2, 2 * radius - 2);
  } else {
    const arm = radius - 0.5;
    pen.moveTo(-arm, -arm);
    pen.lineTo(arm, arm);
    pen.moveTo(-arm, arm);
    pen.lineTo(arm, -arm);
    pen.stroke();
  }
}

function blend(colours, share) {
  const place = share * (colours.length - 1);
  const at = Math.min(colours.length - 2, Math.floor(place));
  const part = (colour, from) => parseInt(colour.slice(from, from + 2), 16);
  const mixed = [1, 3, 5].map((from) => {
    const [low, high] = [part(colours[at], from), part(colours[at + 1], from)];
    return Math.round(low + (high - low) * (place - at));
  });
  return `rgb(${mixed.join(",")})`;
}

function digits(value) {
  return Number(value.toPrecision(3)).toString();
}
