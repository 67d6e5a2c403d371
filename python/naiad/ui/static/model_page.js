// One model: what it does, how it is made, how its steps fare.

import { batchBars, cacheChart, latency, latencyChart, lineChart, meanBatch, perSecond, points, sum } from "./charts.js";
import { LineChart } from "./chart.js";
import { h, show } from "./dom.js";
import { Flow } from "./flow.js";
import * as format from "./format.js";
import { loadButton, whyNot } from "./loading.js";
import { badge, instancesOf } from "./model_table.js";
import { Tiles } from "./tiles.js";

const MAX_INSTANCES = 6;

export class ModelPage {
  constructor(store, name) {
    this.title = name;
    this.store = store;
    this.name = name;
    const wanted = (model) => model.name === name;
    this.wanted = wanted;
    this.state = h("span", {});
    this.words = h("p", { class: "muted lead" });
    this.button = loadButton(store, name);
    this.tryLink = h("a", { class: "button primary", href: `#/try/${encodeURIComponent(name)}` }, "Try it");
    this.missing = h("p", { class: "notice", hidden: true });
    this.tiles = new Tiles(["Requests", "Latency p50", "Latency p99", "Queued", "Rows a batch", "Failures"]);
    this.flow = new Flow(store, name);
    this.makeCharts(wanted);
    this.grid = h("div", { class: "grid" }, this.charts.map((chart) => chart.element));
    this.facts = h("div", { class: "facts" });
    this.element = h("div", {},
      h("nav", { "aria-label": "Place", class: "place" }, h("a", { href: "#/" }, "Overview"), " / ", h("span", { "aria-current": "page" }, name)),
      h("div", { class: "head with-actions" }, h("h1", { tabindex: "-1" }, name, " ", this.state),
        h("div", { class: "actions" }, this.tryLink, this.button.element), this.words),
      this.missing, this.tiles.element, this.flow.element,
      h("section", { "aria-labelledby": "load-title" }, h("h2", { id: "load-title" }, "Load"), this.grid),
      this.facts);
  }

  makeCharts(wanted) {
    this.charts = [
      lineChart({ title: "Throughput", show: format.rate, note: "requests a second" }, () => ["answered", "failed"], (samples) => {
        const total = sum(samples, wanted);
        return [perSecond(total, "success"), perSecond(total, "failed")];
      }),
      latencyChart("Latency", wanted),
      lineChart({ title: "Where the time goes", show: format.duration, note: "mean of a request" }, () => ["in the queue", "in the model"], (samples) => {
        const total = sum(samples, wanted);
        return total.success ? [total.queue_s / total.success, total.computed ? total.compute_s / total.computed : null] : [null, null];
      }),
      lineChart({ title: "Queue depth", show: format.number, top: 4, note: "requests that wait or run" }, () => ["pending"], (samples) => [sum(samples, wanted).pending]),
    ];
    this.optional = new Map();
  }

  // Charts that only some models have come when it is known that this one has them.
  offer(key, wanted, make) {
    if (!wanted || this.optional.has(key)) return;
    const chart = make();
    this.optional.set(key, chart);
    this.grid.append(chart.element);
  }

  update() {
    const { store, wanted } = this;
    const model = store.model(this.name);
    if (!store.fleet) return;
    show(this.missing, !model);
    this.missing.textContent = model ? "" : `The repository has no model '${this.name}'.`;
    if (!model) return;
    this.state.replaceChildren(badge(model));
    const facts = [model.platform, model.scheduling === model.platform ? "" : model.scheduling, model.max_batch_size ? `up to ${model.max_batch_size} rows a batch` : "", instancesOf(model) === "–" ? "" : `${instancesOf(model)} instances`, model.decoupled ? "any number of responses" : ""];
    const failed = model.versions.filter((version) => version.reason).map((version) => `version ${version.version || "?"}: ${version.reason}`);
    this.words.textContent = [...facts, ...failed].filter(Boolean).join(" · ");
    this.tryLink.hidden = !store.access.infer;
    this.button.update(model);
    this.updateTiles();
    this.flow.update(model);
    const last = store.samples.at(-1);
    const ensemble = (model.steps ?? []).length > 0;
    this.offer("batches", !ensemble && (model.max_batch_size ?? 0) > 0, () => batchBars(wanted));
    this.offer("first", model.decoupled, () => latencyChart("Time to the first response", wanted, "first_response"));
    this.offer("cache", model.cached, () => cacheChart(wanted));
    this.offer("instances", !ensemble && (last?.models ?? []).some((each) => wanted(each) && each.instances.length > 0), () => this.instanceChart());
    this.offer("memory", (last?.models ?? []).some((each) => wanted(each) && each.memory !== null), () => this.memoryChart());
    for (const chart of [...this.charts, ...this.optional.values()]) chart.update(store);
    this.updateFacts(model);
  }

