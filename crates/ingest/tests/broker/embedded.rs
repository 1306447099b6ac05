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
        peer.levels(0..300).await;
        for expected in 0..300 {
            let (value, token) = rig.next_value().await;
            assert_eq!(value, f64::from(expected), "{protocol:?}");
            rig.acknowledge(token);
        }
        peer.send("hue/cameras/cam-a/frame", vec![0xff, 0xd8, 1]).await;
        until("a frame", || frames.mailbox.take().is_some()).await;
        rig.stop().await;
        frames.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_readings_come_again() {
    let (broker, _) = start();
    let port = broker.listen().port();
    let rig = Rig::readings(config(port, Protocol::V5));
    rig.connected().await;
    let mut peer = Peer::connect(port, "peer").await;
    peer.levels([1, 2]).await;
    let (_, first) = rig.next_value().await;
    rig.acknowledge(first);
    assert_eq!(rig.next_value().await.0, 2.0);
    rig.stop().await;
    let again = Rig::readings(config(port, Protocol::V5));
    assert_eq!(again.next_value().await.0, 2.0);
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
