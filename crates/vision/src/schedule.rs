//! Whose frame is looked at next, when there is time for some only.
//!
//! Invariant: a camera that waits is served in the end, whatever the others do: how late it is grows without bound, in periods of its own.

use huong_types::{Problems, Span, Timestamp};
use serde::Deserialize;

/// How often cameras are to be looked at, by what they watch (`labels.watch` of the registry).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Cameras with stop lines or other enforcement.
    pub enforcement: Span,
    /// Bridges, underpasses and other places that a flood reaches first (`labels.watch = "flood"`), while a river alarm stands.
    pub flood: Span,
    /// All others; and those of floods while none is near.
    pub other: Span,
    /// While a river alarm stands, all but the cameras of floods are looked at so many times less often.
    pub flood_share: f64,
}

impl Default for ScheduleConfig {
    /// Three looks within the second that a vehicle takes over a stop line; a picture a second of a bridge under water; two seconds
    /// elsewhere. Proportions are what counts when the machine cannot do them all. Choices of this project.
    fn default() -> Self {
        Self { enforcement: Span::from_millis(330), flood: Span::from_secs(1), other: Span::from_secs(2), flood_share: 4.0 }
    }
}

impl ScheduleConfig {
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        for (name, period) in [("enforcement", self.enforcement), ("flood", self.flood), ("other", self.other)] {
            if !(Span::from_millis(10)..=Span::from_mins(60)).contains(&period) {
                problems.add(file, format!("{path}.{name}"), format!("`{period}`"), "10ms to 1h");
            }
        }
        if !(1.0..=100.0).contains(&self.flood_share) {
            problems.add(file, format!("{path}.flood_share"), format!("`{}`", self.flood_share), "1 to 100");
        }
    }
}

/// What a camera watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Enforcement,
    Flood,
    Other,
}

impl Watch {
    /// By the label `watch` of the registry.
    pub fn of(label: Option<&str>) -> Watch {
        match label {
            Some("enforcement") => Watch::Enforcement,
            Some("flood") => Watch::Flood,
            _ => Watch::Other,
        }
    }
}

/// The waiting cameras of one worker.
#[derive(Debug)]
pub struct Schedule {
    config: ScheduleConfig,
    /// By camera, and when it was served last.
    cameras: Vec<(Watch, Option<Timestamp>)>,
    waiting: Vec<usize>,
    /// A river has reached an alarm level.
    flood: bool,
}

impl Schedule {
    pub fn new(config: ScheduleConfig, cameras: impl IntoIterator<Item = Watch>) -> Self {
        Self { config, cameras: cameras.into_iter().map(|watch| (watch, None)).collect(), waiting: Vec::new(), flood: false }
    }

    pub fn set_flood(&mut self, flood: bool) {
        self.flood = flood;
    }

    /// A frame of `camera` waits. Cameras that are not known are passed over.
    pub fn add(&mut self, camera: usize) {
        if camera < self.cameras.len() && !self.waiting.contains(&camera) {
            self.waiting.push(camera);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The camera whose last look lies back the most of its own periods; one that was never looked at comes first. It waits no more.
    pub fn next(&mut self, now: Timestamp) -> Option<usize> {
        let late = |camera: usize| {
            let (_, served) = self.cameras[camera];
            served.map_or(f64::INFINITY, |served| now.since(served).as_millis() as f64 / self.period(camera))
        };
        let (place, _) =
            self.waiting.iter().enumerate().map(|(place, camera)| (place, late(*camera))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        let camera = self.waiting.swap_remove(place);
        self.cameras[camera].1 = Some(now);
        Some(camera)
    }

    /// In milliseconds.
    fn period(&self, camera: usize) -> f64 {
        let watch = self.cameras[camera].0;
        let period = match watch {
            Watch::Enforcement => self.config.enforcement,
            Watch::Flood if self.flood => self.config.flood,
            Watch::Flood | Watch::Other => self.config.other,
        };
        let less = if self.flood && watch != Watch::Flood { self.config.flood_share } else { 1.0 };
        period.as_millis() as f64 * less
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each of three cameras is served in 1,000 turns of `turn` ms while all have frames.
    fn served(flood: bool, turn: i64) -> [usize; 3] {
        let mut schedule = Schedule::new(ScheduleConfig::default(), [Watch::Enforcement, Watch::Flood, Watch::Other]);
        schedule.set_flood(flood);
        let mut counts = [0; 3];
        for i in 0..1000 {
            (0..3).for_each(|camera| schedule.add(camera));
            counts[schedule.next(Timestamp::from_millis(i * turn)).expect("three wait")] += 1;
        }
        counts
    }

    #[test]
    fn budget_goes_by_period_and_nobody_starves() {
        let [enforcement, flood, other] = served(false, 200);
        assert!(flood.abs_diff(other) <= 1 && (4..=7).contains(&(enforcement / other)), "{enforcement} {flood} {other}");
    }

    #[test]
    fn a_flood_moves_budget_to_its_cameras() {
        let [enforcement, flood, other] = served(true, 200);
        assert!(flood > 5 * other && flood >= enforcement && other > 20, "{enforcement} {flood} {other}");
    }

    #[test]
    fn who_was_never_seen_comes_first_and_each_waits_once() {
        let mut schedule = Schedule::new(ScheduleConfig::default(), [Watch::Enforcement, Watch::Other]);
        let at = Timestamp::from_millis;
        for camera in [0, 0, 7] {
            schedule.add(camera);
        }
        assert_eq!([schedule.next(at(0)), schedule.next(at(0))], [Some(0), None]);
        schedule.add(0);
        schedule.add(1);
        assert_eq!(schedule.next(at(1_000_000)), Some(1));
        assert_eq!(schedule.next(at(1_000_000)), Some(0));
        assert!(schedule.is_empty());
    }
}
