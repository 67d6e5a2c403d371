// What the page knows of the server: asked for every few seconds while somebody looks.

import { get, Refusal } from "./connection.js";
import { between } from "./history.js";

const FIGURES_MS = 2000;
const FLEET_EVERY = 3;
const KEPT_S = 900;

export class Store extends EventTarget {
  constructor() {
    super();
    this.fleet = null;
    this.access = { read: false, infer: false, admin: false, needs_key: false };
    this.samples = [];
    this.problem = "";
    this.paused = false;
    this.windowS = 300;
    this.lastReading = null;
    this.turn = 0;
    this.timer = 0;
    document.addEventListener("visibilitychange", () => this.schedule(0));
  }

  get bounds() {
    return this.fleet?.bounds ?? [];
  }

  // The samples of the time that is shown.
  get shown() {
    const last = this.samples.at(-1);
    return last ? this.samples.filter((sample) => sample.at_s > last.at_s - this.windowS) : [];
  }

  // Those of the last seconds, for figures that say "now".
  get recent() {
    const last = this.samples.at(-1);
    return last ? this.samples.filter((sample) => sample.at_s > last.at_s - 10) : [];
  }

  model(name) {
    return this.fleet?.models.find((model) => model.name === name) ?? null;
  }

  // Forgets what was seen: another key sees other things.
  restart() {
    this.lastReading = null;
    this.samples = [];
    this.fleet = null;
    this.turn = 0;
    return this.schedule(0);
  }

  refresh() {
    this.turn = 0;
    return this.schedule(0);
  }

  setPaused(paused) {
    this.paused = paused;
    this.schedule(0);
  }

  setWindow(seconds) {
    this.windowS = seconds;
    this.dispatchEvent(new Event("change"));
  }

  schedule(delayMs) {
    clearTimeout(this.timer);
    if (document.hidden) return;
    this.timer = setTimeout(() => this.poll(), delayMs);
  }

  async poll() {
    try {
      if (this.turn === 0 || !this.access.read) this.access = await get("api/access");
      if (this.access.read && !(this.paused && this.fleet)) {
        if (this.turn % FLEET_EVERY === 0 || !this.fleet) this.fleet = await get("api/fleet");
        this.take(await get("api/figures"));
      }
      this.turn += 1;
      this.problem = "";
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.problem = error.message;
      this.turn = 0;
    } finally {
      this.schedule(FIGURES_MS);
    }
    this.dispatchEvent(new Event("change"));
  }

  take(reading) {
    const before = this.lastReading;
    this.lastReading = reading;
    // A clock that has gone back is another server's.
    if (before && reading.at_s <= before.at_s) this.samples = [];
    else if (before) this.samples.push(between(before, reading));
    const since = reading.at_s - KEPT_S;
    while (this.samples.length && this.samples[0].at_s < since) this.samples.shift();
  }
}
