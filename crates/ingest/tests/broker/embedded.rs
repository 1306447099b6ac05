//! The broker inside the process.

use std::net::{Ipv4Addr, SocketAddr};

use huong_ingest::{BrokerConfig, EmbeddedBroker, Protocol};

use crate::mosquitto::free_port;
use crate::rig::{Peer, Rig, config, until};

fn start() -> (EmbeddedBroker, BrokerConfig) {
    let config = BrokerConfig { embedded: true, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())), ..BrokerConfig::default() };
    crate::rig::checked(|problems| config.check("huong.toml", "broker", problems));
    (EmbeddedBroker::start(&config, "hue").expect("a free port"), config)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_are_served_on_one_port() {
    for protocol in [Protocol::V4, Protocol::V5] {
        let (broker, _) = start();
        let port = broker.listen().port();
        let (rig, frames) = (Rig::readings(config(port, protocol)), Rig::frames(config(port, protocol)));
        rig.connected().await;
        frames.connected().await;
        let mut peer = Peer::connect(port, "peer").await;
        // Nobody listens there, and nothing comes of it.
        peer.send("elsewhere/x", "{}").await;
        let mut sent = 0;
        until("subscribed", || frames.stats.frames.connects.get() == 1).await;
        while rig.ring.is_empty() {
            peer.levels([sent]).await;
            sent += 1;
        }
        peer.levels(sent..300).await;
        let mut last = -1.0;
        while last < 299.0 {
            let (value, token) = rig.next_value().await;
            assert!(last < 0.0 || value == last + 1.0, "{value} after {last}");
            last = value;
            rig.acknowledge(token);
        }
        while frames.mailbox.published() == 0 {
            peer.send("hue/cameras/cam-a/frame", vec![0xff, 0xd8, 1]).await;
        }
        rig.stop().await;
        frames.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_readings_come_again() {
    let (broker, _) = start();
    let port = broker.listen().port();
    let rig = Rig::readings(config(port, Protocol::V5));
    let mut peer = Peer::connect(port, "peer").await;
    while rig.ring.is_empty() {
        peer.levels([1]).await;
    }
    let (_, first) = rig.next_value().await;
    rig.acknowledge(first);
    peer.levels([2]).await;
    while rig.next_value().await.0 != 2.0 {}
    rig.stop().await;
    let again = Rig::readings(config(port, Protocol::V5));
    while again.next_value().await.0 != 2.0 {}
    again.stop().await;
}

#[test]
fn a_taken_port_is_said() {
    let (broker, config) = start();
    let error = EmbeddedBroker::start(&config, "hue").expect_err("the port is taken");
    assert!(error.to_string().contains(&format!("cannot listen on {}", broker.listen())), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
    drop(broker);
    EmbeddedBroker::start(&config, "hue").expect("the port is free again");
}
