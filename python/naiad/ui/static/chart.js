// Lines over time as SVG, with their last values in words and all of them in a table.

import { h, s, say, newId } from "./dom.js";
import * as format from "./format.js";

const HEIGHT = 168;
const EDGE = { top: 10, right: 10, bottom: 22, left: 52 };
const MAX_ROWS = 40;

// Round steps for an axis that begins at 0: decimal ones, or those of bytes.
function ticks(top, binary, wanted = 3) {
  const unit = binary ? 1024 ** Math.max(0, Math.floor(Math.log2(top / wanted) / 10)) : 1;
  const rough = top / wanted / unit;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const places = [];
  for (let value = 0; value <= top * 1.0001; value += step) places.push(value);
  return places;
}

export class LineChart {
  // `show`: a value in words; `top`: what the axis reaches at least, or at all times with `fixed`; `binary`: of bytes; `log`: equal ratios
  // are equally high.
  constructor({ title, show, top = 0, fixed = false, binary = false, log = false, note = "" }) {
    this.binary = binary;
    this.log = log;
    this.show = show;
    this.top = top;
    this.fixed = fixed;
    this.title = title;
    this.series = [];
    this.windowS = 1;
    this.points = [];
    const id = newId("chart");
    this.legend = h("ul", { class: "legend" });
    this.svg = s("svg", { role: "img", class: "plot", height: HEIGHT });
    this.tip = h("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.table = h("table", { class: "plain" });
    this.details = h("details", { class: "numbers" }, h("summary", {}, "Numbers", h("span", { class: "unseen" }, ` of ${title}`)),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, numbers` }, this.table));
    this.details.addEventListener("toggle", () => this.drawTable());
    this.element = h("figure", { class: "card chart", "aria-labelledby": id },
      h("figcaption", {}, h("h3", { id }, title), note ? h("span", { class: "note" }, note) : null),
      this.legend, h("div", { class: "canvas" }, this.svg, this.tip), this.details);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.unpoint());
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  // `series`: names; `points`: [{at_s, values}], null where there is nothing; `windowS`: what the width stands for.
  update(series, points, windowS) {
    this.windowS = windowS;
    this.points = points;
    if (series.join("\n") !== this.series.join("\n")) {
      this.series = series;
      this.values = series.map(() => h("strong", {}));
      this.legend.replaceChildren(...series.map((name, place) => h("li", {},
        h("span", { class: `key line-${place}`, "aria-hidden": "true" }), h("span", { class: "name" }, name), this.values[place])));
    }
    const last = points.at(-1);
    this.values?.forEach((element, place) => say(element, this.show(last ? last.values[place] : null)));
    this.draw();
    this.drawTable();
  }

  draw() {
    const width = this.svg.clientWidth;
    if (!width) return;
    const places = this.log ? this.scaleDecades() : this.scaleEvenly();
    const end = this.points.at(-1)?.at_s ?? 0;
    this.x = (at) => EDGE.left + (1 - (end - at) / this.windowS) * (width - EDGE.left - EDGE.right);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("aria-label", this.words());
    const grid = places.map((value) => [
      s("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: this.y(value), y2: this.y(value) }),
      s("text", { class: "tick", x: EDGE.left - 8, y: this.y(value) + 4, "text-anchor": "end" }, this.show(value)),
    ]);
    const times = [[1, "start"], [0.5, "middle"], [0, "end"]].map(([part, anchor]) => s("text", {
      class: "tick", x: this.x(end - part * this.windowS), y: HEIGHT - 5, "text-anchor": anchor,
    }, part ? `${format.ago(part * this.windowS)} ago` : "now"));
    const lines = this.series.map((_, place) => s("path", { class: `line line-${place}`, d: this.path(place) }));
    const dots = this.series.map((_, place) => {
      const value = this.points.at(-1)?.values[place] ?? null;
      return value === null ? null : s("circle", { class: `dot line-${place}`, r: 3, cx: this.x(end), cy: this.y(value) });
    });
    this.cursor = s("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
    const empty = this.points.length ? null : s("text", { class: "tick", x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "Waiting for the next reading");
    this.svg.replaceChildren(...[grid, times, lines, dots, this.cursor, empty].flat(2).filter(Boolean));
  }

  // Both set where a value is drawn, and give the places of the grid.
  scaleEvenly() {
    const highest = Math.max(0, ...this.drawn());
    const top = this.fixed ? this.top : Math.max(this.top, highest * 1.08) || 1;
    this.y = (value) => HEIGHT - EDGE.bottom - (value / top) * (HEIGHT - EDGE.top - EDGE.bottom);
    return ticks(top, this.binary);
  }

  scaleDecades() {
    const values = this.drawn().filter((value) => value > 0);
    const low = Math.floor(Math.log10(Math.min(1, ...values)) + 1e-9);
    const high = Math.max(low + 1, Math.ceil(Math.log10(values.length ? Math.max(...values) : 1) - 1e-9));
    this.y = (value) => {
      const part = value > 0 ? (Math.log10(value) - low) / (high - low) : 0;
      return HEIGHT - EDGE.bottom - Math.max(0, part) * (HEIGHT - EDGE.top - EDGE.bottom);
    };
    const step = Math.ceil((high - low) / 4);
    return Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, place) => 10 ** (low + place * step));
  }

  drawn() {
    return this.points.flatMap((point) => point.values.filter((value) => value !== null && value !== undefined));
  }

  path(place) {
    let pen = "M";
    return this.points.map((point) => {
      const value = point.values[place];
      if (value === null || value === undefined) {
        pen = "M";
        return "";
      }
      const step = `${pen}${this.x(point.at_s).toFixed(1)} ${this.y(value).toFixed(1)}`;
      pen = "L";
      return step;
    }).join("");
  }

  words() {
    if (!this.points.length) return `${this.title}: nothing yet`;
    const parts = this.series.map((name, place) => {
      const values = this.points.map((point) => point.values[place]).filter((value) => value !== null);
      if (!values.length) return `${name}: nothing`;
      const range = `between ${this.show(Math.min(...values))} and ${this.show(Math.max(...values))}`;
      return `${name}: now ${this.show(this.points.at(-1).values[place])}, ${range}`;
    });
    return `${this.title}, the last ${format.ago(this.windowS)}. ${parts.join(". ")}`;
  }

  drawTable() {
    if (!this.details.open) return;
    const end = this.points.at(-1)?.at_s ?? 0;
    this.table.replaceChildren(
      h("caption", { class: "unseen" }, `${this.title}, newest first`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "When"), this.series.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, this.points.slice(-MAX_ROWS).reverse().map((point) => h("tr", {},
        h("th", { scope: "row" }, end === point.at_s ? "now" : `${format.ago(end - point.at_s)} ago`),
        point.values.map((value) => h("td", {}, this.show(value)))))));
  }

  point(event) {
    if (!this.points.length) return;
    const left = event.clientX - this.svg.getBoundingClientRect().left;
    const near = this.points.reduce((best, point) => (
      Math.abs(this.x(point.at_s) - left) < Math.abs(this.x(best.at_s) - left) ? point : best));
    const x = this.x(near.at_s);
    const end = this.points.at(-1).at_s;
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    this.cursor.setAttribute("visibility", "visible");
    this.tip.hidden = false;
    this.tip.replaceChildren(h("div", { class: "when" }, end === near.at_s ? "now" : `${format.ago(end - near.at_s)} ago`),
      ...this.series.map((name, place) => h("div", {}, h("span", { class: `key line-${place}` }), `${name} `, h("strong", {}, this.show(near.values[place])))));
    const beside = x + 12 + this.tip.offsetWidth > this.svg.clientWidth ? x - 12 - this.tip.offsetWidth : x + 12;
    this.tip.style.left = `${Math.max(0, beside)}px`;
  }

  unpoint() {
    this.tip.hidden = true;
    this.cursor?.setAttribute("visibility", "hidden");
  }
}
