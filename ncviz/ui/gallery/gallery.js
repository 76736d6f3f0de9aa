// Small pictures with words, as buttons. Names out of files only ever become text (textContent).
// Buttons stay in the page from message to message, so that the focus stays where it is.

const ICON = "M21 5v11.2l-2-2V5H9.8l-2-2H19a2 2 0 0 1 2 2zM2.8 1.4 1.4 2.8 3 4.4V19a2 2 0 0 0 2 2h14.6l1.6 1.6 1.4-1.4zM5 19V6.4l6.8 6.8-.9 1.2L8.5 12 6 16h8.6l2 3z";

const PATIENCE_MS = 5000; // how long the section that a press opens may take to appear

export default function ({ data, parentElement, setTriggerValue }) {
  const gallery = (parentElement.ncvizGallery ??= new Gallery(parentElement));
  gallery.look = (at) => {
    setTriggerValue("look", at);
    gallery.lead();
  };
  gallery.show(new Uint8Array(data));
  return undefined;
}

class Gallery {
  constructor(parent) {
    this.root = element("div", "gallery", parent);
    this.root.setAttribute("role", "group");
    this.tiles = [];
    this.turn = 0;
  }

  show(bytes) {
    const end = bytes.indexOf(10);
    const { label, opens, tiles } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
    this.root.setAttribute("aria-label", label);
    this.opens = opens;
    while (this.tiles.length > tiles.length) this.tiles.pop().remove();
    while (this.tiles.length < tiles.length) {
      const at = this.tiles.length;
      this.tiles.push(new Tile(this.root, () => this.look(at)));
    }
    let start = end + 1;
    tiles.forEach((about, at) => {
      this.tiles[at].show(about, bytes.subarray(start, start + about.size));
      start += about.size;
    });
    this.noteWhenShown(++this.turn);
  }

  // Counts up on the element in the page once the pictures are there, for who waits for them.
  async noteWhenShown(turn) {
    await Promise.allSettled(this.tiles.map((tile) => tile.ready()));
    if (turn === this.turn) (this.root.getRootNode().host ?? this.root).dataset.shown = turn;
  }

  // Brings the section that a press opens, or fills anew, into sight.
  lead(since = performance.now()) {
    const section = document.querySelector(`.st-key-${this.opens}`);
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
    if (section) section.scrollIntoView({ behavior, block: "start" });
    else if (performance.now() - since < PATIENCE_MS) requestAnimationFrame(() => this.lead(since));
  }
}

class Tile {
  constructor(parent, press) {
    this.button = element("button", "tile", parent);
    this.button.type = "button";
    this.button.onclick = press;
    this.frame = element("span", "frame", this.button);
    this.image = element("img", "", this.frame);
    this.image.alt = "";
    this.none = this.frame.appendChild(icon());
    this.title = element("span", "title", this.button);
    this.warning = element("span", "warning", this.button);
    this.lines = element("span", "lines", this.button);
    this.image.onload = () => this.enlarge();
  }

  show(about, picture) {
    this.button.setAttribute("aria-label", about.alt);
    this.button.title = about.alt;
    this.button.setAttribute("aria-pressed", about.current);
    this.title.textContent = about.title;
    this.warning.textContent = about.warning;
    this.lines.replaceChildren();
    for (const line of about.lines) element("span", "", this.lines).textContent = line;
    this.image.toggleAttribute("hidden", !picture.length);
    this.none.toggleAttribute("hidden", picture.length > 0);
    this.forget();
    if (picture.length) {
      this.address = URL.createObjectURL(new Blob([picture], { type: "image/png" }));
      this.image.src = this.address;
    } else {
      this.image.removeAttribute("src");
    }
  }

  // Pixels of small pictures stay squares of equal size; larger ones fill the frame.
  enlarge() {
    const { naturalWidth: width, naturalHeight: height } = this.image;
    const room = this.frame.clientHeight / Math.max(width, height);
    const by = room < 2 ? room : Math.floor(room);
    this.image.classList.toggle("pixels", room >= 2);
    this.image.style.width = `${by * width}px`;
    this.image.style.height = `${by * height}px`;
  }

  ready() {
    return this.address ? this.image.decode() : undefined;
  }

  forget() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
  }

  remove() {
    this.forget();
    this.button.remove();
  }
}

function element(kind, name, parent) {
  const made = document.createElement(kind);
  if (name) made.className = name;
  parent.append(made);
  return made;
}

function icon() {
  const space = "http://www.w3.org/2000/svg";
  const drawing = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICON);
  path.setAttribute("fill", "currentColor");
  for (const [name, value] of [["viewBox", "0 0 24 24"], ["width", "28"], ["height", "28"]]) {
    drawing.setAttribute(name, value);
  }
  drawing.setAttribute("aria-hidden", "true");
  drawing.append(path);
  return drawing;
}
