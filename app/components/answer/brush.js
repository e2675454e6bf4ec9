// Pointer and keyboard of the lanes: what is under the pointer, an event that is chosen, a period that is left out.

const NEAR = 12, STEADY = 4; // pixels

Object.assign(Lanes.prototype, {
  listen() {
    const x = (event) => event.clientX - this.stage.getBoundingClientRect().left;
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button || !this.xs) return;
      this.drag = { from: x(event), to: x(event) };
      this.stage.setPointerCapture(event.pointerId);
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!this.drag) return this.point(this.near(x(event)), false);
      this.drag.to = x(event);
      if (this.wide()) this.mark(this.time(this.drag.from), this.time(this.drag.to));
    });
    this.stage.addEventListener("pointerup", (event) => {
      const wide = this.drag && this.wide(), click = this.drag && !wide;
      this.drag = null;
      if (wide) this.leaveOut();
      else if (click) this.choose(this.near(x(event)));
    });
    this.stage.addEventListener("pointercancel", () => { this.drag = null; this.unmark(); });
    this.stage.addEventListener("pointerleave", () => { if (!this.drag) this.point(-1, false); });
    this.stage.addEventListener("keydown", (event) => this.key(event));
  },

  wide() { return Math.abs(this.drag.to - this.drag.from) > STEADY; },

  near(x) {
    let found = -1, best = NEAR;
    (this.xs ?? []).forEach((at, i) => { if (Math.abs(at - x) < best) { best = Math.abs(at - x); found = i; } });
    return found;
  },

  point(i, aloud) {
    this.cursor = i;
    const there = i >= 0 && this.xs && i < this.xs.length;
    this.tip.hidden = !there;
    this.ring?.setAttribute("visibility", there ? "visible" : "hidden");
    if (!there) return;
    const { arrays, head, lanes } = this, x = this.xs[i];
    const lines = [
      lanes.titles[arrays.title[i]] || "(no title)",
      `${moment(arrays.time[i])} · event ${arrays.event[i]} · ${head.verdicts[arrays.verdict[i]]}`,
      `weight ${arrays.exact[i].toFixed(4)} exact, ${arrays.approx[i].toFixed(4)} approximate`,
    ];
    this.tip.replaceChildren(...lines.map((words, n) => el(n ? "span" : "b", "", words)));
    this.tip.style.left = `${Math.min(Math.max(x - 110, 0), Math.max(this.width - 230, 0))}px`;
    this.ring.setAttribute("d", `M${x},${TOP + 8}V${FOOT}`);
    if (aloud) this.said.textContent = lines.join("; ");
  },

  mark(from, to) {
    this.marked = [Math.min(from, to), Math.max(from, to)];
    const [low, high] = this.marked.map((time) => this.x(time));
    for (const [name, value] of Object.entries({ x: low, width: Math.max(high - low, 1), visibility: "visible" })) this.shade.setAttribute(name, value);
  },

  unmark() {
    this.marked = this.anchor = null;
    this.shade?.setAttribute("visibility", "hidden");
  },

  leaveOut() {
    if (this.marked) this.asking.ask("period", this.marked);
    this.anchor = null;
  },

  choose(i) { if (i >= 0) this.asking.ask("event", String(this.arrays.event[i])); },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own: zoom, print, back
    const n = this.xs?.length ?? 0, from = this.cursor;
    const places = { ArrowLeft: from < 0 ? n - 1 : from - 1, ArrowRight: from + 1, Home: 0, End: n - 1 }; // -1: no event yet
    if (event.key in places && n) {
      const to = Math.min(Math.max(places[event.key], 0), n - 1);
      if (event.shiftKey) {
        this.anchor ??= this.arrays.time[from < 0 ? to : from];
        this.mark(this.anchor, this.arrays.time[to]);
      } else this.unmark();
      this.point(to, true);
      if (this.marked) this.said.textContent = `marked ${moment(this.marked[0])} to ${moment(this.marked[1])}; Enter leaves it out`;
    } else if (event.key === "Enter" || event.key === " ") {
      if (this.marked) this.leaveOut();
      else this.choose(this.cursor);
    } else if (event.key === "Escape") {
      this.unmark();
      this.point(-1, false);
    } else return;
    event.preventDefault();
  },
});
