// Numbers as people read them.

const EMPTY = "–";

function plain(value, digits) {
  return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: 0 });
}

function digitsOf(value) {
  const size = Math.abs(value);
  if (size >= 100 || size === 0) return 0;
  return size >= 10 ? 1 : 2;
}

export function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return EMPTY;
  return plain(value, digitsOf(value));
}

export function count(value) {
  if (value === null || value === undefined) return EMPTY;
  return value >= 1e6 ? `${plain(value / 1e6, 2)} M` : plain(value, 0);
}

export function rate(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return EMPTY;
  return value >= 1e5 ? `${plain(value / 1e3, 0)} k/s` : `${number(value)}/s`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return EMPTY;
  if (seconds === 0) return "0 ms";
  if (seconds < 1e-3) return `${number(seconds * 1e6)} µs`;
  if (seconds < 1) return `${number(seconds * 1e3)} ms`;
  return seconds < 120 ? `${number(seconds)} s` : ago(seconds);
}

export function share(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return EMPTY;
  return `${plain(value * 100, value < 0.1 && value > 0 ? 1 : 0)} %`;
}

export function bytes(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return EMPTY;
  const units = ["B", "KB", "MB", "GB", "TB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${plain(size, unit === 0 ? 0 : digitsOf(size))} ${units[unit]}`;
}

export function ago(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => seconds >= size);
  if (first < 0) return "0 s";
  return parts.slice(first, first + 2).map(([size, unit], place) => {
    const whole = Math.floor((place ? seconds % parts[first][0] : seconds) / size);
    return whole || !place ? `${whole} ${unit}` : "";
  }).join(" ").trim();
}

export function shape(dims) {
  return `[${dims.map((size) => (size < 0 ? "any" : size)).join(", ")}]`;
}
