/** Questions to the operator: a few fields in a dialog that the keyboard can answer. */
import { button, byId, label, make } from "../shared/dom";
import { both, pair, type Key } from "../shared/texts";

export interface FieldOf {
  name: string;
  text: Key;
  kind?: "text" | "area" | "select" | "password";
  options?: [value: string, text: string][];
  value?: string;
  required?: boolean;
  /** Offered while typing. */
  suggest?: string[];
}

/** Resolves with what was filled in, or null when the operator left. */
export function askFor(title: Key, fields: FieldOf[], confirm: Key = "do.confirm"): Promise<Record<string, string> | null> {
  const before = document.activeElement;
  const dialog = make("dialog");
  const form = make("form");
  const inputs = fields.map((field) => [field.name, input(field)] as const);
  const heading = label("h2", "", title);
  heading.id = "dialog-title";
  dialog.setAttribute("aria-labelledby", heading.id);
  const rows = inputs.map(([, element], i) => make("label", "field", label("span", "", fields[i]!.text), element));
  for (const [i, field] of fields.entries()) if (field.suggest) rows[i]!.append(suggestions(inputs[i]![1] as HTMLInputElement, field.suggest));
  const yes = label("button", "primary", confirm);
  yes.type = "submit";
  form.append(heading, ...rows, make("div", "row", yes, button("do.cancel", () => dialog.close())));
  dialog.append(form);
  byId("dialogs").replaceChildren(dialog);
  return new Promise((resolve) => {
    let filled: Record<string, string> | null = null;
    form.addEventListener("submit", (event) => {
      // The server's policy forbids sending forms; the script does.
      event.preventDefault();
      filled = Object.fromEntries(inputs.map(([name, element]) => [name, element.value.trim()]));
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement) before.focus();
      resolve(filled);
    });
    dialog.showModal();
  });
}

type Input = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

function input(field: FieldOf): Input {
  let element: Input;
  if (field.kind === "area") element = make("textarea");
  else if (field.kind === "select") element = make("select", "", ...(field.options ?? []).map(([value, text]) => option(value, text)));
  else {
    element = make("input");
    element.type = field.kind ?? "text";
  }
  element.name = field.name;
  if (field.value !== undefined) element.value = field.value;
  element.required = field.required ?? true;
  if (!(element instanceof HTMLSelectElement)) element.maxLength = 200;
  return element;
}

export function option(value: string, text: string): HTMLOptionElement {
  const element = make("option", "", text);
  element.value = value;
  return element;
}

function suggestions(element: HTMLInputElement, values: string[]): HTMLDataListElement {
  const list = make("datalist", "", ...values.map((value) => option(value, value)));
  list.id = `suggest-${element.name}`;
  element.setAttribute("list", list.id);
  return list;
}

/** A list of keys and what they do. */
export function showKeys(keys: [string, Key][]): void {
  const dialog = make("dialog", "keys");
  const heading = label("h2", "", "keys.title");
  heading.id = "dialog-title";
  dialog.setAttribute("aria-labelledby", heading.id);
  const rows = keys.map(([key, text]) => make("div", "key", make("kbd", "", key), make("span", "", pair(both(text)))));
  dialog.append(heading, make("div", "key-list", ...rows), make("div", "row", button("do.close", () => dialog.close())));
  dialog.addEventListener("close", () => dialog.remove());
  byId("dialogs").replaceChildren(dialog);
  dialog.showModal();
}
