// The component: controls, pointer and keyboard, hover card, and what goes back to the page (picked, lassoed, no WebGL2).

const SLOW_FRAME_MS = 33; // 30 pictures a second

const hubs = () => (window.seminarMaps ??= {});

function make(tag, attributes = {}, text = "") {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

class AlignmentMap {
  constructor(root, hub) {
    Object.assign(this, { root, hub, grids: [], density: new Density(), hover: null, seq: 0, dirty: false, drag: null });
    this.$ = (selector) => root.querySelector(selector);
    this.stage = this.$(".stage");
    this.scene = new Scene(this.$("canvas.gl"));
    this.ink = this.$("canvas.ink").getContext("2d");
    this.shade = this.$("canvas.shade").getContext("2d");
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
    if (this.points?.digest === wire.head.digest) {
      this.goOn();
      return this.draw();
    }
    const before = this.points, same = this.take(new Points(wire));
    this.buildControls();
    this.resize();
    this.order = Scene.shuffle(this.points.n);
    this.old = before?.xy;
    this.fill();
    if (same && before.xy.length === this.points.xy.length && !this.calm) this.morph();
    this.root.dataset.points = String(this.points.n);
    this.root.dataset.panes = String(this.view.panes.length);
    this.goOn();
  }

  take(points) { // whether they are the points that were there, laid out anew
    const same = Boolean(this.points?.sameAs(points));
    this.points = points;
    this.grids = [];
    this.view.show(points);
    this.seq = -1; // positions mean other items on another map: the selection comes with its style
    if (!same) {
      this.view.forget();
      this.hover = null;
      this.$(".card").hidden = true;
      this.$(".search input").value = this.$(".search output").textContent = "";
    }
    return same;
  }

  fill() {
    this.points.xy.forEach((xy, k) => this.scene.put(`xy_${k}`, xy));
    this.scene.put("shape", this.points.channel.map((c) => SHAPES[this.points.head.shapes[this.points.channels[c]]]));
    this.paint();
  }

  restore() { // after a sleep or a reset of the graphics card
    this.scene.prepare();
    if (this.morphing !== undefined) this.old.forEach((xy, k) => this.scene.put(`old_${k}`, xy));
    if (this.points) this.fill();
  }

  goOn() { // with a film that ran when its map was taken away, or when another view was looked at
    if (this.hub.playing && !this.playing && this.view.film) this.play();
  }

  morph() { // the same points in a new layout: let the eye follow
    this.old.forEach((xy, k) => this.scene.put(`old_${k}`, xy));
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
    if (this.view.style?.colour?.title !== colour?.title) this.view.hiddenCodes.clear();
    this.view.style = { ...style, colour };
    this.view.worst = new Int32Array(fromBase64(style.worst).buffer);
    if (this.view.multiples !== style.multiples) {
      this.view.multiples = style.multiples;
      this.setHover(null);
      this.width = undefined; // the panes are arranged anew
      this.view.fitted = false;
      this.resize();
    }
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
    this.$(".mode select").value = view.mode;
    this.$("[data-act=gap]").setAttribute("aria-pressed", String(view.gap));
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
    for (const canvas of [this.scene.gl.canvas, this.ink.canvas, this.shade.canvas]) {
      canvas.width = Math.round(size.width * ratio);
      canvas.height = Math.round(size.height * ratio);
    }
    if (!first || !this.view.fitted) this.view.fit();
    this.$(".labels").replaceChildren(...this.view.panes.flatMap((p, k) => {
      const label = make("span", { style: `left:${p.left}px;top:${p.top}px`, "data-pane": String(k) }, this.label(p));
      const edge = make("i", { style: `left:${p.left}px;top:${p.top}px;width:${p.left ? 1 : 0}px;height:${p.height}px` });
      return [label, edge];
    }));
    this.root.dataset.panes = String(this.view.panes.length);
    this.draw();
  }

  label(pane) {
    const { stages, head, channels } = this.points, k = this.view.nearestStage(pane), told = [stages[k]];
    if (head.notes?.[k]) told.push(head.notes[k]);
    if (pane.channel >= 0) told.push(head.names[channels[pane.channel]]);
    else if (this.gapOf(k) !== null) told.push(`${this.view.pair === "all" || this.view.pair === "none" ? "mean gap" : "gap"} ${this.gapOf(k).toFixed(2)}`);
    return told.join(" · ");
  }

  gapOf(stage) { // distance of the centroids in the original space: of the chosen pair, else the mean of all
    const { pairs, head } = this.points, { pair } = this.view;
    const known = head.gaps[stage].filter((gap, at) => gap !== null && (pair === "all" || pair === "none" || pairs[at].join("") === pair));
    return known.length ? known.reduce((sum, gap) => sum + gap, 0) / known.length : null;
  }

  relabel() {
    for (const span of this.root.querySelectorAll(".labels span")) span.textContent = this.label(this.view.panes[Number(span.dataset.pane)]);
  }

  paint() {
    const { colour, state } = (this.look = this.view.paint());
    this.view.findCentroids();
    this.scene.put("colour", colour);
    this.scene.put("state", state);
    this.shown = state.reduce((sum, s) => sum + (s > HIDDEN), 0);
    const lines = this.view.lines();
    this.scene.lineCount = lines.count;
    this.joined = lines.joined;
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
        const button = make("button", { type: "button", "data-code": String(code), "aria-pressed": String(!view.hiddenCodes.has(code)), title: "Hide or show; with Shift: this one alone" });
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
    this.writeStatus();
  }

  draw() {
    if (this.dirty) return;
    this.dirty = true;
    const asked = performance.now();
    requestAnimationFrame(() => {
      this.dirty = false;
      if (!this.points || !this.width) return;
      this.waitedMs = performance.now() - asked;
      this.render();
      if (this.moving) this.judge();
    });
  }

  writeStatus() {
    const { view } = this, words = [`${this.shown.toLocaleString("en")} points`], of = view.joinedOf;
    if (this.scene.lineCount) {
      const which = of ? (of > MOST_JOINED ? `the first ${MOST_JOINED.toLocaleString("en")} of ${of.toLocaleString("en")} marked items` : "marked items") : `the ${this.joined} worst aligned items`;
      words.push(`${this.scene.lineCount.toLocaleString("en")} lines of ${which}`);
    } else words.push("lines of the item under the pointer");
    if (this.coarse) words.push("density alone while it moves: points are too slow here");
    else if (this.crowded) words.push(`${Math.round((100 * this.crowded) / Math.max(this.inPanes, 1))} % of them as density, where they overlap`);
    if (view.selection.size) words.push(`${view.selection.size.toLocaleString("en")} items selected`);
    const text = words.join(" · ");
    if (this.$(".status").textContent !== text) this.$(".status").textContent = text;
  }

  // A redraw while something moves: where points come too slowly, density stands in for them until the movement ends.
  drawMoving() {
    this.moving = true;
    clearTimeout(this.settling);
    this.draw();
  }

  judge() { // after each picture of a movement: was it late, or slow to prepare?
    if (!this.coarse && Math.max(this.waitedMs, this.renderMs) > SLOW_FRAME_MS) this.slowFrames = (this.slowFrames ?? 0) + 1;
    if (this.slowFrames > 1) this.coarse = true;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => { this.moving = this.coarse = false; this.slowFrames = 0; this.draw(); }, 160);
  }

  render() {
    const { view, scene, ratio, shade } = this, started = performance.now(), mode = MODES[this.coarse ? "density" : view.mode];
    const look = {
      ratio, range: [view.low - 0.006, view.high + 0.006],
      size: Math.min(14, (this.points.n > 20000 ? 3.5 : 5) * (view.multiples ? 0.7 : 1) * Math.max(1, Math.sqrt(view.scale / view.fitScale))),
    };
    scene.clear();
    shade.setTransform(ratio, 0, 0, ratio, 0, 0);
    shade.clearRect(0, 0, shade.canvas.width, shade.canvas.height);
    this.crowded = this.inPanes = 0;
    for (const pane of view.panes) {
      const frame = {
        left: Math.round(pane.left * ratio), width: Math.round(pane.width * ratio), height: Math.round(pane.height * ratio),
        bottom: scene.gl.canvas.height - Math.round((pane.top + pane.height) * ratio),
      };
      const [from, to, mix] = view.between(pane), morphing = this.morphing !== undefined, { xy } = this.points;
      const between = morphing ? [this.old[from], xy[from], this.morphing] : [xy[from], xy[to], mix];
      const cut = this.density.cut(pane, view, between, this.look, this.order, this.points.channel, pane.channel, mode);
      this.crowded += cut.crowded;
      this.inPanes += cut.crowded + cut.points.length;
      shade.save();
      shade.beginPath();
      shade.rect(pane.left, pane.top, pane.width, pane.height);
      shade.clip();
      this.density.paint(shade, pane);
      shade.restore();
      Object.assign(look, { points: cut.points, lines: scene.lineCount > 0 && !morphing });
      if (morphing) {
        scene.buffers.set("xy_old", scene.buffers.get(`old_${from}`));
        scene.pane(frame, view, "old", from, this.morphing, look);
      } else scene.pane(frame, view, from, to, mix, look);
    }
    this.writeInk();
    this.writeStatus();
    this.root.dataset.drawn = this.crowded ? (this.crowded < this.inPanes ? "both" : "density") : "points";
    this.renderMs = performance.now() - started;
    this.root.dataset.renderMs = this.renderMs.toFixed(1);
  }

  grid(stage) { return (this.grids[stage] ??= new Grid(this.points.xy[stage], this.points.bounds)); }

  pointAt(sx, sy) {
    const pane = this.view.paneAt(sx, sy), [x, y] = this.view.toData(pane, sx, sy);
    const found = this.grid(this.view.nearestStage(pane)).nearest(x, y, 12 / this.view.scale, (p) => this.view.drawsIn(pane, p));
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

  setFrame(frame) {
    this.view.frame = frame;
    this.$(".film input").value = String(frame);
    this.$(".film output").textContent = this.points.stages[Math.round(frame)];
    this.relabel();
    this.remember();
    this.drawMoving();
  }

  play() {
    const button = this.$("[data-act=play]"), last = this.points.stages.length - 1;
    this.playing = this.hub.playing = !this.playing;
    button.textContent = this.playing ? "Pause" : "Play";
    button.setAttribute("aria-pressed", String(this.playing));
    if (!this.playing) return;
    if (this.view.frame >= last) this.setFrame(0);
    let before = performance.now();
    const step = (now) => {
      if (!this.playing) return;
      if (!this.root.isConnected || !this.view.film) {
        this.playing = false;
        return;
      }
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
    this.seq = Math.max(Date.now(), this.seq + 1);
    this.paint();
    this.emit("lassoed", { kind, digest: this.points.digest, seq: this.seq, ids: toBase64(Int32Array.from(items)) });
  }

  pick(point, pane) {
    const item = this.points.item[point], channel = this.points.channels[this.points.channel[point]];
    this.emit("picked", { digest: this.points.digest, item, channel, stage: this.points.stages[this.view.nearestStage(pane)], seq: Date.now() });
  }

  pickNone() { this.emit("picked", { digest: this.points.digest, item: null, seq: Date.now() }); }

  dispose() {
    this.playing = false;
    this.observer.disconnect();
    this.scene.dispose();
  }
}
