//! What stands where: stations, cameras and wards, as `config/registry.toml` lists them.
//!
//! A reading of a key that is not here is accepted and flagged orphan: the registry describes the city, it does not censor it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Map, Name, Problems, Span, load_toml};

/// A place that measures. Its numeric facts are what rules see as `station.<name>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Station {
    pub id: Name,
    /// Vietnamese name, as bulletins print it.
    pub name: String,
    pub name_en: String,
    /// Groups stations for people: `river`, `reservoir`, `rain`, `wind`, `air`, `flood`, ...
    pub kind: Name,
    /// The streams it reports.
    pub streams: Vec<Name>,
    /// WGS84 degrees.
    pub lat: f64,
    pub lon: f64,
    /// The guessed error of the position in kilometres.
    #[serde(default)]
    pub accuracy_km: f64,
    #[serde(default)]
    pub ward: Option<Name>,
    /// The river, lake or road it measures.
    #[serde(default)]
    pub on: Option<String>,
    /// How often it reports.
    pub period: Span,
    /// Ids under which senders know it.
    #[serde(default)]
    pub aliases: Vec<Name>,
    /// Numeric facts: alarm levels (`bd1`..), full supply level, range limits (`min`, `max`), by name, in the stream's unit.
    #[serde(default)]
    pub levels: BTreeMap<Name, f64>,
    /// Where the levels come from; required when there are any.
    #[serde(default)]
    pub levels_source: Option<String>,
    /// Facts that are texts, by name: the approved content of a screen, the class of a boat. Rules see them as `station.<name>` too.
    #[serde(default)]
    pub labels: BTreeMap<Name, String>,
    /// Other rows by their relation to this one, such as `upstream = ["tatrach", "binhdien"]`: what rules join by.
    #[serde(default)]
    pub links: BTreeMap<Name, Vec<Name>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    pub id: Name,
    pub name: String,
    pub name_en: String,
    pub lat: f64,
    pub lon: f64,
    #[serde(default)]
    pub ward: Option<Name>,
    /// Degrees clockwise from north that it looks towards.
    #[serde(default)]
    pub heading: Option<f64>,
    /// How often a frame is expected.
    pub period: Span,
    /// Numeric facts for rules, such as `congested`.
    #[serde(default)]
    pub levels: BTreeMap<Name, f64>,
    #[serde(default)]
    pub labels: BTreeMap<Name, String>,
    #[serde(default)]
    pub links: BTreeMap<Name, Vec<Name>>,
    /// Named polygons as fractions of width and height, at least three points each; none means the whole picture.
    #[serde(default)]
    pub zones: BTreeMap<Name, Vec<(f32, f32)>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ward {
    pub id: Name,
    pub name: String,
    pub name_en: String,
}

/// A named area of the city or the sea, for `in_zone` and `zone_distance_m` in rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    pub id: Name,
    pub name: String,
    pub name_en: String,
    /// The corners as (latitude, longitude) in WGS84 degrees, at least three, in order around it.
    pub points: Vec<(f64, f64)>,
    /// Where the outline comes from.
    pub source: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    ward: Vec<Ward>,
    zone: Vec<Zone>,
    station: Vec<Station>,
    camera: Vec<Camera>,
}

/// The checked registry, looked up by id or alias.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    pub wards: Vec<Ward>,
    pub stations: Vec<Station>,
    pub cameras: Vec<Camera>,
    pub zones: Vec<Zone>,
    /// Ids and aliases.
    station_index: Map<Name, usize>,
    camera_index: Map<Name, usize>,
}

/// A row as rules and texts see it, whether station or camera.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    pub id: &'a Name,
    pub name: &'a str,
    pub name_en: &'a str,
    /// `river`, `rain`, ...; `camera` for a camera.
    pub kind: &'a str,
    pub lat: f64,
    pub lon: f64,
    pub ward: Option<&'a Name>,
    pub period: Span,
    pub levels: &'a BTreeMap<Name, f64>,
    pub labels: &'a BTreeMap<Name, String>,
    pub links: &'a BTreeMap<Name, Vec<Name>>,
}

