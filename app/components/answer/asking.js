// Questions to the server, one at a time: while one is under way the newest value of each kind waits. So an answer is drawn
// for as many places of a moving slider as the server can answer, and the last place is always asked for.

const PATIENCE_MS = 3000; // an answer that was overtaken by another run of the page may never come

class Asking {
  constructor() {
    this.send = () => {};
    this.waiting = [];
    this.under = 0;
  }

  get busy() { return this.under > 0 || this.waiting.length > 0; }

  ask(what, value, { gesture = "", done = true } = {}) {
    this.waiting = this.waiting.filter((one) => one.what !== what);
    this.waiting.push({ what, value, gesture, done });
    this.next();
  }

  next() {
    if (!this.waiting.length || this.under) return;
    const turn = (window.seminarAnswerTurn = (window.seminarAnswerTurn ?? 0) + 1);
    this.under = turn;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.answered(turn), PATIENCE_MS);
    this.send({ ...this.waiting.shift(), turn });
  }

  answered(turn) {
    if (!this.under || turn < this.under) return;
    this.under = 0;
    clearTimeout(this.timer);
    this.next();
  }
}
