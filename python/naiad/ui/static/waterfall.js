// One request as it was traced: each of its steps as a bar from its begin to its end.

import { h } from "./dom.js";
import * as format from "./format.js";

const us = (value) => format.duration(value / 1e6);

function depthOf(span, byId) {
  let depth = 0;
  for (let parent = byId.get(span.parent); parent; parent = byId.get(parent.parent)) depth += 1;
  return depth;
}

function bar(span, end) {
  const at = (from, to, kind) => {
    if (from === undefined || to === undefined) return null;
    const part = h("span", { class: kind });
    part.style.left = `${(from / end) * 100}%`;
    part.style.width = `${Math.max(0.4, ((to - from) / end) * 100)}%`;
    return part;
  };
  return h("div", { class: "track", "aria-hidden": "true" }, at(span.start_us, span.end_us, "whole"),
    at(span.queued_us ?? span.start_us, span.compute_us, "queue"), at(span.compute_us, span.computed_us, "compute"));
}

export function waterfall(spans) {
  if (!spans.length) return null;
  const byId = new Map(spans.map((span) => [span.id, span]));
  const end = Math.max(...spans.map((span) => span.end_us ?? span.computed_us ?? span.start_us)) || 1;
  const rows = [...spans].sort((a, b) => a.start_us - b.start_us || a.id - b.id).map((span) => {
    const name = h("th", { scope: "row" }, span.model, h("span", { class: "muted version" }, ` v${span.version}`));
    name.style.paddingLeft = `${depthOf(span, byId) * 14 + 10}px`;
    const queue = span.compute_us === undefined ? null : span.compute_us - (span.queued_us ?? span.start_us);
    const compute = span.computed_us === undefined ? null : span.computed_us - span.compute_us;
    return h("tr", {}, name, h("td", { class: "wide" }, bar(span, end)),
      h("td", { class: "number began" }, us(span.start_us)), h("td", { class: "number" }, queue === null ? "–" : us(queue)),
      h("td", { class: "number" }, compute === null ? "–" : us(compute)),
      h("td", { class: "number" }, span.end_us === undefined ? "–" : us(span.end_us - span.start_us)));
  });
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Where the time went" }, h("table", { class: "plain waterfall" },
    h("caption", {}, "Where the time went"),
    h("thead", {}, h("tr", {}, ["Step", "", "Began at", "Queue", "Model", "All"].map((name) => h("th", { scope: "col", class: { Step: "", "": "", "Began at": "number began" }[name] ?? "number" }, name || h("span", { class: "unseen" }, "Picture"))))),
    h("tbody", {}, rows)));
}
