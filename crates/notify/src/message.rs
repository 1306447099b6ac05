//! What people read: catalogues of texts in both languages, filled with an alert's figures.
//!
//! Invariant: a function of what it is given alone. A line stands only where there is something to say, so a message never shows a
//! placeholder or an empty label.

use std::collections::{BTreeMap, HashMap};

use huong_types::{
    Alert, AlertState, Name, Problems, Registry, Severity, Text, Timestamp, Transition, format_number, load_toml, local_date_time,
};
use serde::{Deserialize, Serialize};

use crate::guide::{Figures, Guide};
use crate::roster::Language;

/// Alerts that a digest names; the rest is counted.
const NAMED: usize = 5;

/// One language's texts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    title: String,
    body: String,
    /// One line, for SMS.
    short: String,
    /// The same without an address.
    plain_short: String,
    /// Before the title of an alert raised in an exercise.
    exercise: String,
    /// Figures have a decimal comma.
    comma: bool,
    digest_title: String,
    digest_body: String,
    severity: BTreeMap<Severity, String>,
    event: BTreeMap<String, String>,
}

/// A message to one person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) short: String,
    /// Where the wall shows it; empty when the wall's address is not configured.
    pub(crate) link: String,
    /// Where it is acknowledged.
    pub(crate) acknowledge: String,
}

/// Both catalogues.
pub(crate) struct Messages {
    vi: Catalogue,
    en: Catalogue,
}

/// What a message about a step is made of, beside the step.
pub(crate) struct Facts<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) guide: Option<&'a Guide>,
    /// Of the alert, or where it has none of an alert ahead of it at the same place.
    pub(crate) figures: Figures,
    /// The name of who ordered the step.
    pub(crate) by: Option<&'a str>,
    pub(crate) link: Option<String>,
    pub(crate) acknowledge: Option<String>,
}

type Names = HashMap<&'static str, String>;

impl Messages {
    /// The catalogues of the crate, or those given as (file, text) instead.
    pub(crate) fn load(vi: Option<(String, String)>, en: Option<(String, String)>, problems: &mut Problems) -> Option<Self> {
        let of = |given: Option<(String, String)>, file: &str, own: &str, problems: &mut Problems| {
            let (file, text) = given.unwrap_or_else(|| (file.to_owned(), own.to_owned()));
            let catalogue: Option<Catalogue> = load_toml(&file, &text, problems);
            if let Some(catalogue) = &catalogue {
                catalogue.check(&file, problems);
            }
            catalogue
        };
        let vi = of(vi, "vi.toml", include_str!("../messages/vi.toml"), problems);
        let en = of(en, "en.toml", include_str!("../messages/en.toml"), problems);
        Some(Self { vi: vi?, en: en? })
    }

    pub(crate) fn of(&self, step: &Transition, facts: &Facts<'_>, language: Language) -> Message {
        let mut message = self.both(language, |catalogue, vietnamese| catalogue.message(step, facts, vietnamese));
        message.link = facts.link.clone().unwrap_or_default();
        message.acknowledge = facts.acknowledge.clone().unwrap_or_default();
        message
    }

    /// One message for several: their severities and titles, oldest first.
    pub(crate) fn digest(&self, of: &[(Severity, Text)], since: Timestamp, link: Option<String>, language: Language) -> Message {
        let mut message = self.both(language, |catalogue, vietnamese| catalogue.digest(of, since, link.as_deref(), vietnamese));
        message.link = link.unwrap_or_default();
        message
    }

    /// The title of a step in both languages, for a digest.
    pub(crate) fn title(&self, step: &Transition, facts: &Facts<'_>) -> Text {
        let of = |catalogue: &Catalogue, vietnamese| catalogue.message(step, facts, vietnamese).title;
        Text { vi: of(&self.vi, true), en: of(&self.en, false) }
    }

