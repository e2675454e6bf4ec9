// What is drawn over the points: hovered item, neighbours, trails, the gap between modalities, and the hover card.

Object.assign(AlignmentMap.prototype, {
  writeInk() {
    const { ink, view, ratio } = this;
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, ink.canvas.width, ink.canvas.height);
    const text = getComputedStyle(this.root).color, ground = getComputedStyle(this.stage).backgroundColor;
    for (const pane of view.panes) {
      ink.save();
      ink.beginPath();
      ink.rect(pane.left, pane.top, pane.width, pane.height);
      ink.clip();
      this.inkNeighbours(pane);
      this.inkTrails(pane);
      if (view.gap && pane.channel < 0) this.inkGap(pane, text, ground);
      if (this.hover !== null) this.inkItem(pane, this.points.item[this.hover], this.hover, text);
      ink.restore();
    }
    if (this.drag?.path?.length > 1) {
      ink.beginPath();
      this.drag.path.forEach(([x, y], i) => (i ? ink.lineTo(x, y) : ink.moveTo(x, y)));
      ink.closePath();
      ink.fillStyle = "rgba(11,110,153,.15)";
      ink.fill();
      ink.setLineDash([5, 4]);
      ink.strokeStyle = text;
      ink.stroke();
      ink.setLineDash([]);
    }
  },

  place(pane, point) { return this.view.toScreen(pane, ...this.view.positionOf(point, pane)); },

  ring(x, y, radius, colour, width = 2) {
    const { ink } = this;
    ink.beginPath();
    ink.arc(x, y, radius, 0, 7);
    ink.lineWidth = width;
    ink.strokeStyle = colour;
    ink.stroke();
  },

  // The modalities' centroids and the vectors between them, with the distances of the original space.
  inkGap(pane, text, ground) {
    const { points, view, ink } = this, { head, channels, pairs } = points, gaps = head.gaps[view.nearestStage(pane)];
    const ends = channels.map((_, c) => { const at = view.centroid(c, pane); return at && view.toScreen(pane, ...at); }), labels = [];
    pairs.forEach(([a, b], at) => {
      const from = ends[channels.indexOf(a)], to = ends[channels.indexOf(b)];
      if (!from || !to || gaps[at] === null || (view.pair !== "all" && view.pair !== "none" && view.pair !== `${a}${b}`)) return;
      for (const [colour, width] of [[ground, 4], [text, 1.5]]) {
        ink.beginPath(); ink.moveTo(...from); ink.lineTo(...to);
        ink.lineWidth = width; ink.strokeStyle = colour; ink.stroke();
      }
      labels.push({ gap: gaps[at], x: (from[0] + to[0]) / 2, y: (from[1] + to[1]) / 2, long: Math.hypot(from[0] - to[0], from[1] - to[1]) });
    });
    ends.forEach((at, c) => {
      if (!at) return;
      ink.beginPath(); ink.arc(...at, 7, 0, 7);
      ink.fillStyle = head.colours[channels[c]]; ink.fill();
      this.ring(...at, 7, ground, 4); this.ring(...at, 7, text, 1.5);
      ink.font = "600 9px sans-serif"; ink.textAlign = "center"; ink.textBaseline = "middle"; ink.fillStyle = "#000";
      ink.fillText(channels[c], at[0], at[1] + 0.5);
    });
    const placed = [];
    for (const label of labels.sort((a, b) => b.long - a.long)) {
      if (label.long < 44 || placed.some((other) => Math.abs(other.x - label.x) < 36 && Math.abs(other.y - label.y) < 17)) continue;
      placed.push(label);
      ink.font = "600 12px sans-serif"; ink.textAlign = "center"; ink.textBaseline = "middle";
      ink.fillStyle = ground; ink.fillRect(label.x - 16, label.y - 8, 32, 16);
      ink.fillStyle = text; ink.fillText(label.gap.toFixed(2), label.x, label.y + 0.5);
    }
  },

  inkItem(pane, item, point, colour) { // the item under the pointer: all its modalities, joined
    const ends = this.points.at.map((rows) => rows[item]).filter((p) => p >= 0 && this.view.drawsIn(pane, p)).map((p) => this.place(pane, p));
    const { ink } = this;
    ink.beginPath();
    for (let i = 0; i < ends.length; i++) for (let j = i + 1; j < ends.length; j++) { ink.moveTo(...ends[i]); ink.lineTo(...ends[j]); }
    ink.lineWidth = 1.5;
    ink.strokeStyle = colour;
    ink.stroke();
    ends.forEach(([x, y]) => this.ring(x, y, 6, colour, 1.5));
    if (this.view.drawsIn(pane, point)) this.ring(...this.place(pane, point), 9, colour, 2.5);
  },

  inkNeighbours(pane) { // neighbours in the original space, and those that only the drawing shows (crossed out)
    const found = this.view.style?.neighbours, { ink } = this;
    if (!found || found.stage !== this.points.stages[this.view.nearestStage(pane)]) return;
    const at = (pair) => this.points.at[this.points.channels.indexOf(pair[1])]?.[pair[0]] ?? -1;
    const centre = at(found.point);
    if (centre < 0) return;
    const [cx, cy] = this.place(pane, centre);
    this.ring(cx, cy, 9, "#0b6e99", 3);
    for (const pair of found.true) {
      const p = at(pair);
      if (p < 0) continue;
      const [x, y] = this.place(pane, p);
      ink.beginPath(); ink.moveTo(cx, cy); ink.lineTo(x, y);
      ink.lineWidth = 1; ink.strokeStyle = "#0b6e99"; ink.stroke();
      this.ring(x, y, 6, "#0b6e99");
    }
    for (const pair of found.false) {
      const p = at(pair);
      if (p < 0) continue;
      const [x, y] = this.place(pane, p);
      ink.beginPath(); ink.moveTo(x - 5, y - 5); ink.lineTo(x + 5, y + 5); ink.moveTo(x + 5, y - 5); ink.lineTo(x - 5, y + 5);
      ink.lineWidth = 2; ink.strokeStyle = "#d55e00"; ink.stroke();
    }
  },

  inkTrails(pane) { // where marked items went from checkpoint to checkpoint
    const { view, points, ink } = this;
    if (!view.film || view.selection.size === 0) return;
    let drawn = 0;
    for (const item of view.selection) {
      if (++drawn > 60) break;
      points.at.forEach((rows, c) => {
        const p = rows[item];
        if (p < 0 || !view.drawsIn(pane, p)) return;
        ink.beginPath();
        points.xy.forEach((xy, k) => { const s = view.toScreen(pane, xy[2 * p], xy[2 * p + 1]); k ? ink.lineTo(...s) : ink.moveTo(...s); });
        ink.lineWidth = 1.2;
        ink.strokeStyle = points.head.colours[points.channels[c]];
        ink.stroke();
      });
    }
  },

  showCard() {
    const card = this.$(".card"), { points } = this;
    card.hidden = this.hover === null;
    if (card.hidden) return;
    const item = points.item[this.hover], channel = points.channels[points.channel[this.hover]], pane = this.hoverPane;
    const about = this.hub.pictures?.[item], title = points.head.titles?.[item] ?? about?.title ?? `item ${points.head.first_row + item}`;
    const frame = about?.image ? make("img", { src: about.image, alt: "" }) : make("span", { class: "none" }, about ? "no picture" : "…");
    const words = make("div");
    words.append(make("b", {}, title), make("small", {}, points.head.names[channel]));
    const stage = this.view.nearestStage(pane);
    points.pairs.forEach(([a, b], at) => {
      const cosine = points.cosineOf(item, at, stage);
      if (cosine !== null && (a === channel || b === channel)) words.append(make("small", {}, `cos to ${points.head.names[a === channel ? b : a]} ${cosine.toFixed(2)}`));
    });
    card.dataset.item = String(item);
    card.replaceChildren(frame, words);
    const [x, y] = this.place(pane, this.hover), box = this.stage.getBoundingClientRect();
    card.style.left = `${Math.max(4, Math.min(x + 14, box.width - 250))}px`;
    card.style.top = `${Math.max(4, Math.min(y + 14, box.height - 120))}px`;
  },
});
