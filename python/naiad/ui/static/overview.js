// The fleet at a glance.

import { batchBars, cacheChart, latencyChart, lineChart, perSecond, latency, queueByModel, sum, throughputByModel } from "./charts.js";
import { h } from "./dom.js";
import * as format from "./format.js";
import { ModelTable } from "./model_table.js";
import { Tiles } from "./tiles.js";

const ALL = () => true;

export class Overview {
  constructor(store) {
    this.title = "Overview";
    this.store = store;
    this.tiles = new Tiles(["Models ready", "Requests", "Latency p50", "Latency p99", "Queued", "Failures", "Memory", "Processors"]);
    this.table = new ModelTable(store);
    this.charts = [
      throughputByModel(),
      latencyChart("Latency", ALL, "request", "all requests, steps too; logarithmic"),
      queueByModel(),
      batchBars(ALL),
      memoryChart(),
      processorChart(),
    ];
    this.optional = new Map();
    this.grid = h("div", { class: "grid" }, this.charts.map((chart) => chart.element));
    this.words = h("p", { class: "muted lead" });
    this.element = h("div", {},
      h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Overview"), this.words), this.tiles.element,
      h("section", { "aria-labelledby": "models-title" }, h("h2", { id: "models-title" }, "Models"), this.table.element),
      h("section", { "aria-labelledby": "charts-title" }, h("h2", { id: "charts-title" }, "Load"), this.grid));
  }

  update() {
    const { store } = this;
    const { fleet } = store;
    if (!fleet) return;
    const urls = Object.entries(fleet.server.urls).filter(([name]) => name !== "Dashboard").map(([name, url]) => `${name} ${url.replace(/^https?:\/\//, "")}`);
    this.words.textContent = [`${fleet.server.name}, up ${format.ago(Math.max(0, Date.now() / 1000 - fleet.server.started_s))}`, ...urls].join(" · ");
    this.updateTiles();
    this.offer("cache", store.samples.at(-1)?.cache !== null && store.samples.length > 0, () => cacheChart(ALL));
    this.offer("gpu", (store.samples.at(-1)?.gpus.length ?? 0) > 0, gpuChart);
    this.offer("gpu memory", (store.samples.at(-1)?.gpus.length ?? 0) > 0, gpuMemoryChart);
    for (const chart of [...this.charts, ...this.optional.values()]) chart.update(store);
    this.table.update();
  }

  offer(name, wanted, make) {
    if (!wanted || this.optional.has(name)) return;
    const chart = make();
    this.optional.set(name, chart);
    this.grid.append(chart.element);
  }

  updateTiles() {
    const { store, tiles } = this;
    const now = sum(store.recent, ALL);
    const long = sum(store.shown, ALL);
    const last = store.samples.at(-1);
    const versions = store.fleet.models.flatMap((model) => model.versions);
    const ready = store.fleet.models.filter((model) => model.versions.some((version) => version.state === "READY")).length;
    const bad = versions.filter((version) => version.state === "UNAVAILABLE" && version.reason && version.reason !== "unloaded").length;
    tiles.set("Models ready", `${ready} of ${store.fleet.models.length}`, bad ? `${bad} failed to load` : "", bad ? "bad" : "");
    tiles.set("Requests", format.rate(perSecond(now, "success")), `${format.rate(perSecond(long, "success"))} over ${format.ago(store.windowS)}`);
    for (const [name, share] of [["Latency p50", 0.5], ["Latency p99", 0.99]]) {
      tiles.set(name, format.duration(latency(now, store.bounds, share)), `${format.duration(latency(long, store.bounds, share))} over ${format.ago(store.windowS)}`);
    }
    tiles.set("Queued", format.count(last ? now.pending : null), last ? `${last.in_flight} under way, ${last.open_connections} connections` : "");
    tiles.set("Failures", format.rate(perSecond(now, "failed")), `${format.count(long.failed)} in ${format.ago(store.windowS)}`, now.failed ? "bad" : "");
    const machine = last?.machine;
    const workers = now.memory === null ? "" : `, workers ${format.bytes(now.memory)}`;
    tiles.set("Memory", format.bytes(machine?.server_memory), machine ? `of the server${workers}` : "");
    tiles.set("Processors", format.share(last?.cpu), machine ? `of ${machine.processors}; memory ${format.share(machine.memory_used / machine.memory_total)}` : "");
  }
}

function memoryChart() {
  const read = (samples) => {
    const { machine, models } = samples.at(-1);
    const sizes = models.map((model) => model.memory).filter((size) => size !== null);
    return [machine.server_memory, sizes.length ? sizes.reduce((total, size) => total + size, 0) : null, machine.pool_used];
  };
  return lineChart({ title: "Memory", show: format.bytes, binary: true, note: "of this server" }, () => ["server", "workers", "tensor pool"], read);
}

function processorChart() {
  const mean = (samples) => {
    const known = samples.filter((sample) => sample.cpu !== null);
    return known.length ? known.reduce((total, sample) => total + sample.cpu, 0) / known.length : null;
  };
  return lineChart({ title: "Machine", show: format.share, top: 1, fixed: true, note: "all that runs here" }, () => ["processors", "memory"],
    (samples) => [mean(samples), samples.at(-1).machine.memory_used / samples.at(-1).machine.memory_total]);
}

function gpuNames(store) {
  return (store.samples.at(-1)?.gpus ?? []).map((_, place) => `GPU ${place}`);
}

function gpuChart() {
  return lineChart({ title: "GPU utilization", show: format.share, top: 1, fixed: true }, gpuNames, (samples) => samples.at(-1).gpus.map((gpu) => gpu.utilization ?? null));
}

function gpuMemoryChart() {
  return lineChart({ title: "GPU memory", show: format.bytes, binary: true, note: "used" }, gpuNames, (samples) => samples.at(-1).gpus.map((gpu) => gpu.memory_used ?? null));
}
