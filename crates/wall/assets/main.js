/**
 * The wall screen: puts what the link knows on the page, at most once per animation frame and at least once a second (ages).
 * @module
 */
import { Alerts } from "./alerts.js";
import { Cameras } from "./cameras.js";
import { Label, mark, show, write } from "./dom.js";
import { FiguresLine } from "./figures.js";
import { Texts, age, date, number, time } from "./format.js";
import { Ledger } from "./ledger.js";
import { Link } from "./link.js";
import { Stations } from "./stations.js";

const texts = await Texts.load();
for (const element of document.querySelectorAll("[data-text]")) {
  const label = new Label("span");
  label.write(texts.both(element.dataset.text));
  element.append(label.element);
}
const banner = { what: new Label("strong"), detail: new Label("span") };
const bannerElement = document.getElementById("banner");
bannerElement.append(banner.what.element, banner.detail.element);
const rate = new Label("span");
document.getElementById("rate").append(rate.element);

const alerts = new Alerts(texts);
const stations = new Stations(texts);
const cameras = new Cameras(texts);
const figures = new FiguresLine(texts);
new Ledger(texts, figures.cells.ledger.element);

let due = false;
/** The places last drawn: a new snapshot brings new ones. */
let places = null;
/** @type {Map<string, string>} */
let names = new Map();

const link = new Link(() => {
  if (due) return;
  due = true;
  // A hidden tab gets no animation frames; the timer below draws for it.
  requestAnimationFrame(draw);
});

function draw() {
  due = false;
  if (link.places !== places) {
    places = link.places;
    names = new Map([...places.stations, ...places.cameras].map((place) => [place.id, place.name]));
    stations.place(places);
  }
  const lost = !link.connected;
  mark(document.body, "lost", lost);
  show(bannerElement, lost && (link.refused || link.silence() > 2000));
  if (lost) {
    banner.what.write(link.refused ? texts.both("token") : texts.both("lost"));
    banner.detail.write(link.refused ? texts.both("token.detail") : texts.both("lost.detail", { age: age(link.silence()) }));
  }
  const now = link.now();
  write(document.getElementById("time"), time(now));
  write(document.getElementById("date"), date(now));
  show(document.getElementById("rate"), link.clock.rate !== 1);
  rate.write(texts.both("figure.rate", { rate: number(link.clock.rate) }));
  alerts.update(link, (key) => names.get(key) ?? key);
  stations.update(link);
  cameras.update(link);
  figures.update(link.figures);
}

setInterval(() => {
  link.watch();
  draw();
}, 1000);
link.open();
