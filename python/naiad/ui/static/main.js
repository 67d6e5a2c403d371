// The page: which view is shown, the state of the connection, the controls of the bar.

import { AccessDialog } from "./access.js";
import { announce, h, say } from "./dom.js";
import { ModelPage } from "./model_page.js";
import { Overview } from "./overview.js";
import { Store } from "./store.js";
import { TryPage } from "./try_page.js";

const store = new Store();
const content = document.getElementById("content");
const status = document.getElementById("status");
const pause = document.getElementById("pause");
const access = new AccessDialog(store);
const gate = h("div", { class: "notice", hidden: true }, h("h1", { tabindex: "-1" }, "An API key is needed"),
  h("p", {}, "This server answers only who shows a key. The scope read opens the figures, infer the form in which models are tried, admin loading and unloading."),
  h("p", { class: "actions" }, h("button", { type: "button", class: "primary", onclick: () => access.open() }, "Enter a key")));
let view = null;
let wasReachable = true;

function route() {
  const [, kind = "", name = ""] = location.hash.split("/").map(decodeURIComponent);
  if (kind === "models" && name) return new ModelPage(store, name);
  if (kind === "try") return new TryPage(store, name);
  return new Overview(store);
}

function show() {
  view?.leave?.();
  view = route();
  const kind = view instanceof TryPage ? "try" : "overview";
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === kind) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${view.title} – naiad`;
  content.replaceChildren(gate, view.element);
  update();
}

function update() {
  access.update();
  const closed = store.problem === "" && !view.isOpen?.(store.access) && !store.access.read && store.turn > 0;
  gate.hidden = !closed;
  view.element.hidden = closed;
  say(status, store.problem ? `Not connected: ${store.problem}` : store.paused ? "Paused" : store.fleet || store.turn > 0 ? "Live" : "Connecting");
  status.className = `status ${store.problem ? "bad" : store.paused ? "idle" : "good"}`;
  const reachable = store.problem === "";
  if (reachable !== wasReachable) announce(reachable ? "Connected again" : `Not connected: ${store.problem}`);
  wasReachable = reachable;
  if (!closed) view.update();
}

store.addEventListener("change", update);
window.addEventListener("hashchange", () => {
  show();
  window.scrollTo(0, 0);
  // Who reads by ear is told where they are.
  content.querySelector("div:not([hidden]) h1")?.focus({ preventScroll: true });
});
document.getElementById("window").addEventListener("change", (event) => store.setWindow(Number(event.target.value)));
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  content.focus();
});
pause.addEventListener("click", () => {
  store.setPaused(!store.paused);
  pause.setAttribute("aria-pressed", String(store.paused));
});
show();
store.schedule(0);
