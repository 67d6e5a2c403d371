// What a model answered: texts, values, the best classes, images; and where the time went.

import { h, say } from "./dom.js";
import * as format from "./format.js";
import { fromBase64 } from "./values.js";
import { TextStream } from "./text_stream.js";
import { waterfall } from "./waterfall.js";

const SHOWN_VALUES = 100;
const BEST = 5;

export class ResultView {
  constructor(metadata) {
    this.labels = new Map(metadata.outputs.map((tensor) => [tensor.name, tensor.labels]));
    this.decoupled = metadata.decoupled;
    this.words = h("p", { class: "muted" }, "Nothing has been asked yet.");
    this.outputs = h("div", {});
    this.times = h("div", {});
    this.element = h("div", {}, this.words, this.outputs, this.times);
  }

  clear() {
    this.count = 0;
    this.texts = new Map();
    say(this.words, "Waiting for the first response");
    this.outputs.replaceChildren();
    this.times.replaceChildren();
  }

  add(line) {
    this.count += 1;
    say(this.words, this.decoupled ? `${this.count} responses` : "");
    for (const output of line.outputs) {
      if (this.decoupled && output.texts) this.append(output);
      else this.outputs.append(this.block(output, line.ms));
    }
    if (Object.keys(line.parameters).length) this.outputs.append(h("p", { class: "muted" }, `Parameters: ${JSON.stringify(line.parameters)}`));
  }

  end(line) {
    for (const stream of this.texts.values()) stream.flush();
    if (!this.count) say(this.words, "There was no response.");
    this.times.replaceChildren(...[waterfall(line.spans)].filter(Boolean));
  }

  // Texts of many responses are read as one.
  append(output) {
    if (!this.texts.has(output.name)) {
      const place = h("p", { class: "text" });
      this.texts.set(output.name, new TextStream(place));
      this.outputs.append(h("div", { class: "output" }, h("h3", {}, output.name, h("span", { class: "muted" }, " BYTES")), place));
    }
    this.texts.get(output.name).add(output.texts.join(""));
  }

  block(output, ms) {
    const left = output.num_left_out ? `, ${format.count(output.num_left_out)} values are left out here` : "";
    const title = h("h3", {}, output.name, h("span", { class: "muted" }, ` ${output.datatype} ${format.shape(output.shape)}${this.decoupled ? ` after ${format.duration(ms / 1000)}` : ""}${left}`));
    const content = output.texts ? output.texts.map((text) => h("p", { class: "text" }, text)) : this.numeric(output, fromBase64(output.stored, output.b64));
    return h("div", { class: "output" }, title, content);
  }

  numeric(output, values) {
    const parts = [values.length > 1 ? summary(values) : null];
    const last = output.shape.at(-1) ?? 1;
    const labels = this.labels.get(output.name) ?? [];
    const scores = labels.length > 0 || /prob|logit|score|class/i.test(output.name);
    if (scores && last >= 2 * BEST && values.length === last) parts.push(best(values, labels));
    const picture = imageOf(output, values);
    if (picture) parts.push(picture);
    const shown = Array.from(values.subarray(0, SHOWN_VALUES), (value) => (output.datatype === "BOOL" ? String(Boolean(value)) : shorten(value)));
    parts.push(h("pre", { tabindex: "0", role: "region", "aria-label": `Values of ${output.name}` }, shown.join("  ") + (values.length > SHOWN_VALUES ? "  …" : "")));
    return parts.filter(Boolean);
  }
}

function shorten(value) {
  return typeof value === "bigint" || Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}

function summary(values) {
  let [low, high, total] = [Infinity, -Infinity, 0];
  for (const value of values) {
    const number = Number(value);
    low = Math.min(low, number);
    high = Math.max(high, number);
    total += number;
  }
  return h("p", { class: "muted" }, `${format.count(values.length)} values from ${shorten(low)} to ${shorten(high)}, mean ${shorten(total / values.length)}`);
}

function best(values, labels) {
  const places = Array.from(values.keys()).sort((a, b) => Number(values[b]) - Number(values[a])).slice(0, BEST);
  return h("table", { class: "plain best" }, h("caption", {}, "Largest"),
    h("thead", {}, h("tr", {}, ["Place", ...(labels.length ? ["Label"] : []), "Value"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, places.map((place) => h("tr", {}, h("td", {}, String(place)), labels.length ? h("td", {}, labels[place] ?? "–") : null, h("td", {}, shorten(values[place]))))));
}

function imageOf(output, values) {
  const dims = output.shape.filter((size, place) => size !== 1 || place >= output.shape.length - 3);
  if (dims.length !== 3 || output.num_left_out) return null;
  const first = [1, 3].includes(dims[0]);
  const [channels, height, width] = first ? dims : [dims[2], dims[0], dims[1]];
  if (![1, 3].includes(channels) || height < 16 || width < 16 || height > 4096 || width > 4096) return null;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, Number(value)), Math.max(high, Number(value))];
  const canvas = h("canvas", { width, height, class: "preview", role: "img", "aria-label": `${output.name} as an image` });
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const from = channels === 1 ? 0 : channel;
      const value = Number(values[first ? from * width * height + pixel : pixel * channels + from]);
      image.data[pixel * 4 + channel] = output.datatype === "UINT8" ? value : ((value - low) / (high - low || 1)) * 255;
    }
    image.data[pixel * 4 + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