    fn both(&self, language: Language, write: impl Fn(&Catalogue, bool) -> Message) -> Message {
        match language {
            Language::Vi => write(&self.vi, true),
            Language::En => write(&self.en, false),
            Language::Both => {
                let (vi, en) = (write(&self.vi, true), write(&self.en, false));
                // The one line has room for one language.
                Message { body: format!("{}\n\n{}", vi.body, en.body), ..vi }
            }
        }
    }
}

impl Catalogue {
    fn check(&self, file: &str, problems: &mut Problems) {
        for severity in Severity::ALL.iter().filter(|severity| !self.severity.contains_key(severity)) {
            problems.add(file, format!("severity.{severity}"), "nothing", "a word for it");
        }
        if !self.event.contains_key("other") {
            problems.add(file, "event.other", "nothing", "a word for steps without one of their own");
        }
    }

    fn grave(&self, severity: Severity) -> String {
        self.severity.get(&severity).cloned().unwrap_or_default()
    }

    fn message(&self, step: &Transition, facts: &Facts<'_>, vietnamese: bool) -> Message {
        let alert = &step.alert;
        let row = facts.registry.row(&alert.key);
        let place = row.map(|row| if vietnamese { row.name } else { row.name_en }.to_owned());
        let ward = row.and_then(|row| row.ward).and_then(|id| facts.registry.wards.iter().find(|ward| ward.id == *id));
        let text = |text: &Text| if vietnamese { text.vi.clone() } else { text.en.clone() };
        let event = self.event.get(step.kind.as_str()).or_else(|| self.event.get("other"));
        let number = |value: f64, decimals| format_number(value, decimals, self.comma);
        let figures = &facts.figures;
        let with_unit = |value: f64| format!("{} {}", number(value, figures.decimals), figures.unit).trim_end().to_owned();
        let hours = |hours: Option<f64>| hours.filter(|hours| hours.is_finite()).map(|hours| number(hours, 1));
        let interval = figures.low.is_some_and(f64::is_finite) && figures.high.is_some_and(f64::is_finite);
        let mut names = Names::new();
        let mut put = |name: &'static str, value: Option<String>| {
            names.insert(name, value.unwrap_or_default());
        };
        put("grave", Some(self.grave(alert.severity)));
        put("event", event.cloned());
        put("text", Some(text(&alert.text)));
        // A key that the registry does not know, such as a group's, is no name for people: the text says what it is about.
        put("lone_place", place.clone().filter(|_| ward.is_none()));
        put("place", Some(place.unwrap_or_else(|| text(&alert.text))));
        put("ward", ward.map(|ward| if vietnamese { ward.name.clone() } else { ward.name_en.clone() }));
        put("since", Some(local_date_time(alert.since)));
        put("limit", figures.limit.map(with_unit));
        let over = figures.limit.zip(figures.value).map(|(limit, value)| value - limit);
        put("over", over.filter(|over| *over >= 0.0).map(with_unit));
        put("under", over.filter(|over| *over < 0.0).map(|over| with_unit(-over)));
        put(if figures.limit.is_some() { "value" } else { "plain_value" }, figures.value.map(with_unit));
        put("rate", figures.rate.map(|rate| format!("{} {}", number(rate, 2), text(&figures.rate_unit))));
        put(if interval { "hours" } else { "plain_hours" }, hours(figures.hours));
        put("low", hours(figures.low));
        put("high", hours(figures.high));
        put("by", facts.by.map(str::to_owned));
        // Nothing is to be done about what is over.
        put("advice", facts.guide.filter(|_| alert.state != AlertState::Cleared).map(|guide| text(&guide.advice)));
        put("link", facts.link.clone());
        put("acknowledge", facts.acknowledge.clone());
        let short = if facts.acknowledge.is_some() { &self.short } else { &self.plain_short };
        let title = fill(&self.title, &names);
        let title = if alert.exercise { format!("{} – {title}", self.exercise) } else { title };
        Message { title: one_line(&title), body: fill(&self.body, &names), short: one_line(&fill(short, &names)), ..Message::default() }
    }

    fn digest(&self, of: &[(Severity, Text)], since: Timestamp, link: Option<&str>, vietnamese: bool) -> Message {
        let mut gravest: Vec<&(Severity, Text)> = of.iter().collect();
        gravest.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
        let counts = Severity::ALL.iter().rev().filter_map(|severity| {
            let count = of.iter().filter(|(other, _)| other == severity).count();
            (count > 0).then(|| format!("{count} {}", self.grave(*severity).to_lowercase()))
        });
        let lines = gravest.iter().take(NAMED).map(|(_, text)| format!("- {}", if vietnamese { &text.vi } else { &text.en }));
        let more = of.len().saturating_sub(NAMED);
        let names = Names::from([
            ("count", of.len().to_string()),
            ("counts", counts.collect::<Vec<_>>().join(", ")),
            ("grave", gravest.first().map(|(severity, _)| self.grave(*severity)).unwrap_or_default()),
            ("since", local_date_time(since)),
            ("lines", lines.collect::<Vec<_>>().join("\n")),
            ("more", if more > 0 { more.to_string() } else { String::new() }),
            ("link", link.unwrap_or_default().to_owned()),
        ]);
        let title = fill(&self.digest_title, &names);
        Message {
            body: fill(&self.digest_body, &names),
            short: format!("{title} {}", link.unwrap_or_default()).trim_end().to_owned(),
            title,
            ..Message::default()
        }
    }
}

