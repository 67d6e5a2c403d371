// An image as the values of a tensor.

import { h, newId } from "./dom.js";
import { toBase64 } from "./values.js";

const NUMERIC = new Set(["FP16", "FP32", "FP64", "BF16", "UINT8"]);
const LARGEST = 1024;
const SCALES = {
  "0 to 1": (value) => value / 255,
  "-1 to 1": (value) => value / 127.5 - 1,
  "0 to 255": (value) => value,
  "mean and deviation of ImageNet": (value, channel) => (value / 255 - [0.485, 0.456, 0.406][channel]) / [0.229, 0.224, 0.225][channel],
};

// Whether a tensor can hold an image, and where its channels, height and width are; null: it can not.
export function layoutOf(tensor, batched) {
  const dims = batched ? tensor.shape.slice(1) : tensor.shape;
  const lead = dims.length === 4 && dims[0] === 1 ? 1 : 0;
  const three = dims.slice(lead);
  if (!NUMERIC.has(tensor.datatype) || three.length !== 3) return null;
  const big = (size) => size < 0 || size >= 8;
  if ([1, 3].includes(three[0]) && big(three[1]) && big(three[2])) return { first: true, lead, channels: three[0], height: three[1], width: three[2] };
  if ([1, 3].includes(three[2]) && big(three[0]) && big(three[1])) return { first: false, lead, channels: three[2], height: three[0], width: three[1] };
  return null;
}

export class ImageInput {
  constructor(tensor, batched, chosen) {
    this.tensor = tensor;
    this.batched = batched;
    this.layout = layoutOf(tensor, batched);
    const [file, scale, order] = [newId("image"), newId("scale"), newId("order")];
    this.file = h("input", { type: "file", accept: "image/*", id: file });
    this.scale = h("select", { id: scale }, Object.keys(SCALES).map((word) => h("option", { selected: tensor.datatype === "UINT8" && word === "0 to 255" }, word)));
    this.order = h("select", { id: order }, h("option", {}, "RGB"), h("option", {}, "BGR"));
    this.canvas = h("canvas", { class: "preview", hidden: true, role: "img", "aria-label": "The image as it is sent" });
    this.element = h("div", { class: "image-tools" }, h("span", {}, h("label", { for: file }, "or an image "), this.file),
      tensor.datatype === "UINT8" ? null : h("span", {}, h("label", { for: scale }, "values "), this.scale),
      this.layout.channels === 3 ? h("span", {}, h("label", { for: order }, "channels "), this.order) : null, this.canvas);
    this.file.addEventListener("change", async () => {
      if (!this.file.files[0]) return;
      this.draw(await createImageBitmap(this.file.files[0]));
      chosen();
    });
  }

  draw(bitmap) {
    const shrink = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
    this.canvas.width = this.layout.width > 0 ? this.layout.width : Math.round(bitmap.width * shrink);
    this.canvas.height = this.layout.height > 0 ? this.layout.height : Math.round(bitmap.height * shrink);
    this.canvas.getContext("2d", { willReadFrequently: true }).drawImage(bitmap, 0, 0, this.canvas.width, this.canvas.height);
    this.canvas.hidden = false;
  }

  // Shape and values. Throws an Error without an image.
  read() {
    if (this.canvas.hidden) throw new Error(`${this.tensor.name}: no image was chosen`);
    const { width, height } = this.canvas;
    const { channels, first, lead } = this.layout;
    const pixels = this.canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const scale = this.tensor.datatype === "UINT8" ? SCALES["0 to 255"] : SCALES[this.scale.value];
    const values = new Float64Array(width * height * channels);
    for (let pixel = 0; pixel < width * height; pixel += 1) {
      const [red, green, blue] = pixels.subarray(pixel * 4, pixel * 4 + 3);
      const colours = channels === 1 ? [0.299 * red + 0.587 * green + 0.114 * blue] : [red, green, blue];
      colours.forEach((value, channel) => {
        const place = channels === 3 && this.order.value === "BGR" ? 2 - channel : channel;
        values[first ? place * width * height + pixel : pixel * channels + place] = scale(value, channel);
      });
    }
    const dims = first ? [channels, height, width] : [height, width, channels];
    return { shape: [...(this.batched ? [1] : []), ...(lead ? [1] : []), ...dims], ...this.values(values) };
  }

  values(values) {
    const kinds = { FP32: Float32Array, FP64: Float64Array, UINT8: Uint8ClampedArray };
    const kind = kinds[this.tensor.datatype];
    return kind ? { b64: toBase64(new Uint8Array(kind.from(values).buffer)) } : { data: Array.from(values) };
  }
}
