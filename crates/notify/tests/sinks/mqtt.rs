//! MQTT sinks, against mosquitto.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use huong_types::{About, AlertState, Severity, TransitionKind};
use rumqttc::{Client, Connection, Event, MqttOptions, Packet, QoS};
use serde_json::Value;

use crate::support::{Memory, alert, free_port, start, wait_for};

const BROKER: &str = "/usr/sbin/mosquitto";

struct Broker(Child);

impl Broker {
    /// Without persistence: a restart forgets what was retained.
    fn start(port: u16, dir: &std::path::Path) -> Self {
        let config = dir.join("mosquitto.conf");
        std::fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"))
            .expect("write the broker's configuration");
        let child = Command::new(BROKER).arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let broker = Self(child.unwrap_or_else(|error| panic!("{BROKER} cannot be started ({error}): install the package mosquitto")));
        wait_for("the broker", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        broker
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.0.kill().expect("the broker was running");
        self.0.wait().expect("and has ended");
    }
}

/// Subscribes to everything; with the messages seen so far.
struct Subscriber {
    client: Client,
    connection: Connection,
    seen: Vec<(String, Vec<u8>)>,
    /// Where our own messages come back.
    end: String,
}

impl Subscriber {
    fn connect(port: u16, name: &str) -> Self {
        let (client, connection) = Client::new(MqttOptions::new(name, "127.0.0.1", port), 10);
        client.subscribe("#", QoS::AtLeastOnce).expect("room for one request");
        let mut subscriber = Self { client, connection, seen: Vec::new(), end: format!("end/{name}") };
        subscriber.catch_up();
        subscriber
    }

    /// Reads until a message of our own comes back: the broker has sent all it had before.
    fn catch_up(&mut self) {
        let end = self.end.clone();
        self.client.publish(&end, QoS::AtLeastOnce, false, "").expect("room for one request");
        self.until(|seen| seen.last().is_some_and(|(topic, _)| *topic == end));
        self.seen.retain(|(topic, _)| !topic.starts_with("end/"));
    }

    fn until(&mut self, enough: impl Fn(&[(String, Vec<u8>)]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !enough(&self.seen) {
            assert!(Instant::now() < deadline, "waited in vain; seen: {:?}", self.seen);
            if let Ok(Ok(Event::Incoming(Packet::Publish(publish)))) = self.connection.recv_timeout(Duration::from_secs(1)) {
                self.seen.push((publish.topic, publish.payload.to_vec()));
            }
        }
    }
}

/// What a subscriber who comes now is told, by topic.
fn retained(port: u16) -> BTreeMap<String, Value> {
    let seen = Subscriber::connect(port, "late").seen;
    seen.into_iter().map(|(topic, body)| (topic, serde_json::from_slice(&body).expect("JSON"))).collect()
}

const STATE: &str = "[[sink]]\nname = \"state\"\nupdates = true\nretry = { first = \"20ms\", most = \"100ms\" }\nmqtt = {}\n";

#[test]
fn a_late_subscriber_sees_exactly_the_open_alerts_even_after_the_broker_forgot_them() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let port = free_port();
    let broker = Broker::start(port, dir.path());
    let mut early = Subscriber::connect(port, "early");
    let journal = Arc::new(Memory::default());
    let running = start(STATE, dir.path(), &journal, 0, port);
    let bd3 = alert("river-bd3", "kimlong", Severity::Extreme);
    let bd2 = alert("river-bd2", "kimlong", Severity::Severe);
    let street = alert("street-flood", "a/b+#", Severity::Moderate);
    journal.append(TransitionKind::Raised, bd2.clone());
    journal.append(TransitionKind::Raised, street.clone());
    let mut hidden = bd2.clone();
    hidden.inhibited_by = Some(bd3.id.clone());
    hidden.state = AlertState::Suppressed;
    journal.append(TransitionKind::Raised, bd3.clone());
    journal.append(TransitionKind::Inhibited, hidden.clone());
    let mut higher = bd3.clone();
    higher.values = [("level".into(), 4.1)].into();
    journal.append(TransitionKind::Updated, higher.clone());
    let mut passing = alert("mean-over-limit", "s1", Severity::Minor);
    passing.state = AlertState::Cleared;
    running.sinks.wake(journal.append(TransitionKind::Raised, passing));
    wait_for("six steps acknowledged", || running.of("state").behind == 0);

    let now = retained(port);
    assert_eq!(now.keys().collect::<Vec<_>>(), ["hue/alerts/extreme/river-bd3/kimlong", "hue/alerts/moderate/street-flood/a_b__"]);
    assert_eq!(now["hue/alerts/extreme/river-bd3/kimlong"]["alert"]["values"]["level"], 4.1);
    assert_eq!(now["hue/alerts/extreme/river-bd3/kimlong"]["station"]["name"], "Kim Long");