/// Without line breaks and other control characters: nothing of an alert ends a header early.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// `template` with every `{name}` replaced, without the lines in which a name stands for nothing.
fn fill(template: &str, names: &Names) -> String {
    let mut lines = Vec::new();
    'lines: for line in template.trim_end().lines() {
        let mut filled = String::new();
        let mut rest = line;
        while let Some((before, tail)) = rest.split_once('{') {
            let Some((name, tail)) = tail.split_once('}') else { break };
            match names.get(name).map(String::as_str) {
                None | Some("") => continue 'lines,
                Some(value) => filled.extend([before, value]),
            }
            rest = tail;
        }
        filled.push_str(rest);
        lines.push(filled);
    }
    lines.join("\n")
}

/// Whether the figures of `other` tell how `alert` goes on: another alert of the same key and stream that looks ahead.
pub(crate) fn ahead_of<'a>(alert: &Alert, open: &'a [Alert]) -> Option<&'a Alert> {
    let hours = Name::new("hours");
    let same = |other: &&Alert| other.key == alert.key && other.stream == alert.stream && !other.pending && other.ended.is_none();
    open.iter().filter(same).filter(|other| other.values.contains_key(&hours)).max_by_key(|other| other.updated)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use huong_types::{About, Ack, Span, TransitionKind};

    use super::*;
    use crate::office::{NotifyConfig, Office};

    const REGISTRY: &str = r#"
        ward = [{ id = "kim-long", name = "Phường Kim Long", name_en = "Kim Long ward" }]
        [[station]]
        id = "kimlong"
        name = "Trạm Kim Long"
        name_en = "Kim Long gauge"
        kind = "river"
        streams = ["water_level"]
        lat = 16.457
        lon = 107.561
        period = "10m"
        ward = "kim-long"
        levels = { bd1 = 1.0, bd2 = 2.0, bd3 = 3.5 }
        levels_source = "bulletins"
    "#;

    fn office(dir: &std::path::Path) -> Arc<Office> {
        let mut problems = Problems::default();
        let registry = Arc::new(Registry::parse("registry.toml", REGISTRY, &mut problems));
        let shipped = include_str!("../../../config/notify.toml").replace("# base =", "base =");
        let people = "[[person]]\nid = \"an\"\nname = \"Nguyễn Văn An\"\n[[person]]\nid = \"john\"\nname = \"John\"\nlanguage = \"en\"\n";
        let config = NotifyConfig::parse("notify.toml", &(shipped + people), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let now: crate::office::Now = Arc::new(|| Timestamp::from_millis(0));
        // A key of our own, so that links are the same each time.
        std::fs::write(dir.join("links.key"), [7; 32]).expect("written");
        Office::open(config.expect("texts"), dir, &dir.join("cap"), registry, now).expect("the office opens")
    }

    fn alert(rule: &str, severity: Severity, values: &[(&str, f64)], text: (&str, &str)) -> Alert {
        let since = Timestamp::parse_rfc3339("2025-10-27T01:30:00+07:00").expect("a moment");
        let text = Text { vi: text.0.to_owned(), en: text.1.to_owned() };
        let values = values.iter().map(|(name, value)| (Name::new(name), *value)).collect();
        let id = format!("{rule}:kimlong:20251026T183000Z").into();
        let alert = Alert::new(About::Rule, id, &rule.into(), &"kimlong".into(), severity, text, since);
        Alert { values, stream: "water_level".into(), ..alert }
    }

    fn step(kind: TransitionKind, alert: Alert, by: Option<&str>) -> Transition {
        let at = alert.since + Span::from_mins(10);
        Transition {
            seq: 7,
            kind,
            at,
            decided: at,
            announced: true,
            recipients: Vec::new(),
            by: by.map(str::to_owned),
            alert,
            cause: Vec::new(),
        }
    }

    fn written(message: &Message) -> String {
        format!("TITLE {}\nSHORT {}\n{}\n", message.title, message.short, message.body)
    }

    /// Every kind of message as people get it; `tests/snapshots/messages.txt` shows what changes when a text does.
    #[test]
    fn messages_are_as_the_snapshot_has_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let office = office(dir.path());
        let person = |id: &str| office.config.roster.person(id).expect("listed");
        let ahead = alert(
            "river-bd3-ahead",
            Severity::Severe,
            &[("level", 2.41), ("rise", 0.31), ("hours", 3.5), ("low", 2.9), ("high", 4.4)],
            ("Trạm Kim Long sắp đạt báo động III", "Kim Long gauge is to reach alarm level III"),
        );
        let level =
            alert("river-bd2", Severity::Severe, &[("value", 2.41)], ("Mực nước Trạm Kim Long 2,41 m", "Level at Kim Long gauge 2.41 m"));
        let taken = Alert { ack: Some(Ack { by: "an".to_owned(), at: level.since }), state: AlertState::Acknowledged, ..level.clone() };
        let over = Alert { state: AlertState::Cleared, exercise: true, ..level.clone() };
        let unknown = Alert { key: "*".into(), ..alert("air", Severity::Minor, &[("n", 3.0)], ("3 trạm xấu", "3 bad stations")) };
        let endless = Alert {
            values: [("level", 2.41), ("hours", 3.5), ("low", 2.9), ("high", f64::INFINITY)].map(|(n, v)| (n.into(), v)).into(),
            ..ahead.clone()
        };
        let open = [ahead.clone()];
        let mut all = String::new();
        for (step, id, open) in [
            (step(TransitionKind::Raised, ahead.clone(), None), "an", &open[..]),
            // The time to the next level comes from the alert that looks ahead.
            (step(TransitionKind::Raised, level, None), "john", &open[..]),
            (step(TransitionKind::Acknowledged, taken, Some("an")), "john", &[]),
            (step(TransitionKind::Cleared, over, None), "an", &[]),
            (step(TransitionKind::Raised, unknown, None), "john", &[]),
            (step(TransitionKind::Raised, endless, None), "john", &[]),
        ] {
            all += &(written(&office.message(&step, person(id), open).0) + "\n");
        }
        let titles: Vec<(Severity, Text)> =
            (0..7).map(|number| (Severity::ALL[number % 4], Text { vi: format!("tin {number}"), en: format!("alert {number}") })).collect();
        all += &written(&office.digest(&titles, ahead.since, person("an")));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots/messages.txt");
        let expected = std::fs::read_to_string(path).unwrap_or_default();
        assert!(all == expected, "not as {path} has it:\n{all}");
    }
}
