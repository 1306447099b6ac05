/** The phone of who is out there: my alerts, acknowledge, on my way, a small map. Made for a link that comes and goes. */
import "./shared/base.css";
import "./staff.css";
import type { CityMap } from "./map/map";
import { holder, phase } from "./panels/alerts";
import { Banner } from "./panels/banner";
import { level, listed, order, taken } from "./shared/alerts";
import { get, may, path } from "./shared/api";
import { Label, Rows, Sign, Todo, button, byId, inscribe, label, make, mark, set, show, write } from "./shared/dom";
import { age, moment } from "./shared/format";
import { whereIs } from "./shared/geo";
import { Link, drawer } from "./shared/link";
import { LoginView } from "./shared/login";
import { both, pair } from "./shared/texts";
import type { Alert, Session, Snapshot } from "./shared/types";
import { claim } from "./staff/claim";
import { Outbox } from "./staff/outbox";
import { key, subscribe, subscribed } from "./staff/push";

const ROWS = 40;
const ROUTES = "huong-routes";
const WHO = "huong-who";

inscribe();
const link = new Link(() => draw());
const { state } = link;
const outbox = new Outbox(() => link.session !== null && !link.refused, (refused) => {
  if (refused) toast(pair(both("order.refused", { why: refused })));
  draw();
});

const list = make("ol", "alerts");
const none = label("p", "none", "staff.none");
const mapBox = make("div", "map");
const waiting = make("p", "waiting");
const routes = make("select");
const push = button("staff.push", () => void turnOnPush());
const login = new LoginView(() => void link.open());
const listView = make("section", "list-view", make("div", "tools", make("label", "filter", label("span", "", "staff.routes"), routes), push), waiting, none, list);
byId("views").append(login.element, listView, mapBox);
void claim(byId("views"));
show(push, false);
show(mapBox, false);

let showing: "list" | "map" = "list";
let map: CityMap | undefined;
const tabs = (["list", "map"] as const).map((name) => {
  const tab = button(`staff.${name}`, () => void go(name));
  byId("tabs").append(tab);
  return { name, tab };
});

async function go(name: "list" | "map"): Promise<void> {
  showing = name;
  draw();
  if (name === "list" || map) return;
  try {
    const { CityMap } = await import("./map/map");
    map = await CityMap.open(mapBox, true);
  } catch (error) {
    mapBox.append(label("p", "none", "map.none"));
    console.error(error);
  }
  draw();
}

const rows = new Rows<Alert>(list, ROWS, () => {
  const sign = new Sign();
  const text = new Label("div", "text");
  const line = make("p", "note");
  const who = new Label("p", "who");
  const todo = new Todo();
  let shown: Alert | undefined;
  const give = (what: "acknowledge" | "coming") => () => {
    const by = person()?.name;
    if (shown) void outbox.add(path("alerts", shown.id, what), by ? { by } : {});
  };
  const take = button("do.acknowledge", give("acknowledge"), "primary");
  const come = button("do.coming", give("coming"));
  const where = button("staff.map", () => {
    const at = shown && whereIs(state, shown);
    void go("map").then(() => at && map?.focus(at));
  });
  const element = make("li", "alert", sign.element, make("div", "body", text.element, line, who.element, todo.element, make("div", "actions", take, come, where)));
  const update = (alert: Alert) => {
    shown = alert;
    sign.set(level(alert));
    text.write(alert.text);
    const how = phase(alert);
    write(line, [state.about(alert), moment(alert.raised), age(state.now() - alert.raised), how ? pair(how) : ""].filter(Boolean).join(" · "));
    const me = person();
    const queued = outbox.has(path("alerts", alert.id, "acknowledge")) || outbox.has(path("alerts", alert.id, "coming"));
    who.write(queued ? both("staff.queued", { count: 1 }) : holder(alert));
    todo.write(state.advice.get(alert.rule));
    show(take, !taken(alert) && may(me, "acknowledge"));
    show(come, may(me, "acknowledge") && !alert.notes?.some(({ kind, by }) => kind === "coming" && by === me?.name));
    show(where, whereIs(state, alert) !== undefined);
    mark(element, "new", !taken(alert));
  };
  return { element, update };
});

