// Who is here: a name where there are no accounts, else name and password, or an invitation's link.

import { fill, remember, remembered } from "./dom.js";
import { ask, Refusal } from "./outbox.js";

export class SignIn {
  constructor(root, words, entered) {
    this.form = root.querySelector(".sl-ask");
    this.words = words;
    this.entered = entered; // called with nothing once the server knows who is here
    this.invitation = new URLSearchParams(location.hash.slice(1)).get("invite");
    this.form.addEventListener("submit", (event) => this.#send(event));
    this.form.querySelector(".sl-signout").addEventListener("click", () => this.#leave());
  }

  find(name) {
    return this.form.querySelector(name);
  }

  // Ask; `known` is who the page belongs to now, if anybody, and may stay.
  show({ accounts, annotator }) {
    this.accounts = accounts;
    const kind = this.invitation ? "invite" : accounts ? "signin" : "ask";
    this.kind = kind;
    const { name, password } = this.form.elements;
    this.find("h1").textContent = this.words[`${kind}_title`];
    this.find(".sl-ask-why").textContent = this.words[`${kind}_why`];
    this.find("[type=submit]").textContent = this.words[`${kind}_button`];
    this.find(".sl-ask-password").hidden = kind === "ask";
    this.find(".sl-ask-name").hidden = kind === "invite"; // until it is known to be ours to choose
    password.required = kind !== "ask";
    password.minLength = kind === "invite" ? this.words.least : 0;
    name.required = kind !== "invite";
    password.value = "";
    password.autocomplete = kind === "invite" ? "new-password" : "current-password";
    this.find(".sl-cancel").hidden = !annotator;
    this.find(".sl-signout").hidden = !(annotator && accounts);
    this.error("");
    if (kind === "invite") return this.#invited();
    name.value = remembered("name") ?? "";
    name.select();
    (kind === "signin" && name.value ? password : name).focus();
  }

  error(text) {
    this.find(".sl-ask-error").textContent = text;
    for (const field of this.form.querySelectorAll("input")) field.toggleAttribute("aria-invalid", Boolean(text));
  }

  async #invited() {
    try {
      const { name: offered } = await ask(`api/invite/${encodeURIComponent(this.invitation)}`);
      const { name, password } = this.form.elements;
      this.find(".sl-ask-name").hidden = Boolean(offered);
      name.required = !offered;
      name.value = offered;
      this.find(".sl-ask-why").textContent = fill(this.words.invite_why, this.words);
      (offered ? password : name).focus();
    } catch (problem) {
      if (!(problem instanceof Refusal)) return this.error(this.words.unreachable);
      this.#forget();
      this.show({ accounts: true, annotator: null });
      this.error(problem.message);
    }
  }

  async #send(event) {
    event.preventDefault();
    const { name, password } = this.form.elements;
    const said = { name: name.value, password: password.value };
    try {
      if (this.kind === "ask") await ask("api/me", { name: said.name });
      else if (this.kind === "signin") await ask("api/signin", said);
      else await ask(`api/invite/${encodeURIComponent(this.invitation)}`, said);
      remember("name", said.name);
      this.#forget();
      document.activeElement?.blur();
      this.entered();
    } catch (problem) {
      this.error(problem instanceof Refusal ? problem.message : this.words.unreachable);
    }
  }

  async #leave() {
    try {
      await ask("api/signout", {});
      this.show({ accounts: true, annotator: null });
    } catch (problem) {
      this.error(problem instanceof Refusal ? problem.message : this.words.unreachable);
    }
  }

  // An invitation is used once: a reload must not offer it again.
  #forget() {
    if (!this.invitation) return;
    this.invitation = null;
    history.replaceState(null, "", new URL(".", document.baseURI));
  }
}
