//! What objects do in a camera's zones and at its lines: entered, left, dwelt, crossed.
//!
//! Invariant: for each object and zone, entered and left alternate and dwelt comes at most once between them; jitter at an edge makes
//! no events, because an edge is passed only by `margin` beyond it.

use std::collections::HashMap;

use huong_types::{Name, Problems, Span, Timestamp};
use serde::Deserialize;

use crate::check::in_range;
use crate::view::{LineSpec, Point, View, ZoneSpec};
use crate::zone::{contains, edge_distance, meets};
use crate::{LineKind, Track, ZoneKind};

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZoneConfig {
    /// How far beyond an edge or a line a foot must be to have passed it, as a part of the picture.
    pub margin: f32,
    /// How long in a zone is dwelling, where the zone does not say.
    pub dwell: Span,
}

impl Default for ZoneConfig {
    /// 0.01: 13 pixels of 1280; boxes of standing vehicles jitter by less. Two minutes: a choice of this project.
    fn default() -> Self {
        Self { margin: 0.01, dwell: Span::from_mins(2) }
    }
}

impl ZoneConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        in_range(file, path, problems, "margin", self.margin, 0.0..=0.2);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    Entered,
    /// After so long inside.
    Left(Span),
    /// Has been standing inside for so long.
    Dwelt(Span),
    Crossed {
        forward: bool,
    },
    /// What lay there is gone.
    Cleared,
}

impl Happening {
    pub fn as_str(self) -> &'static str {
        match self {
            Happening::Entered => "entered",
            Happening::Left(_) => "left",
            Happening::Dwelt(_) => "dwelt",
            Happening::Crossed { .. } => "crossed",
            Happening::Cleared => "cleared",
        }
    }
}

/// One thing that one object did at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneEvent {
    pub at: Timestamp,
    pub track: u64,
    pub label: Name,
    /// The zone or line, and its kind.
    pub place: Name,
    pub kind: &'static str,
    pub happening: Happening,
}

/// One object's standing with one camera's zones and lines, by their positions in the view.
#[derive(Clone, Debug, Default)]
struct Standing {
    /// Since when inside, and whether dwelling was told; `None` outside.
    zones: Vec<Option<(Timestamp, bool)>>,
    /// The last foot that was clearly on one side of the line.
    lines: Vec<Option<Point>>,
}

/// The zones of one camera.
#[derive(Clone, Debug)]
pub struct ZoneWatch {
    config: ZoneConfig,
    zones: Vec<ZoneSpec>,
    lines: Vec<LineSpec>,
    standing: HashMap<u64, Standing>,
}

impl ZoneWatch {
    pub fn new(config: ZoneConfig, view: &View) -> Self {
        let zones = view.zones.iter().filter(|zone| !matches!(zone.kind, ZoneKind::Mask)).cloned().collect();
        Self { config, zones, lines: view.lines.clone(), standing: HashMap::new() }
    }

    /// What the objects here did since the last look; `size` is the frame's, in pixels.
    pub fn look<'a>(&mut self, tracks: impl Iterator<Item = &'a Track>, size: (u32, u32), now: Timestamp) -> Vec<ZoneEvent> {
        let mut events = Vec::new();
        for track in tracks.filter(|track| track.is_here()) {
            let (x, y) = track.sight().bbox.foot();
            let foot = (x / size.0 as f32, y / size.1 as f32);
            let standing = self
                .standing
                .entry(track.id)
                .or_insert_with(|| Standing { zones: vec![None; self.zones.len()], lines: vec![None; self.lines.len()] });
            let mut tell = |place: &Name, kind, happening| {
                events.push(ZoneEvent { at: now, track: track.id, label: track.label().clone(), place: place.clone(), kind, happening });
            };
            for (zone, inside) in self.zones.iter().zip(&mut standing.zones) {
                let beyond = edge_distance(&zone.points, foot) > self.config.margin;
                match (contains(&zone.points, foot), *inside) {
                    (true, None) if beyond => {
                        *inside = Some((now, false));
                        tell(&zone.name, zone.kind.as_str(), Happening::Entered);
                    }
                    (false, Some((since, _))) if beyond => {
                        *inside = None;
                        tell(&zone.name, zone.kind.as_str(), Happening::Left(now.since(since)));
                    }
                    (_, Some((since, false))) => {
                        let stayed = now.since(since).min(track.still_for(now));
                        if stayed >= zone.dwell.unwrap_or(self.config.dwell) {
                            *inside = Some((since, true));
                            tell(&zone.name, zone.kind.as_str(), Happening::Dwelt(stayed));
                        }
                    }
                    _ => {}
                }
            }
            for (line, last) in self.lines.iter().zip(&mut standing.lines) {
                let side = side(line, foot);
                if side.abs() <= self.config.margin {
                    continue;
                }
                if let Some(was) = *last
                    && (side > 0.0) != (self::side(line, was) > 0.0)
                    && meets((line.from, line.to), (was, foot))
                {
                    tell(&line.name, line.kind.as_str(), Happening::Crossed { forward: side > 0.0 });
                }
                *last = Some(foot);
            }
        }
        events
    }

    /// The objects that ended leave the zones they were in.
    pub fn end(&mut self, ended: &[Track], now: Timestamp) -> Vec<ZoneEvent> {
        let mut events = Vec::new();
        for track in ended {
            let Some(standing) = self.standing.remove(&track.id) else { continue };
            let inside = self.zones.iter().zip(standing.zones).filter_map(|(zone, inside)| Some((zone, inside?.0)));
            events.extend(inside.map(|(zone, since)| ZoneEvent {
                at: now,
                track: track.id,
                label: track.label().clone(),
                place: zone.name.clone(),
                kind: zone.kind.as_str(),
                happening: Happening::Left(track.sight().at.since(since)),
            }));
        }
        events
    }

    /// The line of that name, when it is of that kind.
    pub fn line(&self, name: &str, kind: LineKind) -> Option<&LineSpec> {
        self.lines.iter().find(|line| line.name == *name && line.kind == kind)
    }

    /// The zones of these kinds in which the object is now, and since when.
    pub fn inside(&self, track: u64) -> impl Iterator<Item = (&ZoneSpec, Timestamp)> {
        let standing = self.standing.get(&track).into_iter();
        standing.flat_map(|standing| self.zones.iter().zip(&standing.zones)).filter_map(|(zone, inside)| Some((zone, (*inside)?.0)))
    }
}

