// The charts that pages share, each made of the same samples.

import { Bars } from "./bars.js";
import { LineChart } from "./chart.js";
import * as format from "./format.js";
import { latency, meanBatch, perSecond, stretches, sum } from "./history.js";

const MAX_POINTS = 90;
const MAX_LINES = 5;

// One point for each stretch of samples: what `read` makes of it.
export function points(store, read) {
  return stretches(store.shown, MAX_POINTS).map((samples) => ({ at_s: samples.at(-1).at_s, values: read(samples) }));
}

export function lineChart(options, series, read) {
  const chart = new LineChart(options);
  return { element: chart.element, update: (store) => chart.update(series(store), points(store, (samples) => read(samples, store)), store.windowS) };
}

export function latencyChart(title, wanted, key = "request", note = "logarithmic") {
  const shares = [0.5, 0.9, 0.99];
  return lineChart({ title, show: format.duration, log: true, note }, () => ["p50", "p90", "p99"], (samples, store) => {
    const total = sum(samples, wanted);
    return shares.map((share) => latency(total, store.bounds, share, key));
  });
}

export function batchBars(wanted) {
  const bars = new Bars({ title: "Batch sizes", note: "batches a second, by rows", show: (value) => format.number(value), unit: "rows" });
  return {
    element: bars.element,
    update(store) {
      const total = sum(store.shown, wanted);
      bars.update(total.batches.map(([size, count]) => [size, count / (total.seconds || 1)]), "No batch has run in this time.");
    },
  };
}

// Who has most to do: the same for all charts, so that a model has the same colour in each.
function rank(total) {
  return total.success + total.failed + 10 * total.pending;
}

// The models that have most to do in the time that is shown; one line for each, and one for the rest.
function byModel(options, value) {
  let names = [];
  const chart = new LineChart(options);
  return {
    element: chart.element,
    update(store) {
      const all = [...new Set(store.shown.flatMap((sample) => sample.models.map((model) => model.name)))];
      const ranked = all.map((name) => [name, rank(sum(store.shown, (model) => model.name === name))]).sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
      const best = ranked.slice(0, all.length > MAX_LINES + 1 ? MAX_LINES : MAX_LINES + 1).map(([name]) => name);
      // Lines keep their colours while the same models lead.
      if (best.length !== names.length || best.some((name) => !names.includes(name))) names = best;
      const rest = all.length > names.length;
      const read = (samples) => {
        const values = names.map((name) => value(sum(samples, (model) => model.name === name)));
        if (rest) values.push(value(sum(samples, (model) => !names.includes(model.name))));
        return values;
      };
      chart.update(rest ? [...names, "all others"] : names, points(store, read), store.windowS);
    },
  };
}

export function throughputByModel() {
  return byModel({ title: "Throughput", show: format.rate, note: "requests a second" }, (total) => perSecond(total, "success"));
}

export function queueByModel() {
  return byModel({ title: "Queue depth", show: format.number, top: 4, note: "requests that wait or run" }, (total) => total.pending);
}

function hitRatio(total) {
  const asked = total.hits + total.misses;
  return asked ? total.hits / asked : null;
}

export function cacheChart(wanted) {
  return lineChart({ title: "Response cache", show: format.share, top: 1, fixed: true, note: "share of look-ups that hit" }, () => ["hit ratio"],
    (samples) => [hitRatio(sum(samples, wanted))]);
}

export { latency, meanBatch, perSecond, sum };
