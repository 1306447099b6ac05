//! A journal in memory, alerts to put in it, and waiting for a condition.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use huong_flow::Stop;
use huong_notify::{Journal, MqttTarget, NotifyConfig, Now, Office, Setup, SinkConfig, Sinks, start_sinks};
use huong_types::{About, Alert, AlertState, Name, Problems, Registry, Severity, Text, Timestamp, Transition, TransitionKind, load_toml};

/// Far longer than anything here takes, so that only a fault reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[derive(Default)]
pub(crate) struct Memory {
    steps: Mutex<Vec<Transition>>,
}

impl Memory {
    /// Appends one step and returns its sequence number.
    pub(crate) fn append(&self, kind: TransitionKind, alert: Alert) -> u64 {
        let recipients = alert.notify.clone();
        self.append_to(kind, alert, recipients)
    }

    /// The same, for the recipients of an escalation step.
    pub(crate) fn append_to(&self, kind: TransitionKind, alert: Alert, recipients: Vec<Name>) -> u64 {
        self.add(kind, alert, recipients, None)
    }

    /// The same, as a person ordered it.
    pub(crate) fn append_by(&self, kind: TransitionKind, alert: Alert, by: &str) -> u64 {
        let recipients = alert.notify.clone();
        self.add(kind, alert, recipients, Some(by.to_owned()))
    }

    fn add(&self, kind: TransitionKind, mut alert: Alert, recipients: Vec<Name>, by: Option<String>) -> u64 {
        let mut steps = self.steps.lock().expect("no test panics with the journal in hand");
        let seq = steps.len() as u64 + 1;
        if kind == TransitionKind::Cleared {
            alert.state = AlertState::Cleared;
        }
        let at = Timestamp::from_millis(1_761_500_000_000 + seq as i64 * 1000);
        let announced = matches!(kind, TransitionKind::Raised | TransitionKind::Escalated) && alert.state.audible();
        steps.push(Transition { seq, kind, at, decided: at, announced, recipients, by, alert, cause: Vec::new() });
        seq
    }
}

impl Journal for Memory {
    fn transitions_after(&self, seq: u64, limit: usize) -> Result<Vec<Transition>, String> {
        let steps = self.steps.lock().map_err(|error| error.to_string())?;
        Ok(steps.iter().filter(|step| step.seq > seq).take(limit).cloned().collect())
    }

    fn open_alerts(&self) -> Result<Vec<Alert>, String> {
        let steps = self.steps.lock().map_err(|error| error.to_string())?;
        let mut open: Vec<Alert> = Vec::new();
        for step in steps.iter() {
            open.retain(|alert| alert.id != step.alert.id);
            if step.alert.state != AlertState::Cleared {
                open.push(step.alert.clone());
            }
        }
        Ok(open)
    }
}

pub(crate) fn alert(rule: &str, key: &str, severity: Severity) -> Alert {
    let at = Timestamp::from_millis(1_761_500_000_000);
    let id = format!("{rule}.{key}.{}", at.as_millis()).into();
    let text = Text { vi: "Kim Long 3,62 m, trên báo động III".to_owned(), en: "Kim Long 3.62 m, above alarm level III".to_owned() };
    Alert {
        rule_version: "v1".into(),
        stream: "water_level".into(),
        values: [("level".into(), 3.62)].into(),
        announced: Some(at),
        notify: vec!["flood-staff".into()],
        ..Alert::new(About::Rule, id, &rule.into(), &key.into(), severity, text, at)
    }
}

pub(crate) struct Running {
    pub(crate) sinks: Sinks,
    stop: Stop,
}

/// Starts the sinks of `toml`; `newest` is what the journal held before.
pub(crate) fn start(toml: &str, dir: &Path, journal: &Arc<Memory>, newest: u64, broker_port: u16) -> Running {
    start_with(toml, "", dir, journal, (newest, broker_port), wall_clock())
}

/// The system's time.
pub(crate) fn wall_clock() -> Now {
    let since = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Arc::new(move || Timestamp::from_millis(since().as_millis() as i64))
}

/// The same with people, as `notify` lists them, and a clock.
pub(crate) fn start_with(
    toml: &str,
    notify: &str,
    dir: &Path,
    journal: &Arc<Memory>,
    (newest, broker_port): (u64, u16),
    now: Now,
) -> Running {
    #[derive(serde::Deserialize)]
    struct File {
        sink: Vec<SinkConfig>,
    }
    let mut problems = Problems::default();
    let file: File = load_toml("huong.toml", toml, &mut problems).expect("a list of sinks");
    SinkConfig::check_all(&file.sink, "huong.toml", "sink", &mut problems);
    let registry = "[[station]]\nid = \"kimlong\"\nname = \"Kim Long\"\nname_en = \"Kim Long\"\nkind = \"river\"\n\
                    streams = [\"water_level\"]\nlat = 16.457\nlon = 107.561\nperiod = \"10m\"\n";
    let registry = Arc::new(Registry::parse("registry.toml", registry, &mut problems));
    let config = NotifyConfig::parse("notify.toml", notify, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let stop = Stop::new();
    let broker: MqttTarget =
        load_toml("huong.toml", &format!("host = \"127.0.0.1\"\nport = {broker_port}"), &mut problems).expect("a broker's address");
    let office = Office::open(config.expect("texts"), dir, &dir.join("cap"), registry, now).expect("the office opens");
    let setup = Setup { dir: dir.to_owned(), office, journal: journal.clone(), newest, broker, prefix: "hue".to_owned() };
    let sinks = start_sinks(&file.sink, &setup, &stop).expect("the sinks start");
    Running { sinks, stop }
}

impl Running {
    pub(crate) fn stop(self) {
        self.stop.set();
        self.sinks.join().expect("no sink panicked");
    }

    /// The figures of the sink called `name`.
    pub(crate) fn of(&self, name: &str) -> huong_notify::SinkFigures {
        self.sinks.figures().into_iter().find(|figures| figures.name == *name).expect("a sink of this name was started")
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
