//! How well the alarms of a rule foretold what is known to have happened: probability of detection, false-alarm ratio, lead time.
//!
//! Invariant: only what can be known is counted. A crossing whose time nobody published, or that the readings fed do not show, is no
//! event; an alarm at a station without events is neither right nor false.

use huong_types::{Name, Reading, Registry, Span, Timestamp, local_date_time};

use crate::score::{Crossing, shows};

/// One time an alert was raised.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alarm {
    pub(crate) key: Name,
    pub(crate) raised: Timestamp,
}

/// The outcome for one rule.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Skill {
    pub(crate) events: usize,
    pub(crate) found: usize,
    /// Raised for an event, at most the allowed time ahead of it.
    pub(crate) right: usize,
    /// Raised while the level was exceeded already and the event was over: no false alarm, and no detection.
    pub(crate) late: usize,
    pub(crate) false_alarms: usize,
    /// Of each event that was found: how long before the first reading that shows it. In order of length.
    pub(crate) leads: Vec<Span>,
    /// One line per event.
    pub(crate) lines: Vec<Vec<String>>,
}

/// Scores the alarms of `rule` against the upward crossings of the level that its id names (`bd1` to `bd3`), or of any level when it
/// names none. An alarm is right when it comes at most `ahead` before the last reading below the level, and not after the first at or
/// above it.
///
/// With hits H, misses M and false alarms F: POD = H / (H + M) over events, FAR = F / (right + F) over alarms (WMO-No. 8, forecast
/// verification by contingency table; right alarms of one event are counted each in the latter).
pub(crate) fn judge(rule: &str, alarms: &[Alarm], truth: &[Crossing], readings: &[Reading], ahead: Span, registry: &Registry) -> Skill {
    let level = ["1", "2", "3"].iter().find(|n| rule.contains(&format!("bd{n}"))).map(|n| format!("BĐ{n}"));
    let of_rule = |crossing: &&Crossing| level.as_ref().is_none_or(|level| crossing.level == *level);
    let mut skill = Skill::default();
    let events: Vec<(&Crossing, Timestamp, Timestamp)> = truth
        .iter()
        .filter(of_rule)
        .filter(|crossing| crossing.up && shows(crossing, readings, registry))
        .filter_map(|crossing| crossing.interval.map(|(before, after)| (crossing, before, after)))
        .collect();
    let answers = |alarm: &Alarm, (crossing, before, after): &(&Crossing, Timestamp, Timestamp)| {
        alarm.key == crossing.key && (*before - ahead..=*after).contains(&alarm.raised)
    };
    for event in &events {
        let (crossing, before, after) = event;
        let first = alarms.iter().filter(|alarm| answers(alarm, event)).map(|alarm| alarm.raised).min();
        skill.events += 1;
        skill.found += usize::from(first.is_some());
        skill.leads.extend(first.map(|raised| *after - raised));
        skill.lines.push(vec![
            rule.to_owned(),
            crossing.station.clone(),
            crossing.level.clone(),
            format!("{} .. {}", local_date_time(*before), local_date_time(*after)),
            first.map_or_else(|| "MISSED".to_owned(), local_date_time),
            first.map_or_else(String::new, |raised| format!("{} ahead of the first reading above", *after - raised)),
        ]);
    }
    skill.leads.sort();
    for alarm in alarms {
        if events.iter().any(|event| answers(alarm, event)) {
            skill.right += 1;
        } else if events.iter().any(|(crossing, _, after)| alarm.key == crossing.key && exceeded(crossing, *after, truth, alarm.raised)) {
            skill.late += 1;
        } else if truth.iter().filter(of_rule).any(|crossing| crossing.key == alarm.key && crossing.interval.is_none() && crossing.up) {
            // It may well answer the crossing whose time nobody published.
        } else if events.iter().any(|(crossing, ..)| crossing.key == alarm.key) {
            skill.false_alarms += 1;
        }
    }
    skill
}

/// Whether the level that was crossed by `after` was still exceeded `at`, as far as a downward crossing is known.
fn exceeded(up: &Crossing, after: Timestamp, truth: &[Crossing], at: Timestamp) -> bool {
    let down = truth.iter().filter(|c| !c.up && c.key == up.key && c.level == up.level);
    let end = down.filter_map(|c| c.interval).map(|(_, last)| last).filter(|last| *last > after).min();
    at > after && end.is_some_and(|end| at <= end)
}

impl Skill {
    /// Cells as [`Skill::HEAD`] names them.
    pub(crate) fn cells(&self, rule: &str) -> Vec<String> {
        let ratio = |part: usize, whole: usize| if whole == 0 { "-".to_owned() } else { format!("{:.2}", part as f64 / whole as f64) };
        let lead = |position: usize| self.leads.get(position).map_or_else(|| "-".to_owned(), ToString::to_string);
        vec![
            rule.to_owned(),
            self.events.to_string(),
            self.found.to_string(),
            ratio(self.found, self.events),
            self.right.to_string(),
            self.late.to_string(),
            self.false_alarms.to_string(),
            ratio(self.false_alarms, self.right + self.false_alarms),
            lead(0),
            lead(self.leads.len() / 2),
            lead(self.leads.len().saturating_sub(1)),
        ]
    }

