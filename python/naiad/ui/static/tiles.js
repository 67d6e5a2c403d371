// Single figures with their names.

import { h, say } from "./dom.js";

export class Tiles {
  // `names`: of the figures, in order.
  constructor(names) {
    this.places = new Map(names.map((name) => [name, { value: h("dd", {}), note: h("dd", { class: "muted" }) }]));
    this.element = h("dl", { class: "tiles" }, [...this.places].map(([name, place]) => h("div", { class: "card tile" },
      h("dt", {}, name), place.value, place.note)));
  }

  set(name, value, note = "", tone = "") {
    const place = this.places.get(name);
    say(place.value, value);
    say(place.note, note);
    place.value.className = tone;
  }
}
