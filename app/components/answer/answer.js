// The whole answer: headline, dials, lanes, lists; and the entry that Streamlit calls.

class Answer {
  constructor(root) {
    this.root = root;
    this.asking = new Asking();
    this.dials = new Dials(this.asking);
    this.lanes = new Lanes(this.asking);
    this.lists = new Lists(this.asking);
    this.headline = el("div", "headline");
    this.changed = el("p", "changed"); // below the dials: what appears above them would move a slider that is held
    root.append(this.headline, this.dials.root, this.changed, this.lanes.root, this.lists.root);
    this.drawn = 0;
  }

  show({ head, arrays }) {
    if (head.digest === this.digest) return this.asking.answered(head.turn);
    const started = performance.now();
    this.digest = head.digest;
    this.asking.answered(head.turn);
    this.dials.show(head.dials);
    this.changed.hidden = !head.headline?.changed;
    for (const part of [this.headline, this.lanes.root, this.lists.root]) part.hidden = !head.headline;
    if (head.headline) {
      this.sayHeadline(head.headline);
      this.lanes.show(head.lanes, arrays, head);
      this.lists.show(head.lists, head.pictures);
    }
    this.root.dataset.drawn = ++this.drawn;
    this.root.dataset.turn = head.turn;
    this.root.dataset.drawMs = (performance.now() - started).toFixed(1);
  }

  sayHeadline({ says, numbers, facts, changed }) {
    const sentence = (this.sentence ??= Object.assign(el("p", "sentence"), { role: "status" }));
    if (sentence.textContent !== says) sentence.textContent = says;
    const list = el("dl", "numbers");
    for (const { label, value, change, help } of numbers) {
      const one = el("div");
      one.title = help;
      one.dataset.label = label;
      one.append(el("dt", "", label), el("dd", "", value));
      one.append(el("dd", "change", change));
      list.append(one);
    }
    this.headline.replaceChildren(sentence, list, el("p", "facts", facts));
    if (changed) this.changed.replaceChildren(el("b", "", changed.what), ` · ${changed.events}`);
  }

  dispose() { this.lanes.observer.disconnect(); }
}

const living = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".answer");
  if (!root || !data) return;
  let answer = living.get(root);
  if (!answer) living.set(root, (answer = new Answer(root)));
  answer.asking.send = (value) => setTriggerValue("asked", value);
  answer.show(unpack(data));
  return () => {
    if (root.isConnected) return; // newer data overtook this call while its module was loading: the answer itself goes on
    living.delete(root);
    answer.dispose();
  };
}