/// A generous box around the city, for typing mistakes: lat 15.95–16.80, lon 107.00–108.25.
const BOX: (f64, f64, f64, f64) = (15.95, 16.80, 107.00, 108.25);

impl Registry {
    /// Reads and checks a registry; every mistake goes to `problems`.
    pub fn parse(file: &str, text: &str, problems: &mut Problems) -> Self {
        let raw: Raw = load_toml(file, text, problems).unwrap_or_default();
        let mut registry = Self { wards: raw.ward, stations: raw.station, cameras: raw.camera, zones: raw.zone, ..Self::default() };
        registry.check(file, problems);
        registry
    }

    pub fn station(&self, id: &str) -> Option<&Station> {
        self.station_index.get(id).map(|&i| &self.stations[i])
    }

    pub fn camera(&self, id: &str) -> Option<&Camera> {
        self.camera_index.get(id).map(|&i| &self.cameras[i])
    }

    /// The position of a camera in `cameras`; the mailbox slots follow it.
    pub fn camera_position(&self, id: &str) -> Option<usize> {
        self.camera_index.get(id).copied()
    }

    /// The station or camera of a key.
    pub fn row(&self, key: &str) -> Option<Row<'_>> {
        if let Some(s) = self.station(key) {
            return Some(Row {
                id: &s.id,
                name: &s.name,
                name_en: &s.name_en,
                kind: &s.kind,
                lat: s.lat,
                lon: s.lon,
                ward: s.ward.as_ref(),
                period: s.period,
                levels: &s.levels,
                labels: &s.labels,
                links: &s.links,
            });
        }
        let c = self.camera(key)?;
        Some(Row {
            id: &c.id,
            name: &c.name,
            name_en: &c.name_en,
            kind: "camera",
            lat: c.lat,
            lon: c.lon,
            ward: c.ward.as_ref(),
            period: c.period,
            levels: &c.levels,
            labels: &c.labels,
            links: &c.links,
        })
    }

    pub fn zone(&self, id: &str) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.id == *id)
    }

    /// Every name that occurs in any `labels`, sorted: further columns `station.*` of the rules, which are texts.
    pub fn label_names(&self) -> Vec<Name> {
        let all = self.stations.iter().map(|s| &s.labels).chain(self.cameras.iter().map(|c| &c.labels));
        let names: std::collections::BTreeSet<&Name> = all.flat_map(|labels| labels.keys()).collect();
        names.into_iter().cloned().collect()
    }

    /// Every name that occurs in any `levels`, sorted: the columns `station.*` of the rules.
    pub fn level_names(&self) -> Vec<Name> {
        let all = self.stations.iter().map(|s| &s.levels).chain(self.cameras.iter().map(|c| &c.levels));
        let names: std::collections::BTreeSet<&Name> = all.flat_map(|levels| levels.keys()).collect();
        names.into_iter().cloned().collect()
    }

    fn check(&mut self, file: &str, problems: &mut Problems) {
        let wards: std::collections::HashSet<&Name> = self.wards.iter().map(|w| &w.id).collect();
        let mut place = |path: String, lat: f64, lon: f64, ward: Option<&Name>| {
            if !(BOX.0..=BOX.1).contains(&lat) {
                problems.add(file, format!("{path}.lat"), format!("`{lat}`"), format!("{} to {}", BOX.0, BOX.1));
            }
            if !(BOX.2..=BOX.3).contains(&lon) {
                problems.add(file, format!("{path}.lon"), format!("`{lon}`"), format!("{} to {}", BOX.2, BOX.3));
            }
            if let Some(ward) = ward.filter(|ward| !wards.contains(*ward)) {
                problems.add(file, format!("{path}.ward"), format!("`{ward}`"), "the id of a [[ward]]");
            }
        };
        for station in &self.stations {
            place(format!("station `{}`", station.id), station.lat, station.lon, station.ward.as_ref());
        }
        for camera in &self.cameras {
            place(format!("camera `{}`", camera.id), camera.lat, camera.lon, camera.ward.as_ref());
        }
        for (i, station) in self.stations.iter().enumerate() {
            if station.period <= Span::ZERO {
                problems.add(file, format!("station `{}`.period", station.id), format!("`{}`", station.period), "more than 0s");
            }
            if !station.levels.is_empty() && station.levels_source.is_none() {
                problems.add(file, format!("station `{}`.levels_source", station.id), "nothing", "the source of the levels");
            }
            for id in std::iter::once(&station.id).chain(&station.aliases) {
                if let Some(other) = self.station_index.insert(id.clone(), i) {
                    problems.add(
                        file,
                        format!("station `{}`", station.id),
                        format!("id or alias `{id}` again"),
                        format!("an id unlike that of `{}`", self.stations[other].id),
                    );
                }
            }
        }
        for (i, zone) in self.zones.iter().enumerate() {
            let path = format!("zone `{}`", zone.id);
            let off_globe = |(lat, lon): &(f64, f64)| !(-90.0..=90.0).contains(lat) || !(-180.0..=180.0).contains(lon);
            if zone.points.len() < 3 || zone.points.iter().any(off_globe) {
                problems.add(file, format!("{path}.points"), format!("`{:?}`", zone.points), "at least three points (latitude, longitude)");
            }
            if self.zones[..i].iter().any(|other| other.id == zone.id) {
                problems.add(file, path, "an id again", "an id of its own");
            }
        }
        for (i, camera) in self.cameras.iter().enumerate() {
            for (name, zone) in &camera.zones {
                if zone.len() < 3 || zone.iter().any(|(x, y)| !(0.0..=1.0).contains(x) || !(0.0..=1.0).contains(y)) {
                    problems.add(
                        file,
                        format!("camera `{}`.zones.{name}", camera.id),
                        format!("`{zone:?}`"),
                        "at least three points, each 0 to 1",
                    );
                }
            }
            if self.station_index.contains_key(&camera.id) || self.camera_index.insert(camera.id.clone(), i).is_some() {
                problems.add(file, format!("camera `{}`", camera.id), "an id again", "an id of its own");
            }
        }
        for station in &self.stations {
            let unlike = |name: &Name| station.levels.contains_key(name) || ["name", "lat", "lon", "kind", "ward"].contains(&name.as_str());
            for name in station.labels.keys().filter(|name| unlike(name)) {
                problems.add(file, format!("station `{}`.labels.{name}", station.id), "the name of another fact", "a name of its own");
            }
            for (link, others) in &station.links {
                for other in others.iter().filter(|other| self.row(other).is_none()) {
                    problems.add(
                        file,
                        format!("station `{}`.links.{link}", station.id),
                        format!("`{other}`"),
                        "the id of a station or camera",
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [[ward]]
        id = "thuan-hoa"
        name = "Phường Thuận Hóa"
        name_en = "Thuan Hoa ward"
        [[station]]
        id = "kimlong"
        name = "Kim Long"
        name_en = "Kim Long"
        kind = "river"
        streams = ["water_level"]
        lat = 16.457
        lon = 107.561
        period = "10m"
        aliases = ["74647999"]
        levels = { bd1 = 1.0, bd2 = 2.0, bd3 = 3.5 }
        levels_source = "bulletins"
    "#;

    #[test]
    fn stations_are_found_by_id_and_alias() {
        let mut problems = Problems::default();
        let registry = Registry::parse("r.toml", TEXT, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(registry.station("74647999").map(|s| s.id.as_str()), Some("kimlong"));
        assert_eq!(registry.row("kimlong").and_then(|r| r.levels.get("bd3").copied()), Some(3.5));
        assert_eq!(registry.level_names(), vec![Name::new("bd1"), Name::new("bd2"), Name::new("bd3")]);
        assert!(registry.row("nowhere").is_none());
    }

    #[test]
    fn mistakes_are_all_named() {
        let text = TEXT.replace("16.457", "61.457").replace("levels_source = \"bulletins\"", "ward = \"atlantis\"");
        let mut problems = Problems::default();
        Registry::parse(
            "r.toml",
            &format!("{text}\n{}", TEXT.split("[[station]]").nth(1).map(|s| format!("[[station]]{s}")).unwrap_or_default()),
            &mut problems,
        );
        let lines: Vec<String> = problems.list.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 5, "{lines:#?}");
    }
}
