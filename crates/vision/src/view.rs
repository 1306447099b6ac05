//! What is where in a camera's picture: zones, lines and signal heads, as `config/views.toml` lists them.
//!
//! Invariant: coordinates are fractions of width and height, 0 to 1, from the top left, so that another resolution changes nothing;
//! names are unique within a camera. A camera that is not listed has an empty view: it counts, and judges nothing.

use std::collections::BTreeMap;

use huong_types::{Name, Problems, Registry, Span, load_toml};
use serde::Deserialize;

/// A point as fractions of width and height.
pub type Point = (f32, f32);

/// What a zone is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZoneKind {
    NoStopping,
    Pavement,
    BusLane,
    Junction,
    /// A carriageway, where a standing vehicle is an obstacle.
    Lane,
    Waste,
    /// Nothing in it counts as motion, and no object whose foot is in it is tracked.
    Mask,
    /// Plates are looked for on vehicles in it; without any such zone, on every vehicle.
    Plate,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneSpec {
    pub name: Name,
    pub kind: ZoneKind,
    /// At least three corners in order around it.
    pub points: Vec<Point>,
    /// Staying so long is an event `dwelt`; without it, the default of the kind.
    #[serde(default)]
    pub dwell: Option<Span>,
    /// In a bus lane: the labels that may be there.
    #[serde(default)]
    pub allowed: Vec<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// Not to be crossed forward against its signal.
    Stop,
    /// To be crossed forward only.
    Direction,
    /// Counts.
    Count,
}

/// A line across the road. Forward is from its left to its right for who looks from `from` to `to`, as the picture shows it: a line
/// drawn from the left to the right edge is crossed forward by what comes down the picture.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSpec {
    pub name: Name,
    pub kind: LineKind,
    pub from: Point,
    pub to: Point,
    /// The signal that a stop line obeys.
    #[serde(default)]
    pub signal: Option<Name>,
}

/// A rectangle: left, top, width, height.
pub type Area = [f32; 4];

/// Where a signal's lights are in the picture, or whose feed tells its state.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalSpec {
    pub name: Name,
    #[serde(default)]
    pub red: Option<Area>,
    #[serde(default)]
    pub yellow: Option<Area>,
    #[serde(default)]
    pub green: Option<Area>,
    /// The whole head, for lights too small to be told apart by place: by colour alone.
    #[serde(default)]
    pub head: Option<Area>,
    /// The key of the stream `signal` under which the controller reports; its word is taken before the picture's.
    #[serde(default)]
    pub feed: Option<Name>,
}

/// One camera's picture.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct View {
    #[serde(rename = "zone")]
    pub zones: Vec<ZoneSpec>,
    #[serde(rename = "line")]
    pub lines: Vec<LineSpec>,
    #[serde(rename = "signal")]
    pub signals: Vec<SignalSpec>,
}

impl View {
    /// Of its geometry: eight hex digits that evidence carries.
    pub fn version(&self) -> Name {
        checksum(self)
    }

    /// Whether there is anything to judge by.
    pub(crate) fn judges(&self) -> bool {
        !self.zones.is_empty() || !self.lines.is_empty()
    }

    pub(crate) fn zones_of(&self, kind: ZoneKind) -> impl Iterator<Item = &ZoneSpec> {
        self.zones.iter().filter(move |zone| zone.kind == kind)
    }
}

