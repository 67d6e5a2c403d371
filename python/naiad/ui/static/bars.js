// A distribution as bars: a list, so that each bar is also read.

import { h } from "./dom.js";

export class Bars {
  constructor({ title, note, show, unit }) {
    this.show = show;
    this.unit = unit;
    this.list = h("ol", { class: "bars" });
    this.words = h("p", { class: "muted empty" });
    this.element = h("figure", { class: "card chart", "aria-label": title },
      h("figcaption", {}, h("h3", {}, title), h("span", { class: "note" }, note)), this.words, this.list);
  }

  // `rows`: [[label, value]] in their order. Many are joined, neighbours together.
  update(rows, empty) {
    this.words.hidden = rows.length > 0;
    this.words.textContent = empty;
    const joined = join(rows, 14);
    const highest = Math.max(1e-9, ...joined.map(([, value]) => value));
    this.list.replaceChildren(...joined.map(([label, value]) => {
      const bar = h("span", { class: "fill", "aria-hidden": "true" });
      bar.style.height = `${Math.max(2, (value / highest) * 100)}%`;
      return h("li", { title: `${this.unit} ${label}: ${this.show(value)}` },
        h("span", { class: "amount" }, this.show(value)), h("span", { class: "column" }, bar),
        h("span", { class: "label" }, h("span", { class: "unseen" }, `${this.unit} `), label));
    }));
  }
}

function join(rows, limit) {
  const size = Math.ceil(rows.length / limit);
  if (size <= 1) return rows.map(([label, value]) => [String(label), value]);
  const joined = [];
  for (let place = 0; place < rows.length; place += size) {
    const part = rows.slice(place, place + size);
    const label = part.length > 1 ? `${part[0][0]}–${part.at(-1)[0]}` : String(part[0][0]);
    joined.push([label, part.reduce((sum, [, value]) => sum + value, 0)]);
  }
  return joined;
}
