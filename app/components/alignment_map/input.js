// Pointer, wheel and keyboard of the map, and the entry that Streamlit calls.

Object.assign(AlignmentMap.prototype, {
  listen() {
    const { stage, root } = this;
    const at = (event) => { const box = stage.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
    const { canvas } = this.scene.gl;
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault()); // or it never comes back
    canvas.addEventListener("webglcontextrestored", () => this.restore());
    stage.addEventListener("pointerdown", (event) => this.down(event, at(event)));
    stage.addEventListener("pointermove", (event) => this.move(event, at(event)));
    stage.addEventListener("pointerup", (event) => this.up(event, at(event)));
    stage.addEventListener("pointercancel", () => { this.drag = null; this.draw(); });
    stage.addEventListener("pointerleave", () => { if (!this.drag) this.setHover(null); });
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !stage.matches(":focus")) return; // the page scrolls until the map has been clicked
      event.preventDefault();
      const [x, y] = at(event);
      this.view.zoom(Math.exp(-event.deltaY * 0.0015), this.view.paneAt(x, y), x, y);
      this.remember();
      this.drawMoving();
    }, { passive: false });
    stage.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("click", (event) => this.click(event.target.closest("button"), event.shiftKey));
    this.$(".lines select").addEventListener("change", (event) => { this.view.pair = event.target.value; this.remember(); this.paint(); this.relabel(); });
    this.$(".mode select").addEventListener("change", (event) => { this.view.mode = event.target.value; this.remember(); this.draw(); });
    for (const side of ["low", "high"])
      this.$(`input.${side}`).addEventListener("input", (event) => {
        this.view[side] = Number(event.target.value) / 100;
        this.remember();
        this.writeLegend();
        this.draw();
      });
    this.$(".search input").addEventListener("input", (event) => this.search(event.target.value));
    this.$(".search input").addEventListener("keydown", (event) => { if (event.key === "Enter" && this.view.matches.size) this.select(this.view.matches, "search"); });
    this.$(".film input").addEventListener("input", (event) => this.setFrame(Number(event.target.value)));
  },

  click(button, alone) {
    if (!button || !this.points) return;
    const { tool, act, channel, code } = button.dataset, view = this.view;
    if (tool) this.setTool(tool);
    else if (act === "play") this.play();
    else if (act === "gap") {
      view.gap = !view.gap;
      button.setAttribute("aria-pressed", String(view.gap));
      this.remember();
      this.draw();
    }
    else if (act === "clear") { this.$(".search input").value = ""; this.$(".search output").textContent = ""; this.select([], "clear"); }
    else if (act) {
      const pane = view.panes[0];
      if (act === "fit") view.fit();
      else view.zoom(act === "in" ? 1.5 : 1 / 1.5, pane, pane.left + pane.width / 2, pane.top + pane.height / 2);
      this.remember();
      this.draw();
    } else if (channel) {
      const hidden = view.hiddenChannels.includes(channel);
      if (!hidden && view.hiddenChannels.length === this.points.channels.length - 1) return; // one modality stays
      view.hiddenChannels = hidden ? view.hiddenChannels.filter((c) => c !== channel) : [...view.hiddenChannels, channel];
      button.setAttribute("aria-pressed", String(hidden));
      this.remember();
      this.paint();
    } else if (code !== undefined) {
      const n = view.style.colour.legend.length, others = [...Array(n).keys()].filter((c) => c !== Number(code));
      if (alone) view.hiddenCodes = new Set(view.hiddenCodes.size === n - 1 && !view.hiddenCodes.has(Number(code)) ? [] : others);
      else if (!view.hiddenCodes.delete(Number(code))) view.hiddenCodes.add(Number(code));
      this.paint();
    }
  },

  search(text) {
    const wanted = text.trim().toLowerCase(), titles = this.points.head.titles ?? [];
    this.view.matches = new Set();
    if (wanted) titles.forEach((title, i) => { if (title.toLowerCase().includes(wanted)) this.view.matches.add(i); });
    this.$(".search output").textContent = wanted ? `${this.view.matches.size} found` : "";
    this.paint();
  },

  down(event, [x, y]) {
    if (event.button !== 0) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const tool = event.shiftKey ? "lasso" : this.view.tool;
    this.drag = { x, y, tool, from: [x, y], pane: this.view.paneAt(x, y), moved: false, path: tool === "pan" ? null : [[x, y]] };
  },

  move(event, [x, y]) {
    const { drag, view } = this;
    if (!this.points) return;
    if (!drag) {
      const [point, pane] = this.pointAt(x, y);
      return this.setHover(point < 0 ? null : point, pane);
    }
    if (Math.hypot(x - drag.from[0], y - drag.from[1]) > 4 && !drag.moved) {
      drag.moved = true;
      this.setHover(null); // its card would stand over what is drawn around
    }
    if (drag.tool === "box") drag.path = [drag.from, [x, drag.from[1]], [x, y], [drag.from[0], y]];
    else if (drag.path) drag.path.push([x, y]);
    else if (drag.moved) {
      view.x -= (x - drag.x) / view.scale;
      view.y += (y - drag.y) / view.scale;
    }
    drag.x = x;
    drag.y = y;
    this.drawMoving();
  },

  up(event, [x, y]) {
    const { drag, view } = this;
    this.drag = null;
    if (!drag || !this.points) return;
    if (drag.path && drag.moved && drag.path.length > 2) {
      const polygon = drag.path.map(([px, py]) => view.toData(drag.pane, px, py));
      this.select(view.within(drag.pane, polygon), drag.tool);
    } else if (!drag.moved) {
      const [point, pane] = this.pointAt(x, y);
      if (point >= 0) { this.setHover(point, pane); this.pick(point, pane); }
    }
    this.remember();
    this.draw();
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own: zoom, print, back
    const { view } = this, step = 60 / view.scale, pane = this.hoverPane ?? view.panes[0];
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) { view.x += moves[event.key][0]; view.y += moves[event.key][1]; }
    else if (event.key === "+" || event.key === "=") view.zoom(1.25, pane, pane.left + pane.width / 2, pane.top + pane.height / 2);
    else if (event.key === "-") view.zoom(0.8, pane, pane.left + pane.width / 2, pane.top + pane.height / 2);
    else if (event.key === "0") view.fit();
    else if (event.key === "n" || event.key === "p") this.walk(event.key === "n" ? 1 : -1);
    else if (event.key === "l" || event.key === "b") {
      const tool = event.key === "l" ? "lasso" : "box";
      this.setTool(view.tool === tool ? "pan" : tool);
    } else if (event.key === "s" && this.hover !== null) this.toggle(this.points.item[this.hover]);
    else if (event.key === "Enter" && this.hover !== null) this.pick(this.hover, pane);
    else if (event.key === "Escape") {
      this.setHover(null);
      if (view.marked) this.select([], "clear"); // which lets go of what was picked as well
      else if (view.style?.neighbours) this.pickNone();
    }
    else return;
    event.preventDefault();
    this.remember();
    this.draw();
  },

  toggle(item) { // into the selection or out of it
    const chosen = new Set(this.view.selection);
    if (!chosen.delete(item)) chosen.add(item);
    this.select(chosen, "key");
  },

  walk(step) { // to the next visible point inside the first pane
    const pane = this.view.panes[0], { n } = this.points;
    let p = this.hover ?? (step > 0 ? -1 : n);
    for (let tried = 0; tried < n; tried++) {
      p = (p + step + n) % n;
      const [x, y] = this.place(pane, p);
      if (this.view.drawsIn(pane, p) && x > pane.left && x < pane.left + pane.width && y > pane.top && y < pane.top + pane.height) break;
    }
    this.setHover(p, pane);
    const title = this.points.head.titles?.[this.points.item[p]] ?? `item ${this.points.item[p]}`;
    this.$(".status").textContent = `${title}, ${this.points.head.names[this.points.channels[this.points.channel[p]]]}`;
  },
});

const living = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".am");
  if (!root || !data) return;
  let map = living.get(root);
  if (!map) {
    const key = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true)))).key;
    const hub = (hubs()[key] ??= {});
    try {
      map = new AlignmentMap(root, hub);
    } catch (error) {
      root.textContent = "This browser offers no WebGL2; the page draws the map with Plotly instead.";
      setTriggerValue("no_webgl2", true); // each time: Streamlit may put a map that is tried again into the same place
      return;
    }
    living.set(root, map);
    hub.map = map;
  }
  map.emit = setTriggerValue;
  map.load(data);
  if (map.hub.style) map.restyle(map.hub.style);
  return () => {
    if (root.isConnected) return; // newer data overtook this call while its module was loading: the map itself goes on
    living.delete(root);
    if (map.hub.map === map) map.hub.map = undefined;
    map.dispose();
  };
}
