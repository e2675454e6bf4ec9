// K and the four weights as sliders that ask while they move. Native inputs: arrow keys, Home and End work as everywhere.

const PAUSE_MS = 1500; // key presses that follow each other faster are one movement, and one step to undo

class Dials {
  constructor(asking) {
    this.asking = asking;
    this.root = el("div", "dials");
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", "What if: K and weights");
    this.movement = 0;
    this.moved = -Infinity;
    this.held = false;
  }

  show(dials) {
    if (!this.k) this.build(dials);
    this.dials = dials;
    if (!this.held && !this.asking.busy) { // what is being moved is ahead of its answers
      this.k.slider.max = Math.max(200, dials.k);
      this.k.slider.value = this.k.number.value = dials.k;
      for (const one of dials.weights) this.weights[one.channel].input.value = one.value;
    }
    this.own.disabled = dials.own;
    this.label();
  }

  build(dials) {
    const k = el("div", "dial k"), number = el("input"), slider = el("input");
    Object.assign(number, { type: "number", min: 1, max: dials.most_k });
    number.setAttribute("aria-label", "K per head");
    Object.assign(slider, { type: "range", min: 1, max: 200 });
    slider.setAttribute("aria-label", "K per head, slider");
    k.append(el("span", "name", "K per head"), number, slider);
    this.k = { number, slider };
    this.listen(slider, "k", () => { number.value = slider.value; return Number(slider.value); });
    number.onchange = () => {
      const value = Math.round(Math.min(Math.max(Number(number.value) || 1, 1), dials.most_k));
      number.value = value;
      slider.max = Math.max(200, value);
      slider.value = value;
      this.asking.ask("k", value);
    };
    this.root.append(k);
    this.weights = {};
    for (const one of dials.weights) {
      const dial = el("label", "dial"), name = el("span", "name"), input = el("input");
      Object.assign(input, { type: "range", min: 0, max: 1, step: 0.01 });
      dial.title = `the run's own weight is ${one.own.toFixed(2)}; weights are divided by their sum`;
      dial.append(name, input);
      this.weights[one.channel] = { name, input, called: one.name };
      this.listen(input, "weights", () => this.values());
      this.root.append(dial);
    }
    this.own = el("button", "own", "The run's own weights");
    this.own.type = "button";
    this.own.onclick = () => this.asking.ask("weights", []);
    this.root.append(this.own);
  }

  values() { return this.dials.weights.map((one) => Number(this.weights[one.channel].input.value)); }

  listen(input, what, value) {
    const start = (held) => {
      if (held || performance.now() - this.moved > PAUSE_MS || this.last !== input) this.movement += 1;
      this.last = input;
    };
    const ask = (done) => {
      this.moved = performance.now();
      this.label();
      this.asking.ask(what, value(), { gesture: `${what}-${performance.timeOrigin}-${this.movement}`, done });
    };
    input.addEventListener("pointerdown", () => { start(true); this.held = true; });
    input.addEventListener("keydown", () => start(false));
    input.addEventListener("input", () => ask(!this.held));
    input.addEventListener("change", () => { if (this.held) { this.held = false; ask(true); } });
    for (const end of ["pointerup", "pointercancel", "blur"]) input.addEventListener(end, () => setTimeout(() => { this.held = false; }));
  }

  label() {
    const masked = this.dials.masked, values = this.values();
    const total = this.dials.weights.reduce((sum, one, n) => sum + (masked.includes(one.channel) ? 0 : values[n]), 0) || 1;
    this.dials.weights.forEach((one, n) => {
      const { name, input, called } = this.weights[one.channel];
      const share = masked.includes(one.channel) ? "masked" : `${Math.round((100 * values[n]) / total)}%`;
      name.textContent = `${called} · ${share}`;
      input.setAttribute("aria-valuetext", `${values[n].toFixed(2)}, ${share}`);
    });
  }
}
