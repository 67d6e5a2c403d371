// The dialog in which a key is entered, and what the key that is used opens.

import { hasKey, useKey } from "./connection.js";

const RIGHTS = { read: "look at the fleet", infer: "ask models", admin: "load and unload" };

export class AccessDialog {
  constructor(store) {
    this.store = store;
    this.dialog = document.getElementById("key-dialog");
    this.text = document.getElementById("key-text");
    this.button = document.getElementById("key");
    this.rights = document.getElementById("key-rights");
    this.button.addEventListener("click", () => this.open());
    document.getElementById("key-close").addEventListener("click", () => this.dialog.close());
    document.getElementById("key-forget").addEventListener("click", () => this.use(""));
    document.getElementById("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.use(this.text.value);
    });
  }

  open() {
    this.dialog.showModal();
    this.text.focus();
  }

  use(key) {
    useKey(key, document.getElementById("key-keep").checked);
    this.text.value = "";
    this.dialog.close();
    this.store.restart();
  }

  update() {
    const { access } = this.store;
    const opens = Object.entries(RIGHTS).filter(([name]) => access[name]).map(([, words]) => words);
    this.rights.textContent = access.needs_key
      ? `${hasKey() ? "With this key" : "Without a key"} you can ${opens.length ? opens.join(", ") : "do nothing here"}.`
      : "This server needs no keys: everybody who reaches it can do everything.";
    this.button.classList.toggle("wanted", access.needs_key && !access.read);
    this.button.hidden = !access.needs_key;
  }
}
