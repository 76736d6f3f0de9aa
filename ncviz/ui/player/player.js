// Play, pause, speed: the one control that walks through the epochs, on every page. Two elements
// of a page run this: one is the control, the other stands at the page's end and says that all of
// an epoch is drawn. A map of all epochs is moved in the browser; any other page is asked for,
// epoch by epoch.

const PLAY_MS = 900; // from one epoch to the next at speed 1
const SPEEDS = [1, 2, 4, 0.5];
const LONGEST_MOVE = 600;
const STEP_MS = 180; // how long points take to their places after a step by hand
const REST_MS = 250; // the server hears of an epoch once the reader has rested there
// What has a use of its own for letters and arrows.
const TYPING = "input:not([type=range], [type=checkbox], [type=button]), textarea, select, " +
  "[contenteditable='true']";
const STEERED = `${TYPING}, input, [role=slider], [role=tab], [role=radio], [role=radiogroup], ` +
  "[role=listbox], [role=option], [role=menu], [role=grid]";
const BUTTONS = { ".st-key-_previous_epoch": -1, ".st-key-_next_epoch": 1 };

// Where the player, maps and charts meet. `live` is the epoch that maps show while the page does
// not know of it yet, `pace` the milliseconds from epoch to epoch while playing.
const bus = (globalThis[Symbol.for("ncviz.player")] ??= {
  player: null, maps: new Set(), live: null, pace: null, speed: 0,
});

export default function ({ data, parentElement, setTriggerValue }) {
  if ("drawn" in data) {
    bus.player?.pageIsDrawn(data.drawn);
    return undefined;
  }
  const player = (parentElement.ncvizPlayer ??= new Player(parentElement));
  player.show(data, (epoch) => setTriggerValue("epoch", { run: data.run, epoch }));
  return () => player.leave();
}

class Player {
  constructor(parent) {
    this.root = element("div", "player", parent);
    this.playButton = element("button", "play", this.root);
    this.speedButton = element("button", "speed", this.root);
    this.count = element("span", "count", this.root);
    this.track = element("input", "track", this.root);
    this.track.type = "range";
    this.track.min = 0;
    this.playButton.onclick = () => this.toggle();
    this.speedButton.onclick = () => this.faster();
    this.track.oninput = () => this.scrub(this.path()[this.track.value]);
    this.track.onchange = () => this.settle();
    this.epochs = [];
    this.told = []; // epochs told to the server whose answers are still to come
    this.playing = false;
    this.onKey = (event) => this.press(event);
    this.onClick = (event) => this.click(event);
  }

  leave() {
    clearTimeout(this.timer);
    clearTimeout(this.resting);
    removeEventListener("keydown", this.onKey, true);
    removeEventListener("click", this.onClick, true);
    if (bus.player !== this) return;
    [bus.player, bus.live, bus.pace] = [null, null, null];
    this.fadeSlider();
  }

  // What the page shows; arrives at the beginning of every run of its script.
  show({ run, epochs, epoch }, tell) {
    this.tell = tell;
    const answered = this.told.indexOf(epoch);
    const same = bus.player === this && run === this.run && `${epochs}` === `${this.epochs}`;
    if (same && answered >= 0) {
      this.told.splice(0, answered + 1);
      if (bus.live === epoch) bus.live = null;
    } else if (!same || epoch !== this.page) {
      this.halt(); // another run, or an epoch that the reader has chosen elsewhere
      [this.run, this.epochs, this.epoch, this.told] = [run, epochs, epoch, []];
      bus.live = null;
    }
    this.page = epoch;
    bus.player = this;
    addEventListener("keydown", this.onKey, true);
    addEventListener("click", this.onClick, true);
    this.describe();
    if (bus.live === null) this.follow();
  }

  // The map of this run on the page, if there is one.
  map() {
    return [...bus.maps].find((map) => map.root.isConnected && map.shows(this.run));
  }

  // The epochs to walk through: a map may lack some.
  path() {
    const map = this.map();
    return map ? this.epochs.filter((epoch) => map.has(epoch)) : this.epochs;
  }

  pause() {
    return PLAY_MS / SPEEDS[bus.speed];
  }

  toggle() {
    if (this.playing) this.stop();
    else this.play();
  }

  play() {
    const path = this.path();
    if (path.length < 2) return;
    this.playing = true;
    this.advance(path.find((epoch) => epoch > this.epoch) ?? path[0]);
  }

  advance(epoch) {
    const [path, map] = [this.path(), this.map()];
    this.epoch = epoch;
    this.due = performance.now() + this.pause();
    bus.pace = this.pause();
    const last = epoch === path.at(-1);
    if (map) {
      this.drive(map, epoch, Math.min(LONGEST_MOVE, this.pause() * 0.7));
      if (!last) this.timer = setTimeout(() => this.goOn(), this.pause());
    } else {
      this.ask(epoch);
    }
    if (last) this.stop();
    this.describe();
  }

