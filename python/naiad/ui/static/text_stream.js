// Text that comes in many pieces, drawn once a frame: a fast model would leave the page no time for anything else.

export class TextStream {
  constructor(element, drawn = () => {}) {
    this.element = element;
    this.drawn = drawn;
    this.waiting = "";
    this.frame = 0;
  }

  add(text) {
    this.waiting += text;
    if (!this.frame) this.frame = requestAnimationFrame(() => this.flush());
  }

  // Draws what waits now.
  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.waiting) return;
    this.element.append(this.waiting);
    this.waiting = "";
    this.drawn();
  }
}
