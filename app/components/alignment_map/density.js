// Where points lie on top of each other they are drawn as density: a pane is cut into cells, a crowded cell becomes a
// soft patch in the mean colour of its points with a few of them on it. Zooming in pulls the others apart.

const CELL = 6; // pixels, a little more than a point
const MODES = { auto: { crowd: 5, few: 2 }, points: { crowd: Infinity, few: 0 }, density: { crowd: 0, few: 0 } };

// A grid of sums (values per cell: `deep`) blurred by the weights 1 2 1 along rows and columns.
function blurred(grid, columns, rows, deep) {
  const across = new Float32Array(grid.length), down = new Float32Array(grid.length), row = columns * deep;
  for (let i = 0; i < grid.length; i++) {
    const c = Math.floor(i / deep) % columns;
    across[i] = (2 * grid[i] + (c > 0 ? grid[i - deep] : 0) + (c < columns - 1 ? grid[i + deep] : 0)) / 4;
  }
  for (let i = 0; i < grid.length; i++) down[i] = (2 * across[i] + (i >= row ? across[i - row] : 0) + (i + row < grid.length ? across[i + row] : 0)) / 4;
  return down;
}

class Density {
  // Cut a pane into cells, seen from a centre and a scale, with positions between two stages. `order` is the order of
  // drawing, `only` the one channel that is drawn or -1, `mode` one of MODES. Returns the points to draw one by one, marked
  // ones last, and how many are in patches, which are kept for `paint`.
  cut(pane, { x, y, scale }, [from, to, mix], { colour, state }, order, channel, only, mode) {
    const columns = Math.ceil(pane.width / CELL), rows = Math.ceil(pane.height / CELL), n = order.length;
    if (this.columns !== columns || this.rows !== rows) {
      Object.assign(this, { columns, rows, count: new Float32Array(columns * rows), tint: new Float32Array(3 * columns * rows) });
    } else { this.count.fill(0); this.tint.fill(0); }
    if (this.where?.length !== n) Object.assign(this, { where: new Int32Array(n), list: new Uint32Array(n) });
    const { count, tint, where, list } = this;
    const dx = pane.width / 2 - x * scale, dy = pane.height / 2 + y * scale, width = columns * CELL, height = rows * CELL;
    for (let p = 0; p < n; p++) {
      where[p] = -1;
      if (state[p] === HIDDEN || (only >= 0 && channel[p] !== only)) continue;
      const px = (from[2 * p] + (to[2 * p] - from[2 * p]) * mix) * scale + dx;
      const py = dy - (from[2 * p + 1] + (to[2 * p + 1] - from[2 * p + 1]) * mix) * scale;
      if (!(px >= 0 && py >= 0 && px < width && py < height)) continue; // also NaN
      const cell = ((py / CELL) | 0) * columns + ((px / CELL) | 0), weight = state[p] === DIM ? 0.16 : 1;
      where[p] = cell;
      count[cell] += weight;
      tint[3 * cell] += weight * colour[4 * p];
      tint[3 * cell + 1] += weight * colour[4 * p + 1];
      tint[3 * cell + 2] += weight * colour[4 * p + 2];
    }
    const few = new Uint8Array(count.length);
    let drawn = 0, crowded = 0;
    for (let o = 0; o < n; o++) {
      const p = order[o];
      if (where[p] < 0 || state[p] === MARKED) continue;
      if (count[where[p]] > mode.crowd && ++few[where[p]] > mode.few) { crowded++; few[where[p]] = mode.few + 1; }
      else list[drawn++] = p;
    }
    for (let p = 0; p < n; p++) if (where[p] >= 0 && state[p] === MARKED) list[drawn++] = p;
    this.mode = mode;
    return { points: list.subarray(0, drawn), crowded };
  }

  // The patches of the pane that was cut last, into a canvas at the pane's place.
  paint(ink, pane) {
    const { columns, rows, count, tint, mode } = this;
    let any = false;
    for (let cell = 0; cell < count.length; cell++) {
      if (count[cell] > mode.crowd) any = true;
      else count[cell] = tint[3 * cell] = tint[3 * cell + 1] = tint[3 * cell + 2] = 0;
    }
    if (!any) return;
    const soft = blurred(count, columns, rows, 1), rgb = blurred(tint, columns, rows, 3);
    let top = 0;
    for (const c of soft) if (c > top) top = c;
    this.image ??= document.createElement("canvas");
    if (this.image.width !== columns || this.image.height !== rows) Object.assign(this.image, { width: columns, height: rows });
    const context = this.image.getContext("2d"), pixels = context.createImageData(columns, rows), span = Math.log1p(top);
    for (let cell = 0; cell < soft.length; cell++) {
      if (soft[cell] <= 0) continue;
      for (let k = 0; k < 3; k++) pixels.data[4 * cell + k] = rgb[3 * cell + k] / soft[cell];
      pixels.data[4 * cell + 3] = 235 * Math.log1p(soft[cell]) / span;
    }
    context.putImageData(pixels, 0, 0);
    ink.imageSmoothingEnabled = true;
    ink.drawImage(this.image, pane.left, pane.top, columns * CELL, rows * CELL);
  }
}
