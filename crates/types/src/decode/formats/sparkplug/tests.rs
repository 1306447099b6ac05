//! The life of an edge: birth, data by alias, a gap, a rebirth, a death.

use proptest::prelude::*;

use super::*;
use crate::decode::Decoder;
use crate::decode::tests::{decoder, instant, show};

pub(in crate::decode) const SOURCE: &str = r#"
    [[source]]
    name = "edges"
    topic = "spBv1.0/#"
    format = "sparkplug-b"
    stream = "water_level"
    key = ["device", "edge"]
    time = ["time"]
    fields.value = [{ path = "values.Inputs/level", unit = "m" }]
    also = [{ stream = "rain", fields.value = ["values.rain10"] }]
"#;
const DOUBLE: u64 = 10;

/// A metric of a test: name, alias, value field.
fn metric(name: &str, alias: u64, at: u64, datatype: u64, value: Option<Value<'_>>) -> Vec<u8> {
    let mut out = Vec::new();
    if !name.is_empty() {
        write(&mut out, 1, Wire::Bytes(name.as_bytes()));
    }
    if alias > 0 {
        write(&mut out, 2, Wire::Varint(alias));
    }
    if at > 0 {
        write(&mut out, 3, Wire::Varint(at));
    }
    if datatype > 0 {
        write(&mut out, 4, Wire::Varint(datatype));
    }
    match value {
        Some((number, wire)) => write(&mut out, number, wire),
        None => write(&mut out, 7, Wire::Varint(1)),
    }
    out
}

fn payload(seq: Option<u64>, metrics: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, 1, Wire::Varint(1_763_422_800_000));
    metrics.iter().for_each(|metric| write(&mut out, 2, Wire::Bytes(metric)));
    if let Some(seq) = seq {
        write(&mut out, 3, Wire::Varint(seq));
    }
    out
}

fn session(number: u64) -> Vec<u8> {
    metric(SESSION, 0, 0, 8, Some((11, Wire::Varint(number))))
}

fn level(value: f64) -> Value<'static> {
    (13, Wire::Fixed64(value.to_bits()))
}

/// The bytes of the reference's example: alias 3, a double, seq 17.
pub(in crate::decode) fn data(seq: u64, value: f64) -> Vec<u8> {
    payload(Some(seq), &[metric("", 3, 1_763_422_799_000, 0, Some(level(value)))])
}

pub(in crate::decode) fn node_birth(seq: u64, session_number: u64) -> Vec<u8> {
    payload(Some(seq), &[session(session_number), metric(REBIRTH, 0, 0, BOOLEAN, Some((14, Wire::Varint(0))))])
}

pub(in crate::decode) fn device_birth(seq: u64) -> Vec<u8> {
    payload(
        Some(seq),
        &[
            metric("Inputs/level", 3, 1_763_422_790_000, DOUBLE, Some(level(2.5))),
            metric("rain10", 4, 1_763_422_790_000, 9, Some((12, Wire::Fixed32(4.2f32.to_bits())))),
            metric("door", 5, 0, BOOLEAN, Some((14, Wire::Varint(1)))),
        ],
    )
}

/// What a message says, and the topics of what is to be sent in answer, after a `>`, and what fell silent, after a `!`.
fn tell(decoder: &mut Decoder, kind: &str, payload: &[u8], now: &str) -> Vec<String> {
    let device = if kind.starts_with('D') { "/kimlong" } else { "" };
    let inbound = decoder.decode(&format!("spBv1.0/HUE/{kind}/edge-01{device}"), payload, instant(now));
    let mut said = show(&inbound);
    said.extend(inbound.commands.iter().map(|command| format!("> {}", command.topic)));
    said.extend(inbound.silent.iter().map(|(stream, key)| format!("! {stream} {key}")));
    said
}

const NOW: &str = "2025-11-17T23:40:30Z";

