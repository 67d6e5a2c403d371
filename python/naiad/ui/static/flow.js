// The steps of an ensemble in the order in which they can run, with the time of each.

import { h, say, show } from "./dom.js";
import * as format from "./format.js";
import { sum } from "./history.js";
import { modelLink } from "./model_table.js";

// Steps by depth: those of one level wait for nothing but earlier ones.
export function levels(steps) {
  const maker = new Map();
  steps.forEach((step, place) => Object.values(step.outputs).forEach((tensor) => maker.set(tensor, place)));
  const depth = steps.map(() => 0);
  for (let round = 0; round < steps.length; round += 1) {
    steps.forEach((step, place) => {
      const needs = [...Object.values(step.inputs), ...(step.when ? [step.when.tensor] : [])];
      for (const tensor of needs) {
        const before = maker.get(tensor);
        if (before !== undefined) depth[place] = Math.max(depth[place], depth[before] + 1);
      }
    });
  }
  const ordered = [];
  depth.forEach((level, place) => { (ordered[level] ??= []).push(place); });
  return ordered.filter(Boolean);
}

export class Flow {
  constructor(store, name) {
    this.store = store;
    this.name = name;
    this.steps = [];
    this.list = h("ol", { class: "flow" });
    this.words = h("p", { class: "muted" });
    this.element = h("section", { "aria-labelledby": "flow-title", hidden: true }, h("h2", { id: "flow-title" }, "Flow of a request"), this.words, this.list);
  }

  update(model) {
    const steps = model.steps ?? [];
    show(this.element, steps.length > 0);
    if (!steps.length) return;
    if (JSON.stringify(steps) !== this.key) this.build(model, steps);
    const times = steps.map((step) => this.time(step));
    const longest = Math.max(1e-9, ...times.map((time) => time?.total ?? 0));
    steps.forEach((step, place) => this.steps[place].update(times[place], longest));
    const known = times.some(Boolean);
    say(this.words, known
      ? `Mean time of each step over ${format.ago(this.store.windowS)}, of all requests that its model had. "Try it" shows one request step by step.`
      : "No step has run in this time.");
  }

  time(step) {
    const total = sum(this.store.shown, (model) => model.name === step.model && (!step.version || model.version === step.version));
    if (!total.success) return null;
    const queue = total.queue_s / total.success;
    const compute = total.computed ? total.compute_s / total.computed : 0;
    return { queue, compute, total: queue + compute, rate: total.success / total.seconds };
  }

  build(model, steps) {
    this.key = JSON.stringify(steps);
    this.steps = steps.map((step, place) => new StepCard(step, place));
    const end = (title, tensors) => h("li", { class: "level" }, h("div", { class: "end" }, h("strong", {}, title),
      (tensors ?? []).map((tensor) => h("span", { class: "tensor" }, tensor.name))));
    this.list.replaceChildren(end("Request", model.inputs),
      ...levels(steps).map((places) => h("li", { class: "level" }, places.map((place) => this.steps[place].element))),
      end("Response", model.outputs));
  }
}

class StepCard {
  constructor(step, place) {
    this.time = h("strong", { class: "time" }, "–");
    this.parts = h("span", { class: "muted" });
    this.queue = h("span", { class: "queue" });
    this.compute = h("span", { class: "compute" });
    const tensors = (word, names) => h("div", { class: "io" }, h("span", { class: "muted" }, word), names.map((name) => h("span", { class: "tensor" }, name)));
    this.element = h("div", { class: "step" },
      h("div", { class: "top" }, h("a", { href: modelLink(step.model) }, `${place + 1}. ${step.model}`), this.time),
      h("div", { class: "span", "aria-hidden": "true" }, this.queue, this.compute), this.parts,
      tensors("takes", Object.values(step.inputs)), tensors("gives", Object.values(step.outputs)),
      step.when ? h("div", { class: "muted" }, `only where ${step.when.tensor} is ${step.when.is}`) : null);
  }

  update(time, longest) {
    say(this.time, format.duration(time?.total));
    say(this.parts, time ? `queue ${format.duration(time.queue)}, model ${format.duration(time.compute)}, ${format.rate(time.rate)}` : "has not run");
    this.queue.style.width = `${((time?.queue ?? 0) / longest) * 100}%`;
    this.compute.style.width = `${((time?.compute ?? 0) / longest) * 100}%`;
  }
}
