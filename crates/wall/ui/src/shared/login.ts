/** The form of who is asked to sign in. */
import { login } from "./api";
import { label, make, set, show, write } from "./dom";
import { both, pair } from "./texts";

export class LoginView {
  readonly element = make("form", "login");
  readonly #user = make("input");
  readonly #password = make("input");
  readonly #failed = make("p", "wrong");

  constructor(readonly done: () => void) {
    this.#user.autocomplete = "username";
    this.#password.type = "password";
    this.#password.autocomplete = "current-password";
    for (const input of [this.#user, this.#password]) input.required = true;
    set(this.#failed, "role", "alert");
    const yes = label("button", "primary", "login.do");
    yes.type = "submit";
    this.element.append(
      label("h2", "", "login.title"), make("label", "field", label("span", "", "login.user"), this.#user),
      make("label", "field", label("span", "", "login.password"), this.#password), this.#failed, yes, label("p", "note", "login.token"),
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#try();
    });
    show(this.element, false);
    show(this.#failed, false);
  }

  show(asked: boolean): void {
    const shown = asked && !this.element.hasAttribute("hidden");
    show(this.element, asked);
    if (asked && !shown) this.#user.focus();
  }

  async #try(): Promise<void> {
    const answer = await login(this.#user.value, this.#password.value);
    this.#password.value = "";
    show(this.#failed, !answer.ok);
    if (answer.ok) return this.done();
    const after = answer.status === 429;
    write(this.#failed, pair(both(after ? "login.later" : answer.status === 401 ? "login.wrong" : "order.refused", { why: answer.error })));
  }
}
