// What comes over the wire (`../block.js`). Points are not sent as (item, channel) pairs but as one presence byte per item,
// from which both are rebuilt here.

const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

function toBase64(int32) {
  const bytes = new Uint8Array(int32.buffer, int32.byteOffset, int32.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

class Points {
  constructor({ head, arrays }) {
    Object.assign(this, { head, digest: head.digest, stages: head.stages, channels: head.channels, pairs: head.pairs });
    const present = arrays.present, items = head.n_items, channels = head.channels.length;
    this.items = items;
    this.at = head.channels.map(() => new Int32Array(items).fill(-1)); // [channel][item] -> point
    let n = 0;
    for (let c = 0; c < channels; c++) for (let i = 0; i < items; i++) if (present[i] & (1 << c)) this.at[c][i] = n++;
    this.n = n;
    this.item = new Int32Array(n);
    this.channel = new Uint8Array(n);
    this.at.forEach((rows, c) => rows.forEach((p, i) => { if (p >= 0) { this.item[p] = i; this.channel[p] = c; } }));
    this.xy = head.stages.map((_, k) => arrays[`xy_${k}`]);
    this.cosine = head.stages.map((_, k) => arrays[`cosine_${k}`]); // (items x pairs), 0 = absent, 1..255 = -1..1
    this.bounds = this.findBounds();
  }

  sameAs({ head, n }) { // the same items at the same positions, in another layout or other stages
    return this.head.of === head.of && this.n === n;
  }

  findBounds() {
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    for (const xy of this.xy) for (let i = 0; i < xy.length; i += 2) {
      if (xy[i] < box[0]) box[0] = xy[i];
      if (xy[i + 1] < box[1]) box[1] = xy[i + 1];
      if (xy[i] > box[2]) box[2] = xy[i];
      if (xy[i + 1] > box[3]) box[3] = xy[i + 1];
    }
    return box;
  }

  cosineOf(item, pair, stage) {
    const value = this.cosine[stage][item * this.pairs.length + pair];
    return value === 0 ? null : (value - 128) / 127;
  }
}

// A grid over one stage's positions, so that the point under the pointer is found without asking all of them.
class Grid {
  constructor(xy, box, cells = 96) {
    Object.assign(this, { xy, cells, x0: box[0], y0: box[1] });
    this.step = Math.max(box[2] - box[0], box[3] - box[1], 1e-6) / cells;
    const n = xy.length / 2, where = new Int32Array(n), count = new Int32Array(cells * cells + 1);
    for (let p = 0; p < n; p++) {
      where[p] = this.cell(xy[2 * p], xy[2 * p + 1]);
      if (where[p] >= 0) count[where[p] + 1]++;
    }
    for (let c = 0; c < cells * cells; c++) count[c + 1] += count[c];
    this.start = count.slice();
    this.points = new Int32Array(n);
    const next = count.slice();
    for (let p = 0; p < n; p++) if (where[p] >= 0) this.points[next[where[p]]++] = p;
  }

  clamp(value) { return Math.min(this.cells - 1, Math.max(0, value)); }

  cell(x, y) {
    if (!(x === x && y === y)) return -1;
    return this.clamp(Math.floor((y - this.y0) / this.step)) * this.cells + this.clamp(Math.floor((x - this.x0) / this.step));
  }

  nearest(x, y, radius, accepts) {
    const c0 = this.clamp(Math.floor((x - radius - this.x0) / this.step)), c1 = this.clamp(Math.floor((x + radius - this.x0) / this.step));
    const r0 = this.clamp(Math.floor((y - radius - this.y0) / this.step)), r1 = this.clamp(Math.floor((y + radius - this.y0) / this.step));
    let best = -1, least = radius * radius;
    for (let r = r0; r <= r1; r++) for (let c = c0; c <= c1; c++) {
      const cell = r * this.cells + c;
      for (let s = this.start[cell]; s < this.start[cell + 1]; s++) {
        const p = this.points[s], dx = this.xy[2 * p] - x, dy = this.xy[2 * p + 1] - y, d = dx * dx + dy * dy;
        if (d < least && accepts(p)) { least = d; best = p; }
      }
    }
    return best;
  }
}

function insidePolygon(x, y, polygon) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
