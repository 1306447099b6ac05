//! Every format on bytes that nobody meant for it: any bytes, and the valid examples cut, joined and with bits turned.
//!
//! Held: decoding ends without a panic, every message leaves a trace, and what comes out as a reading is sound.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{chirpstack, dahua, frigate, hikvision, json, senml, sparkplug, tt10};
use crate::Problems;
use crate::decode::SourceConfig;
use crate::decode::tests::{SOURCES, decoder, instant, shipped_off, sound};

/// A little after the youngest example.
const NOW: &str = "2026-11-22T01:31:00Z";

/// Every format in use, as it ships or as its own tests configure it.
fn sources() -> String {
    let off = ["dahua-plates", "frigate-plates", "hikvision-plates"].map(shipped_off).join("\n");
    format!("{off}\n{}\n{}", senml::tests::SOURCE, sparkplug::tests::SOURCE)
}

fn examples() -> Vec<(&'static str, Vec<u8>)> {
    let mut examples: Vec<(&str, Vec<u8>)> =
        json::tests::EXAMPLES.iter().map(|(topic, payload, ..)| (*topic, payload.as_bytes().to_vec())).collect();
    examples.extend([
        ("senml/x", senml::tests::EXAMPLE.as_bytes().to_vec()),
        (tt10::tests::FILE, tt10::tests::EXAMPLE.as_bytes().to_vec()),
        ("application/17c8/device/0101010101010102/event/up", chirpstack::tests::EXAMPLE.as_bytes().to_vec()),
        ("hue/plates/dahua", dahua::tests::EXAMPLE.as_bytes().to_vec()),
        ("frigate/events", frigate::tests::EVENT.as_bytes().to_vec()),
        ("frigate/tracked_object_update", frigate::tests::PLATE.as_bytes().to_vec()),
        ("hue/plates/hikvision/anpr.xml", hikvision::tests::EXAMPLE.as_bytes().to_vec()),
        ("spBv1.0/HUE/NBIRTH/edge-01", sparkplug::tests::node_birth(0, 1)),
        ("spBv1.0/HUE/DBIRTH/edge-01/kimlong", sparkplug::tests::device_birth(1)),
        ("spBv1.0/HUE/DDATA/edge-01/kimlong", sparkplug::tests::data(2, 2.71)),
        ("spBv1.0/HUE/NDEATH/edge-01", sparkplug::tests::node_birth(0, 1)),
    ]);
    examples
}

#[test]
fn every_format_has_an_example_here() {
    let configs = SourceConfig::parse_all("", &format!("{}\n{SOURCES}", sources()), &mut Problems::default());
    let mut decoder = decoder(&sources());
    let mut used = BTreeSet::new();
    for (topic, payload) in examples() {
        let inbound = decoder.decode(topic, &payload, instant(NOW));
        let refused = inbound.rejected.iter().filter_map(|refused| refused.source.as_ref());
        let source = inbound.readings.iter().map(|reading| &reading.source).chain(refused).next();
        used.extend(configs.iter().filter(|config| Some(&config.name) == source).map(|config| config.format.as_str()));
    }
    assert_eq!(used, super::FORMATS.iter().map(|(name, _)| *name).collect());
}

/// What may happen to a message on its way.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    /// From here on, what another example has there.
    Splice(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        at().prop_map(Damage::Cut),
        (at(), 1usize..40).prop_map(|(at, length)| Damage::Remove(at, length)),
        (at(), 1usize..200).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), at()).prop_map(|(at, other)| Damage::Splice(at, other)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damage: &[Damage], examples: &[(&str, Vec<u8>)]) -> Vec<u8> {
    for damage in damage {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match damage {
            Damage::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Remove(at, most) => drop(bytes.drain(at.index(length)..(at.index(length) + most).min(length))),
            Damage::Repeat(at, most) => {
                let part = bytes[at.index(length)..(at.index(length) + most).min(length)].to_vec();
                bytes.splice(at.index(length)..at.index(length), part);
            }
            Damage::Insert(at, more) => drop(bytes.splice(at.index(length)..at.index(length), more.iter().copied())),
            Damage::Splice(at, other) => {
                let (_, other) = &examples[other.index(examples.len())];
                bytes.truncate(at.index(length));
                bytes.extend(&other[bytes.len().min(other.len())..]);
            }
        }
    }
    bytes
}

fn topic() -> impl Strategy<Value = String> {
    let known = prop::sample::select(examples().into_iter().map(|(topic, _)| topic.to_owned()).collect::<Vec<_>>());
    prop_oneof![4 => known, 1 => "(hue|frigate|spBv1.0|senml)(/[A-Za-z0-9_.+# ]{0,12}){0,6}", 1 => any::<String>()]
}

proptest! {
    #[test]
    fn any_bytes_on_any_topic(messages in prop::collection::vec((topic(), prop::collection::vec(any::<u8>(), 0..200)), 1..8)) {
        let mut decoder = decoder(&sources());
        for (topic, bytes) in messages {
            sound(&decoder.decode(&topic, &bytes, instant(NOW)), instant(NOW));
        }
    }

    /// In any order and on their own topics or each other's, so that what a format remembers is damaged too.
    #[test]
    fn damaged_examples(
        messages in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(damage(), 0..4), prop::option::of(topic())), 1..12),
        later in 0i64..400 * 86_400,
    ) {
        let (mut decoder, examples) = (decoder(&sources()), examples());
        for (example, damage, elsewhere) in messages {
            let (topic, bytes) = &examples[example.index(examples.len())];
            let bytes = damaged(bytes.clone(), &damage, &examples);
            // The examples are of different years: each is young at some moment.
            let now = instant(NOW) - crate::Span::from_secs(later);
            sound(&decoder.decode(elsewhere.as_deref().unwrap_or(topic), &bytes, now), now);
        }
    }
}
