/**
 * The ledger by stream and source, over the page while somebody looks at it.
 * @module
 */
import { Label, make, show } from "./dom.js";
import { number } from "./format.js";

/** @param {Record<string, number>} reasons */
const sum = (reasons) => Object.values(reasons).reduce((all, count) => all + count, 0);

/** @param {Record<string, number>} reasons @returns {string} the reasons, most frequent first */
const why = (reasons) =>
  Object.entries(reasons)
    .sort((a, b) => b[1] - a[1])
    .map(([reason, count]) => `${reason} ${number(count)}`)
    .join(", ");

export class Ledger {
  /** @param {import("./format.js").Texts} texts @param {HTMLElement} opener a click on it shows the ledger and hides it again */
  constructor(texts, opener) {
    this.element = document.getElementById("ledger");
    const head = make("tr");
    for (const [text, kind] of [
      [texts.both("ledger.stream"), ""],
      [texts.both("ledger.source"), ""],
      [texts.both("ledger.received"), "count"],
      [texts.both("ledger.stored"), "count"],
      [texts.both("ledger.rejected"), "count"],
      [texts.both("ledger.shed"), "count"],
      [texts.both("ledger.in_flight"), "count"],
      [texts.both("ledger.reasons"), ""],
    ]) {
      const label = new Label("th", kind);
      label.write(text);
      head.append(label.element);
    }
    this.rows = make("tbody");
    this.element.append(make("table", "", make("thead", "", head), this.rows));
    opener.addEventListener("click", () => this.toggle());
    this.element.addEventListener("click", () => show(this.element, false));
  }

  async toggle() {
    if (!this.element.hasAttribute("hidden")) return show(this.element, false);
    const answer = await fetch("/api/snapshot");
    if (!answer.ok) return;
    const { accounts } = await answer.json();
    this.rows.replaceChildren(...accounts.map((/** @type {any} */ account) => this.row(account)));
    show(this.element, true);
  }

  /** @param {any} account */
  row(account) {
    const rejected = sum(account.rejected);
    const shed = sum(account.shed);
    const off = account.received !== account.stored + rejected + shed + account.in_flight;
    const counts = [account.received, account.stored, rejected, shed, account.in_flight].map((count) => make("td", "count", number(count)));
    const names = [account.stream ?? "?", account.source ?? "?"].map((name) => make("td", "", name));
    return make("tr", off ? "wrong" : "", ...names, ...counts, make("td", "", why({ ...account.rejected, ...account.shed })));
  }
}
