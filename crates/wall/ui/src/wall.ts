/** The wall screen: puts what the link knows on the page. It only displays; nothing on it needs a hand. */
import "./shared/base.css";
import "./wall.css";
import { Air } from "./panels/air";
import { AlertList, Counts } from "./panels/alerts";
import { Banner } from "./panels/banner";
import { Cameras } from "./panels/cameras";
import { FiguresLine } from "./panels/figures";
import { Hydrographs } from "./panels/hydro";
import { Reservoirs } from "./panels/reservoirs";
import { Scenes } from "./panels/scenes";
import { StationGroup } from "./panels/stations";
import { byId, inscribe, label, mark, set, show, write } from "./shared/dom";
import { History } from "./shared/history";
import { Link, drawer } from "./shared/link";
import { Player, played, type Played } from "./shared/player";
import { both, pair } from "./shared/texts";
import type { CityMap } from "./map/map";

inscribe();
const link = new Link(
  () => draw(),
  (event) => {
    history.told(event);
    if ("build" in event) history.reload();
  },
);
const history = new History(() => link.state.now());
/** The hours that this screen was opened to show, `?replay=2025-10-27T06:00&hours=6&speed=600`, in place of what is. */
const wanted = played(location.search);
const player = new Player(() => draw());
const shown = () => (player.active ? player.state : link.state);

const banner = new Banner();
const scenes = new Scenes();
const counts = new Counts();
const alerts = new AlertList();
const figures = new FiguresLine();
let hydrographs = new Hydrographs(byId("hydrographs"), 4, history);
const reservoirs = new Reservoirs(byId("reservoirs"), 6);
const air = new Air(byId("air"), 5);
const cameras = new Cameras(byId("cameras"), 9);
const BOXED = ["river", "reservoir", "rain", "flood", "air", "wind"];
const groups = [new StationGroup(["rain"], 6), new StationGroup(["flood"], 6), new StationGroup(["wind", "river", "reservoir"], 6), new StationGroup("rest", 6, BOXED)];
byId("groups").append(...groups.map(({ element }) => element));

/** The page reloads in the small hours, when no alert of the gravest waits: whatever a browser gathers in a day goes. */
const NIGHTLY = 20 * 3_600_000;

let map: CityMap | undefined;
let mapAsked = false;
let failed = "";
let asked = false;

async function play({ from, to, speed }: Played): Promise<void> {
  asked = true;
  player.speed = speed;
  const why = await player.open(from, Math.min(to, link.state.now()));
  failed = why ? pair(both("replay.failed", { why })) : "";
  if (!why) {
    byId("hydrographs").replaceChildren();
    hydrographs = new Hydrographs(byId("hydrographs"), 4, player.history);
  }
  draw();
}

async function openMap(): Promise<void> {
  try {
    const { CityMap } = await import("./map/map");
    map = await CityMap.open(byId("map"), false);
  } catch (error) {
    byId("map").append(label("p", "none", "map.none"));
    console.error(error);
  }
  draw();
}

const draw = drawer(() => {
  const { active: playing } = player;
  const connected = link.connected || playing;
  if (wanted && link.connected && !asked) void play(wanted);
  const state = shown();
  const scene = scenes.update(state);
  if (document.body.dataset["scene"] !== scene) {
    set(document.body, "data-scene", scene);
    hydrographs.refresh();
  }
  banner.update(link, state, playing);
  mark(document.body, "playing", playing);
  show(byId("replaying"), playing || failed !== "");
  write(byId("replaying"), playing ? `${pair(both("replay.title"))} ×${player.speed}${player.playing ? "" : ` · ${pair(both("replay.paused"))}`}` : failed);
  counts.update(state);
  alerts.update(state, connected, scene);
  hydrographs.update(state);
  reservoirs.update(state);
  air.update(state);
  for (const group of groups) group.update(state);
  cameras.update(state, connected);
  figures.update(state);
  map?.scene(scene);
  map?.update(state);
  if (connected && !mapAsked) {
    mapAsked = true;
    // What an operator needs is on the screen first; the map's library is large, and starting WebGL holds the page up.
    requestAnimationFrame(() => setTimeout(() => void openMap()));
  }
});

setInterval(() => {
  link.watch();
  const { state } = link;
  const local = Math.floor((state.now() / 3_600_000 + 7) % 24);
  const grave = [...state.alerts.values()].some((alert) => alert.ack === null && (alert.severity === "extreme" || alert.severity === "severe"));
  if (link.connected && state.rate === 1 && performance.now() > NIGHTLY && local === 3 && !grave) location.reload();
}, 1000);
void link.open();