  goOn() {
    if (!this.playing || bus.player !== this || !this.root.isConnected) return;
    const next = this.path().find((epoch) => epoch > this.epoch);
    if (next === undefined) this.stop();
    else this.advance(next);
  }

  pageIsDrawn(epoch) {
    if (!this.playing || epoch !== this.epoch || this.map()) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.goOn(), Math.max(0, this.due - performance.now()));
  }

  halt() {
    clearTimeout(this.timer);
    clearTimeout(this.resting);
    this.playing = false;
    bus.pace = null;
  }

  stop() {
    this.halt();
    this.settle();
    this.describe();
  }

  // A step by hand ends a play that is under way.
  step(by) {
    this.halt();
    const path = this.path();
    const there = (epoch) => (by < 0 ? epoch < this.epoch : epoch > this.epoch);
    const found = path.filter(there).at(by < 0 ? -1 : 0);
    if (found === undefined) this.settle();
    else this.scrub(found);
    this.describe();
  }

  scrub(epoch) {
    this.halt();
    const map = this.map();
    this.epoch = epoch;
    if (map) {
      this.drive(map, epoch, STEP_MS);
      this.resting = setTimeout(() => this.settle(), REST_MS);
    } else {
      this.ask(epoch);
    }
    this.describe();
  }

  drive(map, epoch, duration) {
    bus.live = epoch;
    map.go(epoch, duration);
  }

  ask(epoch) {
    this.told.push(epoch);
    this.tell(epoch);
  }

  // Let the page follow to where the map is.
  settle() {
    clearTimeout(this.resting);
    if (bus.live === null) return;
    const known = this.told.at(-1) ?? this.page;
    if (bus.live !== known) this.ask(bus.live);
    else if (!this.told.length) bus.live = null;
    this.describe();
  }

  faster() {
    bus.speed = (bus.speed + 1) % SPEEDS.length;
    this.describe();
  }

  // On a page with a map, arrows move it at once; elsewhere the page's own buttons take them.
  press(event) {
    if (bus.player !== this || !this.root.isConnected) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [target] = event.composedPath();
    const on = (kinds) => target.closest?.(kinds);
    if (event.key.toLowerCase() === "p" && !on(TYPING)) {
      if (!event.repeat) this.toggle();
      take(event);
    }
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && !event.shiftKey && !on(STEERED) && (this.playing || this.map())) {
      this.step(by);
      take(event);
    }
  }

  click(event) {
    if (bus.player !== this || !(event.target instanceof Element)) return;
    for (const [button, by] of Object.entries(BUTTONS)) {
      if (event.target.closest(`${button} button`) && (this.playing || this.map())) {
        this.step(by);
        take(event);
        return;
      }
    }
    const link = event.target.closest("a[href]");
    if (!link) return;
    this.stop();
    // The next page opens where this one has come to, so the server has to know first.
    if (bus.live === null || link.target) return;
    take(event);
    this.leaving = link;
  }

  follow() {
    const link = this.leaving;
    this.leaving = null;
    link?.click();
  }

  describe() {
    const path = this.path();
    const at = Math.max(0, path.indexOf(this.epoch));
    const speed = SPEEDS[bus.speed];
    this.playButton.textContent = this.playing ? "❚❚ Pause" : "▶ Play";
    const act = this.playing ? "Stop at this epoch" : "Walk through the saved epochs";
    this.playButton.title = `${act} (key P)`;
    this.speedButton.textContent = `${speed}×`;
    this.speedButton.title = "Speed: press to change";
    this.speedButton.setAttribute("aria-label", `Speed ${speed}, press to change`);
    this.count.textContent = `${at + 1} / ${path.length}`;
    this.count.title = `Epoch ${this.epoch}, ${at + 1} of ${path.length}`;
    this.track.max = path.length - 1;
    this.track.value = at;
    this.track.disabled = !this.map();
    this.track.setAttribute("aria-label", "Move the map");
    this.track.setAttribute("aria-valuetext", `Epoch ${this.epoch}`);
    this.track.style.setProperty("--share", `${(100 * at) / Math.max(1, path.length - 1)}%`);
    this.root.dataset.epoch = this.epoch;
    this.root.dataset.playing = this.playing ? "yes" : "no";
    this.fadeSlider();
  }

  // The page's slider is behind while a map runs ahead of the page.
  fadeSlider() {
    const slider = document.querySelector(".st-key-epoch");
    if (slider) slider.style.opacity = bus.live === null ? "" : 0.4;
  }
}

function take(event) {
  event.preventDefault();
  event.stopPropagation();
}

function element(kind, name, parent) {
  const made = document.createElement(kind);
  made.className = name;
  if (kind === "button") made.type = "button";
  parent.append(made);
  return made;
}
