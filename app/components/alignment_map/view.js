// The state of one map: which points are shown, marked or dimmed, in which colour, in which panes, seen from where.

const SHAPES = { circle: 0, square: 1, diamond: 2, star: 3 };
const MOST_JOINED = 200; // items: more lines than that hide what they join
const HIDDEN = 0, DIM = 1, NORMAL = 2, MARKED = 3;

const hexToRgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function cosineColour(share) { // 0 = lowest shown, 1 = highest: vermilion, grey, blue
  const stops = [[213, 94, 0], [150, 150, 150], [0, 114, 178]];
  const t = Math.min(1.9999, Math.max(0, share * 2)), i = Math.floor(t), f = t - i;
  return stops[i].map((v, c) => Math.round(v + (stops[i + 1][c] - v) * f));
}

class View {
  constructor(saved) {
    Object.assign(this, { x: 0, y: 0, scale: 1, tool: "pan", mode: "auto", gap: true, pair: "all", low: -1, high: 1, frame: 0, hiddenChannels: [], fitted: false, fitScale: 1 }, saved);
    this.multiples = false;
    this.panes = [];
    this.forget();
  }

  forget() { // what is told by positions and legend entries, which mean others on a map of other points
    this.selection = new Set();
    this.matches = new Set();
    this.hiddenCodes = new Set(); // legend entries
    this.worst = [];
    this.style = null;
  }

  show(points) { // seen from where it was left; another map from afar, with what it has of the modalities and pairs chosen
    this.points = points;
    this.frame = Math.min(this.frame, points.stages.length - 1);
    if (this.digest === points.digest) return;
    this.digest = points.digest;
    this.fitted = false; // `AlignmentMap.resize` fits it
    if (!["all", "none", ...points.pairs.map((pair) => pair.join(""))].includes(this.pair)) this.pair = "all";
    this.hiddenChannels = this.hiddenChannels.filter((c) => points.channels.includes(c));
    if (this.hiddenChannels.length === points.channels.length) this.hiddenChannels = []; // one modality stays
  }

  saved() {
    const { digest, x, y, scale, tool, mode, gap, pair, low, high, frame, hiddenChannels, fitted, fitScale } = this;
    return { digest, x, y, scale, tool, mode, gap, pair, low, high, frame, hiddenChannels, fitted, fitScale };
  }

  get film() { return this.points.head.mode === "film"; }

  // Panes side by side, below each other where it is narrow.
  arrange(width) {
    const stages = this.film ? 1 : this.points.stages.length, each = this.multiples ? this.points.channels.length : 1, n = stages * each;
    const columns = this.multiples ? (width < 640 ? Math.min(2, each) : each) : n === 1 || width < 640 ? 1 : n === 3 && width > 1100 ? 3 : 2;
    const rows = Math.ceil(n / columns), paneWidth = Math.floor(width / columns);
    const tall = this.points.head.height || 520;
    const paneHeight = Math.round(Math.min(tall, Math.max(this.multiples ? 170 : 260, paneWidth * (columns === 1 && width > 640 ? 0.62 : 0.85))));
    this.panes = Array.from({ length: n }, (_, k) => ({
      stage: Math.floor(k / each), channel: this.multiples ? k % each : -1, left: (k % columns) * paneWidth, top: Math.floor(k / columns) * paneHeight, width: paneWidth, height: paneHeight,
    }));
    return { width, height: rows * paneHeight };
  }

  fit() {
    const [x0, y0, x1, y1] = this.points.bounds, pane = this.panes[0];
    this.x = (x0 + x1) / 2;
    this.y = (y0 + y1) / 2;
    this.scale = 0.92 * Math.min(pane.width / Math.max(x1 - x0, 1e-6), pane.height / Math.max(y1 - y0, 1e-6));
    this.fitScale = this.scale;
    this.fitted = true;
  }

  zoom(factor, pane, sx, sy) {
    const before = this.toData(pane, sx, sy);
    this.scale *= factor;
    const after = this.toData(pane, sx, sy);
    this.x += before[0] - after[0];
    this.y += before[1] - after[1];
  }

  paneAt(sx, sy) {
    return this.panes.find((p) => sx >= p.left && sx < p.left + p.width && sy >= p.top && sy < p.top + p.height) || this.panes[0];
  }

  toData(pane, sx, sy) {
    return [this.x + (sx - pane.left - pane.width / 2) / this.scale, this.y - (sy - pane.top - pane.height / 2) / this.scale];
  }

  toScreen(pane, x, y) {
    return [pane.left + pane.width / 2 + (x - this.x) * this.scale, pane.top + pane.height / 2 - (y - this.y) * this.scale];
  }

  // Stages that a pane lies between, and how far.
  between(pane) {
    if (!this.film) return [pane.stage, pane.stage, 0];
    const from = Math.min(Math.floor(this.frame), this.points.stages.length - 1);
    return [from, Math.min(from + 1, this.points.stages.length - 1), this.frame - from];
  }

  positionOf(point, pane) {
    const [from, to, mix] = this.between(pane), a = this.points.xy[from], b = this.points.xy[to];
    return [a[2 * point] + (b[2 * point] - a[2 * point]) * mix, a[2 * point + 1] + (b[2 * point + 1] - a[2 * point + 1]) * mix];
  }

  nearestStage(pane) { return this.film ? Math.round(this.frame) : pane.stage; }

