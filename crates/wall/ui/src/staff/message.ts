/** What a message's link (`/staff#link=…`) leads to: the alert's text and one button. Opening it changes nothing: programs that check mail open links. */
import { get, path, post } from "../shared/api";
import { Label, button, label, make, show } from "../shared/dom";
import { both } from "../shared/texts";
import type { Text } from "../shared/types";

interface Linked {
  text?: Text;
  alert?: { text: Text };
}

/** The panel, or nothing when the address names no link. */
export async function message(): Promise<HTMLElement | null> {
  const token = new URLSearchParams(location.hash.slice(1)).get("link");
  if (!token) return null;
  history.replaceState(null, "", location.pathname + location.search);
  const answer = await get<Linked>(path("link", token));
  const text = answer.ok ? (answer.data.text ?? answer.data.alert?.text) : undefined;
  const what = new Label("p", "text", text ?? both("link.gone"));
  const take = button("do.acknowledge", () => void follow(), "primary");
  show(take, text !== undefined);
  async function follow(): Promise<void> {
    const done = await post(path("link", token!));
    what.write(done.ok ? both("link.done") : both("order.refused", { why: done.error }));
    show(take, !done.ok);
  }
  return make("section", "message", label("h2", "", "link.title"), what.element, make("div", "actions", take));
}
