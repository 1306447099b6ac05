//! One recipient's letters: which go next, which wait to be told as one.
//!
//! Invariant: what is graver than severe goes singly and at once. Letters about one alert never overtake one another, and a letter is
//! either on its way, held or gone.

use std::collections::VecDeque;
use std::time::Instant;

use huong_flow::Backoff;
use huong_types::{Severity, Timestamp};

use crate::letters::Letter;
use crate::roster::{DigestConfig, Person};

pub(crate) struct Tray {
    /// To be sent in this order.
    pub(crate) next: VecDeque<Letter>,
    /// To be told together.
    held: Vec<Letter>,
    release: Option<Timestamp>,
    /// When letters came, within the last stretch of the digest.
    came: VecDeque<Timestamp>,
    last_digest: Timestamp,
    pub(crate) backoff: Backoff,
    /// Not before this the next attempt.
    pub(crate) due: Instant,
    /// Attempts at the first letter that failed.
    pub(crate) failures: u32,
}

impl Tray {
    pub(crate) fn new(backoff: Backoff) -> Self {
        Self {
            next: VecDeque::new(),
            held: Vec::new(),
            release: None,
            came: VecDeque::new(),
            last_digest: Timestamp::MIN,
            backoff,
            due: Instant::now(),
            failures: 0,
        }
    }

    pub(crate) fn add(&mut self, letter: Letter, person: Option<&Person>, digest: DigestConfig) {
        if letter.severity > Severity::Severe || !letter.merges.is_empty() {
            return self.next.push_back(letter);
        }
        let at = letter.at;
        while self.came.front().is_some_and(|came| *came + digest.within <= at) {
            self.came.pop_front();
        }
        self.came.push_back(at);
        let quiet = person.and_then(|person| person.quiet_until(at)).filter(|_| letter.severity < Severity::Severe);
        let storm = (self.came.len() > digest.after).then(|| {
            let first = self.came.front().copied().unwrap_or(at);
            first.max(self.last_digest) + digest.within
        });
        let follows = self.held.iter().any(|held| held.alerts == letter.alerts).then_some(self.release).flatten();
        match quiet.or(storm).or(follows) {
            Some(until) => {
                self.release = Some(self.release.map_or(until, |release| release.min(until)));
                self.held.push(letter);
            }
            None => self.next.push_back(letter),
        }
    }

    /// The letters held, when their time has come; the tray expects what is made of them.
    pub(crate) fn release(&mut self, now: Timestamp) -> Vec<Letter> {
        if self.release.is_none_or(|release| now < release) {
            return Vec::new();
        }
        self.release = None;
        self.last_digest = now;
        std::mem::take(&mut self.held)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next.is_empty() && self.held.is_empty() && self.came.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;
    use huong_types::{Span, Text};
    use std::time::Duration;

    const DIGEST: DigestConfig = DigestConfig { after: 3, within: Span::from_mins(10) };

    fn tray() -> Tray {
        Tray::new(Backoff::new(Duration::from_secs(1), Duration::from_secs(1)))
    }

    fn letter(number: i64, severity: Severity, at: Timestamp) -> Letter {
        Letter {
            key: number.to_string(),
            alerts: vec![number.to_string().into()],
            person: "an".into(),
            to: "x".to_owned(),
            severity,
            at,
            title: Text::default(),
            message: Message::default(),
            merges: Vec::new(),
        }
    }

    fn keys<'a>(letters: impl IntoIterator<Item = &'a Letter>) -> Vec<String> {
        letters.into_iter().map(|letter| letter.key.clone()).collect()
    }

    #[test]
    fn a_storm_becomes_one_message_each_stretch_and_emergencies_pass() {
        let mut tray = tray();
        let minute = |minute| Timestamp::from_millis(1_761_500_000_000) + Span::from_mins(minute);
        for number in 0..8 {
            tray.add(letter(number, Severity::Severe, minute(number)), None, DIGEST);
        }
        tray.add(letter(8, Severity::Extreme, minute(8)), None, DIGEST);
        assert_eq!(keys(&tray.next), ["0", "1", "2", "8"]);
        assert!(tray.release(minute(9)).is_empty(), "ten minutes after the first");
        assert_eq!(keys(&tray.release(minute(10))), ["3", "4", "5", "6", "7"]);
        tray.add(letter(9, Severity::Minor, minute(11)), None, DIGEST);
        assert!(tray.release(minute(19)).is_empty(), "ten minutes after the last digest");
        assert_eq!(keys(&tray.release(minute(20))), ["9"]);
        tray.add(letter(10, Severity::Minor, minute(40)), None, DIGEST);
        assert_eq!(keys(&tray.next).last().map(String::as_str), Some("10"), "the storm is over");
    }

    #[test]
    fn quiet_hours_hold_what_is_less_than_severe_and_what_follows_it() {
        let person: Person = toml_person("id = \"an\"\nname = \"An\"\nquiet = { from = \"22:00\", to = \"06:00\" }");
        let night = Timestamp::parse_rfc3339("2025-10-27T23:00:00+07:00").expect("a moment");
        let morning = Timestamp::parse_rfc3339("2025-10-28T06:00:00+07:00").expect("a moment");
        let mut tray = tray();
        tray.add(letter(1, Severity::Moderate, night), Some(&person), DIGEST);
        tray.add(letter(2, Severity::Severe, night), Some(&person), DIGEST);
        tray.add(Letter { key: "1 again".to_owned(), ..letter(1, Severity::Severe, night) }, Some(&person), DIGEST);
        assert_eq!(keys(&tray.next), ["2"]);
        assert!(tray.release(morning + Span::from_millis(-1)).is_empty());
        assert_eq!(keys(&tray.release(morning)), ["1", "1 again"]);
    }

    fn toml_person(text: &str) -> Person {
        huong_types::load_toml("notify.toml", text, &mut huong_types::Problems::default()).expect("a person")
    }
}
