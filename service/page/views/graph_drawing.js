// The canvas: pan, zoom, choose, and no more detail than can be seen. Far away a node is one pixel and only the best
// connected are discs; closer, more become discs with names. What a frame costs is bounded by what is drawn, not by the graph.

const DISCS = 900; // in one frame, the best connected of those in sight
const LINKS = 2500;
const NAMES = 60;
const KINDS = {
  light: { person: "#2f6690", place: "#3a7d54", organisation: "#9a5b13", thing: "#7a5c99", ink: "#23272e", soft: "#595f6b", line: "#b9b2a4", paper: "#fffefb", chosen: "#8f431b" },
  dark: { person: "#8fc3e4", place: "#8fd0a8", organisation: "#e8b878", thing: "#c4a6e0", ink: "#e9e6df", soft: "#a8adb8", line: "#4a5262", paper: "#1b1f26", chosen: "#efae8a" },
};

export class Drawing {
  #canvas; #context; #on; #map = null; #chosen = -1; #queued = 0; #watcher; #scheme; #scale = 1; #cx = 0; #cy = 0; #fitted = 1;
  #isDisc = new Uint8Array(0); #pointers = new Map(); #moved = 0; #stop = new AbortController();

  constructor(canvas, on) {
    this.#canvas = canvas;
    this.#on = on;
    this.#context = canvas.getContext("2d", { alpha: false });
    this.#scheme = matchMedia("(prefers-color-scheme: dark)");
  }