  updateTiles() {
    const { store, tiles, wanted } = this;
    const now = sum(store.recent, wanted);
    const long = sum(store.shown, wanted);
    const over = `over ${format.ago(store.windowS)}`;
    tiles.set("Requests", format.rate(perSecond(now, "success")), `${format.rate(perSecond(long, "success"))} ${over}`);
    for (const [name, share] of [["Latency p50", 0.5], ["Latency p99", 0.99]]) {
      tiles.set(name, format.duration(latency(now, store.bounds, share)), `${format.duration(latency(long, store.bounds, share))} ${over}`);
    }
    tiles.set("Queued", format.count(store.samples.length ? now.pending : null), now.success ? `${format.duration(now.queue_s / now.success)} in the queue` : "");
    tiles.set("Rows a batch", format.number(meanBatch(now)), `${format.rate(perSecond(now, "executions"))} batches`);
    tiles.set("Failures", format.rate(perSecond(now, "failed")), `${format.count(long.failed)} in ${format.ago(store.windowS)}`, now.failed ? "bad" : "");
  }

  instanceChart() {
    const chart = new LineChart({ title: "Instances", show: format.share, top: 1, fixed: true, note: "share of the time that each was busy" });
    return {
      element: chart.element,
      update: (store) => {
        const names = [...new Set((store.samples.at(-1)?.models ?? []).filter(this.wanted).flatMap((model) => model.instances.map(([name]) => name)))].slice(0, MAX_INSTANCES);
        chart.update(names, points(store, (samples) => names.map((name) => busyShare(samples, this.wanted, name))), store.windowS);
      },
    };
  }

  memoryChart() {
    return lineChart({ title: "Memory of its workers", show: format.bytes, binary: true }, () => ["memory"], (samples) => [sum(samples.slice(-1), this.wanted).memory]);
  }

  updateFacts(model) {
    const key = JSON.stringify([model.inputs, model.outputs, model.versions, model.groups, whyNot(this.store)]);
    if (key === this.factsKey) return;
    this.factsKey = key;
    const tensors = [["input", model.inputs], ["output", model.outputs]].flatMap(([kind, list]) => (list ?? []).map((tensor) => [kind, tensor.name, tensor.datatype, format.shape(tensor.shape)]));
    this.facts.replaceChildren(
      table("Tensors", ["", "Name", "Type", "Shape"], tensors),
      table("Versions", ["Version", "State", "Loaded in", "Reason"], model.versions.map((version) => [
        version.version || "–", version.state.toLowerCase() || "not loaded", format.duration(version.load_s), version.reason || "–"])),
      whyNot(this.store) ? h("p", { class: "muted" }, `Loading and unloading: ${whyNot(this.store)}`) : "");
  }
}

function busyShare(samples, wanted, name) {
  let busy = 0;
  let seconds = 0;
  for (const sample of samples) {
    seconds += sample.seconds;
    for (const model of sample.models.filter(wanted)) {
      for (const [instance, busyS] of model.instances) if (instance === name) busy += busyS;
    }
  }
  return seconds ? Math.min(1, busy / seconds) : null;
}

function table(title, columns, rows) {
  return h("section", { class: "card flush" }, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, h("table", { class: "plain" },
    h("caption", {}, title),
    h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "Kind"))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, cell))))))));
}
