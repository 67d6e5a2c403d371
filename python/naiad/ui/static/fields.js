// One input of a request: its shape, and its values from text, a generator, an image or a file.

import { h, newId, show } from "./dom.js";
import * as format from "./format.js";
import { ImageInput, layoutOf } from "./image.js";
import { toBase64, typedArray } from "./values.js";

const MOST_VALUES = 1 << 24;
const SHOWN_VALUES = 64;
const GENERATORS = {
  zeros: () => 0,
  ones: () => 1,
  counting: (place) => place,
  random: null,
};

export class TensorField {
  constructor(tensor, batched) {
    this.tensor = tensor;
    this.generator = "";
    this.file = null;
    const { name, datatype, shape } = tensor;
    const values = newId("values");
    const words = newId("words");
    this.sizes = shape.map((size, place) => (size < 0 ? this.sizeInput(place, batched) : size));
    this.text = h("textarea", { id: values, rows: datatype === "BYTES" ? 3 : 2, spellcheck: "false", "aria-describedby": words });
    this.text.value = datatype === "BYTES" ? "" : datatype === "BOOL" ? "true" : "0";
    this.text.addEventListener("input", () => this.generate(""));
    this.label = h("label", { for: values }, "Values");
    this.words = h("p", { class: "muted hint", id: words }, hint(datatype));
    this.send = tensor.optional ? h("input", { type: "checkbox" }) : null;
    this.image = layoutOf(tensor, batched) ? new ImageInput(tensor, batched, () => this.generate("image")) : null;
    const tools = datatype === "BYTES" ? this.fileTools() : this.generatorTools();
    const dims = this.sizes.filter((size) => typeof size !== "number");
    this.element = h("fieldset", { class: "tensor-field" },
      h("legend", {}, name, h("span", { class: "muted" }, ` ${datatype} ${format.shape(shape)}${tensor.optional ? ", optional" : ""}`)),
      this.send ? h("label", { class: "check" }, this.send, " Send it") : null,
      dims.length ? h("div", { class: "sizes" }, dims.map((size) => size.element)) : null,
      this.label, this.text, this.words, tools, this.image?.element ?? null);
    if (this.send) this.element.addEventListener("input", (event) => { if (event.target !== this.send) this.send.checked = true; });
  }

  sizeInput(place, batched) {
    const id = newId("size");
    const word = batched && place === 0 ? "rows" : `size ${place + 1}`;
    const input = h("input", { id, type: "number", min: "0", inputmode: "numeric", placeholder: "auto" });
    if (batched && place === 0) input.value = "1";
    return { input, element: h("span", { class: "size" }, h("label", { for: id }, word), input) };
  }

  generatorTools() {
    return h("div", { class: "tools", role: "group", "aria-label": `Fill ${this.tensor.name}` }, Object.keys(GENERATORS).map((word) => h("button", {
      type: "button", class: "small", onclick: () => this.generate(word),
    }, word)));
  }

  fileTools() {
    const id = newId("file");
    const input = h("input", { type: "file", id });
    input.addEventListener("change", () => {
      this.file = input.files[0] ?? null;
      if (!this.file) return;
      this.file.arrayBuffer().then((buffer) => {
        this.fileBytes = new Uint8Array(buffer);
        this.generate("file");
        this.words.textContent = `${this.file.name}, ${format.bytes(this.file.size)}, as the one value`;
      });
    });
    return h("div", { class: "tools" }, h("label", { for: id }, "or a file "), input);
  }

  // From now on the values come from there; "" is the text.
  generate(word) {
    this.generator = word;
    show(this.text, word !== "image");
    show(this.label, word !== "image");
    if (word === "") this.words.textContent = hint(this.tensor.datatype);
    if (word === "image") this.words.textContent = "The values are those of the image. Fill it otherwise to give others.";
    if (word in GENERATORS) {
      const shape = this.sizes.map((size) => (typeof size === "number" ? size : Number(size.input.value || 1)));
      const count = shape.reduce((product, size) => product * size, 1);
      this.text.value = count <= SHOWN_VALUES ? this.made(word, count).join(", ") : `${format.count(count)} values: ${word}`;
      this.words.textContent = `Filled: ${word}. Change the text to give values yourself.`;
      if (count <= SHOWN_VALUES) this.generator = "";
    }
    if (this.send) this.send.checked = true;
  }

