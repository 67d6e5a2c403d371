// Requests to the server, with the key that was entered. It is kept in memory, and on request for this tab.

const PLACE = "naiad-key";
let key = sessionStorage.getItem(PLACE) ?? "";

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function hasKey() {
  return key !== "";
}

export function useKey(text, keep) {
  key = text.trim();
  if (keep && key) sessionStorage.setItem(PLACE, key);
  else sessionStorage.removeItem(PLACE);
}

function headers(more) {
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

async function refusal(response) {
  let words = "";
  try {
    const told = (await response.json()).error;
    words = typeof told === "string" ? told : told?.message ?? "";
  } catch {
    // No JSON: the status says all there is.
  }
  return new Refusal(response.status, words || `the server answered with status ${response.status}`);
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "the server does not answer");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function get(path, signal) {
  return (await ask(path, { headers: headers({}), signal })).json();
}

export function post(path, value, signal) {
  return ask(path, {
    method: "POST",
    headers: headers({ "Content-Type": "application/json" }),
    body: JSON.stringify(value),
    signal,
  });
}

export function modelPath(name, version) {
  const model = `api/models/${encodeURIComponent(name)}`;
  return version ? `${model}/versions/${encodeURIComponent(version)}` : model;
}

// The lines of an answer as they come.
export async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    rest += value;
    const whole = rest.split("\n");
    rest = whole.pop();
    yield* whole;
  }
  if (rest) yield rest;
}
