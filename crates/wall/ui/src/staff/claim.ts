/** The page behind a message's link: what it is about, and one button. The token in the address is the right; nobody signs in. */
import { get, path, post } from "../shared/api";
import { Label, Todo, button, label, make } from "../shared/dom";
import { moment } from "../shared/format";
import { both } from "../shared/texts";
import type { Alert, Text } from "../shared/types";

interface Claim {
  /** None when it is over. */
  alert: Alert | null;
  advice: Text | null;
  person: string;
  expires: number;
}

/** Shows it above `list` when the address has `#link=...`, which then leaves the address bar: a phone's history keeps no rights. */
export async function claim(list: Element): Promise<void> {
  const token = new URLSearchParams(location.hash.slice(1)).get("link");
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search);
  const box = make("section", "claim");
  list.prepend(box);
  const said = new Label("p", "who");
  const where = path("link", token);
  const found = await get<Claim>(where);
  if (!found.ok) {
    box.append(label("p", "none", "claim.bad", { why: found.error }));
    return;
  }
  const { alert, advice, person, expires } = found.data;
  if (!alert) {
    box.append(label("p", "none", "claim.over"));
    return;
  }
  const take = button("do.acknowledge", () => void follow(), "primary");
  const todo = new Todo();
  todo.write(advice);
  box.append(new Label("h2", "text", alert.text).element, todo.element, label("p", "note", "claim.for", { person, until: moment(expires) }), take, said.element);
  const follow = async (): Promise<void> => {
    take.disabled = true;
    const done = await post<Claim>(where);
    said.write(done.ok ? both("claim.done", { person }) : both("claim.bad", { why: done.error }));
    // Over a bad line it may be tried again: acknowledging twice changes nothing.
    take.disabled = done.ok;
  };
}
