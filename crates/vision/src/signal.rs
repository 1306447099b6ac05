//! What a signal head shows, by the colour and brightness of its lights in the picture, or by the controller's own word.
//!
//! Invariant: it says `unknown` rather than guess: too dark, too alike, two lights at once, not seen for long. A change holds only
//! once two looks in a row agree.

use huong_types::{Name, Problems, SignalSight, SignalState, Span, Timestamp};
use serde::Deserialize;

use crate::Pixels;
use crate::check::in_range;
use crate::view::{Area, SignalSpec};

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignalConfig {
    /// How saturated a lamp's pixel must be to have a colour, 0 to 1.
    pub saturation: f32,
    /// How bright, 0 to 1.
    pub brightness: f32,
    /// The least lead of the lamp that is lit over the next, 0 to 1.
    pub lead: f32,
    /// Looks in a row that must agree on a change.
    pub agree: u32,
    /// What was seen longer ago is unknown.
    pub stale: Span,
    /// How long the controller's word holds.
    pub feed_age: Span,
}

impl Default for SignalConfig {
    /// Lamps are the brightest and most saturated things of a street, by day less so: 0.35 and 0.35 from drawn heads and a real
    /// junction's frames. 30 s: three keep-alive looks of the gate. Feeds report each change and every few seconds.
    fn default() -> Self {
        Self { saturation: 0.35, brightness: 0.35, lead: 0.35, agree: 2, stale: Span::from_secs(30), feed_age: Span::from_secs(5) }
    }
}

impl SignalConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        for (name, value) in [("saturation", self.saturation), ("brightness", self.brightness), ("lead", self.lead)] {
            in_range(file, path, problems, name, value, 0.0..=1.0);
        }
        in_range(file, path, problems, "agree", self.agree, 1..=10);
    }
}

/// The signals of one camera.
#[derive(Clone, Debug)]
pub struct Signals {
    config: SignalConfig,
    signals: Vec<Watched>,
}

#[derive(Clone, Debug)]
struct Watched {
    spec: SignalSpec,
    now: SignalState,
    confidence: f32,
    since: Timestamp,
    seen: Timestamp,
    /// What the last looks say instead, how many, and since when.
    instead: (SignalState, u32, Timestamp),
    feed: Option<(SignalState, Timestamp, Timestamp)>,
}

impl Signals {
    pub fn new(config: SignalConfig, specs: &[SignalSpec]) -> Self {
        let never = Timestamp::MIN;
        let watched = |spec: &SignalSpec| Watched {
            spec: spec.clone(),
            now: SignalState::Unknown,
            confidence: 0.0,
            since: never,
            seen: never,
            instead: (SignalState::Unknown, 0, never),
            feed: None,
        };
        Self { config, signals: specs.iter().map(watched).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.signals.is_empty()
    }

    /// Where the lights are.
    pub fn areas(&self) -> impl Iterator<Item = Area> {
        self.signals.iter().flat_map(|Watched { spec, .. }| [spec.red, spec.yellow, spec.green, spec.head]).flatten()
    }

    /// Whether a change waits for another look to hold.
    pub fn is_unsettled(&self) -> bool {
        self.signals.iter().any(|watched| watched.instead.1 > 0)
    }

    /// Looks at the heads in a picture; returns the signals whose state changed.
    pub fn look(&mut self, pixels: &Pixels<'_>, frame: (u32, u32), now: Timestamp) -> Vec<SignalSight> {
        let config = self.config;
        let mut changed = Vec::new();
        for watched in &mut self.signals {
            let before = watched.sight(&config, now).state;
            let (state, confidence) = shown(&config, &watched.spec, pixels, frame);
            watched.see(&config, state, confidence, now);
            let sight = watched.sight(&config, now);
            if sight.state != before {
                changed.push(sight);
            }
        }
        changed
    }

    /// The controller of `feed` says that its signal shows `state` since or at `at`.
    pub fn hear(&mut self, feed: &str, state: SignalState, at: Timestamp) {
        for watched in self.signals.iter_mut().filter(|watched| watched.spec.feed.as_ref().is_some_and(|key| **key == *feed)) {
            let since = match watched.feed {
                Some((was, since, _)) if was == state => since,
                _ => at,
            };
            watched.feed = Some((state, since, at));
        }
    }

    /// The signal of that name as it is known at `now`.
    pub fn state(&self, name: &str, now: Timestamp) -> Option<SignalSight> {
        self.signals.iter().find(|watched| watched.spec.name == *name).map(|watched| watched.sight(&self.config, now))
    }

    pub fn states(&self, now: Timestamp) -> impl Iterator<Item = SignalSight> {
        self.signals.iter().map(move |watched| watched.sight(&self.config, now))
    }
}

impl Watched {
    fn see(&mut self, config: &SignalConfig, state: SignalState, confidence: f32, now: Timestamp) {
        // A lorry before the head for a moment does not change the light; for longer, `stale` ends what is known.
        if state == SignalState::Unknown {
            return;
        }
        if now.since(self.seen) > config.stale {
            (self.now, self.instead.1) = (SignalState::Unknown, 0);
        }
        self.seen = now;
        if state == self.now {
            self.confidence = confidence;
            self.instead.1 = 0;
            return;
        }
        self.instead =
            if self.instead.1 > 0 && self.instead.0 == state { (state, self.instead.1 + 1, self.instead.2) } else { (state, 1, now) };
        if self.instead.1 >= config.agree {
            (self.now, self.since, self.confidence) = (state, self.instead.2, confidence);
            self.instead.1 = 0;
        }
    }