  get marked() { return this.selection.size > 0 || this.matches.size > 0; }

  isMarked(item) { return this.selection.has(item) || this.matches.has(item); }

  shows(point) {
    const { points, hiddenCodes } = this;
    if (this.hiddenChannels.includes(points.channels[points.channel[point]])) return false;
    return !hiddenCodes.size || !this.style?.colour || !hiddenCodes.has(this.style.colour.codes[points.item[point]]);
  }

  // Whether a pane draws a point: with small multiples each pane has one modality.
  drawsIn(pane, point) { return this.shows(point) && (pane.channel < 0 || this.points.channel[point] === pane.channel); }

  // (n x 4) colours and (n) states, from channel or attribute colours and from what is marked.
  paint() {
    const { points } = this, { n } = points, colour = new Uint8Array(4 * n), state = new Uint8Array(n);
    const byChannel = points.channels.map((c) => hexToRgb(points.head.colours[c]));
    const chosen = this.style?.colour ?? null;
    const byCode = chosen?.legend.map((entry) => hexToRgb(entry.colour));
    const base = 215, quiet = Math.round(base * 0.16);
    for (let p = 0; p < n; p++) {
      const item = points.item[p], code = chosen ? chosen.codes[item] : 0;
      const rgb = chosen ? byCode[Math.min(code, byCode.length - 1)] : byChannel[points.channel[p]];
      const marked = this.isMarked(item);
      const off = this.marked && !marked;
      colour[4 * p] = rgb[0]; colour[4 * p + 1] = rgb[1]; colour[4 * p + 2] = rgb[2];
      colour[4 * p + 3] = off ? quiet : marked ? 255 : base;
      state[p] = !this.shows(p) ? HIDDEN : marked ? MARKED : off ? DIM : NORMAL;
    }
    return { colour, state };
  }

  cosineRange() {
    let low = 255, high = 1;
    for (const values of this.points.cosine) for (const v of values) if (v) { if (v < low) low = v; if (v > high) high = v; }
    return low > high ? [-1, 1] : [(low - 128) / 127, (high - 128) / 127];
  }

  // Items whose modalities are joined by lines: what is marked, else the worst aligned.
  joined() {
    const marked = [...this.selection, ...[...this.matches].filter((item) => !this.selection.has(item))];
    this.joinedOf = marked.length;
    return marked.length ? marked.slice(0, MOST_JOINED) : this.worst;
  }

  // Line ends of every stage: the same items and pairs in each, so that lines can move with the film.
  lines() {
    const { points } = this, ends = [], items = [], pairOf = [], joined = this.joined();
    points.pairs.forEach(([a, b], at) => {
      if (this.pair === "none" || this.multiples || (this.pair !== "all" && this.pair !== `${a}${b}`)) return;
      const [from, to] = [a, b].map((c) => points.at[points.channels.indexOf(c)]);
      for (const i of joined) {
        if (!(from[i] >= 0 && to[i] >= 0 && this.shows(from[i]) && this.shows(to[i]))) continue;
        ends.push(from[i], to[i]); items.push(i); pairOf.push(at);
      }
    });
    const [low, high] = this.cosineRange(), span = Math.max(high - low, 1e-6), alpha = joined.length > 100 ? 110 : 200;
    return {
      count: items.length, joined: new Set(items).size,
      stages: points.xy.map((xy, k) => {
        const at = new Float32Array(4 * items.length), colour = new Uint8Array(8 * items.length), cosine = new Float32Array(2 * items.length);
        for (let l = 0; l < items.length; l++) {
          const value = points.cosineOf(items[l], pairOf[l], k) ?? -2;
          const rgb = cosineColour((value - low) / span);
          for (let e = 0; e < 2; e++) {
            const p = ends[2 * l + e], v = 2 * l + e;
            at[2 * v] = xy[2 * p]; at[2 * v + 1] = xy[2 * p + 1];
            colour.set([rgb[0], rgb[1], rgb[2], alpha], 4 * v);
            cosine[v] = value;
          }
        }
        return { at, colour, cosine };
      }),
    };
  }

  // Where the mean of a channel's shown points lies in a pane; null where it has none.
  centroid(channel, pane) {
    const [from, to, mix] = this.between(pane), a = this.centroids[from][channel], b = this.centroids[to][channel];
    return a && b && [a[0] + (b[0] - a[0]) * mix, a[1] + (b[1] - a[1]) * mix];
  }

  findCentroids() {
    const { points } = this;
    this.centroids = points.xy.map((xy) => points.channels.map((_, c) => {
      let x = 0, y = 0, n = 0;
      for (const p of points.at[c]) if (p >= 0 && this.shows(p) && xy[2 * p] === xy[2 * p]) { x += xy[2 * p]; y += xy[2 * p + 1]; n++; }
      return n ? [x / n, y / n] : null;
    }));
  }

  within(pane, polygon) {
    const found = new Set(), stage = this.nearestStage(pane), xy = this.points.xy[stage];
    const xs = polygon.map((p) => p[0]), ys = polygon.map((p) => p[1]);
    const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    for (let p = 0; p < this.points.n; p++) {
      const x = xy[2 * p], y = xy[2 * p + 1];
      if (x >= x0 && x <= x1 && y >= y0 && y <= y1 && this.drawsIn(pane, p) && insidePolygon(x, y, polygon)) found.add(this.points.item[p]);
    }
    return found;
  }
}