    running.sinks.wake(journal.append(TransitionKind::Cleared, street));
    wait_for("the clearing", || running.of("state").behind == 0);
    early.catch_up();
    let passing = early.seen.iter().filter(|(topic, _)| topic == "hue/alerts/minor/mean-over-limit/s1");
    assert_eq!(passing.count(), 1, "what is over when it is told is told once and never retained");
    let of_street: Vec<&[u8]> = early.seen.iter().filter(|(topic, _)| topic.contains("street-flood")).map(|(_, body)| &body[..]).collect();
    let [.., last, withdrawal] = of_street[..] else { panic!("the street's alert was told: {of_street:?}") };
    let last: Value = serde_json::from_slice(last).expect("JSON");
    assert_eq!((last["alert"]["state"].as_str(), withdrawal), (Some("cleared"), &b""[..]), "cleared is told, then withdrawn");

    drop(broker);
    wait_for("the loss to be noticed", || running.of("state").failing.is_some());
    let mut shown = hidden;
    shown.inhibited_by = None;
    shown.state = AlertState::Open;
    journal.append(TransitionKind::Cleared, bd3);
    running.sinks.wake(journal.append(TransitionKind::Released, shown));
    let still = alert("reservoir", "taTrach", Severity::Severe);
    running.sinks.wake(journal.append(TransitionKind::Raised, still.clone()));
    let broker = Broker::start(port, dir.path());
    wait_for("what happened meanwhile", || running.of("state").behind == 0);
    wait_for("all that holds", || retained(port).len() == 2);
    assert_eq!(
        retained(port).into_keys().collect::<Vec<_>>(),
        ["hue/alerts/severe/reservoir/taTrach", "hue/alerts/severe/river-bd2/kimlong"]
    );

    // Nothing new to tell, and a broker that has forgotten everything.
    drop(broker);
    let _broker = Broker::start(port, dir.path());
    wait_for("all that holds, again", || retained(port).len() == 2);
    running.stop();
}

#[test]
fn what_is_folded_or_put_away_is_withdrawn_and_a_group_keeps_its_topic() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let port = free_port();
    let _broker = Broker::start(port, dir.path());
    let journal = Arc::new(Memory::default());
    let running = start(STATE, dir.path(), &journal, 0, port);
    let street = |key: &str, state: AlertState| {
        let mut alert = alert("street-flood", key, Severity::Moderate);
        alert.state = state;
        alert
    };
    let group = |severity| {
        let mut alert = alert("street", "*", severity);
        alert.about = About::Group;
        alert
    };
    let after = |steps: Vec<(TransitionKind, huong_types::Alert)>| {
        for (kind, alert) in steps {
            running.sinks.wake(journal.append(kind, alert));
        }
        wait_for("all steps", || running.of("state").behind == 0);
        retained(port).into_keys().collect::<Vec<_>>()
    };
    use TransitionKind as T;
    let (a, b, streets) = ("hue/alerts/moderate/street-flood/a", "hue/alerts/moderate/street-flood/b", "hue/alerts/group/street");
    let folded = [(T::Raised, street("a", AlertState::Open)), (T::Raised, street("b", AlertState::Open))];
    let then = [(T::Raised, group(Severity::Moderate)), (T::Folded, street("b", AlertState::Grouped))];
    assert_eq!(after([folded, then].concat()), [streets, a]);
    let graver = (T::Updated, group(Severity::Extreme));
    assert_eq!(
        after(vec![graver, (T::Shelved, street("a", AlertState::Shelved)), (T::Unfolded, street("b", AlertState::Open))]),
        [streets, b]
    );
    assert_eq!(after(vec![(T::Unshelved, street("a", AlertState::Open)), (T::Cleared, group(Severity::Minor))]), [a, b]);
    running.stop();
}

#[test]
fn values_are_flat_objects_on_one_topic() {
    let dir = tempfile::tempdir().expect("a directory for offsets");
    let port = free_port();
    let _broker = Broker::start(port, dir.path());
    let mut subscriber = Subscriber::connect(port, "reader");
    let journal = Arc::new(Memory::default());
    let toml = "[[sink]]\nname = \"each\"\nmqtt = { payload = \"values\", topic = \"hue/alerts\" }\n";
    let running = start(toml, dir.path(), &journal, 0, port);
    // More than one window of the sink.
    for i in 0..350 {
        let mut one = alert("mean-over-limit", &format!("s{i}"), Severity::Minor);
        one.values = [("mean".into(), f64::from(i)), ("n".into(), 60.0)].into();
        running.sinks.wake(journal.append(TransitionKind::Raised, one.clone()));
        running.sinks.wake(journal.append(TransitionKind::Cleared, one));
    }
    wait_for("all steps", || running.of("each").behind == 0);
    subscriber.catch_up();
    assert_eq!(running.of("each").delivered, 350);
    assert_eq!(subscriber.seen.len(), 350);
    for (i, (topic, body)) in subscriber.seen.iter().enumerate() {
        let expected =
            format!("{{\"mean\":{i},\"n\":60,\"sensor\":\"s{i}\",\"ts\":{},\"window_start\":1761500000000}}", 1_761_500_001_000 + 2000 * i);
        assert_eq!((topic.as_str(), String::from_utf8_lossy(body).as_ref()), ("hue/alerts", expected.as_str()));
    }
    running.stop();
    assert!(retained(port).is_empty());
}
