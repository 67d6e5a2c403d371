// A form for any model, made from its metadata; a chat for language models.

import { Chat } from "./chat.js";
import { get, lines, modelPath, post, Refusal } from "./connection.js";
import { TensorField } from "./fields.js";
import { announce, h, newId, show } from "./dom.js";
import * as format from "./format.js";
import { ResultView } from "./results.js";

export class TryPage {
  constructor(store, name) {
    this.title = name ? `Try ${name}` : "Try a model";
    this.store = store;
    this.name = name;
    this.metadata = null;
    const list = newId("models");
    const field = newId("model");
    this.options = h("datalist", { id: list });
    this.input = h("input", { id: field, list, value: name, autocomplete: "off", spellcheck: "false", required: true });
    this.chooser = h("form", { class: "choose", onsubmit: (event) => this.choose(event) },
      h("label", { for: field }, "Model"), this.input, this.options, h("button", { type: "submit" }, "Open"));
    this.input.addEventListener("change", () => { if (this.store.model(this.input.value)) this.choose(); });
    this.problem = h("p", { class: "notice bad", role: "alert", hidden: true });
    this.place = h("div", { class: "trial" });
    this.element = h("div", {}, h("div", { class: "head" }, h("h1", { tabindex: "-1" }, this.title)), this.chooser, this.problem, this.place);
    if (name) this.open();
  }

  // Keys that may only ask models open this page too.
  isOpen(access) {
    return access.infer;
  }

  leave() {
    this.running?.abort();
    this.chat?.leave();
  }

  choose(event) {
    event?.preventDefault();
    location.hash = `#/try/${encodeURIComponent(this.input.value.trim())}`;
  }

  update() {
    const names = (this.store.fleet?.models ?? []).filter((model) => model.versions.some((version) => version.state === "READY")).map((model) => model.name);
    if (names.join("\n") !== this.names) {
      this.names = names.join("\n");
      this.options.replaceChildren(...names.map((each) => h("option", { value: each })));
      if (!this.name) this.place.replaceChildren(h("ul", { class: "choices" }, names.map((each) => h("li", {}, h("a", { href: `#/try/${encodeURIComponent(each)}` }, each)))));
    }
    if (this.name && !this.metadata && this.store.access.infer && this.failed) this.open();
  }

  async open() {
    this.failed = false;
    try {
      this.metadata = await get(modelPath(this.name));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.failed = error.status === 401 || error.status === 0;
      this.complain(error.message);
      return;
    }
    show(this.problem, false);
    this.build();
  }

  complain(words) {
    this.problem.textContent = words;
    show(this.problem, words !== "");
  }

  build() {
    const { metadata } = this;
    this.form = this.tensorForm();
    if (metadata.task !== "generate") {
      this.place.replaceChildren(this.form);
      return;
    }
    this.chat = new Chat(this.name);
    const tensors = h("details", { class: "tensors" }, h("summary", {}, "Ask with tensors instead"), this.form);
    this.place.replaceChildren(this.chat.element, tensors);
  }

  tensorForm() {
    const { metadata } = this;
    this.fields = metadata.inputs.map((tensor) => new TensorField(tensor, metadata.max_batch_size > 0));
    this.run = h("button", { type: "submit", class: "primary" }, "Run");
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.running?.abort() }, "Stop");
    this.told = h("span", { class: "muted", role: "status" });
    this.result = new ResultView(metadata);
    return h("div", { class: "columns" },
      h("form", { class: "card inputs", onsubmit: (event) => this.submit(event) }, h("h2", {}, "Request"),
        this.fields.map((field) => field.element), h("p", { class: "actions" }, this.run, this.stop, this.told)),
      h("section", { class: "card", "aria-labelledby": "response-title" }, h("h2", { id: "response-title" }, "Response"), this.result.element));
  }

  async submit(event) {
    event.preventDefault();
    this.complain("");
    let inputs;
    try {
      inputs = this.fields.filter((field) => field.wanted).map((field) => field.read());
    } catch (error) {
      this.complain(error.message);
      return;
    }
    this.running = new AbortController();
    this.run.disabled = true;
    this.stop.hidden = false;
    this.told.textContent = "Running";
    this.result.clear();
    try {
      const response = await post(`${modelPath(this.name)}/infer`, { inputs }, this.running.signal);
      for await (const line of lines(response)) this.take(JSON.parse(line));
    } catch (error) {
      this.told.textContent = error.name === "AbortError" ? "Stopped" : "Failed";
      if (error instanceof Refusal) this.complain(error.message);
      else if (error.name !== "AbortError") throw error;
    } finally {
      this.run.disabled = false;
      this.stop.hidden = true;
    }
  }

  take(line) {
    if (line.error) {
      this.told.textContent = "Failed";
      this.complain(line.error);
    } else if (line.end) {
      this.told.textContent = `${format.duration(line.ms / 1000)}`;
      this.result.end(line);
      announce(`Answered in ${format.duration(line.ms / 1000)}`);
    } else {
      this.result.add(line);
    }
  }
}