    fn sight(&self, config: &SignalConfig, now: Timestamp) -> SignalSight {
        let signal = self.spec.name.clone();
        if let Some((state, since, heard)) = self.feed
            && now.since(heard) <= config.feed_age
        {
            return SignalSight { signal, state, confidence: 1.0, since, source: Name::new("feed") };
        }
        let source = Name::new("camera");
        // While a change is in the air it is neither the old state nor yet the new one.
        let known = self.now != SignalState::Unknown && now.since(self.seen) <= config.stale && self.instead.1 == 0;
        if known {
            SignalSight { signal, state: self.now, confidence: self.confidence, since: self.since, source }
        } else {
            SignalSight { signal, state: SignalState::Unknown, confidence: 0.0, since: self.seen, source }
        }
    }
}

const COLOURS: [SignalState; 3] = [SignalState::Red, SignalState::Yellow, SignalState::Green];

/// What one picture shows of one head, and how surely.
fn shown(config: &SignalConfig, spec: &SignalSpec, pixels: &Pixels<'_>, frame: (u32, u32)) -> (SignalState, f32) {
    let lit: [f32; 3] = match spec.head {
        Some(head) => {
            let counts = colours(config, head, pixels, frame);
            let most: f32 = counts.iter().sum();
            // Of a head of three lamps one is lit: a third of its area at most, and the glow about it.
            if most < 0.03 { [0.0; 3] } else { counts.map(|count| count / most) }
        }
        // Each lamp by its place: how much of it glows in its own colour.
        None => {
            let lamps = [spec.red, spec.yellow, spec.green];
            std::array::from_fn(|i| lamps[i].map_or(0.0, |lamp| colours(config, lamp, pixels, frame)[i]))
        }
    };
    let mut ranked: Vec<(f32, SignalState)> = lit.into_iter().zip(COLOURS).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let lead = ranked[0].0 - ranked[1].0;
    if lead > config.lead { (ranked[0].1, lead.min(1.0)) } else { (SignalState::Unknown, 0.0) }
}

/// The parts of an area's pixels that are bright and red, yellow, green.
fn colours(config: &SignalConfig, [x, y, width, height]: Area, pixels: &Pixels<'_>, frame: (u32, u32)) -> [f32; 3] {
    const SIDE: usize = 8;
    let mut counts = [0.0; 3];
    for row in 0..SIDE {
        for column in 0..SIDE {
            let part = |i: usize, length: f32| (i as f32 + 0.5) / SIDE as f32 * length;
            let point = ((x + part(column, width)) * frame.0 as f32, (y + part(row, height)) * frame.1 as f32);
            if let Some(colour) = hue(config, pixels.at(point)) {
                counts[colour] += 1.0 / (SIDE * SIDE) as f32;
            }
        }
    }
    counts
}

/// 0 red, 1 yellow, 2 green, by hue in degrees: over the heads of a real junction (`scenes/traffic`) lit red lamps have 340 to 352, amber ones
/// 17 to 38, green ones 131 to 145 (middle nine tenths). Between red and amber the line is drawn close to red: yellow taken for red
/// would accuse somebody.
fn hue(config: &SignalConfig, rgb: [u8; 3]) -> Option<usize> {
    let [r, g, b] = rgb.map(|sample| f32::from(sample) / 255.0);
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    if most < config.brightness || most - least < config.saturation * most {
        return None;
    }
    let spread = most - least;
    let hue = if most == r {
        (60.0 * (g - b) / spread).rem_euclid(360.0)
    } else if most == g {
        120.0 + 60.0 * (b - r) / spread
    } else {
        240.0 + 60.0 * (r - g) / spread
    };
    match hue {
        h if !(12.0..325.0).contains(&h) => Some(0),
        h if h < 70.0 => Some(1),
        h if (90.0..200.0).contains(&h) => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: (u32, u32) = (400, 200);

    fn lamps() -> SignalSpec {
        let lamp = |top: f32| Some([0.5, top, 0.02, 0.04]);
        SignalSpec { name: "north".into(), red: lamp(0.2), yellow: lamp(0.24), green: lamp(0.28), head: None, feed: Some("tlc-7".into()) }
    }

    fn head() -> SignalSpec {
        SignalSpec { red: None, yellow: None, green: None, head: Some([0.495, 0.19, 0.03, 0.14]), feed: None, ..lamps() }
    }

    /// Which lamp, and its colour.
    type Lit = (usize, [u8; 3]);

    /// A dim street with a dark head whose lamp at `lit` (0 to 2) has this colour; `glare` lightens everything.
    fn street(lit: &[Lit], glare: u8) -> Vec<u8> {
        let pixel = |i: usize| {
            let (x, y) = (i % FRAME.0 as usize, i / FRAME.0 as usize);
            let lamp = |k: usize| (200..208).contains(&x) && (40 + 8 * k..48 + 8 * k).contains(&y);
            let colour = lit.iter().find(|(k, _)| lamp(*k)).map_or([40, 42, 44], |(_, colour)| *colour);
            colour.map(|sample| sample.saturating_add(glare))
        };
        (0..(FRAME.0 * FRAME.1) as usize).flat_map(pixel).collect()
    }

    const RED: [u8; 3] = [230, 40, 30];
    const YELLOW: [u8; 3] = [240, 190, 40];
    const GREEN: [u8; 3] = [40, 220, 160];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn look(signals: &mut Signals, samples: &[u8], second: i64) -> SignalState {
        let pixels = Pixels { samples, size: FRAME, scale: (1.0, 1.0) };
        signals.look(&pixels, FRAME, at(second));
        signals.state("north", at(second)).expect("it is watched").state
    }

    #[test]
    fn lamps_and_heads_are_read_by_colour_and_what_is_not_clear_is_unknown() {
        use SignalState::{Green, Red, Unknown, Yellow};
        let cases: [(&str, &[Lit], u8, SignalState); 10] = [
            ("red", &[(0, RED)], 0, Red),
            ("yellow", &[(1, YELLOW)], 0, Yellow),
            ("green", &[(2, GREEN)], 0, Green),
            ("dark", &[], 0, Unknown),
            ("two at once", &[(0, RED), (2, GREEN)], 0, Unknown),
            ("white glare", &[(0, [255, 255, 255])], 0, Unknown),
            ("amber", &[(1, [200, 105, 30])], 0, Yellow),
            ("a red that the camera makes crimson", &[(0, [235, 25, 70])], 0, Red),
            ("red by day", &[(0, RED)], 25, Red),
            ("washed out", &[(0, [200, 150, 145])], 40, Unknown),
        ];
        for (name, lit, glare, expected) in cases {
            for spec in [lamps(), head()] {
                let mut signals = Signals::new(SignalConfig::default(), std::slice::from_ref(&spec));
                let picture = street(lit, glare);
                look(&mut signals, &picture, 0);
                assert_eq!(look(&mut signals, &picture, 1), expected, "{name}, {:?}", spec.head);
            }
        }
        // A lamp lit in the place of another is not believed.
        let mut signals = Signals::new(SignalConfig::default(), &[lamps()]);
        look(&mut signals, &street(&[(2, RED)], 0), 0);
        assert_eq!(look(&mut signals, &street(&[(2, RED)], 0), 1), SignalState::Unknown);
    }

    #[test]
    fn a_change_takes_two_looks_and_its_time_is_the_first_of_them() {
        let mut signals = Signals::new(SignalConfig::default(), &[lamps()]);
        let (red, green, dark) = (street(&[(0, RED)], 0), street(&[(2, GREEN)], 0), street(&[], 0));
        let states: Vec<SignalState> =
            [&green, &green, &red, &red, &dark, &red].iter().enumerate().map(|(i, p)| look(&mut signals, p, i as i64)).collect();
        use SignalState::{Green, Red, Unknown};
        assert!(!signals.is_unsettled() && signals.areas().count() == 3);
        assert_eq!(states, [Unknown, Green, Unknown, Red, Red, Red], "a lorry before the head for a moment changes nothing");
        let sight = signals.state("north", at(5)).expect("it is watched");
        assert_eq!((sight.since, sight.source.as_str()), (at(2), "camera"));
        assert!(sight.confidence > 0.5);
        assert_eq!(signals.state("north", at(50)).expect("it is watched").state, Unknown, "not seen for long");
        assert_eq!(look(&mut signals, &red, 60), Unknown, "nobody knows what was between");
        assert!(signals.state("south", at(60)).is_none());
    }

    #[test]
    fn the_controller_knows_better_while_it_talks() {
        let mut signals = Signals::new(SignalConfig::default(), &[lamps()]);
        let red = street(&[(0, RED)], 0);
        look(&mut signals, &red, 0);
        signals.hear("tlc-7", SignalState::Green, at(0));
        signals.hear("tlc-7", SignalState::Green, at(1));
        signals.hear("tlc-8", SignalState::Red, at(1));
        assert_eq!(look(&mut signals, &red, 1), SignalState::Green);
        let sight = signals.state("north", at(2)).expect("it is watched");
        assert_eq!((sight.since, sight.source.as_str(), sight.confidence), (at(0), "feed", 1.0));
        assert_eq!(look(&mut signals, &red, 10), SignalState::Red, "it fell silent");
    }

    #[test]
    fn settings_out_of_range_are_all_named() {
        let config = SignalConfig { lead: -0.1, agree: 0, ..SignalConfig::default() };
        let mut problems = Problems::default();
        config.check("huong.toml", "vision.signals", &mut problems);
        assert_eq!(problems.list.len(), 2, "{problems}");
    }
}
