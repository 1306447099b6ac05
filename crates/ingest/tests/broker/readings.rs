//! Readings: at least once, held back when there is no room, and announced.

use std::time::Duration;

use huong_ingest::Protocol;

use crate::mosquitto::Mosquitto;
use crate::rig::{Peer, Rig, config, until};

const BOTH: [Protocol; 2] = [Protocol::V4, Protocol::V5];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_comes_again_and_the_rest_does_not() {
    for protocol in BOTH {
        let broker = Mosquitto::start();
        let rig = Rig::readings(config(broker.port, protocol));
        rig.connected().await;
        let mut peer = Peer::connect(broker.port, "peer").await;
        peer.levels(1..=4).await;
        let mut tokens = Vec::new();
        for expected in [1.0, 2.0, 3.0, 4.0] {
            let (value, token) = rig.next_value().await;
            assert_eq!(value, expected);
            tokens.push(token);
        }
        // Three became durable, the process ends before the fourth.
        tokens[..3].iter().for_each(|token| rig.acknowledge(*token));
        rig.stop().await;
        peer.levels([5]).await;
        let again = Rig::readings(config(broker.port, protocol));
        assert_eq!(again.next_value().await.0, 4.0, "{protocol:?}");
        assert_eq!(again.next_value().await.0, 5.0, "sent while we were away");
        again.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_that_was_not_acknowledged() {
    let broker = Mosquitto::start();
    let rig = Rig::readings(config(broker.port, Protocol::V5));
    rig.connected().await;
    Peer::connect(broker.port, "peer").await.levels([1]).await;
    assert_eq!(rig.next_value().await.0, 1.0);
    rig.crash();
    let again = Rig::readings(config(broker.port, Protocol::V5));
    assert_eq!(again.next_value().await.0, 1.0);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_of_an_earlier_connection_is_void() {
    for protocol in BOTH {
        let broker = Mosquitto::start();
        let rig = Rig::readings(config(broker.port, protocol));
        rig.connected().await;
        let mut peer = Peer::connect(broker.port, "peer").await;
        peer.levels([1, 2]).await;
        let (_, first) = rig.next_value().await;
        let (_, second) = rig.next_value().await;
        // Another client of the same name takes the session, which ends our connection.
        let mut thief = rumqttc::v5::MqttOptions::new("huong", "127.0.0.1", broker.port);
        thief.set_clean_start(false).set_session_expiry_interval(Some(3600));
        drop(Peer::with(thief).await);
        let (value, token) = rig.next_value().await;
        assert_eq!((value, token.connection), (1.0, first.connection + 1), "{protocol:?}");
        assert_eq!(rig.next_value().await.0, 2.0);
        rig.acknowledge(second);
        until("the old token is counted", || rig.stats.void_acks.get() == 1).await;
        rig.acknowledge(token);
        rig.stop().await;
        let again = Rig::readings(config(broker.port, protocol));
        assert_eq!(again.next_value().await.0, 2.0, "the void acknowledgement did not reach the broker");
        again.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_ring_holds_the_broker_back_and_loses_nothing() {
    for protocol in BOTH {
        let broker = Mosquitto::start();
        let mut small = config(broker.port, protocol);
        small.receive_maximum = 4;
        let rig = Rig::readings_with(small, 2);
        rig.connected().await;
        Peer::connect(broker.port, "peer").await.levels(0..100).await;
        until("the ring is full", || rig.ring.len() == 2).await;
        for expected in 0..100 {
            let (value, token) = rig.next_value().await;
            assert_eq!(value, f64::from(expected), "{protocol:?}");
            rig.acknowledge(token);
        }
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_retained_and_ends_with_us() {
    for protocol in BOTH {
        let broker = Mosquitto::start();
        let mut peer = Peer::connect(broker.port, "peer").await;
        let rig = Rig::readings(config(broker.port, protocol));
        peer.hears("huong/status", "online").await;
        rig.stop().await;
        peer.hears("huong/status", "offline").await;
        let rig = Rig::readings(config(broker.port, protocol));
        peer.hears("huong/status", "online").await;
        // Without a farewell the broker speaks our last will.
        rig.crash();
        peer.hears("huong/status", "offline").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_with_its_acknowledgement() {
    let broker = Mosquitto::start();
    let rig = Rig::readings(config(broker.port, Protocol::V5));
    rig.connected().await;
    let mut peer = Peer::connect(broker.port, "peer").await;
    for (topic, payload, reason) in [
        ("hue/sensors/water_level/a", "{\"at\":", "malformed"),
        ("hue/sensors/tide/a", "{}", "unknown_stream"),
        ("hue/sensors/water_level/a", r#"{"at":"2099-01-01T00:00:00Z","value":1}"#, "future"),
        ("hue/sensors/water_level/a", r#"{"at":1763422800,"value":false}"#, "bad_value"),
    ] {
        peer.send(topic, payload).await;
        let inbound = rig.next().await;
        assert_eq!(inbound.rejected.iter().map(|q| q.reason.as_str()).collect::<Vec<_>>(), [reason]);
        assert_eq!((inbound.rejected[0].topic.as_str(), inbound.rejected[0].bytes.as_slice()), (topic, payload.as_bytes()));
        rig.acknowledge(inbound.ack.expect("QoS 1"));
    }
    assert_eq!((rig.stats.decoded.get(), rig.stats.rejected.get(), rig.stats.readings.messages.get()), (0, 4, 4));
    rig.stop().await;
    let again = Rig::readings(config(broker.port, Protocol::V5));
    again.connected().await;
    peer.levels([9]).await;
    assert_eq!(again.next_value().await.0, 9.0, "no refused message comes again");
    tokio::time::timeout(Duration::from_secs(30), again.stop()).await.expect("stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_is_asked_for_its_birth() {
    for protocol in BOTH {
        let broker = Mosquitto::start();
        let rig = Rig::readings(config(broker.port, protocol));
        rig.connected().await;
        let mut edge = Peer::connect(broker.port, "edge").await;
        edge.listen("spBv1.0/HUE/NCMD/edge-01").await;
        // Data out of nowhere: seq 7 and no metric.
        edge.send("spBv1.0/HUE/NDATA/edge-01", b"\x18\x07".as_slice()).await;
        assert!(edge.hears_on("spBv1.0/HUE/NCMD/edge-01").await.windows(20).any(|bytes| bytes == b"Node Control/Rebirth"));
        let inbound = rig.next().await;
        assert_eq!(inbound.rejected[0].reason.as_str(), "no_birth", "{protocol:?}");
        assert_eq!(rig.stats.readings.unsent.get(), 0);
        rig.stop().await;
    }
}
