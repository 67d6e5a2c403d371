// Loading and unloading, where the server and the key allow it.

import { modelPath, post, Refusal } from "./connection.js";
import { announce, h, say } from "./dom.js";

// Why models can't be loaded and unloaded here; "": they can.
export function whyNot(store) {
  if (!["explicit", "ondemand"].includes(store.fleet?.server.control_mode)) return "The server was not started with --model-control-mode=explicit.";
  if (!store.access.admin) return "This key may not load and unload models: that takes the scope admin.";
  return "";
}

function confirmUnload(name) {
  return new Promise((done) => {
    const dialog = h("dialog", { "aria-labelledby": "unload-title" }, h("form", { method: "dialog" },
      h("h2", { id: "unload-title" }, `Unload ${name}?`),
      h("p", {}, "Requests that it has are answered first; new ones are refused."),
      h("p", { class: "actions" }, h("button", { value: "yes", class: "danger" }, "Unload"), h("button", { value: "" }, "Keep it"))));
    dialog.addEventListener("close", () => {
      done(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function loadButton(store, name) {
  const button = h("button", { type: "button", class: "small" });
  const problem = h("span", { class: "reason", role: "alert" });
  const element = h("span", { class: "load" }, button, problem);
  let working = false;
  let word = "load";

  async function act() {
    if (word === "unload" && !(await confirmUnload(name))) return;
    working = true;
    button.disabled = true;
    say(button, word === "load" ? "Loading…" : "Unloading…");
    say(problem, "");
    try {
      await post(`${modelPath(name)}/${word}`, {});
      announce(`${name} is ${word === "load" ? "loaded" : "unloaded"}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      say(problem, error.message);
    }
    working = false;
    store.refresh();
  }

  button.addEventListener("click", act);
  return {
    element,
    update(model) {
      element.hidden = whyNot(store) !== "";
      if (working) return;
      const ready = model.versions.some((version) => version.state === "READY");
      const busy = model.versions.some((version) => version.state === "LOADING" || version.state === "UNLOADING");
      word = ready ? "unload" : "load";
      say(button, ready ? "Unload" : "Load");
      button.setAttribute("aria-label", `${ready ? "Unload" : "Load"} ${name}`);
      button.disabled = busy;
    },
  };
}
