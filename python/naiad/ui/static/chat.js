// A conversation with a language model, by the OpenAI API; where the model has no chat template, that API says so.

import { lines, post, Refusal } from "./connection.js";
import { h, newId } from "./dom.js";
import * as format from "./format.js";
import { TextStream } from "./text_stream.js";

export class Chat {
  constructor(model) {
    this.model = model;
    this.messages = [];
    const [text, system, temperature, tokens] = [newId("text"), newId("system"), newId("temperature"), newId("tokens")];
    this.log = h("ol", { class: "chat", role: "log", "aria-live": "polite", "aria-label": "Conversation", tabindex: "0" });
    this.text = h("textarea", { id: text, rows: 2, placeholder: "Write a message" });
    this.system = h("input", { id: system });
    this.temperature = h("input", { id: temperature, type: "number", min: "0", max: "2", step: "0.1", placeholder: "default" });
    this.tokens = h("input", { id: tokens, type: "number", min: "1", value: "256" });
    this.button = h("button", { type: "submit", class: "primary" }, "Send");
    this.stop = h("button", { type: "button", hidden: true, onclick: () => this.running?.abort() }, "Stop");
    this.told = h("span", { class: "muted", role: "status" });
    this.problem = h("p", { class: "notice bad", role: "alert", hidden: true });
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.form.requestSubmit();
    });
    this.form = h("form", { onsubmit: (event) => this.submit(event) },
      h("label", { for: text }, "Message"), this.text,
      h("div", { class: "sizes" }, ...[["System prompt", system, this.system], ["Temperature", temperature, this.temperature], ["Most tokens", tokens, this.tokens]].map(
        ([word, id, input]) => h("span", { class: "size" }, h("label", { for: id }, word), input))),
      h("p", { class: "actions" }, this.button, this.stop, h("button", { type: "button", onclick: () => this.clear() }, "Start over"), this.told));
    this.element = h("section", { class: "card", "aria-labelledby": "chat-title" }, h("h2", { id: "chat-title" }, "Chat"), this.log, this.problem, this.form);
  }

  leave() {
    this.running?.abort();
  }

  clear() {
    this.leave();
    this.messages = [];
    this.log.replaceChildren();
    this.told.textContent = "";
    this.problem.hidden = true;
  }

  bubble(role, text) {
    const content = h("p", {}, text);
    this.log.append(h("li", { class: role }, h("span", { class: "unseen" }, role === "user" ? "You: " : "Model: "), content));
    this.log.scrollTop = this.log.scrollHeight;
    return content;
  }

  async submit(event) {
    event.preventDefault();
    const text = this.text.value.trim();
    if (!text || this.button.disabled) return;
    this.problem.hidden = true;
    this.text.value = "";
    this.messages.push({ role: "user", content: text });
    this.bubble("user", text);
    this.running = new AbortController();
    this.button.disabled = true;
    this.stop.hidden = false;
    this.told.textContent = "Waiting for the first token";
    const answer = this.bubble("assistant", "");
    // Read out when it is whole.
    answer.parentElement.setAttribute("aria-busy", "true");
    const shown = new TextStream(answer, () => { this.log.scrollTop = this.log.scrollHeight; });
    try {
      await this.stream(shown);
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof Refusal)) throw error;
      this.told.textContent = error.name === "AbortError" ? "Stopped" : "Failed";
      this.problem.textContent = error.message;
      this.problem.hidden = error.name === "AbortError";
    } finally {
      shown.flush();
      answer.parentElement.setAttribute("aria-busy", "false");
      if (answer.textContent) this.messages.push({ role: "assistant", content: answer.textContent });
      else answer.parentElement.remove();
      this.button.disabled = false;
      this.stop.hidden = true;
    }
  }

  async stream(answer) {
    const system = this.system.value.trim();
    const request = {
      model: this.model,
      stream: true,
      messages: [...(system ? [{ role: "system", content: system }] : []), ...this.messages],
    };
    if (this.temperature.value !== "") request.temperature = Number(this.temperature.value);
    if (this.tokens.value !== "") request.max_tokens = Number(this.tokens.value);
    const begun = performance.now();
    let [first, pieces] = [null, 0];
    const response = await post("v1/chat/completions", request, this.running.signal);
    for await (const line of lines(response)) {
      if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new Refusal(500, event.error.message);
      const piece = event.choices?.[0]?.delta?.content ?? "";
      if (!piece) continue;
      first ??= performance.now();
      pieces += 1;
      answer.add(piece);
    }
    const seconds = (performance.now() - (first ?? begun)) / 1000;
    const speed = pieces > 1 && seconds > 0 ? `, then ${format.number((pieces - 1) / seconds)} pieces a second` : "";
    this.told.textContent = first === null ? "No answer" : `First token after ${format.duration((first - begun) / 1000)}${speed}`;
  }
}
