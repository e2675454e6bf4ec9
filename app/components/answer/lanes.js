// The timeline in two lanes: first-stage hits above, second-stage weights below (exact up, approximate down). Five paths
// whatever the number of events; `brush.js` adds pointer and keyboard.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 256, LEFT = 68, RIGHT = 12, TOP = 34, ZERO = 140, REACH = 76, FOOT = 218;
const SHAPES = { // drawn around (x, y), so that shape tells what colour tells
  kept: (x, y) => `M${x - 4},${y}a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z`,
  lost: (x, y) => `M${x - 4},${y - 4}l8,8m0,-8l-8,8`,
  gained: (x, y) => `M${x},${y - 5}l5,9h-10z`,
};
const SIGNS = { kept: "●", lost: "✕", gained: "▲" };
const HOUR = 3.6e6, DAY = 24 * HOUR, MONTH = 30.4 * DAY;

function sharp(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const moment = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");

function ticks(low, high, most) {
  const span = high - low;
  const step = [HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY].find((size) => span / size <= most);
  if (step) {
    const first = Math.ceil(low / step) * step;
    return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, n) => first + n * step)
      .map((at) => [at, step < DAY ? moment(at).slice(5) : moment(at).slice(0, 10)]);
  }
  const months = [1, 3, 6, 12, 24, 60, 120, 240].find((size) => span / (size * MONTH) <= most) ?? 600;
  const found = [], start = new Date(low);
  for (let month = Math.ceil(start.getUTCMonth() / months) * months; ; month += months) {
    const at = Date.UTC(start.getUTCFullYear(), month, 1);
    if (at > high) return found;
    if (at >= low) found.push([at, moment(at).slice(0, months < 12 ? 7 : 4)]);
  }
}