pub(crate) fn checksum(said: &impl std::fmt::Debug) -> Name {
    Name::from(format!("{:08x}", crc32fast::hash(format!("{said:?}").as_bytes())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCamera {
    id: Name,
    #[serde(default)]
    zone: Vec<ZoneSpec>,
    #[serde(default)]
    line: Vec<LineSpec>,
    #[serde(default)]
    signal: Vec<SignalSpec>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    camera: Vec<RawCamera>,
}

/// The views of all cameras, by the camera's id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Views(BTreeMap<Name, View>);

impl Views {
    /// Reads and checks `views.toml`; every mistake goes to `problems`.
    pub fn parse(file: &str, text: &str, registry: &Registry, problems: &mut Problems) -> Self {
        let raw: Raw = load_toml(file, text, problems).unwrap_or_default();
        let mut views = Self::default();
        for RawCamera { id, zone, line, signal } in raw.camera {
            let path = format!("camera `{id}`");
            if registry.camera(&id).is_none() {
                problems.add(file, &path, format!("`{id}`"), "the id of a [[camera]] of the registry");
            }
            let view = View { zones: zone, lines: line, signals: signal };
            view.check(file, &path, problems);
            if views.0.insert(id, view).is_some() {
                problems.add(file, path, "an id again", "each camera once");
            }
        }
        views
    }

    pub fn of(&self, camera: &str) -> View {
        self.0.get(camera).cloned().unwrap_or_default()
    }
}

impl View {
    fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let inside = |(x, y): &Point| (0.0..=1.0).contains(x) && (0.0..=1.0).contains(y);
        let mut names: Vec<&Name> = Vec::new();
        let all = self.zones.iter().map(|zone| &zone.name).chain(self.lines.iter().map(|line| &line.name));
        for name in all.chain(self.signals.iter().map(|signal| &signal.name)) {
            if names.contains(&name) {
                problems.add(file, format!("{path}.{name}"), format!("`{name}` again"), "a name of its own");
            }
            names.push(name);
        }
        for zone in &self.zones {
            if zone.points.len() < 3 || !zone.points.iter().all(inside) {
                problems.add(
                    file,
                    format!("{path}.{}.points", zone.name),
                    format!("`{:?}`", zone.points),
                    "at least three points, each 0 to 1",
                );
            }
        }
        for line in &self.lines {
            let length = (line.from.0 - line.to.0).hypot(line.from.1 - line.to.1);
            if !inside(&line.from) || !inside(&line.to) || length < 0.01 {
                let found = format!("`{:?}` to `{:?}`", line.from, line.to);
                problems.add(file, format!("{path}.{}", line.name), found, "two points, each 0 to 1, at least 0.01 apart");
            }
            let known = |signal: &Name| self.signals.iter().any(|spec| spec.name == *signal);
            if let Some(signal) = line.signal.as_ref().filter(|signal| !known(signal)) {
                problems.add(file, format!("{path}.{}.signal", line.name), format!("`{signal}`"), "the name of a signal of this camera");
            }
        }
        for signal in &self.signals {
            let path = format!("{path}.{}", signal.name);
            let areas = [signal.red, signal.yellow, signal.green, signal.head];
            let lies_inside = |[x, y, w, h]: &Area| inside(&(*x, *y)) && *w > 0.0 && *h > 0.0 && inside(&(x + w, y + h));
            for area in areas.iter().flatten().filter(|area| !lies_inside(area)) {
                problems.add(file, &path, format!("`{area:?}`"), "left, top, width and height of a rectangle within 0 to 1");
            }
            let lamps = signal.red.is_some() && signal.green.is_some();
            if signal.feed.is_none() && lamps == signal.head.is_some() {
                problems.add(file, path, "no lights", "`red` and `green` (and `yellow`), or `head`, or a `feed`");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRY: &str = r#"
        [[camera]]
        id = "cam-1"
        name = "Ngã sáu"
        name_en = "Six-way junction"
        lat = 16.46
        lon = 107.59
        period = "1s"
    "#;

    fn parse(text: &str) -> (Views, Vec<String>) {
        let mut problems = Problems::default();
        let registry = Registry::parse("registry.toml", REGISTRY, &mut problems);
        let views = Views::parse("views.toml", text, &registry, &mut problems);
        (views, problems.list.iter().map(ToString::to_string).collect())
    }

    const GOOD: &str = r#"
        [[camera]]
        id = "cam-1"
        [[camera.zone]]
        name = "kerb"
        kind = "no-stopping"
        points = [[0.0, 0.5], [0.2, 0.5], [0.2, 1.0]]
        dwell = "2m"
        [[camera.line]]
        name = "stop"
        kind = "stop"
        from = [0.0, 0.6]
        to = [1.0, 0.6]
        signal = "north"
        [[camera.signal]]
        name = "north"
        red = [0.5, 0.1, 0.02, 0.02]
        green = [0.5, 0.14, 0.02, 0.02]
    "#;

    #[test]
    fn a_view_is_read_and_its_version_follows_its_geometry() {
        let (views, problems) = parse(GOOD);
        assert!(problems.is_empty(), "{problems:#?}");
        let view = views.of("cam-1");
        assert_eq!((view.zones[0].kind, view.zones[0].dwell), (ZoneKind::NoStopping, Some(Span::from_mins(2))));
        assert_eq!(view.zones_of(ZoneKind::Mask).count(), 0);
        let (moved, _) = parse(&GOOD.replace("[0.0, 0.6]", "[0.0, 0.61]"));
        assert_ne!(view.version(), moved.of("cam-1").version());
        assert_eq!(view.version(), parse(GOOD).0.of("cam-1").version());
        assert_eq!(views.of("cam-9"), View::default());
    }

    #[test]
    fn mistakes_are_all_named() {
        let text = GOOD
            .replace("[0.2, 0.5], ", "")
            .replace("from = [0.0, 0.6]", "from = [1.0, 0.6]")
            .replace("signal = \"north\"", "signal = \"south\"")
            .replace("name = \"stop\"", "name = \"kerb\"")
            .replace("red = [0.5, 0.1, 0.02, 0.02]", "")
            .replace("id = \"cam-1\"", "id = \"cam-7\"");
        let (_, problems) = parse(&text);
        assert_eq!(problems.len(), 6, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.contains("camera `cam-7`")), "{problems:#?}");
    }
}
