// Maps of all epochs on canvases. Two elements of the page run this: one brings the points of every
// epoch as bytes and shows nothing, the other says how to draw them. Names out of files only ever
// become text (textContent, fillText), never markup.

const STEP_MS = 180; // how long points take to their places after a step
const PLAY_MS = 900; // from one epoch to the next at speed 1
const SPEEDS = [1, 2, 4, 0.5];
const RADIUS = 3.2;
const FAINT = 0.3;
const MIN_ZOOM = 0.25;
const MAX_ZOOM = 50;
const LIFT = 12; // pixels from the middle of a class up to its name
const DOT = 5; // half the width of the dot before a name
const MAX_NAME = 160;
const NEAR = 9; // pixels within which the pointer finds a sample
const UNKNOWN = "#8A9099"; // of samples that the colours say nothing about
const SCORE_STEPS = 32;
const SHAPES = ["circle", "square", "cross"]; // of ID, near and far samples

// The elements need not share a copy of this script, so they meet here.
const shared = (globalThis[Symbol.for("ncviz.scatter")] ??= { frames: null, charts: new Set() });

export default function ({ data, parentElement, setTriggerValue }) {
  if (data instanceof Uint8Array || data instanceof ArrayBuffer) {
    shared.frames = decode(data);
    for (const chart of shared.charts) chart.update();
    return undefined;
  }
  const chart = (parentElement.ncviz ??= new Chart(parentElement));
  chart.show(data, (epoch) => setTriggerValue("epoch", epoch));
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
    this.playButton = element("button", "", tools);
    this.speedButton = element("button", "", tools);
    this.resetButton = element("button", "", tools, "Reset zoom");
    this.saveButton = element("button", "", tools, "Save PNG");
    this.legend = element("div", "legend", this.root);
    this.grid = element("div", "panels", this.root);
    this.panels = [];
    this.speed = 0;
    this.awaited = []; // epochs told to the server whose answers are still to come
    this.picked = null; // the sample that was clicked, by its number
    this.hovered = null;
    this.frames = null;
    this.at = null; // position of the shown epoch
    this.playButton.onclick = () => (this.playing ? this.halt() : this.play());
    this.speedButton.onclick = () => this.faster();
    this.resetButton.onclick = () => this.resetZoom();
    this.saveButton.onclick = () => this.save();
    this.describeTools();
    this.resizing = new ResizeObserver(() => this.draw());
    this.resizing.observe(this.grid);
    shared.charts.add(this);
  }

  leave() {
    this.stop();
    this.resizing.disconnect();
    shared.charts.delete(this);
  }

  // What the page wants; arrives after every run of its script.
  show(view, tell) {
    this.view = view;
    this.tell = tell;
    this.update();
  }

  // Draw once the points that the page means are here: they come in a message of their own.
  update() {
    const frames = shared.frames;
    if (!this.view || !frames || frames.token !== this.view.token) return;
    const fresh = frames !== this.frames;
    if (fresh) this.adopt(frames);
    this.root.style.visibility = "visible";
    this.grid.setAttribute("role", "img");
    this.grid.setAttribute("aria-label", this.view.alt);
    this.title.textContent = this.view.title;
    this.drawLegend();
    if (!fresh && this.isEcho(this.view.epoch)) this.restyle();
    else this.go(frames.epochs.indexOf(this.view.epoch));
    this.playButton.disabled = frames.epochs.length < 2;
    this.describeTools();
  }

  adopt(frames) {
    const before = this.frames;
    const moved = !before || before.samples !== frames.samples || this.place !== this.view.place;
    this.frames = frames;
    this.place = this.view.place;
    this.at = null;
    this.stop();
    if (moved) {
      this.picked = this.hovered = null;
      this.now = null;
    }
    if (moved || this.panels.length !== frames.layers.length) {
      this.grid.replaceChildren();
      this.panels = frames.layers.map((_, layer) => new Panel(this, layer));
    }
  }

  // An epoch that play has told the server comes back as an answer; any other is the reader's wish.
  isEcho(epoch) {
    const found = this.awaited.indexOf(epoch);
    if (found < 0) {
      this.stop();
      return false;
    }
    this.awaited.splice(0, found + 1);
    return true;
  }

  play() {
    this.awaited = [];
    this.playing = true;
    if (this.at === this.frames.epochs.length - 1) this.advance(0);
    else this.advance(this.at + 1);
    this.describeTools();
  }

  advance(position) {
    this.go(position, Math.min(600, this.pause() * 0.7));
    const epoch = this.frames.epochs[position];
    this.awaited.push(epoch);
    this.tell(epoch);
    if (position === this.frames.epochs.length - 1) {
      this.playing = false;
      this.describeTools();
      return;
    }
    this.timer = setTimeout(() => {
      if (this.playing && this.root.isConnected) this.advance(position + 1);
    }, this.pause());
  }

  pause() {
    return PLAY_MS / SPEEDS[this.speed];
  }

  // Answers still on their way are no wishes of the reader: `awaited` stays.
  halt() {
    clearTimeout(this.timer);
    this.playing = false;
    this.describeTools();
  }

  stop() {
    this.awaited = [];
    this.halt();
  }

  faster() {
    this.speed = (this.speed + 1) % SPEEDS.length;
    this.describeTools();
  }

  describeTools() {
    this.playButton.textContent = this.playing ? "❚❚ Pause" : "▶ Play";
    this.speedButton.textContent = `${SPEEDS[this.speed]}×`;
    this.speedButton.setAttribute("aria-label", `Speed ${SPEEDS[this.speed]}, press to change`);
    this.resetButton.disabled = this.panels.every((panel) => panel.zoom === 1);
  }

  // Move the points to the epoch at `position`; a move that is under way there goes on.
  go(position, duration = STEP_MS) {
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
    this.shown.textContent = `${this.view.run} · epoch ${epochs[this.at]} · ${this.view.layers}`;
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
      const key = `${colour} ${rank} ${groupOf[i]}`;
      if (!styles.has(key)) {
        styles.set(key, this.styles.length);
        this.styles.push({ colour, rank, shape: SHAPES[groupOf[i]] });
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
      const step = Math.round((arrays.percentiles[this.at * samples + i] / 255) * SCORE_STEPS);
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

  // Title, legend words and panels in one picture that explains itself.
  save() {
    const ratio = 2;
    const widths = this.panels.map((panel) => panel.canvas.clientWidth);
    const heights = this.panels.map((panel) => panel.canvas.clientHeight);
    const gap = 16;
    const [top, width] = [96, widths.reduce((sum, each) => sum + each + gap, gap)];
    const picture = document.createElement("canvas");
    picture.width = Math.max(width, 640) * ratio;
    picture.height = (top + Math.max(...heights) + gap) * ratio;
    const pen = picture.getContext("2d");
    const ink = this.ink();
    pen.scale(ratio, ratio);
    pen.fillStyle = ink.page;
    pen.fillRect(0, 0, picture.width, picture.height);
    pen.fillStyle = ink.text;
    pen.font = `600 16px ${ink.font}`;
    pen.fillText(this.title.textContent, gap, 26);
    pen.font = `13px ${ink.font}`;
    pen.fillText(this.shown.textContent, gap, 46);
    let x = gap;
    for (const { text, group, tint } of this.view.legend) {
      if (group !== null) {
        const icon = stamp(SHAPES[group], tint ?? UNKNOWN, 4.5, 1);
        const size = icon.width / icon.ratio;
        pen.drawImage(icon, x, 62 - size / 2, size, size);
        x += size + 4;
      }
      pen.fillText(text, x, 66);
      x += pen.measureText(text).width + gap;
      if (group === null) this.saveRamp(pen, x - gap / 2);
    }
    let left = gap;
    pen.font = `600 14px ${ink.font}`;
    this.panels.forEach((panel, at) => {
      pen.fillText(panel.name.textContent, left, 88);
      pen.drawImage(panel.canvas, left, top, widths[at], heights[at]);
      pen.strokeStyle = ink.border;
      pen.strokeRect(left, top, widths[at], heights[at]);
      left += widths[at] + gap;
    });
    const link = document.createElement("a");
    link.download = "ncviz-embeddings.png";
    link.href = picture.toDataURL("image/png");
    link.click();
  }

  saveRamp(pen, x) {
    const ramp = pen.createLinearGradient(x, 0, x + 110, 0);
    const { colours } = this.view;
    colours.forEach((colour, at) => ramp.addColorStop(at / (colours.length - 1), colour));
    const ink = pen.fillStyle;
    pen.fillStyle = ramp;
    pen.fillRect(x, 57, 110, 10);
    pen.fillStyle = ink;
    pen.fillText("above all ID", x + 116, 66);
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
      const share = Math.round((100 * arrays.percentiles[at]) / 255);
      lines.push(`${this.view.detector} ${digits(arrays.scores[at])}, above ${share} % of ID`);
    }
    lines.push(`at epoch ${epochs[this.at]}`);
    return lines;
  }

  pick(i) {
    this.picked = i === this.picked ? null : i;
    this.root.dataset.picked = this.picked ?? "";
    this.draw();
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
    let grip = null;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY / 400));
    }, { passive: false });
    canvas.onpointerdown = (event) => {
      grip = { x: event.offsetX, y: event.offsetY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    };
    canvas.onpointermove = (event) => {
      if (!grip) {
        this.chart.point(this, this.nearest(event.offsetX, event.offsetY), event);
        return;
      }
      const [x, y] = [event.offsetX - grip.x, event.offsetY - grip.y];
      if (!grip.moved && Math.hypot(x, y) < 4) return;
      grip = { x: event.offsetX, y: event.offsetY, moved: true };
      canvas.className = "dragged";
      this.move(x, y);
      this.chart.point(this, null);
    };
    canvas.onpointerup = (event) => {
      if (grip && !grip.moved) this.chart.pick(this.nearest(event.offsetX, event.offsetY));
      canvas.className = "";
      grip = null;
    };
    canvas.onpointercancel = canvas.onpointerup;
    canvas.onpointerleave = () => this.chart.point(this, null);
    canvas.ondblclick = () => {
      this.reset();
      this.chart.zoomed();
    };
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
    const ink = this.chart.ink();
    pen.fillStyle = ink.page;
    pen.fillRect(0, 0, width, height);
    const lens = this.lens();
    const outside = this.drawPoints(pen, lens, width, height);
    this.drawPath(pen, lens, ink);
    for (const i of new Set([this.chart.picked, this.chart.hovered])) this.ring(pen, lens, ink, i);
    this.drawNames(pen, lens, ink, width, height);
    this.count(pen, ink, outside, height);
  }

  drawPoints(pen, lens, width, height) {
    const { now, order, styles, styleOf } = this.chart;
    const start = this.start();
    const radius = RADIUS * Math.min(2, 1 + Math.log(this.zoom) / 6);
    const icons = styles.map(({ shape, colour, rank }) =>
      sprite(shape, colour, radius, rank === 0 ? FAINT : 0.85));
    let outside = 0;
    for (const i of order) {
      const [x, y] = [lens.x(now[start + 2 * i]), lens.y(now[start + 2 * i + 1])];
      if (x < 0 || y < 0 || x > width || y > height) outside += 1;
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
      const icon = icons[styleOf[i]];
      const size = icon.width / icon.ratio;
      pen.drawImage(icon, x - size / 2, y - size / 2, size, size);
    }
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

// A marker drawn once and stamped many times.
const sprites = new Map();

function sprite(shape, colour, radius, strength) {
  const key = `${shape} ${colour} ${radius.toFixed(1)} ${strength} ${devicePixelRatio}`;
  if (!sprites.has(key)) {
    if (sprites.size > 2000) sprites.clear();
    sprites.set(key, stamp(shape, colour, radius, strength));
  }
  return sprites.get(key);
}

function stamp(shape, colour, radius, strength) {
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const half = radius + 1.5;
  const icon = document.createElement("canvas");
  icon.width = icon.height = Math.ceil(2 * half * ratio);
  icon.ratio = ratio;
  const pen = icon.getContext("2d");
  pen.scale(ratio, ratio);
  pen.translate(half, half);
  [pen.fillStyle, pen.strokeStyle, pen.globalAlpha] = [colour, colour, strength];
  pen.lineWidth = 1.5;
  pen.beginPath();
  if (shape === "circle") {
    pen.arc(0, 0, radius, 0, 2 * Math.PI);
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
  return icon;
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