  begin() {
    const options = { signal: this.#stop.signal };
    const listen = (name, handler, more) => this.#canvas.addEventListener(name, handler, { ...options, ...more });
    this.#watcher = new ResizeObserver(() => this.#resize());
    this.#watcher.observe(this.#canvas);
    this.#scheme.addEventListener("change", () => this.#later(), options);
    listen("wheel", (event) => { event.preventDefault(); this.zoom(Math.exp(-event.deltaY * 0.0016), event.offsetX, event.offsetY); }, { passive: false });
    listen("pointerdown", (event) => this.#down(event));
    listen("pointermove", (event) => this.#move(event));
    listen("pointerup", (event) => this.#up(event));
    listen("pointercancel", (event) => this.#pointers.delete(event.pointerId));
    listen("keydown", (event) => this.#key(event));
    this.#resize();
  }

  end() {
    this.#stop.abort();
    this.#watcher.disconnect();
    cancelAnimationFrame(this.#queued);
  }

  /** Draw these columns; `nodes` are the ones to show, or null for all. */
  show(map, chosen = -1) {
    this.#map = map;
    this.#chosen = chosen;
    this.#isDisc = new Uint8Array(map.n);
    this.fit();
  }

  choose(node) { this.#chosen = node; this.#later(); }

  center(node) {
    this.#cx = this.#map.x[node];
    this.#cy = this.#map.y[node];
    this.#scale = Math.max(this.#scale, 1.2);
    this.choose(node);
  }

  fit() {
    const { nodes, n, x, y } = this.#map;
    let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let k = 0; k < (nodes ? nodes.length : n); k += 1) {
      const i = nodes ? nodes[k] : k;
      left = Math.min(left, x[i]); right = Math.max(right, x[i]); top = Math.min(top, y[i]); bottom = Math.max(bottom, y[i]);
    }
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    this.#cx = (left + right) / 2;
    this.#cy = (top + bottom) / 2;
    this.#fitted = Math.min((width - 110) / Math.max(right - left, 60), (height - 80) / Math.max(bottom - top, 60), 2.2);
    this.#scale = Math.max(this.#fitted, 0.001);
    this.#later();
  }

  zoom(factor, x = this.#canvas.clientWidth / 2, y = this.#canvas.clientHeight / 2) {
    const [wx, wy] = this.#world(x, y);
    this.#scale = Math.min(12, Math.max(this.#fitted * 0.5, this.#scale * factor));
    this.#cx = wx - (x - this.#canvas.clientWidth / 2) / this.#scale;
    this.#cy = wy - (y - this.#canvas.clientHeight / 2) / this.#scale;
    this.#later();
  }

  legend(kinds) { return kinds.map((kind) => [kind, this.#colours()[kind] || this.#colours().thing]); }

  #colours() {
    const wanted = document.documentElement.dataset.theme;
    return KINDS[wanted || (this.#scheme.matches ? "dark" : "light")];
  }

  #world(x, y) {
    return [this.#cx + (x - this.#canvas.clientWidth / 2) / this.#scale, this.#cy + (y - this.#canvas.clientHeight / 2) / this.#scale];
  }

  #down(event) {
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.#moved = 0;
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return void this.#on.onhover(this.#at(event.offsetX, event.offsetY));
    const now = [event.offsetX, event.offsetY];
    if (this.#pointers.size === 2) {
      const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, spot]) => spot);
      const apart = (spot) => Math.hypot(spot[0] - other[0], spot[1] - other[1]) || 1;
      this.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else this.#pan(before[0] - now[0], before[1] - now[1]);
    this.#moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    this.#pointers.set(event.pointerId, now);
    return undefined;
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
    if (this.#moved > 6) return;
    const node = this.#at(event.offsetX, event.offsetY);
    if (node >= 0) this.#on.onchoose(node);
  }

  #key(event) {
    const step = 60;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) this.#pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.3);
    else if (event.key === "-") this.zoom(1 / 1.3);
    else if (event.key === "0") this.fit();
    else if (event.key === "Enter") this.#on.onchoose(this.#at(this.#canvas.clientWidth / 2, this.#canvas.clientHeight / 2, Infinity));
    else return;
    event.preventDefault();
  }

  #pan(x, y) {
    this.#cx += x / this.#scale;
    this.#cy += y / this.#scale;
    this.#later();
  }

  /** The node nearest to a spot, within a finger's breadth; -1 where there is none. */
  #at(sx, sy, within = 16) {
    if (!this.#map) return -1;
    const { nodes, n, x, y } = this.#map;
    const [wx, wy] = this.#world(sx, sy);
    let found = -1, best = (within / this.#scale) ** 2;
    for (let k = 0; k < (nodes ? nodes.length : n); k += 1) {
      const i = nodes ? nodes[k] : k;
      const far = (x[i] - wx) ** 2 + (y[i] - wy) ** 2;
      if (far < best) { best = far; found = i; }
    }
    return found;
  }

  #resize() {
    const dense = Math.min(devicePixelRatio || 1, 2);
    const wasEmpty = this.#canvas.dataset.sized !== "1";
    this.#canvas.width = Math.round(this.#canvas.clientWidth * dense);
    this.#canvas.height = Math.round(this.#canvas.clientHeight * dense);
    this.#canvas.dataset.sized = "1";
    if (this.#map) wasEmpty ? this.fit() : this.#later();
  }

  #later() {
    if (!this.#queued) this.#queued = requestAnimationFrame(() => { this.#queued = 0; this.#draw(); });
  }

  #draw() {
    if (!this.#map || !this.#canvas.width) return;
    const began = performance.now();
    const colours = this.#colours();
    const dense = this.#canvas.width / this.#canvas.clientWidth;
    const frame = { colours, dense, k: this.#scale * dense, ox: this.#canvas.width / 2 - this.#cx * this.#scale * dense, oy: this.#canvas.height / 2 - this.#cy * this.#scale * dense };
    const discs = this.#points(frame);
    this.#links(frame, discs);
    this.#discs(frame, discs);
    this.#names(frame, discs);
    this.#canvas.dataset.ms = (performance.now() - began).toFixed(2);
    this.#canvas.dataset.frames = Number(this.#canvas.dataset.frames || 0) + 1;
  }

  /** Every node in sight as a pixel, put down at once; gives the best connected of them, to be drawn as discs. */
  #points({ colours, k, ox, oy, dense }) {
    const { width, height } = this.#canvas;
    const { nodes, n, x, y, kind, kinds } = this.#map;
    const image = this.#context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(packed(colours.paper));
    const palette = kinds.map((name) => packed(colours[name] || colours.thing));
    const discs = [];
    const thick = dense > 1 || k > 0.3 ? 2 : 1;
    this.#isDisc.fill(0);
    for (let at = 0; at < (nodes ? nodes.length : n); at += 1) {
      const i = nodes ? nodes[at] : at;
      const px = (x[i] * k + ox) | 0, py = (y[i] * k + oy) | 0;
      if (px < 0 || py < 0 || px >= width - 1 || py >= height - 1) continue;
      if (discs.length < DISCS) { discs.push(i); this.#isDisc[i] = 1; continue; }
      for (let dy = 0; dy < thick; dy += 1) for (let dx = 0; dx < thick; dx += 1) pixels[(py + dy) * width + px + dx] = palette[kind[i]];
    }
    this.#context.putImageData(image, 0, 0);
    return discs;
  }

  #links({ colours, k, ox, oy, dense }, discs) {
    const { starts, others, x, y } = this.#map;
    const context = this.#context;
    context.strokeStyle = colours.line;
    context.lineWidth = Math.max(0.5, Math.min(1.4, this.#scale)) * dense;
    context.beginPath();
    let left = LINKS;
    for (const i of discs) {
      for (let at = starts[i]; at < starts[i + 1] && left; at += 1) {
        const j = others[at];
        if (j <= i || !this.#isDisc[j]) continue;
        context.moveTo(x[i] * k + ox, y[i] * k + oy);
        context.lineTo(x[j] * k + ox, y[j] * k + oy);
        left -= 1;
      }
    }
    context.stroke();
    if (this.#chosen >= 0) this.#chosenLinks({ colours, k, ox, oy, dense });
  }

  #chosenLinks({ colours, k, ox, oy, dense }) {
    const { starts, others, x, y } = this.#map;
    const context = this.#context, i = this.#chosen;
    context.strokeStyle = colours.chosen;
    context.lineWidth = 1.6 * dense;
    context.beginPath();
    for (let at = starts[i]; at < Math.min(starts[i + 1], starts[i] + LINKS); at += 1) {
      if (this.#map.nodes && !this.#isDisc[others[at]]) continue;
      context.moveTo(x[i] * k + ox, y[i] * k + oy);
      context.lineTo(x[others[at]] * k + ox, y[others[at]] * k + oy);
    }
    context.stroke();
  }

  #radius(i) {
    const { starts } = this.#map;
    return Math.min(13, 2.2 + Math.sqrt(starts[i + 1] - starts[i])) * Math.min(1.5, Math.max(0.55, this.#scale));
  }

  #discs({ colours, k, ox, oy, dense }, discs) {
    const { kind, kinds, x, y } = this.#map;
    const context = this.#context;
    kinds.forEach((name, which) => {
      context.fillStyle = colours[name] || colours.thing;
      context.beginPath();
      for (const i of discs) {
        if (kind[i] !== which) continue;
        const px = x[i] * k + ox, py = y[i] * k + oy, r = this.#radius(i) * dense;
        context.moveTo(px + r, py);
        context.arc(px, py, r, 0, 6.2832);
      }
      context.fill();
    });
    if (this.#chosen < 0) return;
    context.strokeStyle = colours.chosen;
    context.lineWidth = 3 * dense;
    context.beginPath();
    context.arc(x[this.#chosen] * k + ox, y[this.#chosen] * k + oy, (this.#radius(this.#chosen) + 3) * dense, 0, 6.2832);
    context.stroke();
  }

  /** Names of the best connected, where no other name stands already. */
  #names({ colours, k, ox, oy, dense }, discs) {
    const { labels, x, y } = this.#map;
    const context = this.#context;
    const taken = [];
    context.font = `${13 * dense}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    context.lineWidth = 3.5 * dense;
    context.lineJoin = "round";
    context.strokeStyle = colours.paper;
    const order = this.#chosen >= 0 && this.#isDisc[this.#chosen] ? [this.#chosen, ...discs] : discs;
    for (const i of order) {
      if (taken.length >= NAMES) break;
      const text = labels[i].length > 26 ? `${labels[i].slice(0, 25)}…` : labels[i];
      const wide = text.length * 7.2 * dense, px = x[i] * k + ox, py = y[i] * k + oy - (this.#radius(i) + 5) * dense;
      const box = [px - wide / 2, py - 14 * dense, px + wide / 2, py + 3 * dense];
      if (taken.some((one) => one[0] < box[2] && one[2] > box[0] && one[1] < box[3] && one[3] > box[1])) continue;
      taken.push(box);
      context.fillStyle = i === this.#chosen ? colours.chosen : colours.ink;
      context.strokeText(text, px, py);
      context.fillText(text, px, py);
    }
  }
}

/** "#rrggbb" as a pixel of a little-endian image. */
function packed(colour) {
  const number = Number.parseInt(colour.slice(1), 16);
  return (0xff000000 | ((number & 0xff) << 16) | (number & 0xff00) | (number >> 16)) >>> 0;
}
