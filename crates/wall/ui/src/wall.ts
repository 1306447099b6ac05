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
import { byId, inscribe, label, set } from "./shared/dom";
import { History } from "./shared/history";
import { Link, drawer } from "./shared/link";
import type { CityMap } from "./map/map";

inscribe();
const link = new Link(
  () => draw(),
  (event) => {
    history.told(event);
    if ("build" in event) history.reload();
  },
);
const { state } = link;
const history = new History(() => state.now());

const banner = new Banner();
const scenes = new Scenes();
const counts = new Counts();
const alerts = new AlertList();
const figures = new FiguresLine();
const hydrographs = new Hydrographs(byId("hydrographs"), 4, history);
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
  const connected = link.connected;
  const scene = scenes.update(state);
  if (document.body.dataset["scene"] !== scene) {
    set(document.body, "data-scene", scene);
    hydrographs.refresh();
  }
  banner.update(link, state);
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
  const local = Math.floor((state.now() / 3_600_000 + 7) % 24);
  const grave = [...state.alerts.values()].some((alert) => alert.ack === null && (alert.severity === "extreme" || alert.severity === "severe"));
  if (link.connected && state.rate === 1 && performance.now() > NIGHTLY && local === 3 && !grave) location.reload();
}, 1000);
void link.open();
