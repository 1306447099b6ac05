//! Passwords and certificates, good and bad, and a configuration with mistakes.

use std::process::Command;

use huong_ingest::{MqttConfig, Protocol, TlsConfig};
use huong_types::{Problems, Span};

use crate::certificates::{Authority, Identity};
use crate::mosquitto::Mosquitto;
use crate::rig::{Rig, checked, config, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_reported_and_a_mended_one_is_used() {
    for protocol in [Protocol::V4, Protocol::V5] {
        let mut broker = Mosquitto::down("allow_anonymous false\npassword_file DIR/passwords\n");
        let passwords = broker.dir.path().join("passwords");
        std::fs::write(&passwords, "sluice:mưa-lũ\n").expect("a file");
        let hashed = Command::new("mosquitto_passwd").arg("-U").arg(&passwords).status().expect("mosquitto_passwd comes with mosquitto");
        assert!(hashed.success());
        broker.up();
        let file = broker.dir.path().join("secret");
        std::fs::write(&file, "wrong\n").expect("a file");
        let config = MqttConfig { user: Some("sluice".into()), password_file: Some(file.clone()), ..config(broker.port, protocol) };
        checked(|problems| config.check("huong.toml", "mqtt", problems));
        let rig = Rig::readings(config);
        until("it is refused twice", || rig.stats.readings.faults.get() >= 2).await;
        let said = rig.stats.readings.last_error().expect("a fault has a reason");
        assert!(said.contains("refuses sluice") && !said.contains("wrong"), "{said}");
        assert!(!rig.stats.readings.connected());
        std::fs::write(&file, "mưa-lũ\n").expect("a file");
        rig.connected().await;
        rig.stop().await;
    }
}

struct Secured {
    broker: Mosquitto,
    ca: Authority,
    client: Identity,
}

/// A broker that asks for client certificates, its own made out to `server`.
fn secured(server: &str) -> Secured {
    let settings =
        "allow_anonymous true\ncafile DIR/ca.pem\ncertfile DIR/ca.SERVER.crt\nkeyfile DIR/ca.SERVER.key\nrequire_certificate true\n";
    let mut broker = Mosquitto::down(&settings.replace("SERVER", server));
    let ca = Authority::new(broker.dir.path(), "ca");
    ca.issue(server);
    let client = ca.issue("huong");
    broker.up();
    Secured { broker, ca, client }
}

fn tls_config(port: u16, ca: &Authority, client: Option<&Identity>) -> MqttConfig {
    let tls = TlsConfig { ca: ca.file.clone(), cert: client.map(|c| c.cert.clone()), key: client.map(|c| c.key.clone()) };
    let config = MqttConfig { host: "localhost".into(), tls: Some(tls), ..config(port, Protocol::V5) };
    checked(|problems| config.check("huong.toml", "mqtt", problems));
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_both_sides_are_checked() {
    let Secured { broker, ca, client } = secured("localhost");
    for protocol in [Protocol::V4, Protocol::V5] {
        let config = MqttConfig { protocol, ..tls_config(broker.port, &ca, Some(&client)) };
        let (rig, frames) = (Rig::readings(config.clone()), Rig::frames(config));
        rig.connected().await;
        frames.connected().await;
        rig.stop().await;
        frames.stop().await;
    }
    // Without a certificate of ours the broker turns us away.
    refused(tls_config(broker.port, &ca, None), "").await;
    // A broker whose authority we do not trust is turned away by us.
    let stranger = Authority::new(broker.dir.path(), "stranger");
    refused(tls_config(broker.port, &stranger, Some(&client)), "certificate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_name_is_refused() {
    let Secured { broker, ca, client } = secured("other.example");
    refused(tls_config(broker.port, &ca, Some(&client)), "certificate").await;
}

async fn refused(config: MqttConfig, reason: &str) {
    let rig = Rig::readings(config);
    until("two attempts fail", || rig.stats.readings.faults.get() >= 2).await;
    let said = rig.stats.readings.last_error().expect("a fault has a reason");
    assert!(said.contains(reason), "{said}");
    assert_eq!(rig.stats.readings.connects.get(), 0);
    rig.stop().await;
}

#[test]
fn every_mistake_of_a_configuration_is_named() {
    let config = MqttConfig {
        host: " ".into(),
        port: 0,
        client_id: "a b".into(),
        keep_alive: Span::from_secs(1),
        receive_maximum: 0,
        max_packet_frames: 10,
        max_items: 0,
        status_topic: "huong/#".into(),
        retry: Span::ZERO,
        password_env: Some("HUONG_TEST_NO_SUCH_VARIABLE".into()),
        tls: Some(TlsConfig { ca: "/nowhere/ca.pem".into(), cert: None, key: None }),
        ..MqttConfig::default()
    };
    let mut problems = Problems::default();
    config.check("huong.toml", "mqtt", &mut problems);
    let paths: Vec<&str> = problems.list.iter().map(|p| p.path.as_str()).collect();
    let expected = [
        "host",
        "port",
        "client_id",
        "keep_alive",
        "retry",
        "receive_maximum",
        "max_packet_frames",
        "max_items",
        "status_topic",
        "user",
        "tls",
    ];
    assert_eq!(paths, expected.map(|field| format!("mqtt.{field}")), "{problems}");
    let text = "host = \"b\"\nprotocol = \"4\"\nkeep_alive = \"30s\"\nprot = 1\n";
    let mut problems = Problems::default();
    let read: Option<MqttConfig> = huong_types::load_toml("huong.toml", text, &mut problems);
    assert_eq!((problems.list.len(), read.map(|c| c.host).as_deref()), (2, Some("b")), "{problems}");
}
