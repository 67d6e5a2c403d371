// All models with what they do now: a table on wide screens, a card for each on narrow ones.

import { loadButton } from "./loading.js";
import { h, say } from "./dom.js";
import * as format from "./format.js";
import { latency, meanBatch, perSecond, sum } from "./history.js";

const COLUMNS = ["Model", "State", "Backend", "Instances", "Requests", "p50", "p99", "Queued", "Rows a batch", "Failures", "Memory", ""];
const NUMBERS = new Set(["Requests", "p50", "p99", "Queued", "Rows a batch", "Failures", "Memory", "Instances"]);

export function modelLink(name) {
  return `#/models/${encodeURIComponent(name)}`;
}

// The state of a model as a word and a tone: that of its best version.
export function stateOf(model) {
  const states = model.versions.map((version) => version.state);
  for (const [state, word, tone] of [["LOADING", "loading", "busy"], ["UNLOADING", "unloading", "busy"]]) {
    if (states.includes(state)) return { word, tone };
  }
  const ready = model.versions.filter((version) => version.state === "READY");
  if (ready.length) return ready.some((version) => version.healthy === false) ? { word: "not healthy", tone: "bad" } : { word: "ready", tone: "good" };
  const failed = model.versions.find((version) => version.reason && version.reason !== "unloaded");
  return failed ? { word: "failed", tone: "bad", reason: failed.reason } : { word: "not loaded", tone: "idle" };
}

export function badge(model) {
  const { word, tone } = stateOf(model);
  return h("span", { class: `badge ${tone}` }, word);
}

export function instancesOf(model) {
  const groups = model.groups ?? [];
  const count = groups.reduce((total, group) => total + group.count, 0);
  return count ? `${count} ${[...new Set(groups.map((group) => group.kind))].join(", ")}` : "–";
}

export class ModelTable {
  constructor(store) {
    this.store = store;
    this.rows = new Map();
    this.body = h("tbody", { role: "rowgroup" });
    this.empty = h("p", { class: "muted", hidden: true }, "The repository has no models.");
    // Roles are said, for cards are no table to a browser.
    this.element = h("div", { class: "card flush" }, h("table", { class: "models", role: "table" },
      h("caption", { class: "unseen" }, "Models with their state and what they do now, the mean of ten seconds"),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, COLUMNS.map((name) => h("th", {
        scope: "col", role: "columnheader", class: NUMBERS.has(name) ? "number" : "",
      }, name || h("span", { class: "unseen" }, "Load or unload"))))),
      this.body), this.empty);
  }

  update() {
    const { models } = this.store.fleet;
    this.empty.hidden = models.length > 0;
    for (const model of models) {
      if (!this.rows.has(model.name)) this.rows.set(model.name, new Row(this.store, model.name));
      this.rows.get(model.name).update(model);
    }
    const wanted = models.map((model) => this.rows.get(model.name).element);
    if (wanted.length !== this.body.children.length || wanted.some((row, place) => this.body.children[place] !== row)) this.body.replaceChildren(...wanted);
  }
}

class Row {
  constructor(store, name) {
    this.store = store;
    this.cells = new Map();
    const cell = (column) => {
      const element = h("td", { role: "cell", "data-name": column, class: NUMBERS.has(column) ? "number" : "" });
      this.cells.set(column, element);
      return element;
    };
    this.versions = h("span", { class: "muted versions" });
    this.badge = h("span", { class: "badge" });
    this.reason = h("span", { class: "reason" });
    this.button = loadButton(store, name);
    const [state, ...others] = COLUMNS.slice(1, -1).map(cell);
    state.append(this.badge, this.reason);
    this.element = h("tr", { role: "row" }, h("th", { scope: "row", role: "rowheader" }, h("a", { href: modelLink(name) }, name), this.versions),
      state, others, h("td", { role: "cell", class: "act" }, this.button.element));
  }

  showVersions(ready) {
    const text = ready.join(", ");
    if (this.shownVersions === text) return;
    this.shownVersions = text;
    this.versions.replaceChildren(...(text ? [h("span", { class: "unseen" }, " version "), h("span", { "aria-hidden": "true" }, "v"), text] : []));
  }

  update(model) {
    const { word, tone, reason } = stateOf(model);
    const ready = model.versions.filter((version) => version.state === "READY").map((version) => version.version);
    this.showVersions(ready);
    say(this.badge, word);
    this.badge.className = `badge ${tone}`;
    say(this.reason, reason ?? "");
    const now = sum(this.store.recent, (each) => each.name === model.name);
    const busy = ready.length > 0 && this.store.samples.length > 0;
    const { bounds } = this.store;
    const texts = {
      Backend: model.platform ?? "–",
      Instances: instancesOf(model),
      Requests: busy ? format.rate(perSecond(now, "success")) : "–",
      p50: format.duration(latency(now, bounds, 0.5)),
      p99: format.duration(latency(now, bounds, 0.99)),
      Queued: busy ? format.count(now.pending) : "–",
      "Rows a batch": format.number(meanBatch(now)),
      Failures: busy ? format.rate(perSecond(now, "failed")) : "–",
      Memory: now.memory === null ? "–" : format.bytes(now.memory),
    };
    for (const [column, text] of Object.entries(texts)) {
      say(this.cells.get(column), text);
      this.cells.get(column).classList.toggle("nothing", text === "–" || text === "0/s");
    }
    this.cells.get("Failures").classList.toggle("bad", now.failed > 0);
    this.button.update(model);
  }
}