  made(word, count) {
    const { datatype } = this.tensor;
    const whole = !datatype.startsWith("FP") && datatype !== "BF16";
    const value = GENERATORS[word] ?? (() => (datatype === "BOOL" ? Math.round(Math.random()) : whole ? Math.floor(Math.random() * 100) : Math.fround(Math.random())));
    return Array.from({ length: count }, (_, place) => (datatype === "BOOL" ? Boolean(value(place) % 2) : value(place)));
  }

  get wanted() {
    return !this.send || this.send.checked;
  }

  // The tensor as it is sent. Throws an Error with words for people.
  read() {
    const { name, datatype } = this.tensor;
    if (this.generator === "image") return { name, datatype, ...this.image.read() };
    if (this.generator === "file") return { name, datatype, shape: this.shapeOf(1), b64: toBase64(this.fileBytes) };
    if (this.generator in GENERATORS) {
      const shape = this.shapeOf(null);
      return packed(name, datatype, shape, this.made(this.generator, shape.reduce((product, size) => product * size, 1)));
    }
    let values = datatype === "BYTES" ? this.texts() : numbers(this.text.value, name);
    const shape = this.shapeOf(values.length);
    const wanted = shape.reduce((product, size) => product * size, 1);
    // One value stands for all.
    if (values.length === 1 && wanted > 1) values = Array(wanted).fill(values[0]);
    if (values.length !== wanted) throw new Error(`${name}: shape ${format.shape(shape)} takes ${wanted} values, there are ${values.length}`);
    return packed(name, datatype, shape, values);
  }

  texts() {
    const fixed = this.sizes.every((size) => (typeof size === "number" ? size === 1 : size.input.value === "1"));
    return fixed ? [this.text.value] : this.text.value.replace(/\n$/, "").split("\n");
  }

  // Sizes that are left open follow from the number of values; null: they are 1.
  shapeOf(count) {
    const shape = this.sizes.map((size) => (typeof size === "number" ? size : size.input.value === "" ? null : Number(size.input.value)));
    const known = shape.reduce((product, size) => product * (size ?? 1), 1);
    const open = shape.flatMap((size, place) => (size === null ? [place] : []));
    for (const place of open) shape[place] = 1;
    if (open.length && count !== null && known > 0) shape[open.at(-1)] = Math.max(1, Math.floor(count / known));
    if (shape.some((size) => !Number.isInteger(size) || size < 0)) throw new Error(`${this.tensor.name}: a size should be a whole number`);
    if (shape.reduce((product, size) => product * size, 1) > MOST_VALUES) throw new Error(`${this.tensor.name}: that is more than ${format.count(MOST_VALUES)} values`);
    return shape;
  }
}

function packed(name, datatype, shape, values) {
  const array = values.length > SHOWN_VALUES ? typedArray(datatype, values) : null;
  return array ? { name, datatype, shape, b64: toBase64(new Uint8Array(array.buffer)) } : { name, datatype, shape, data: values };
}

function numbers(text, name) {
  const trimmed = text.trim();
  if (trimmed.startsWith("[")) {
    try {
      return JSON.parse(trimmed).flat(Infinity);
    } catch {
      throw new Error(`${name}: the values begin like JSON and are none`);
    }
  }
  return trimmed.split(/[\s,;]+/).filter(Boolean).map((word) => {
    if (word === "true" || word === "false") return word === "true";
    const value = Number(word);
    if (Number.isNaN(value)) throw new Error(`${name}: '${word}' is no number`);
    return value;
  });
}

function hint(datatype) {
  return datatype === "BYTES" ? "A text; one for each line where the tensor has several." : "Numbers with spaces or commas between them, or JSON. One number stands for all.";
}
