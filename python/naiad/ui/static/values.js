// Values of tensors as bytes, little-endian, and as base64.

const ARRAYS = {
  UINT8: Uint8Array, UINT16: Uint16Array, UINT32: Uint32Array, INT8: Int8Array, INT16: Int16Array, INT32: Int32Array,
  FP32: Float32Array, FP64: Float64Array, UINT64: BigUint64Array, INT64: BigInt64Array,
};

// null: that type goes as numbers in JSON.
export function typedArray(datatype, values) {
  const kind = ARRAYS[datatype];
  if (!kind || datatype.endsWith("INT64")) return null;
  return kind.from(values);
}

export function toBase64(bytes) {
  const parts = [];
  for (let place = 0; place < bytes.length; place += 0x8000) parts.push(String.fromCharCode(...bytes.subarray(place, place + 0x8000)));
  return btoa(parts.join(""));
}

// The values of an output that was shown as base64.
export function fromBase64(datatype, text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let place = 0; place < raw.length; place += 1) bytes[place] = raw.charCodeAt(place);
  return new ARRAYS[datatype](bytes.buffer);
}
