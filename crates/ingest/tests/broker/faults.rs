//! A broker that is away, comes back, forgets, and messages too large for it or us.

use huong_ingest::Protocol;
use huong_types::RejectReason;

use crate::mosquitto::Mosquitto;
use crate::rig::{Peer, Rig, config, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_down_at_start_is_waited_for() {
    for protocol in [Protocol::V4, Protocol::V5] {
        let mut broker = Mosquitto::down("allow_anonymous true\n");
        let rig = Rig::readings(config(broker.port, protocol));
        until("it has tried twice", || rig.stats.readings.faults.get() >= 2).await;
        let said = rig.stats.readings.last_error().expect("a fault has a reason");
        assert!(said.contains(&format!("127.0.0.1:{}", broker.port)) && said.contains("refused"), "{said}");
        broker.up();
        rig.connected().await;
        Peer::connect(broker.port, "peer").await.levels([7]).await;
        assert_eq!(rig.next_value().await.0, 7.0);
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_and_has_forgotten_us_is_subscribed_to_again() {
    for protocol in [Protocol::V4, Protocol::V5] {
        let mut broker = Mosquitto::start();
        let rig = Rig::readings(config(broker.port, protocol));
        let frames = Rig::frames(config(broker.port, protocol));
        rig.connected().await;
        frames.connected().await;
        Peer::connect(broker.port, "peer").await.levels([1]).await;
        let (value, before) = rig.next_value().await;
        assert_eq!(value, 1.0);
        broker.kill();
        until("both notice", || !rig.stats.readings.connected() && !frames.stats.frames.connected()).await;
        broker.up();
        rig.connected().await;
        frames.connected().await;
        let mut peer = Peer::connect(broker.port, "peer").await;
        peer.levels([2]).await;
        let (value, token) = rig.next_value().await;
        assert_eq!((value, token.connection), (2.0, before.connection + 1), "{protocol:?}");
        peer.send("hue/cameras/cam-a/frame", b"\xff\xd8a".to_vec()).await;
        until("a frame", || frames.mailbox.take().is_some()).await;
        rig.stop().await;
        frames.stop().await;
    }
}

/// The payload that must not loop for ever: 50 MB.
fn huge() -> Vec<u8> {
    vec![b'x'; 50_000_000]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_payload_is_refused_once_and_readings_go_on() {
    for protocol in [Protocol::V4, Protocol::V5] {
        let broker = Mosquitto::start();
        let rig = Rig::readings(config(broker.port, protocol));
        rig.connected().await;
        let mut peer = Peer::connect(broker.port, "peer").await;
        peer.send("hue/sensors/water_level/kimlong", huge()).await;
        peer.levels([3]).await;
        let inbound = rig.next().await;
        let kept = &inbound.rejected[0];
        assert_eq!((kept.reason, kept.length, kept.bytes.len()), (RejectReason::TooLarge, 50_000_000, 1024), "{protocol:?}");
        assert_eq!(kept.stream.as_deref(), Some("water_level"));
        rig.acknowledge(inbound.ack.expect("QoS 1"));
        assert_eq!(rig.next_value().await.0, 3.0);
        assert_eq!(rig.stats.readings.connects.get(), 1, "the connection held");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_above_the_limit_does_not_come_for_ever() {
    let broker = Mosquitto::start();
    let mut small = config(broker.port, Protocol::V4);
    small.max_packet_readings = 1 << 20;
    let rig = Rig::readings(small);
    rig.connected().await;
    let mut peer = Peer::connect(broker.port, "peer").await;
    peer.levels([1]).await;
    assert_eq!(rig.next_value().await.0, 1.0);
    peer.send("hue/sensors/water_level/kimlong", huge()).await;
    peer.levels([2]).await;
    // The broker sends all three again, as none was acknowledged; this time the large one is taken in and refused.
    assert_eq!(rig.next_value().await.0, 1.0);
    let inbound = rig.next().await;
    assert_eq!((inbound.rejected[0].reason, inbound.rejected[0].length), (RejectReason::TooLarge, 50_000_000));
    assert_eq!(rig.next_value().await.0, 2.0);
    assert_eq!((rig.stats.readings.oversized.get(), rig.stats.readings.connects.get()), (1, 2));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_5_broker_is_told_the_limit_and_keeps_to_it() {
    let broker = Mosquitto::start();
    let mut small = config(broker.port, Protocol::V5);
    small.max_packet_readings = 1 << 20;
    small.max_packet_frames = 1 << 20;
    let (rig, frames) = (Rig::readings(small.clone()), Rig::frames(small));
    rig.connected().await;
    frames.connected().await;
    let mut peer = Peer::connect(broker.port, "peer").await;
    peer.send("hue/sensors/water_level/kimlong", huge()).await;
    peer.send("hue/cameras/cam-a/frame", huge()).await;
    peer.levels([2]).await;
    assert_eq!(rig.next_value().await.0, 2.0);
    peer.send("hue/cameras/cam-a/frame", b"\xff\xd8a".to_vec()).await;
    until("a frame", || frames.mailbox.take().is_some()).await;
    for link in [&rig.stats.readings, &frames.stats.frames] {
        assert_eq!((link.oversized.get(), link.connects.get()), (0, 1));
    }
    rig.stop().await;
    frames.stop().await;
}
