/** The operators' console: list, evidence, orders, replay, reports. Everything can be done by keyboard. */
import "./shared/base.css";
import "./console.css";
import { AuditView, CapView } from "./console/admin";
import { showKeys } from "./console/dialog";
import { EvidencePanel } from "./console/evidence";
import { HandoverView } from "./console/handover";
import { List } from "./console/list";
import { LoginView } from "./shared/login";
import { Orders, toast } from "./console/orders";
import { ReplayBar } from "./console/replay";
import { Sound } from "./console/sound";
import { ViolationsView } from "./console/violations";
import type { CityMap } from "./map/map";
import { Counts } from "./panels/alerts";
import { Banner } from "./panels/banner";
import { Hydrographs } from "./panels/hydro";
import { SCENES } from "./panels/scenes";
import { exercising } from "./shared/alerts";
import { may, post } from "./shared/api";
import { button, byId, inscribe, label, make, mark, set, show, write } from "./shared/dom";
import { full } from "./shared/format";
import { whereIs } from "./shared/geo";
import { History } from "./shared/history";
import { Link, drawer } from "./shared/link";
import { both, named, pair, type Key } from "./shared/texts";
import type { Alert, Right } from "./shared/types";

inscribe();
const sound = new Sound();
const link = new Link(
  () => draw(),
  (event) => {
    history.told(event);
    if ("build" in event) history.reload();
    const loud = replay.player.active ? null : sound.told(event);
    if (loud) write(byId("loud"), loud);
  },
);
const history = new History(() => link.state.now());
const orders = new Orders();
const replay = new ReplayBar(() => draw(), () => link.state.now());
/** What the views show: the present, or the hour that is played. */
const state = () => (replay.player.active ? replay.player.state : link.state);

const evidence = new EvidencePanel(orders);
const list = new List(() => draw(), (alert) => open(alert));
const handover = new HandoverView(state);
const violations = new ViolationsView();
const cap = new CapView(() => orders.may("release"));
const audit = new AuditView();
const mapBox = make("div", "map");
const curves = make("div", "curves");
const mapView = make("section", "map-view view", mapBox, curves);
let map: CityMap | undefined;
let hydrographs: Hydrographs | undefined;
/** Whose curves these are: the present's or a replay's. */
let curvesOf: History | undefined;

interface View {
  name: Key;
  element: HTMLElement;
  right: Right;
  open?: () => void;
}
const views: View[] = [
  { name: "tab.alerts", element: make("section", "alerts view", list.element, evidence.element), right: "view", open: () => list.focus() },
  { name: "tab.map", element: mapView, right: "view", open: () => void openMap() },
  { name: "tab.handover", element: handover.element, right: "view", open: () => handover.open() },
  { name: "tab.violations", element: violations.element, right: "review", open: () => void violations.open() },
  { name: "tab.cap", element: cap.element, right: "release", open: () => void cap.open() },
  { name: "tab.audit", element: audit.element, right: "audit", open: () => void audit.open() },
];
let current = views[0]!;
/** Somebody who may look without a name wants to sign in. */
let asking = false;
const tabs = views.map((view) => {
  const tab = label("button", "tab", view.name);
  tab.type = "button";
  set(tab, "role", "tab");
  tab.addEventListener("click", () => go(view));
  return { view, tab };
});
byId("tabs").append(...tabs.map(({ tab }) => tab));
const exercise = button("do.exercise", () => void orders.exercise(!exercising(link.state.alerts.values())));
const soundButton = button("do.sound", () => toggleSound());
const scenes = make("label", "filter", label("span", "", "scene.wall"));
const sceneSelect = make("select");
sceneSelect.append(...[null, ...SCENES].map((name) => Object.assign(make("option", "", name ? pair(named("scene", name)) : pair(both("scene.turning"))), { value: name ?? "" })));
sceneSelect.addEventListener("change", () => void orders.scene(sceneSelect.value || null));
scenes.append(sceneSelect);
const out = button("do.logout", () => void post("/api/logout").then(() => location.reload()));
const name = make("span", "name");
const inside = button("do.login", () => {
  asking = !asking;
  draw();
});
byId("who").append(name, inside, out);
const tools = make("div", "tools no-print", soundButton, exercise, button("do.replay", () => replay.toggle()), scenes, button("do.keys", () => showKeys(KEYS)));
const login = new LoginView(() => {
  asking = false;
  void link.open();
});
byId("views").append(tools, replay.element, ...views.map(({ element }) => element), login.element);

const banner = new Banner();
const counts = new Counts();

function go(view: View): void {
  current = view;
  view.open?.();
  draw();
}

function open(alert: Alert): void {
  list.selected = alert.id;
  void evidence.open(alert, state()).then(() => draw());
  const at = whereIs(state(), alert);
  if (at) map?.focus(at);
  draw();
}

