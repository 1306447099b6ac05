/** The form of who is asked to sign in. */
import { get, login, query } from "./api";
import { label, make, set, show, write } from "./dom";
import { both, pair, type Key } from "./texts";

/** What the server says by the address of who comes back without being signed in. */
const WHY: Partial<Record<string, Key>> = { "#refused": "login.refused", "#away": "login.away" };

export class LoginView {
  readonly element = make("form", "login");
  readonly #user = make("input");
  readonly #password = make("input");
  readonly #failed = make("p", "wrong");
  /** To the city's own accounts, where they are configured. */
  readonly #city = label("a", "city", "login.city");

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
      make("label", "field", label("span", "", "login.password"), this.#password), this.#failed, yes, this.#city, label("p", "note", "login.token"),
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#try();
    });
    show(this.element, false);
    const why = WHY[location.hash];
    show(this.#failed, why !== undefined);
    if (why) {
      history.replaceState(null, "", location.pathname + location.search);
      write(this.#failed, pair(both(why)));
    }
    show(this.#city, false);
  }

  async #offer(): Promise<void> {
    const answer = await get<{ begin: string }>("/api/oidc");
    show(this.#city, answer.ok);
    if (answer.ok) this.#city.href = answer.data.begin + query({ page: location.pathname.slice(1) });
  }

  show(asked: boolean): void {
    const shown = asked && !this.element.hasAttribute("hidden");
    show(this.element, asked);
    if (!asked || shown) return;
    this.#user.focus();
    void this.#offer();
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
