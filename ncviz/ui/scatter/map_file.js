// A map as a file: a picture, a drawing made of shapes, or a page that holds the drawing. All are
// drawn by the code that draws the map itself; for a drawing it gets a pen that writes SVG.

const GAP = 16;
const TOP = 96; // pixels above the panels, for title and legend
const NARROWEST = 640;
const RAMP = 110;
const SVG = "http://www.w3.org/2000/svg";
const BASELINES = { middle: "central", bottom: "text-after-edge", top: "text-before-edge" };
const ANCHORS = { center: "middle", right: "end" };

// `tools` are what draws a legend: markers and mixed colours.
export function saveMap(chart, format, name, tools) {
  const widths = chart.panels.map((panel) => panel.canvas.clientWidth);
  const heights = chart.panels.map((panel) => panel.canvas.clientHeight);
  const width = Math.max(widths.reduce((sum, each) => sum + each + GAP, GAP), NARROWEST);
  const height = TOP + Math.max(...heights) + GAP;
  const places = widths.map((wide, at) => ({
    x: GAP + widths.slice(0, at).reduce((sum, each) => sum + each + GAP, 0),
    y: TOP, width: wide, height: heights[at],
  }));
  if (format === "png") savePicture(chart, { width, height, places, name, tools });
  else saveDrawing(chart, format, { width, height, places, name, tools });
}

function savePicture(chart, { width, height, places, name, tools }) {
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [2 * width, 2 * height];
  const pen = picture.getContext("2d");
  pen.scale(2, 2);
  drawAround(chart, pen, { width, height, places, tools });
  chart.panels.forEach((panel, at) => {
    const { x, y, width: wide, height: high } = places[at];
    pen.drawImage(panel.canvas, x, y, wide, high);
  });
  download(`${name}.png`, picture.toDataURL("image/png"));
}

