//! What all sinks share and the wall asks: the roster, the texts, the links, the subscriptions, the CAP desk and the receipts.
//!
//! Invariant: there is one of it per data directory; its parts lock for themselves and none of them waits for a network.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use huong_types::{Alert, Name, Problems, Registry, Span, Text, Timestamp, Transition, load_toml};
use serde::Deserialize;

use crate::cap::{CapDesk, CapSettings};
use crate::guide::{Figures, Guide};
use crate::links::Links;
use crate::message::{Facts, Message, Messages, ahead_of};
use crate::payload::idempotency_key;
use crate::receipts::{Outcome, Receipt, Receipts};
use crate::roster::{DigestConfig, Person, Roster, Route, Shift};
use crate::subscriptions::{PushSettings, Subscriptions};

/// The file of people, routes and texts (`config/notify.toml`).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    links: LinksConfig,
    digest: DigestConfig,
    messages: MessagesConfig,
    push: PushSettings,
    cap: CapSettings,
    person: Vec<Person>,
    route: Vec<Route>,
    shift: Vec<Shift>,
    guide: Vec<Guide>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LinksConfig {
    base: Option<String>,
    /// How long a link acknowledges: a shift and a half.
    valid: Span,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MessagesConfig {
    vi: Option<PathBuf>,
    en: Option<PathBuf>,
}

/// The file, read and checked.
pub struct NotifyConfig {
    links: LinksConfig,
    pub(crate) digest: DigestConfig,
    messages: Messages,
    push: PushSettings,
    cap: CapSettings,
    pub(crate) roster: Roster,
    guides: Vec<Guide>,
}

/// Time as the processor has it.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// See the module.
pub struct Office {
    pub(crate) config: NotifyConfig,
    pub(crate) registry: Arc<Registry>,
    pub(crate) now: Now,
    links: Links,
    subscriptions: Arc<Subscriptions>,
    cap: Arc<CapDesk>,
    receipts: Receipts,
}

impl Default for LinksConfig {
    fn default() -> Self {
        Self { base: None, valid: Span::from_mins(12 * 60) }
    }
}

impl NotifyConfig {
    /// Reads and checks `text`, the content of `file`; every mistake goes to `problems`. `None` when the texts cannot be used.
    pub fn parse(file: &str, text: &str, problems: &mut Problems) -> Option<Self> {
        let raw: Raw = load_toml(file, text, problems).unwrap_or_default();
        let roster = Roster { people: raw.person, routes: raw.route, shifts: raw.shift };
        roster.check(file, problems);
        for (i, guide) in raw.guide.iter().enumerate() {
            guide.check(file, &format!("guide[{i}]"), problems);
        }
        let http = |base: &String| base.starts_with("https://") || base.starts_with("http://");
        if let Some(base) = raw.links.base.as_ref().filter(|base| !http(base)) {
            problems.add(file, "links.base", format!("`{base}`"), "an http:// or https:// address");
        }
        if raw.links.valid <= Span::ZERO {
            problems.add(file, "links.valid", raw.links.valid.to_string(), "more than 0s");
        }
        if raw.digest.after == 0 || raw.digest.within <= Span::ZERO {
            problems.add(file, "digest", format!("{} in {}", raw.digest.after, raw.digest.within), "at least 1 in more than 0s");
        }
        raw.cap.check(file, "cap", problems);
        raw.push.check(file, "push", problems);
        let mut read = |path: Option<PathBuf>, at: &str| {
            let path = path?;
            match std::fs::read_to_string(&path) {
                Ok(text) => Some((path.display().to_string(), text)),
                Err(error) => {
                    problems.add(file, at, format!("{}: {error}", path.display()), "a readable file");
                    None
                }
            }
        };
        let (vi, en) = (read(raw.messages.vi, "messages.vi"), read(raw.messages.en, "messages.en"));
        let messages = Messages::load(vi, en, problems)?;
        Some(Self { links: raw.links, digest: raw.digest, messages, push: raw.push, cap: raw.cap, roster, guides: raw.guide })
    }
}

impl NotifyConfig {
    /// Whether some route takes what rules notify or escalate to under this name.
    pub fn takes(&self, name: &Name) -> bool {
        self.roster.routes.iter().any(|route| route.named(name))
    }
}

impl Office {
    /// Keys, subscriptions and receipts are kept in `dir`, CAP files in `cap_dir`.
    ///
    /// # Errors
    /// When one of them can neither be read nor made.
    pub fn open(config: NotifyConfig, dir: &Path, cap_dir: &Path, registry: Arc<Registry>, now: Now) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(dir)?;
        let links = Links::open(dir, config.links.base.clone(), config.links.valid)?;
        let subscriptions = Arc::new(Subscriptions::open(dir, config.push.clone())?);
        let cap = Arc::new(CapDesk::open(cap_dir, config.cap.clone(), Arc::clone(&now))?);
        let receipts = Receipts::new(dir.join("receipts.jsonl"));
        Ok(Arc::new(Self { config, registry, now, links, subscriptions, cap, receipts }))
    }

    pub fn links(&self) -> &Links {
        &self.links
    }

    pub fn subscriptions(&self) -> &Arc<Subscriptions> {
        &self.subscriptions
    }

    pub fn cap(&self) -> &Arc<CapDesk> {
        &self.cap
    }

    /// The name of a person on the roster, such as the one of a [`crate::Claim`].
    pub fn name_of(&self, person: &str) -> Option<&str> {
        self.config.roster.person(person).map(|person| person.name.as_str())
    }

    /// What became of the messages about an alert, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn receipts(&self, alert: &str) -> io::Result<Vec<Receipt>> {
        self.receipts.of(alert)
    }

    pub(crate) fn keep(&self, receipts: &[Receipt]) {
        self.receipts.write(receipts);
    }

    /// Of a sink that tells a system, not people.
    pub(crate) fn keep_step(&self, sink: &Name, step: &Transition, outcome: Outcome, why: Option<String>) {
        let at = (self.now)();
        let (alert, key) = (step.alert.id.clone(), idempotency_key(step));
        self.keep(&[Receipt { alert, key, sink: sink.clone(), recipient: sink.clone(), at, outcome, why }]);
    }

    pub(crate) fn guide(&self, rule: &str) -> Option<&Guide> {
        self.config.guides.iter().find(|guide| guide.fits(rule))
    }

    /// What staff are to do about alerts of `rule`, where somebody has written it down.
    pub fn advice(&self, rule: &str) -> Option<&Text> {
        self.guide(rule).map(|guide| &guide.advice).filter(|advice| !advice.vi.is_empty())
    }

    /// The alert's figures; where it looks at the present only, with the rate and the time to the next level of one in `open` that looks ahead.
    pub(crate) fn figures(&self, alert: &Alert, open: &[Alert]) -> Figures {
        let of = |alert: &Alert| self.guide(&alert.rule).map(|guide| guide.figures(alert, &self.registry)).unwrap_or_default();
        let line = ahead_of(alert, open).map(of).unwrap_or_default();
        of(alert).with_line(line)
    }

    /// The message about `step` to `person`, and its title in both languages.
    pub(crate) fn message(&self, step: &Transition, person: &Person, open: &[Alert]) -> (Message, Text) {
        let alert = &step.alert;
        let by = step.by.as_deref().map(|by| self.name_of(by).unwrap_or(by));
        // What is acknowledged or over needs nobody's word any more.
        let asks = alert.ack.is_none() && alert.state != huong_types::AlertState::Cleared;
        let facts = Facts {
            registry: &self.registry,
            guide: self.guide(&alert.rule),
            figures: self.figures(alert, open),
            by,
            link: self.links.alert(&alert.id),
            acknowledge: asks.then(|| self.links.acknowledge(&alert.id, &person.id, step.decided)).flatten(),
        };
        (self.config.messages.of(step, &facts, person.language), self.config.messages.title(step, &facts))
    }

    pub(crate) fn digest(&self, of: &[(huong_types::Severity, Text)], since: Timestamp, person: &Person) -> Message {
        let link = self.links.base().map(|base| format!("{base}/console"));
        self.config.messages.digest(of, since, link, person.language)
    }
}