/** The alert that a message's link names, `#alert=...`; what no link can hold stands there as `_`. */
let linked = new URLSearchParams(location.hash.slice(1)).get("alert");
function follow(): void {
  if (!linked || !link.connected) return;
  const alert = [...link.state.alerts.values()].find(({ id }) => id.replace(/[^\w.:-]/g, "_") === linked);
  linked = null;
  if (alert) open(alert);
}

async function openMap(): Promise<void> {
  if (map) return;
  try {
    const { CityMap } = await import("./map/map");
    map ??= await CityMap.open(mapBox, true);
  } catch (error) {
    mapBox.append(label("p", "none", "map.none"));
    console.error(error);
  }
  draw();
}

function toggleSound(): void {
  toast(sound.toggle() ? "sound.on" : "sound.off");
  set(soundButton, "aria-pressed", String(sound.on));
}
set(soundButton, "aria-pressed", String(sound.on));

const KEYS: [string, Key][] = [
  ["↑ ↓ j k", "keys.move"], ["n", "keys.next"], ["Enter", "keys.open"], ["a", "do.acknowledge"], ["g", "do.assign"], ["c", "do.comment"],
  ["o", "do.coming"], ["s", "do.shelve"], ["u", "do.unshelve"], ["/", "filter.text"], ["r", "do.replay"], ["Space", "replay.pause"],
  ["m", "do.sound"], ["x", "do.exercise"], ["1 – 6", "keys.tabs"], ["Esc", "keys.back"], ["?", "do.keys"],
];

const chosen = () => list.alert ?? evidence.alert;
const withAlert = (run: (alert: Alert) => Promise<void>) => () => {
  const alert = chosen();
  if (alert) void run(alert);
};
const ACTS: Record<string, () => void> = {
  ArrowDown: () => move(1), ArrowUp: () => move(-1), j: () => move(1), k: () => move(-1),
  n: () => list.nextNew(),
  Enter: () => {
    const alert = list.alert;
    if (alert) open(alert);
  },
  a: withAlert((alert) => orders.acknowledge(alert)),
  g: withAlert((alert) => orders.assign(alert)),
  c: withAlert((alert) => orders.comment(alert)),
  o: withAlert((alert) => orders.coming(alert)),
  s: withAlert((alert) => orders.shelve(alert)),
  u: withAlert((alert) => orders.unshelve(alert)),
  "/": () => {
    go(views[0]!);
    list.search.focus();
  },
  r: () => replay.toggle(),
  " ": () => replay.player.active && replay.pause(),
  m: toggleSound,
  x: () => void orders.exercise(!exercising(link.state.alerts.values())),
  Escape: () => (replay.player.active ? replay.close() : evidence.close()),
  "?": () => showKeys(KEYS),
};

function move(by: number): void {
  if (current.element === violations.element) violations.move(by);
  else list.move(by);
}

addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
  if (target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement) {
    if (event.key === "Escape" || (event.key === "Enter" && target === list.search)) {
      target.blur();
      list.focus();
    }
    return;
  }
  // On a button the two keys press it.
  if (target instanceof HTMLButtonElement && (event.key === "Enter" || event.key === " ")) return;
  const view = /^[1-6]$/.test(event.key) ? tabs.filter(({ tab }) => !tab.hidden)[Number(event.key) - 1]?.view : undefined;
  const act = view ? () => go(view) : ACTS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

const draw = drawer(() => {
  follow();
  const now = state();
  const replaying = replay.player.active;
  const session = link.session;
  orders.session = session;
  orders.replaying = replaying;
  mark(document.body, "playing", replaying);
  show(byId("replaying"), replaying);
  write(byId("replaying"), replaying ? `${pair(both("replay.title"))} ×${replay.player.speed} · ${full(now.now())}` : "");
  const refused = (link.refused || asking) && !replaying;
  login.show(refused);
  show(inside, Boolean(session?.login && !session.name));
  banner.update(link, now, replaying || refused);
  for (const { view, tab } of tabs) {
    show(tab, may(session, view.right) && !refused);
    set(tab, "aria-selected", String(view === current));
    show(view.element, view === current && !refused);
  }
  show(tools, !refused);
  show(exercise, may(session, "operate"));
  show(scenes, may(session, "operate"));
  show(out, Boolean(session?.login && session.name));
  write(name, session ? `${session.name ?? ""} ${pair(named("role", session.role))}`.trim() : "");
  set(exercise, "aria-pressed", String(exercising(link.state.alerts.values())));
  if (document.activeElement !== sceneSelect) sceneSelect.value = link.state.scene.pinned ?? "";
  counts.update(now);
  replay.update();
  if (current.element === views[0]!.element) {
    list.update(now);
    evidence.update(now, link.connected && !replaying);
  }
  if (current.element === mapView) drawMap();
});

function drawMap(): void {
  const now = state();
  map?.update(now);
  const of = replay.player.active ? replay.player.history : history;
  if (of !== curvesOf || !hydrographs) {
    curvesOf = of;
    curves.replaceChildren();
    hydrographs = new Hydrographs(curves, 3, of);
  }
  hydrographs.update(now);
}

setInterval(() => link.watch(), 1000);
void link.open();
