// The component: controls, pointer and keyboard, hover card, and what goes back to the page (picked, lassoed, no WebGL2).

const COARSE_POINTS = 12000, SLOW_FRAME_MS = 70;

const hubs = () => (window.seminarMaps ??= {});

function make(tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

class AlignmentMap {
  constructor(root, hub) {
    Object.assign(this, { root, hub, grids: [], hover: null, seq: 0, dirty: false, drag: null });
    this.$ = (selector) => root.querySelector(selector);
    this.stage = this.$(".stage");
    this.scene = new Scene(this.$("canvas.gl"));
    this.ink = this.$("canvas.ink").getContext("2d");
    this.view = new View(hub.view);
    root.dataset.webgl = "2";
    root.alignmentMap = this;
    this.listen();
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.stage);
  }

  get calm() { return matchMedia("(prefers-reduced-motion: reduce)").matches; }

  load(bytes) {
    const wire = unpack(bytes);
    if (this.points?.digest === wire.head.digest) return this.draw();
    const before = this.points;
    this.points = this.view.points = new Points(wire);
    this.grids = [];
    this.view.frame = Math.min(this.view.frame, this.points.stages.length - 1);
    const same = before && before.n === this.points.n && before.xy.length === this.points.xy.length;
    if (before && !same) this.view.selection.clear();
    this.buildControls();
    this.resize();
    if (!this.view.fitted || before) this.view.fit();
    this.points.xy.forEach((xy, k) => this.scene.put(`xy_${k}`, xy));
    this.scene.shuffle(this.points.n);
    this.scene.put("shape", this.points.channel.map((c) => SHAPES[this.points.head.shapes[this.points.channels[c]]]));
    this.paint();
    if (same && !this.calm) this.morph(before.xy);
    this.root.dataset.points = String(this.points.n);
    this.root.dataset.panes = String(this.view.panes.length);
  }

  morph(old) { // the same points in a new layout: let the eye follow
    old.forEach((xy, k) => this.scene.put(`old_${k}`, xy));
    const started = performance.now();
    const step = (now) => {
      this.morphing = Math.min(1, (now - started) / 600);
      if (this.morphing >= 1) this.morphing = undefined;
      else requestAnimationFrame(step);
      this.draw();
    };
    requestAnimationFrame(step);
  }

  restyle(style) {
    if (style.digest !== this.points?.digest) return; // of another map: its own style is on the way
    const colour = style.colour ? { ...style.colour, codes: fromBase64(style.colour.codes) } : null;
    if (this.view.style?.colour?.title !== colour?.title) this.view.code = null;
    this.view.style = { ...style, colour };
    if (style.selection_seq > this.seq) {
      this.seq = style.selection_seq;
      this.view.selection = new Set(new Int32Array(fromBase64(style.selection).buffer));
    }
    this.paint();
    if (this.hover !== null) this.showCard();
  }

  buildControls() {
    const { head, channels, pairs, stages } = this.points, view = this.view;
    const box = this.$(".channels");
    box.replaceChildren(...channels.map((c) => {
      const button = make("button", { type: "button", "data-channel": c, "aria-pressed": String(!view.hiddenChannels.includes(c)) });
      const swatch = make("span", { class: `swatch ${head.shapes[c]}`, style: `background:${head.colours[c]}` });
      button.append(swatch, head.names[c]);
      return button;
    }));
    const select = this.$(".lines select");
    select.replaceChildren(...[["all", "all pairs"], ...pairs.map(([a, b]) => [a + b, `${head.names[a]} – ${head.names[b]}`]), ["none", "none"]]
      .map(([value, text]) => make("option", { value }, text)));
    select.value = view.pair;
    this.$(".search").hidden = !head.titles;
    const film = this.$(".film"), slider = film.querySelector("input");
    film.hidden = !view.film;
    slider.max = String(stages.length - 1);
    slider.value = String(view.frame);
    this.$("input.low").value = Math.round(view.low * 100);
    this.$("input.high").value = Math.round(view.high * 100);
    this.setTool(view.tool);
  }

  setTool(tool) {
    this.view.tool = tool;
    this.stage.dataset.tool = tool;
    for (const button of this.root.querySelectorAll("[data-tool][aria-pressed]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    this.remember();
  }

  remember() { this.hub.view = this.view.saved(); }

  resize() {
    if (!this.points) return;
    const width = Math.floor(this.stage.clientWidth);
    if (!width) return;
    const ratio = Math.min(window.devicePixelRatio || 1, 2), first = this.width === undefined;
    if (width === this.width && this.arranged === this.points.digest) return;
    const size = this.view.arrange(width);
    this.width = width;
    this.arranged = this.points.digest;
    this.ratio = ratio;
    this.stage.style.height = `${size.height}px`;
    for (const canvas of [this.scene.gl.canvas, this.ink.canvas]) {
      canvas.width = Math.round(size.width * ratio);
      canvas.height = Math.round(size.height * ratio);
    }
    if (!first || !this.view.fitted) this.view.fit();
    this.$(".labels").replaceChildren(...this.view.panes.flatMap((p, k) => {
      const label = make("span", { style: `left:${p.left}px;top:${p.top}px`, "data-pane": String(k) }, this.label(p));
      const edge = make("i", { style: `left:${p.left}px;top:${p.top}px;width:${p.left ? 1 : 0}px;height:${p.height}px` });
      return [label, edge];
    }));
    this.draw();
  }

  label(pane) {
    const { stages, head } = this.points, k = this.view.nearestStage(pane);
    return head.notes?.[k] ? `${stages[k]} · ${head.notes[k]}` : stages[k];
  }

  paint() {
    const { colour, state } = this.view.paint();
    this.scene.put("colour", colour);
    this.scene.put("state", state);
    this.shown = state.reduce((sum, s) => sum + (s > HIDDEN), 0);
    const lines = this.view.lines();
    this.scene.lineCount = lines.count;
    lines.stages.forEach(({ at, colour: rgba, cosine }, k) => {
      this.scene.put(`line_xy_${k}`, at);
      this.scene.put(`line_colour_${k}`, rgba);
      this.scene.put(`line_cosine_${k}`, cosine);
    });
    this.$("[data-act=clear]").hidden = !this.view.marked;
    this.writeLegend();
    this.draw();
  }

  writeLegend() {
    const { view } = this, colour = view.style?.colour, parts = [];
    if (colour) {
      parts.push(make("b", {}, colour.title));
      colour.legend.forEach((entry, code) => {
        const button = make("button", { type: "button", "data-code": String(code), "aria-pressed": String(view.code === code || view.code === null) });
        button.append(make("span", { class: "swatch", style: `background:${entry.colour}` }), `${entry.label} (${entry.n})`);
        parts.push(button);
      });
    }
    const [low, high] = view.cosineRange();
    const ramp = [0, 0.5, 1].map((s) => `rgb(${cosineColour(s).join(",")})`).join(",");
    if (view.pair !== "none" && this.points.pairs.length)
      parts.push(make("span", {}, `Lines: cosine ${low.toFixed(2)}`), make("span", { style: `width:70px;height:8px;background:linear-gradient(90deg,${ramp})`, role: "img", "aria-label": "low to high" }), make("span", {}, high.toFixed(2)));
    this.$(".legend").replaceChildren(...parts);
    this.$(".cosine output").textContent = `${view.low.toFixed(2)} … ${view.high.toFixed(2)}`;
    const words = [`${this.shown.toLocaleString("en")} points`, this.view.pair === "none" ? "" : `${this.scene.lineCount.toLocaleString("en")} lines`];
    if (view.linesOnlyMarked) words.push(`lines only of marked items (more than ${MOST_LINES.toLocaleString("en")})`);
    if (this.points.n > 150000) words.push("drawn as density");
    if (view.selection.size) words.push(`${view.selection.size.toLocaleString("en")} items selected`);
    this.$(".status").textContent = words.filter(Boolean).join(" · ");
  }

  draw() {
    if (this.dirty) return;
    this.dirty = true;
    requestAnimationFrame(() => { this.dirty = false; if (this.points && this.width) this.render(); });
  }

  // A redraw while something moves: where full pictures come too slowly, a random part of the points without lines stands
  // in for them until the movement ends.
  drawMoving() {
    const now = performance.now();
    if (now - this.lastMove < 400 && now - this.lastMove > SLOW_FRAME_MS && !this.dirty) this.slowFrames = (this.slowFrames ?? 0) + 1;
    this.lastMove = now;
    if (this.slowFrames > 1) this.coarse = true;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => { this.coarse = false; this.slowFrames = 0; this.draw(); }, 160);
    this.draw();
  }

  render() {
    const { view, scene, ratio } = this, started = performance.now();
    const look = {
      ratio, points: this.points.n, marked: view.marked, range: [view.low - 0.006, view.high + 0.006],
      size: Math.min(14, (this.points.n > 150000 ? 2 : this.points.n > 20000 ? 3.5 : 5) * Math.max(1, Math.sqrt(view.scale / view.fitScale))),
    };
    if (this.coarse) Object.assign(look, { points: Math.min(look.points, COARSE_POINTS) });
    scene.clear();
    for (const pane of view.panes) {
      const frame = {
        left: Math.round(pane.left * ratio), width: Math.round(pane.width * ratio), height: Math.round(pane.height * ratio),
        bottom: scene.gl.canvas.height - Math.round((pane.top + pane.height) * ratio),
      };
      const [from, to, mix] = view.between(pane);
      if (this.morphing !== undefined) {
        scene.buffers.set("xy_old", scene.buffers.get(`old_${from}`));
        scene.pane(frame, view, "old", from, this.morphing, { ...look, lines: false });
      } else scene.pane(frame, view, from, to, mix, { ...look, lines: view.pair !== "none" && !this.coarse });
    }
    this.writeInk();
    this.root.dataset.renderMs = (performance.now() - started).toFixed(1);
  }

  writeInk() {
    const { ink, view, ratio } = this;
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, ink.canvas.width, ink.canvas.height);
    const text = getComputedStyle(this.root).color;
    for (const pane of view.panes) {
      ink.save();
      ink.beginPath();
      ink.rect(pane.left, pane.top, pane.width, pane.height);
      ink.clip();
      this.inkNeighbours(pane);
      this.inkTrails(pane);
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
  }

  place(pane, point) { return this.view.toScreen(pane, ...this.view.positionOf(point, pane)); }

  ring(x, y, radius, colour, width = 2) {
    const { ink } = this;
    ink.beginPath();
    ink.arc(x, y, radius, 0, 7);
    ink.lineWidth = width;
    ink.strokeStyle = colour;
    ink.stroke();
  }

  inkItem(pane, item, point, colour) { // the item under the pointer: all its modalities, joined
    const ends = this.points.at.map((rows) => rows[item]).filter((p) => p >= 0 && this.view.shows(p)).map((p) => this.place(pane, p));
    const { ink } = this;
    ink.beginPath();
    for (let i = 0; i < ends.length; i++) for (let j = i + 1; j < ends.length; j++) { ink.moveTo(...ends[i]); ink.lineTo(...ends[j]); }
    ink.lineWidth = 1.5;
    ink.strokeStyle = colour;
    ink.stroke();
    ends.forEach(([x, y]) => this.ring(x, y, 6, colour, 1.5));
    this.ring(...this.place(pane, point), 9, colour, 2.5);
  }

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
  }

  inkTrails(pane) { // where marked items went from checkpoint to checkpoint
    const { view, points, ink } = this;
    if (!view.film || view.selection.size === 0) return;
    let drawn = 0;
    for (const item of view.selection) {
      if (++drawn > 60) break;
      points.at.forEach((rows, c) => {
        const p = rows[item];
        if (p < 0 || !view.shows(p)) return;
        ink.beginPath();
        points.xy.forEach((xy, k) => { const s = view.toScreen(pane, xy[2 * p], xy[2 * p + 1]); k ? ink.lineTo(...s) : ink.moveTo(...s); });
        ink.lineWidth = 1.2;
        ink.strokeStyle = points.head.colours[points.channels[c]];
        ink.stroke();
      });
    }
  }

  grid(stage) { return (this.grids[stage] ??= new Grid(this.points.xy[stage], this.points.bounds)); }

  pointAt(sx, sy) {
    const pane = this.view.paneAt(sx, sy), [x, y] = this.view.toData(pane, sx, sy);
    const found = this.grid(this.view.nearestStage(pane)).nearest(x, y, 12 / this.view.scale, (p) => this.view.shows(p));
    return [found, pane];
  }

  setHover(point, pane) {
    if (point === this.hover) return;
    this.hover = point;
    this.hoverPane = pane;
    this.showCard();
    this.draw();
    clearTimeout(this.asking);
    const item = point === null ? -1 : this.points.item[point];
    if (item >= 0 && !(item in (this.hub.pictures ??= {}))) this.asking = setTimeout(() => this.hub.want?.([item]), 90);
  }

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
  }

  setFrame(frame) {
    this.view.frame = frame;
    this.$(".film input").value = String(frame);
    this.$(".film output").textContent = this.points.stages[Math.round(frame)];
    const label = this.$(".labels span");
    if (label) label.textContent = this.label(this.view.panes[0]);
    this.remember();
    this.drawMoving();
  }

  play() {
    const button = this.$("[data-act=play]"), last = this.points.stages.length - 1;
    this.playing = !this.playing;
    button.textContent = this.playing ? "Pause" : "Play";
    button.setAttribute("aria-pressed", String(this.playing));
    if (!this.playing) return;
    if (this.view.frame >= last) this.setFrame(0);
    let before = performance.now();
    const step = (now) => {
      if (!this.playing || !this.root.isConnected) return;
      const pace = this.calm ? 1 : (now - before) / 1100; // one checkpoint a second; a jump where motion is unwelcome
      if (this.calm && now - before < 1100) return requestAnimationFrame(step);
      before = now;
      this.setFrame(Math.min(last, this.calm ? Math.round(this.view.frame) + 1 : this.view.frame + pace));
      if (this.view.frame >= last) this.play();
      else requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  select(items, kind) {
    this.view.selection = new Set(items);
    this.view.matches = new Set();
    this.seq = Date.now();
    this.paint();
    this.emit("lassoed", { kind, digest: this.points.digest, seq: this.seq, ids: toBase64(Int32Array.from(items)) });
  }

  pick(point, pane) {
    const item = this.points.item[point], channel = this.points.channels[this.points.channel[point]];
    this.emit("picked", { digest: this.points.digest, item, channel, stage: this.points.stages[this.view.nearestStage(pane)], seq: Date.now() });
  }

  dispose() {
    this.playing = false;
    this.observer.disconnect();
    this.scene.dispose();
  }
}
