// What happened between two readings of the server's counters, and sums of that over a time.

import { difference, merge, quantile } from "./histogram.js";

const SPREADS = ["request", "queue", "compute", "first_response"];

const NOTHING = {
  success: 0, failures: {}, inferences: 0, executions: 0, queue_s: 0, compute_s: [0, 0, 0], computed: 0,
  cache: [0, 0], batches: [], instances: [],
  request: [0, 0, []], queue: [0, 0, []], compute: [0, 0, []], first_response: [0, 0, []],
};

function failed(model) {
  return Object.values(model.failures).reduce((sum, count) => sum + count, 0);
}

function ofModel(old, now) {
  // A model that was loaded again counts from zero.
  const before = !old || now.success < old.success || now.executions < old.executions ? NOTHING : old;
  const busy = new Map(before.instances.map(([name, seconds]) => [name, seconds]));
  return {
    name: now.name,
    version: now.version,
    success: now.success - before.success,
    failed: Math.max(0, failed(now) - failed(before)),
    inferences: now.inferences - before.inferences,
    executions: now.executions - before.executions,
    queue_s: now.queue_s - before.queue_s,
    compute_s: now.compute_s.reduce((sum, value, place) => sum + value - before.compute_s[place], 0),
    computed: now.computed - before.computed,
    hits: now.cache[0] - before.cache[0],
    misses: now.cache[1] - before.cache[1],
    batches: difference(before.batches, now.batches),
    pending: now.pending,
    memory: now.memory,
    instances: now.instances.map(([name, seconds]) => [name, Math.max(0, seconds - (busy.get(name) ?? seconds))]),
    ...Object.fromEntries(SPREADS.map((key) => [key, difference(before[key][2], now[key][2])])),
  };
}

export function between(before, now) {
  const old = new Map(before.models.map((model) => [`${model.name}/${model.version}`, model]));
  const [busy, all] = [0, 1].map((place) => now.machine.cpu_s[place] - before.machine.cpu_s[place]);
  return {
    at_s: now.at_s,
    seconds: now.at_s - before.at_s,
    models: now.models.map((model) => ofModel(old.get(`${model.name}/${model.version}`), model)),
    cpu: all > 0 ? Math.min(1, Math.max(0, busy / all)) : null,
    machine: now.machine,
    gpus: now.gpus,
    cache: now.cache,
    in_flight: now.in_flight,
    open_connections: now.open_connections,
  };
}

// Everything that samples say of the models that `wanted` picks, together.
export function sum(samples, wanted) {
  const total = {
    seconds: 0, success: 0, failed: 0, inferences: 0, executions: 0, queue_s: 0, compute_s: 0, computed: 0,
    hits: 0, misses: 0, batches: [], pending: 0, memory: null,
    ...Object.fromEntries(SPREADS.map((key) => [key, []])),
  };
  const spreads = Object.fromEntries([...SPREADS, "batches"].map((key) => [key, []]));
  for (const sample of samples) {
    total.seconds += sample.seconds;
    for (const model of sample.models) {
      if (!wanted(model)) continue;
      for (const key of ["success", "failed", "inferences", "executions", "queue_s", "compute_s", "computed", "hits", "misses"]) {
        total[key] += model[key];
      }
      for (const key of Object.keys(spreads)) spreads[key].push(model[key]);
    }
  }
  const last = samples.at(-1);
  for (const model of last ? last.models.filter(wanted) : []) {
    total.pending += model.pending;
    if (model.memory !== null) total.memory = (total.memory ?? 0) + model.memory;
  }
  for (const [key, histograms] of Object.entries(spreads)) total[key] = merge(histograms);
  return total;
}

export function perSecond(total, key) {
  return total.seconds > 0 ? total[key] / total.seconds : null;
}

export function meanBatch(total) {
  return total.executions > 0 ? total.inferences / total.executions : null;
}

export function latency(total, bounds, share, key = "request") {
  return quantile(total[key], bounds, share);
}

// Samples that are joined to at most `limit` stretches of the same number, so that a chart has no more points.
export function stretches(samples, limit) {
  const size = Math.max(1, Math.ceil(samples.length / limit));
  const joined = [];
  for (let end = samples.length; end > 0; end -= size) joined.unshift(samples.slice(Math.max(0, end - size), end));
  return joined;
}