    pub(crate) const HEAD: [&str; 11] =
        ["rule", "crossings", "found", "POD", "right", "late", "false", "FAR", "lead least", "median", "most"];
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use huong_types::Problems;

    use super::*;
    use crate::score;

    const REGISTRY: &str = r#"
        [[station]]
        id = "kimlong"
        name = "Kim Long"
        name_en = "Kim Long"
        kind = "river"
        streams = ["water_level"]
        lat = 16.457
        lon = 107.561
        period = "10m"
        levels = { bd1 = 1.0, bd2 = 2.0, bd3 = 3.5 }
        levels_source = "a test"
    "#;

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_millis(hour * 3_600_000)
    }

    fn crossing(level: &str, up: bool, interval: Option<(i64, i64)>) -> Crossing {
        let interval = interval.map(|(before, after)| (hour(before), hour(after)));
        Crossing { station: "Kim Long".to_owned(), key: Name::new("kimlong"), level: level.to_owned(), up, interval }
    }

    #[test]
    fn each_alarm_and_each_crossing_is_counted_once() {
        let mut problems = Problems::default();
        let registry = Arc::new(Registry::parse("r.toml", REGISTRY, &mut problems));
        assert!(problems.is_empty(), "{problems}");
        let levels = [(0, 1.5), (10, 2.5), (20, 1.5), (30, 2.4), (40, 3.6), (50, 1.5)];
        let key = Name::new("kimlong");
        let readings: Vec<Reading> =
            levels.iter().map(|&(at, value)| score::reading(&key, "water_level", "value", hour(at), value, &registry)).collect();
        let truth = [
            crossing("BĐ1", true, None),
            crossing("BĐ2", true, Some((0, 10))),
            crossing("BĐ2", false, Some((10, 20))),
            crossing("BĐ2", true, Some((20, 30))),
            crossing("BĐ2", false, Some((40, 50))),
            crossing("BĐ3", true, Some((30, 40))),
            // No reading fed shows this one.
            crossing("BĐ3", true, Some((60, 70))),
        ];
        let judge = |rule: &str, raised: &[(&str, i64)]| {
            let alarms: Vec<Alarm> = raised.iter().map(|(key, at)| Alarm { key: Name::new(key), raised: hour(*at) }).collect();
            let s = judge(rule, &alarms, &truth, &readings, Span::from_mins(6 * 60), &registry);
            let leads: Vec<f64> = s.leads.iter().map(|lead| lead.as_hours()).collect();
            ((s.events, s.found, s.right, s.late, s.false_alarms), leads)
        };
        for (rule, raised, counts, leads) in [
            // (events, found, right, late, false)
            ("river-bd2", &[("kimlong", 10), ("kimlong", 30)][..], (2, 2, 2, 0, 0), vec![0.0, 0.0]),
            // The second crossing an hour ahead, twice; the first too late.
            ("river-bd2-ahead", &[("kimlong", 15), ("kimlong", 19), ("kimlong", 25)], (2, 1, 3, 0, 0), vec![15.0]),
            ("river-bd2", &[("kimlong", 12), ("kimlong", 30)], (2, 1, 1, 1, 0), vec![0.0]),
            ("river-bd2", &[("kimlong", 55)], (2, 0, 0, 0, 1), vec![]),
            ("river-bd3", &[("kimlong", 40)], (1, 1, 1, 0, 0), vec![0.0]),
            // More than six hours ahead.
            ("river-bd3-ahead", &[("kimlong", 23)], (1, 0, 0, 0, 1), vec![]),
            // No published time to compare with; a station without truth.
            ("river-bd1", &[("kimlong", 0)], (0, 0, 0, 0, 0), vec![]),
            ("river-bd2", &[("phuoc", 10)], (2, 0, 0, 0, 0), vec![]),
            // A rule that names no level answers crossings of any.
            ("river-rise", &[("kimlong", 8), ("kimlong", 38)], (3, 2, 2, 0, 0), vec![2.0, 2.0]),
        ] {
            assert_eq!(judge(rule, raised), (counts, leads), "{rule} {raised:?}");
        }
    }

    #[test]
    fn ratios_of_nothing_are_not_numbers() {
        let empty = Skill::default().cells("x");
        assert_eq!(empty, ["x", "0", "0", "-", "0", "0", "0", "-", "-", "-", "-"]);
        let some = Skill { events: 4, found: 3, right: 3, false_alarms: 1, ..Skill::default() }.cells("x");
        assert_eq!((some[3].as_str(), some[7].as_str()), ("0.75", "0.25"));
    }
}