#[test]
fn births_name_what_data_says_by_alias() {
    let mut edge = decoder(SOURCE);
    let mut told = |kind: &str, payload: &[u8]| tell(&mut edge, kind, payload, NOW);
    assert_eq!(told("NBIRTH", &node_birth(15, 1)), ["unused: NBIRTH: found no value, expected metrics that measure"]);
    assert_eq!(
        told("DBIRTH", &device_birth(16)),
        ["water_level kimlong 2025-11-17T23:39:50Z value=2.5", "rain kimlong 2025-11-17T23:39:50Z value=4.2"]
    );
    assert_eq!(told("DDATA", &data(17, 2.71)), ["water_level kimlong 2025-11-17T23:39:59Z value=2.71"]);
    // Only with the type that the birth gave: the same bits are a large unsigned number.
    let negative = metric("Inputs/level", 0, 0, 3, Some((10, Wire::Varint(u64::from(u32::MAX)))));
    assert_eq!(told("DDATA", &payload(Some(18), &[negative])), ["water_level kimlong 2025-11-17T23:40:00Z value=-1"]);
    let null = payload(Some(19), &[metric("", 3, 0, 0, None)]);
    assert_eq!(told("DDATA", &null), ["unused: DDATA: found no value, expected metrics that measure"]);
}

#[test]
fn the_sequence_goes_round_at_256_and_a_gap_asks_for_a_birth() {
    let mut edge = decoder(SOURCE);
    let at = |second: u32| format!("2025-11-17T23:40:{second:02}Z");
    let mut told = |kind: &str, payload: &[u8], second: u32| tell(&mut edge, kind, payload, &at(second));
    told("NBIRTH", &node_birth(253, 1), 0);
    told("DBIRTH", &device_birth(254), 0);
    assert_eq!(told("DDATA", &data(255, 1.0), 1).len(), 1);
    assert_eq!(told("DDATA", &data(0, 1.0), 1), ["water_level kimlong 2025-11-17T23:39:59Z value=1"]);
    assert_eq!(
        told("DDATA", &data(2, 1.0), 2),
        ["no_birth: edge HUE/edge-01: `seq`: found 2, expected 1; a birth is asked for", "> spBv1.0/HUE/NCMD/edge-01"]
    );
    let waiting = "no_birth: edge HUE/edge-01: found DDATA before a birth; a birth is asked for";
    assert_eq!(told("DDATA", &data(3, 1.0), 3), [waiting], "it was asked a moment ago");
    assert_eq!(told("DDATA", &data(4, 1.0), 32), [waiting, "> spBv1.0/HUE/NCMD/edge-01"], "it has not answered");
    told("NBIRTH", &node_birth(0, 1), 33);
    assert!(told("DDATA", &data(1, 1.0), 33)[0].starts_with("no_birth: edge HUE/edge-01: found DDATA of kimlong before its birth"));
    told("NBIRTH", &node_birth(0, 1), 34);
    told("DBIRTH", &device_birth(1), 34);
    assert_eq!(told("DDATA", &data(2, 3.0), 34), ["water_level kimlong 2025-11-17T23:39:59Z value=3"]);
}

#[test]
fn an_unknown_alias_is_refused_beside_what_is_known() {
    let mut edge = decoder(SOURCE);
    tell(&mut edge, "NBIRTH", &node_birth(0, 1), NOW);
    tell(&mut edge, "DBIRTH", &device_birth(1), NOW);
    let both = payload(Some(2), &[metric("", 3, 0, 0, Some(level(2.0))), metric("", 9, 0, 0, Some(level(9.0)))]);
    assert_eq!(
        tell(&mut edge, "DDATA", &both, NOW),
        [
            "water_level kimlong 2025-11-17T23:40:00Z value=2",
            "no_birth: metric of kimlong: found alias 9, expected one that its birth announced; a birth is asked for",
            "> spBv1.0/HUE/NCMD/edge-01",
        ]
    );
}

#[test]
fn the_command_is_the_rebirth_of_the_specification() {
    let inbound = decoder(SOURCE).decode("spBv1.0/HUE/NDATA/e", &data(7, 1.0), Timestamp::from_millis(150));
    // Field by field: timestamp 150; a metric of 26 bytes: name, datatype Boolean, boolean_value true.
    let expected = b"\x08\x96\x01\x12\x1a\x0a\x14Node Control/Rebirth\x20\x0b\x70\x01";
    assert_eq!(inbound.commands, [Publish { topic: "spBv1.0/HUE/NCMD/e".into(), payload: expected.to_vec() }]);
}

