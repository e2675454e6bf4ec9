// One card: a picture with text that can be chosen. Text is written with `textContent`, so markup in a title is shown as text.

const el = (tag, cls, text) => {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  return node;
};

function cardNode(card, choose) {
  const node = el(card.id === undefined ? "div" : "button",
    ["card", card.tone || "", card.chosen ? "chosen" : ""].join(" ").trim());
  if (card.id !== undefined) {
    node.type = "button";
    node.dataset.id = card.id;
    node.setAttribute("aria-pressed", card.chosen ? "true" : "false");
    node.onclick = () => choose(card.id);
  }
  if (card.image) {
    const image = el("img");
    image.src = card.image; image.alt = card.title || "picture"; image.loading = "lazy";
    node.append(image);
  } else {
    node.append(el("span", "none", "no picture"));
  }
  const words = el("span", "words");
  words.append(el("span", "title", card.title || "(no title)"));
  if (card.query) words.append(el("span", "query", "“" + card.query + "”"));
  for (const line of card.lines || []) words.append(el("span", "line", line));
  if (card.mark) words.append(el("span", "mark", card.mark));
  node.append(words);
  return node;
}

// What stands for the same thing before and after nodes are replaced; of equal ones the second is marked `'`, and so on.
function marked(parent, selector) {
  const found = new Map();
  for (const node of parent.querySelectorAll(selector)) {
    let mark = `${node.classList[0]} ${node.dataset.id ?? node.dataset.of ?? node.textContent}`;
    while (found.has(mark)) mark += "'";
    found.set(mark, node);
  }
  return found;
}

// Focus and swept rows are where they were after `replace`; where the focused node has gone, the one in its place has it.
function keepingPlace(parent, replace) {
  const can = "button, [tabindex]", focused = parent.getRootNode().activeElement;
  const before = parent.contains(focused) ? [...marked(parent, can)] : [], at = before.findIndex(([, node]) => node === focused);
  const swept = [...marked(parent, ".row")].filter(([, row]) => row.scrollLeft).map(([name, row]) => [name, row.scrollLeft]);
  replace();
  if (at >= 0) {
    const now = marked(parent, can), nodes = [...now.values()];
    (now.get(before[at][0]) ?? nodes[Math.min(at, nodes.length - 1)])?.focus({ preventScroll: true });
  }
  if (!swept.length) return;
  const rows = marked(parent, ".row");
  for (const [name, left] of swept) if (rows.has(name)) rows.get(name).scrollLeft = left;
}