/** An alert is mine when it was given to me, when I took it, or when it goes to my route; without a route all are. */
function mine(alert: Alert): boolean {
  const me = person()?.name;
  const route = routes.value;
  return !route || alert.notify.includes(route) || (me !== null && me !== undefined && (alert.assigned?.to === me || alert.ack?.by === me));
}

let known = "";
function fillRoutes(): void {
  const names = [...new Set([...state.alerts.values()].flatMap((alert) => alert.notify))].sort();
  const chosen = routes.value || (localStorage.getItem(ROUTES) ?? "");
  if (chosen && !names.includes(chosen)) names.push(chosen);
  if (names.join() === known) return;
  known = names.join();
  routes.replaceChildren(...["", ...names].map((name) => Object.assign(make("option", "", name || pair(both("staff.all"))), { value: name })));
  routes.value = chosen;
}
routes.addEventListener("change", () => {
  localStorage.setItem(ROUTES, routes.value);
  draw();
});

let timer: ReturnType<typeof setTimeout> | undefined;
function toast(text: string): void {
  write(byId("toast"), text);
  show(byId("toast"), true);
  clearTimeout(timer);
  timer = setTimeout(() => show(byId("toast"), false), 5000);
}

async function turnOnPush(): Promise<void> {
  const vapid = await key();
  const failed = vapid ? await subscribe(vapid) : both("order.not_here").vi;
  toast(pair(failed ? both("staff.push_no", { why: failed }) : both("staff.push_on")));
  show(push, Boolean(failed));
}

const banner = new Banner();
const draw = drawer(() => {
  const refused = link.refused;
  login.show(refused);
  banner.update(link, state, refused);
  for (const { name, tab } of tabs) set(tab, "aria-pressed", String(name === showing));
  show(listView, showing === "list" && !refused);
  show(mapBox, showing === "map" && !refused);
  fillRoutes();
  if (link.session) localStorage.setItem(WHO, JSON.stringify({ ...link.session, csrf: null }));
  else if (refused) localStorage.removeItem(WHO);
  const queue = outbox.waiting.length;
  show(waiting, queue > 0);
  write(waiting, pair(both("staff.queued", { count: queue })));
  const alerts = [...state.alerts.values()].filter((alert) => listed(alert) && alert.about !== "exercise" && mine(alert)).sort(order);
  rows.update(alerts);
  show(none, alerts.length === 0 && link.connected);
  if (showing === "map") map?.update(state);
});

/** Without a connection the last snapshot that the phone kept is shown, greyed and with its age: the server dated it. */
async function kept(): Promise<void> {
  const answer = await get<Snapshot>("/api/snapshot");
  const dated = Date.parse((answer.ok && answer.headers.get("date")) || "");
  if (answer.ok && !Number.isNaN(dated)) link.remember(answer.data, Math.max(0, Date.now() - dated));
}

/** Who was here last: what may be ordered without a connection. The server decides again when it gets the order. */
function person(): Session | null {
  if (link.session) return link.session;
  try {
    return JSON.parse(localStorage.getItem(WHO) ?? "null") as Session | null;
  } catch {
    return null;
  }
}

const SEND_EVERY = 5000;
setInterval(() => link.watch(), 1000);
setInterval(() => void outbox.send(), SEND_EVERY);
void link.open();
void outbox.send();
if ("serviceWorker" in navigator) {
  void navigator.serviceWorker.register("/sw.js").then(kept, (error: unknown) => console.warn(error));
  void Promise.all([key(), subscribed()]).then(([vapid, on]) => show(push, Boolean(vapid) && !on));
} else void kept();
