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