/// Of a point beside a line: its distance, positive in front of it (forward).
pub(crate) fn side(line: &LineSpec, (x, y): Point) -> f32 {
    let (dx, dy) = (line.to.0 - line.from.0, line.to.1 - line.from.1);
    (dx * (y - line.from.1) - dy * (x - line.from.0)) / dx.hypot(dy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Street;

    const SIZE: (u32, u32) = (1000, 500);

    fn view(text: &str) -> View {
        let mut problems = Problems::default();
        let view = huong_types::load_toml("view", text, &mut problems).unwrap_or_default();
        assert!(problems.is_empty(), "{problems}");
        view
    }

    /// Feet of one motorbike, a second apart; what is told, as `second place event`.
    fn told(view: &View, feet: &[(f32, f32)]) -> Vec<String> {
        let (mut street, mut watch) =
            (Street::default(), ZoneWatch::new(ZoneConfig { dwell: Span::from_secs(3), ..ZoneConfig::default() }, view));
        let mut lines = Vec::new();
        let mut tell = |events: Vec<ZoneEvent>| {
            lines.extend(events.into_iter().map(|e| format!("{} {} {:?}", e.at.as_millis() / 1000, e.place, e.happening)));
        };
        for foot in feet {
            let (ended, now) = street.look(&[("motorbike", *foot)]);
            tell(watch.look(street.tracker.tracks(), SIZE, now));
            tell(watch.end(&ended, now));
        }
        for _ in 0..7 {
            let (ended, now) = street.look(&[]);
            tell(watch.end(&ended, now));
        }
        lines
    }

    const ZONE: &str = r#"
        [[zone]]
        name = "kerb"
        kind = "no-stopping"
        points = [[0.4, 0.0], [0.6, 0.0], [0.6, 1.0], [0.4, 1.0]]
        [[zone]]
        name = "tree"
        kind = "mask"
        points = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    "#;

    const LINE: &str = r#"
        [[line]]
        name = "stop"
        kind = "stop"
        from = [0.3, 0.6]
        to = [0.7, 0.6]
    "#;

    #[test]
    fn entering_standing_and_leaving_are_told_once() {
        let feet = [
            (300.0, 300.0),
            (350.0, 300.0),
            (450.0, 300.0),
            (500.0, 300.0),
            (501.0, 300.0),
            (500.0, 301.0),
            (500.0, 300.0),
            (500.0, 300.0),
            (560.0, 300.0),
            (650.0, 300.0),
        ];
        assert_eq!(told(&view(ZONE), &feet), ["3 kerb Entered", "7 kerb Dwelt(3s)", "10 kerb Left(7s)"]);
    }

    #[test]
    fn jitter_at_the_edge_is_no_event_and_who_vanishes_has_left() {
        let feet: Vec<(f32, f32)> = (0..20).map(|i| (400.0 + if i % 2 == 0 { 8.0 } else { -8.0 }, 300.0)).collect();
        assert!(told(&view(ZONE), &feet).is_empty());
        assert_eq!(told(&view(ZONE), &[(450.0, 300.0), (455.0, 300.0), (458.0, 300.0)]), ["2 kerb Entered", "9 kerb Left(1s)"]);
    }

    #[test]
    fn lines_are_crossed_within_their_ends_and_have_a_direction() {
        let down = [(500.0, 200.0), (500.0, 250.0), (500.0, 302.0), (500.0, 298.0), (500.0, 330.0), (500.0, 380.0)];
        assert_eq!(told(&view(LINE), &down), ["5 stop Crossed { forward: true }"], "once, though it stopped on the line");
        let up: Vec<(f32, f32)> = down.iter().rev().copied().collect();
        assert_eq!(told(&view(LINE), &up), ["5 stop Crossed { forward: false }"]);
        let beside = down.map(|(_, y)| (900.0, y));
        assert!(told(&view(LINE), &beside).is_empty());
    }
}