function saveDrawing(chart, format, { width, height, places, name, tools }) {
  const root = node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  node("title", {}, root).textContent = chart.view.alt;
  const icons = new Icons(root);
  drawAround(chart, new SvgPen(root, icons), { width, height, places, tools });
  const ink = chart.ink();
  chart.panels.forEach((panel, at) => {
    // What lies outside of a panel's frame is cut off.
    const inside = node("svg", { ...places[at], overflow: "hidden" }, root);
    panel.paint(new SvgPen(inside, icons), ink, places[at].width, places[at].height);
  });
  const drawing = new XMLSerializer().serializeToString(root);
  const text = format === "svg" ? drawing : page(chart, drawing, ink);
  const type = format === "svg" ? "image/svg+xml" : "text/html";
  const address = URL.createObjectURL(new Blob([text], { type }));
  download(`${name}.${format}`, address);
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function page(chart, drawing, ink) {
  const title = document.createElement("title");
  title.textContent = `${chart.title.textContent} · ${chart.shown.textContent}`;
  return [
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
    title.outerHTML,
    `<body style="margin:0;background:${ink.page}">`,
    drawing,
    "</body>\n</html>\n",
  ].join("\n");
}

// Everything but the panels' points: page, title, legend, frames.
function drawAround(chart, pen, { width, height, places, tools }) {
  const ink = chart.ink();
  pen.fillStyle = ink.page;
  pen.fillRect(0, 0, width, height);
  pen.fillStyle = ink.text;
  pen.font = `600 16px ${ink.font}`;
  pen.fillText(chart.title.textContent, GAP, 26);
  pen.font = `13px ${ink.font}`;
  pen.fillText(chart.shown.textContent, GAP, 46);
  let x = GAP;
  for (const { text, group, tint } of chart.view.legend) {
    if (group !== null) {
      const icon = tools.marker(group, tint);
      const size = icon.width / icon.ratio;
      pen.drawImage(icon, x, 62 - size / 2, size, size);
      x += size + 4;
    }
    pen.fillText(text, x, 66);
    x += pen.measureText(text).width + GAP;
    if (group === null) x = drawRamp(pen, x - GAP / 2, chart.view.colours, tools.blend);
  }
  pen.font = `600 14px ${ink.font}`;
  chart.panels.forEach((panel, at) => {
    const { x: left, y: top, width: wide, height: high } = places[at];
    pen.fillStyle = ink.text;
    pen.fillText(panel.name.textContent, left, 88);
    [pen.strokeStyle, pen.lineWidth] = [ink.border, 1];
    pen.strokeRect(left, top, wide, high);
  });
}

function drawRamp(pen, x, colours, blend) {
  const ink = pen.fillStyle;
  for (let at = 0; at < RAMP; at += 1) {
    pen.fillStyle = blend(colours, at / (RAMP - 1));
    pen.fillRect(x + at, 57, 1, 10);
  }
  pen.fillStyle = ink;
  pen.fillText("above all ID", x + RAMP + 6, 66);
  return x + RAMP + 6 + pen.measureText("above all ID").width + GAP;
}

function download(name, address) {
  const link = document.createElement("a");
  [link.download, link.href] = [name, address];
  link.click();
}

function node(kind, attributes = {}, parent = null) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

const short = (value) => Number(value.toFixed(2));

// Markers, each drawn once and used many times.
class Icons {
  constructor(root) {
    this.shelf = node("defs", {}, root);
    this.known = new Map();
  }

  // The name of a marker around (0, 0).
  name(icon) {
    if (!this.known.has(icon)) {
      const id = `marker${this.known.size}`;
      icon.mark(new SvgPen(node("g", { id }, this.shelf), this));
      this.known.set(icon, id);
    }
    return this.known.get(icon);
  }
}

// The part of a canvas's pen that the map uses; what it draws become elements of `parent`.
class SvgPen {
  constructor(parent, icons) {
    this.parent = parent;
    this.icons = icons;
    this.measure = document.createElement("canvas").getContext("2d");
    [this.fillStyle, this.strokeStyle, this.globalAlpha] = ["#000", "#000", 1];
    [this.lineWidth, this.lineCap, this.lineJoin] = [1, "butt", "miter"];
    [this.font, this.textAlign, this.textBaseline] = ["12px sans-serif", "left", "alphabetic"];
    this.path = "";
  }

  put(kind, attributes) {
    const own = this.globalAlpha === 1 ? {} : { opacity: this.globalAlpha };
    return node(kind, { ...attributes, ...own }, this.parent);
  }

  stroked() {
    return {
      fill: "none", stroke: this.strokeStyle, "stroke-width": short(this.lineWidth),
      "stroke-linecap": this.lineCap, "stroke-linejoin": this.lineJoin,
    };
  }

  fillRect(x, y, width, height) {
    const place = { x: short(x), y: short(y), width: short(width), height: short(height) };
    this.put("rect", { ...place, fill: this.fillStyle });
  }

  strokeRect(x, y, width, height) {
    const place = { x: short(x), y: short(y), width: short(width), height: short(height) };
    this.put("rect", { ...place, ...this.stroked() });
  }

  beginPath() {
    this.path = "";
  }

  moveTo(x, y) {
    this.path += `M${short(x)} ${short(y)}`;
  }

  lineTo(x, y) {
    this.path += `${this.path ? "L" : "M"}${short(x)} ${short(y)}`;
  }

  // Whole circles alone, which is what the map draws.
  arc(x, y, radius) {
    const [left, top, size, across] = [x - radius, y, radius, 2 * radius].map(short);
    this.path += `M${left} ${top}a${size} ${size} 0 1 0 ${across} 0a${size} ${size} 0 1 0 ${-across} 0Z`;
  }

  fill() {
    this.put("path", { d: this.path, fill: this.fillStyle });
  }

  stroke() {
    this.put("path", { d: this.path, ...this.stroked() });
  }

  measureText(text) {
    this.measure.font = this.font;
    return this.measure.measureText(text);
  }

  write(text, x, y, widest, colours) {
    const attributes = { x: short(x), y: short(y), style: `font: ${this.font}`, ...colours };
    if (ANCHORS[this.textAlign]) attributes["text-anchor"] = ANCHORS[this.textAlign];
    const baseline = BASELINES[this.textBaseline];
    if (baseline) attributes["dominant-baseline"] = baseline;
    if (widest && this.measureText(text).width > widest) {
      [attributes.textLength, attributes.lengthAdjust] = [widest, "spacingAndGlyphs"];
    }
    this.put("text", attributes).textContent = text;
  }

  fillText(text, x, y, widest) {
    this.write(text, x, y, widest, { fill: this.fillStyle });
  }

  strokeText(text, x, y, widest) {
    this.write(text, x, y, widest, this.stroked());
  }

  // A marker, given by the corner of its picture.
  drawImage(icon, x, y, width, height) {
    const href = `#${this.icons.name(icon)}`;
    this.put("use", { href, x: short(x + width / 2), y: short(y + height / 2) });
  }
}