class Lanes {
  constructor(asking) {
    this.asking = asking;
    this.root = el("div", "lanes");
    this.legend = el("div", "legend");
    this.stage = el("div", "stage");
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "application");
    this.tip = el("div", "tip");
    this.tip.hidden = true;
    this.said = el("div", "said");
    this.said.setAttribute("aria-live", "polite");
    this.says = el("p", "says");
    this.root.append(this.legend, this.stage, this.says, this.said);
    this.cursor = -1;
    this.listen();
    this.width = 0;
    this.observer = new ResizeObserver(() => { if (this.stage.clientWidth !== this.width) this.draw(); });
    this.observer.observe(this.stage);
  }

  show(lanes, arrays, head) {
    const under = this.cursor < 0 ? undefined : this.arrays.event[this.cursor];
    Object.assign(this, { lanes, arrays, head });
    this.stage.setAttribute("aria-label", `${lanes.alt} Arrow keys step through the events, Enter chooses one; with Shift ` +
      "they mark a period, which Enter leaves out. The table below says the same.");
    this.says.textContent = lanes.says;
    const counts = head.verdicts.map((_, code) => arrays.verdict.reduce((sum, one) => sum + (one === code), 0));
    this.legend.replaceChildren();
    head.verdicts.forEach((name, code) => {
      const entry = el("span", "", `${SIGNS[name]} ${name} (${counts[code]})`);
      entry.style.setProperty("--ink", head.colours[name]);
      this.legend.append(entry);
    });
    for (const [name, words] of [["kept", "┃ exact weight, up"], ["approx", "┇ approximate weight, down"]]) {
      const entry = el("span", "", words);
      entry.style.setProperty("--ink", head.colours[name]);
      this.legend.append(entry);
    }
    const picture = el("button", "picture", lanes.picture.toUpperCase());
    picture.type = "button";
    picture.title = `Save the timeline as a picture (${lanes.picture.toUpperCase()})`;
    picture.setAttribute("aria-label", picture.title);
    picture.onclick = () => this.save();
    this.legend.append(picture);
    this.cursor = under === undefined ? -1 : arrays.event.indexOf(under);
    this.marked = null;
    this.draw();
  }

  x(time) {
    const [low, high] = this.lanes.span;
    return LEFT + ((time - low) / Math.max(high - low, 1)) * (this.width - LEFT - RIGHT);
  }

  time(x) {
    const [low, high] = this.lanes.span, share = (x - LEFT) / Math.max(this.width - LEFT - RIGHT, 1);
    return low + Math.min(Math.max(share, 0), 1) * (high - low);
  }

  draw() {
    this.width = this.stage.clientWidth;
    if (!this.lanes || !this.width) return;
    const { width, arrays, head } = this, { colours, verdicts } = head, n = arrays.event.length;
    let top = 1e-9;
    for (let i = 0; i < n; i++) top = Math.max(top, arrays.exact[i], arrays.approx[i]);
    const marks = verdicts.map(() => ""), up = [], down = [], chosen = [];
    this.xs = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const x = (this.xs[i] = Math.round(10 * this.x(arrays.time[i])) / 10);
      marks[arrays.verdict[i]] += SHAPES[verdicts[arrays.verdict[i]]](x, TOP);
      if (arrays.exact[i]) up.push(`M${x},${ZERO}V${(ZERO - (REACH * arrays.exact[i]) / top).toFixed(1)}`);
      if (arrays.approx[i]) down.push(`M${x},${ZERO}V${(ZERO + (REACH * arrays.approx[i]) / top).toFixed(1)}`);
      if (this.lanes.chosen.includes(arrays.event[i])) chosen.push(x);
    }
    const svg = sharp("svg", { xmlns: SVG, width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true",
      "font-family": "sans-serif", "font-size": 11, color: getComputedStyle(this.root).color });
    const text = (x, y, words, anchor = "end") => svg.append(sharp("text", { x, y, fill: "currentColor", "text-anchor": anchor }, words));
    const line = (d, stroke, more = {}) => svg.append(sharp("path", { d, stroke, fill: "none", "stroke-width": 2, ...more }));
    for (const [share, y] of [[1, ZERO - REACH], [0.5, ZERO - REACH / 2], [0, ZERO], [0.5, ZERO + REACH / 2], [1, ZERO + REACH]]) {
      line(`M${LEFT},${y}H${width - RIGHT}`, "currentColor", { "stroke-width": 1, opacity: share ? 0.12 : 0.5 });
      text(LEFT - 6, y + 4, Number((share * top).toPrecision(2)).toString());
    }
    text(LEFT - 6, TOP + 4, "first stage");
    for (const [at, words] of ticks(...this.lanes.span, Math.max(2, Math.floor((width - LEFT) / 80)))) {
      line(`M${this.x(at).toFixed(1)},${FOOT}v5`, "currentColor", { "stroke-width": 1, opacity: 0.6 });
      text(this.x(at), HEIGHT - 20, words, this.x(at) > width - 60 ? "end" : "middle");
    }
    text(width - RIGHT, HEIGHT - 5, `time (${this.lanes.zone})`);
    line(up.join(""), colours.kept);
    line(down.join(""), colours.approx, { "stroke-dasharray": "3 2" });
    verdicts.forEach((name, code) => svg.append(sharp("path", { d: marks[code], stroke: colours[name], "stroke-width": name === "lost" ? 2 : 1,
      fill: name === "lost" ? "none" : colours[name], "fill-opacity": 0.8 })));
    for (const x of chosen) svg.append(sharp("circle", { cx: x, cy: TOP, r: 9, fill: "none", stroke: "currentColor", "stroke-width": 2 }));
    this.shade = sharp("rect", { y: 12, height: FOOT - 12, fill: "currentColor", opacity: 0.15, visibility: "hidden" });
    this.ring = sharp("path", { stroke: "currentColor", "stroke-width": 1, fill: "none", visibility: "hidden" });
    svg.append(this.shade, this.ring);
    this.svg = svg;
    this.stage.replaceChildren(svg, this.tip);
    this.point(this.cursor, false);
  }

  async save() {
    const whole = this.svg.cloneNode(true);
    whole.prepend(sharp("rect", { width: this.width, height: HEIGHT, fill: getComputedStyle(this.root).backgroundColor }));
    const file = new Blob([new XMLSerializer().serializeToString(whole)], { type: "image/svg+xml" });
    const link = document.createElement("a");
    link.download = `lanes.${this.lanes.picture}`;
    link.href = URL.createObjectURL(file);
    if (this.lanes.picture === "png") {
      const image = new Image();
      image.src = link.href;
      await image.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * this.width, 2 * HEIGHT];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      link.href = canvas.toDataURL("image/png");
    }
    link.click();
  }
}
