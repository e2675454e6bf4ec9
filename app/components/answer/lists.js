// The kept events as cards: the differences first, then what both kept. A card that has not changed keeps its node,
// focus stays on what has it, and a picture that has come once is kept by the window.

class Lists {
  constructor(asking) {
    this.asking = asking;
    this.root = el("div", "groups");
    this.nodes = new Map();
  }

  show(lists, pictures) {
    const kept = (window.seminarPictures ??= {}), missing = new Set(), nodes = new Map();
    Object.assign(kept, pictures);
    const parts = lists.groups.map((group) => {
      const section = el("section"), top = el("div", "head"), row = el("div", "row");
      top.append(el("b", "", group.heading), el("span", "", group.note));
      for (const card of group.cards) {
        if (card.picture && !(card.picture in kept)) missing.add(card.picture);
        const image = kept[card.picture] ?? "", key = JSON.stringify(card) + (image ? "+" : "-");
        const node = this.nodes.get(key) ?? cardNode({ ...card, image }, (id) => this.asking.ask("event", id));
        nodes.set(key, node);
        row.append(node);
      }
      section.append(top, row);
      return section;
    });
    this.nodes = nodes;
    if (lists.note) parts.unshift(el("p", "note", `✓ ${lists.note}`));
    if (lists.more) {
      const more = el("button", "more", "Show more");
      more.type = "button";
      more.onclick = () => this.asking.ask("more", true);
      parts.push(more);
    }
    keepingPlace(this.root, () => this.root.replaceChildren(...parts));
    if (missing.size) this.asking.ask("pictures", [...missing]);
  }
}