#[test]
fn a_death_makes_what_measured_silent() {
    let mut edge = decoder(SOURCE);
    let mut told = |kind: &str, payload: &[u8]| tell(&mut edge, kind, payload, NOW);
    told("NBIRTH", &node_birth(0, 7));
    told("DBIRTH", &device_birth(1));
    let old = payload(None, &[session(6)]);
    assert!(told("NDEATH", &old)[0].starts_with("unused: `bdSeq`: found the death of another session of HUE/edge-01, expected Some(7)"));
    assert_eq!(told("DDATA", &data(2, 2.0)).len(), 1, "the session goes on");
    assert_eq!(told("DDEATH", &payload(Some(3), &[])), ["! water_level kimlong", "! rain kimlong"]);
    told("DBIRTH", &device_birth(4));
    assert_eq!(told("NDEATH", &payload(None, &[session(7)])), ["! water_level kimlong", "! rain kimlong"]);
    assert_eq!(told("NDEATH", &payload(None, &[session(7)])), ["unused: edge HUE/edge-01: found a death, expected a birth before it"]);
    assert_eq!(told("DDATA", &data(5, 2.0)).len(), 2, "refused, and a birth asked for");
    let own = [session(8), metric("Inputs/level", 1, 0, DOUBLE, Some(level(1.0)))];
    assert_eq!(told("NBIRTH", &payload(Some(0), &own)), ["water_level edge-01? 2025-11-17T23:40:00Z value=1"]);
    assert_eq!(told("NDEATH", &payload(None, &[session(8)])), ["! water_level edge-01", "! rain edge-01"]);
}

#[test]
fn what_is_no_sparkplug_says_so() {
    let mut edge = decoder(SOURCE);
    let broken = "malformed: payload: found the end within a field, expected a Sparkplug B payload in protocol buffers";
    for (topic, payload, expected) in [
        ("spBv1.0/HUE/DDATA/e/d", &b"\x12\x09"[..], broken),
        ("spBv1.0/HUE/NBIRTH/e", b"", "malformed: `seq`: found none in a birth, expected 0 to 255"),
        ("spBv1.0/HUE/NBIRTH/e", b"\x12\x02\x10\x01\x18\x00", "malformed: metric in a birth: found none or too long a name"),
        ("spBv1.0/HUE/NCMD/e", b"", "unused: topic: found a command"),
        ("spBv1.0/STATE/host", b"{}", "unused: topic: found a command or a host's state"),
        ("spBv1.0/HUE/XDATA/e", b"", "malformed: topic: found \"spBv1.0/HUE/XDATA/e\", expected spBv1.0/{group}/{type}/{edge}[/{device}]"),
        ("spBv1.0/HUE/DDATA/e", b"", "malformed: topic"),
    ] {
        let found = show(&edge.decode(topic, payload, instant(NOW)));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{topic}:\n found {found:?}\n expected {expected}");
    }
}

#[test]
fn invented_edges_fill_no_memory() {
    let mut sparkplug = Sparkplug::default();
    let mut one = |i: usize| sparkplug.read(&format!("spBv1.0/HUE/NDATA/e{i}"), b"", instant(NOW)).err().map(|reject| reject.reason);
    let refused: Vec<_> = (0..MOST_EDGES + 2).filter_map(&mut one).collect();
    assert_eq!(refused, [RejectReason::TooLarge; 2]);
}

proptest! {
    /// Whatever comes between, data in the right order after both births is read.
    #[test]
    fn a_birth_mends_everything(noise in prop::collection::vec((0usize..6, 0u64..260, any::<bool>()), 0..30), value in -1.0f64..9.0) {
        let mut edge = decoder(SOURCE);
        for (kind, seq, birth) in noise {
            let kind = ["NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH"][kind];
            let bytes = if birth { device_birth(seq) } else { data(seq, 1.0) };
            prop_assert!(!tell(&mut edge, kind, &bytes, NOW).is_empty());
        }
        tell(&mut edge, "NBIRTH", &node_birth(0, 1), NOW);
        tell(&mut edge, "DBIRTH", &device_birth(1), NOW);
        let inbound = edge.decode("spBv1.0/HUE/DDATA/edge-01/kimlong", &data(2, value), instant(NOW));
        prop_assert_eq!(inbound.readings.first().and_then(|reading| reading.number("value")), Some(value));
    }
}
