/**
 * The one catalogue of texts in two languages. A key that is not in it does not compile.
 * `?lang=vi`, `?lang=en` show one language; without it Vietnamese comes first and English beside it.
 */
import en from "../../../texts/en.json";
import vi from "../../../texts/vi.json";
import type { Text } from "./types";

export type Key = keyof typeof vi & keyof typeof en;
export type Fill = Record<string, string | number>;

const tables: { vi: Record<string, string>; en: Record<string, string> } = { vi, en };

const asked = new URLSearchParams(location.search).get("lang");
/** What is shown: both, or one of them. */
export const lang: "both" | "vi" | "en" = asked === "vi" || asked === "en" ? asked : "both";
document.documentElement.lang = lang === "en" ? "en" : "vi";
document.documentElement.dataset["lang"] = lang;

function fill(text: string, values: Fill): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

export function both(key: Key, values: Fill = {}): Text {
  return { vi: fill(tables.vi[key] ?? key, values), en: fill(tables.en[key] ?? key, values) };
}

/** One line where there is room for one language only. */
export function say(key: Key, values: Fill = {}): string {
  return one(both(key, values));
}

export function one(text: Text): string {
  return lang === "en" ? text.en || text.vi : text.vi;
}

/** `vi / en`, or the one language that is shown. */
export function pair(text: Text): string {
  return lang !== "both" || text.vi === text.en || !text.en ? one(text) : `${text.vi} / ${text.en}`;
}

/** A text whose name comes from data: `kind.river`, `act.red_light`. Without one, the name itself. */
export function named(prefix: Prefix, name: string): Text {
  const key = `${prefix}.${name}`;
  return key in tables.vi ? both(key as Key) : { vi: name, en: name };
}

export type Prefix =
  | "kind" | "field" | "state" | "severity" | "step" | "scene" | "level" | "aqi" | "label" | "role" | "outcome" | "void" | "decision" | "signal";

/** Whether data has a text of its own. */
export function known(prefix: Prefix, name: string): boolean {
  return `${prefix}.${name}` in tables.vi;
}

/** Names of places are Vietnamese; English has its own spelling. */
export function nameOf(place: { name: string; name_en: string }): string {
  return lang === "en" ? place.name_en || place.name : place.name;
}
