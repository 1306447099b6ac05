//! Frames: the newest of each camera, dated, and nothing else.

use huong_ingest::Protocol;
use huong_types::Timestamp;

use crate::mosquitto::Mosquitto;
use crate::rig::{NOW, Peer, Rig, config, until};

const CAM_A: &str = "hue/cameras/cam-a/frame";

fn jpeg(number: u8) -> Vec<u8> {
    vec![0xff, 0xd8, number]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_frame_of_each_camera_wins() {
    for protocol in [Protocol::V4, Protocol::V5] {
        let broker = Mosquitto::start();
        let rig = Rig::frames(config(broker.port, protocol));
        rig.connected().await;
        let mut peer = Peer::connect(broker.port, "peer").await;
        for number in 0..10 {
            peer.send(CAM_A, jpeg(number)).await;
        }
        peer.send("hue/cameras/cam-b/frame", jpeg(99)).await;
        until("all have come", || rig.stats.delivered_frames.get() == 11).await;
        assert_eq!((rig.mailbox.published(), rig.mailbox.replaced()), (11, 9));
        let (slot, frame) = rig.mailbox.take().expect("a frame");
        assert_eq!((slot, frame.camera.as_str(), frame.jpeg.as_ref()), (0, "cam-a", jpeg(9).as_slice()), "{protocol:?}");
        let (slot, frame) = rig.mailbox.take().expect("a frame");
        assert_eq!((slot, frame.camera.as_str(), frame.jpeg.as_ref()), (1, "cam-b", jpeg(99).as_slice()));
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_capture_is_the_property_else_the_topic_else_arrival() {
    let broker = Mosquitto::start();
    let rig = Rig::frames(config(broker.port, Protocol::V5));
    rig.connected().await;
    let mut peer = Peer::connect(broker.port, "peer").await;
    let in_topic = format!("{CAM_A}/{}", NOW - 2000);
    let sent: [(&str, Option<&str>, i64); 4] = [
        (CAM_A, None, NOW),
        (&in_topic, None, NOW - 2000),
        (&in_topic, Some("1763423099000"), NOW - 1000),
        (CAM_A, Some("2025-11-18T06:44:57+07:00"), NOW - 3000),
    ];
    for (topic, property, expected) in sent {
        match property {
            Some(value) => peer.send_with_property(topic, jpeg(1), "capture-time", value).await,
            None => peer.send(topic, jpeg(1)).await,
        }
        let mut frame = None;
        until("the frame", || {
            frame = rig.mailbox.take();
            frame.is_some()
        })
        .await;
        let (_, frame) = frame.expect("waited for it");
        assert_eq!((frame.at, frame.received), (Timestamp::from_millis(expected), Timestamp::from_millis(NOW)), "{topic} {property:?}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_is_refused_with_its_reason() {
    let broker = Mosquitto::start();
    let rig = Rig::frames(config(broker.port, Protocol::V4));
    rig.connected().await;
    let mut peer = Peer::connect(broker.port, "peer").await;
    let future = format!("{CAM_A}/{}", NOW + 3_600_000);
    for (topic, payload, reason) in [
        ("hue/cameras/cam-z/frame", jpeg(1), "unknown_camera"),
        (CAM_A, b"a text file".to_vec(), "bad_frame"),
        (CAM_A, Vec::new(), "bad_frame"),
        ("hue/cameras/cam-a/frame/now", jpeg(1), "bad_time"),
        ("hue/cameras/cam-a/frame/1000", jpeg(1), "too_old"),
        (future.as_str(), jpeg(1), "future"),
        ("hue/cameras/cam-a/frame/1/2", jpeg(1), "unknown_stream"),
    ] {
        peer.send(topic, payload).await;
        let inbound = rig.next().await;
        assert_eq!(inbound.rejected.iter().map(|q| q.reason.as_str()).collect::<Vec<_>>(), [reason], "{topic}");
        assert_eq!(inbound.ack, None);
    }
    assert_eq!((rig.stats.rejected.get(), rig.mailbox.published()), (7, 0));
    // A camera's own fault must not stand in the way of the readings: without room the refusals are counted and dropped.
    for _ in 0..70 {
        peer.send(CAM_A, b"a text file".to_vec()).await;
    }
    until("what found no room is counted", || rig.stats.shed.total() == 6).await;
    assert_eq!((rig.ring.len(), rig.stats.rejected.get()), (64, 77));
    rig.stop().await;
}
