//! A sound store passes; whatever is done to a file is found and named.

use std::fs;
use std::path::PathBuf;

use huong_types::{AlertState, Span};

use super::*;
use crate::testing::{close, copy, filled, minute, mixed, observation, open, reading, refused, transition, write};
use crate::{Compact, Writer, compact, retain, seal, sweep};

/// Sealed and merged parts, a sealed segment, a closed one and an open one.
fn store() -> (tempfile::TempDir, Writer) {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    for (i, records) in [mixed(), (3..9).map(reading).collect(), (2..9).map(observation).collect()].iter().enumerate() {
        write(&mut writer, records);
        seal(&close(&mut writer, 200 * i as i64)).expect("a sound disk");
    }
    while compact(dir.path(), &Compact { parts: 2, ..Compact::default() }, minute(0), &|| false).expect("a sound disk").is_some() {}
    write(&mut writer, &[reading(9), refused(3), transition(5, 3, AlertState::Open)]);
    seal(&close(&mut writer, 800)).expect("a sound disk");
    write(&mut writer, &[reading(10), observation(11)]);
    close(&mut writer, 1000);
    write(&mut writer, &[reading(144 * 95), refused(4)]);
    (dir, writer)
}

fn faults(dir: &Path) -> Vec<String> {
    audit(dir).expect("a store that can be looked at").faults
}

fn a_part(dir: &Path, table: &str) -> PathBuf {
    let parts = Manifest::read(dir).expect("a manifest").parts;
    dir.join(&parts.iter().find(|part| part.table.name() == table).expect("a part").path)
}

#[test]
fn a_sound_store_passes_whatever_became_of_it() {
    let (dir, mut writer) = store();
    let found = audit(dir.path()).expect("a store");
    assert_eq!(found.faults, [""; 0]);
    let level = found.streams["water_level"];
    assert_eq!((level.ledger, level.in_log, level.in_parts, level.deleted), (11, 2, 9, 0));
    retain(dir.path(), &[], minute(95 * 24 * 60), &|_| None).expect("a sound disk");
    assert_eq!(faults(dir.path()), [""; 0], "while files wait to be removed");
    sweep(dir.path(), Span::ZERO, minute(95 * 24 * 60)).expect("a sound disk");
    let found = audit(dir.path()).expect("a store");
    assert_eq!((found.faults.as_slice(), found.deletions), ([].as_slice(), 2));
    assert_eq!(found.streams["rain"].deleted, 2);
    assert!(found.to_string().ends_with("sound: received = stored + rejected, stream by stream"), "{found}");
    seal(&close(&mut writer, 3000)).expect("a sound disk");
    assert_eq!(faults(dir.path()), [""; 0]);
}

#[test]
fn one_flipped_byte_in_a_part_is_found_and_named() {
    let (dir, _writer) = store();
    for table in ["readings", "observations", "alerts", "quarantine", "readings_1m"] {
        let state = copy(dir.path());
        let path = a_part(state.path(), table);
        let mut bytes = fs::read(&path).expect("a part");
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("a writable file");
        let name = path.strip_prefix(state.path()).expect("inside").display().to_string();
        let found = faults(state.path());
        assert!(found.iter().any(|fault| fault.contains(&name)), "{table}: {found:?}");
    }
}

#[test]
fn a_lost_part_a_lost_segment_and_a_lost_record_are_found_and_named() {
    let (dir, _writer) = store();
    for table in ["readings", "alerts", "readings_1h"] {
        let state = copy(dir.path());
        let path = a_part(state.path(), table);
        fs::remove_file(&path).expect("a part");
        let found = faults(state.path());
        let name = path.strip_prefix(state.path()).expect("inside").display().to_string();
        assert!(found.iter().any(|fault| fault.contains(&name) && fault.contains("cannot open")), "{table}: {found:?}");
    }
    let closed = segment::list(dir.path()).expect("a log")[0];
    let state = copy(dir.path());
    fs::remove_file(segment::path(state.path(), closed)).expect("a segment");
    let found = faults(state.path());
    assert!(found.contains(&format!("log: no segment holds the sequences {closed} to {}", closed + 1)), "{found:?}");
    assert!(found.iter().any(|fault| fault.contains("stream `water_level`: found 10 records, the ledger has 11")), "{found:?}");

    let state = copy(dir.path());
    let path = segment::path(state.path(), closed);
    let mut bytes = fs::read(&path).expect("a segment");
    let at = bytes.windows(5).rposition(|bytes| bytes == b"vrain").expect("a source's name");
    bytes[at] ^= 1;
    fs::write(&path, bytes).expect("a writable file");
    let found = faults(state.path());
    assert!(found.iter().any(|fault| fault.contains(&path.display().to_string()) && fault.contains("not what was written")), "{found:?}");
}

#[test]
fn a_part_that_is_named_twice_or_not_at_all_is_found() {
    let (dir, _writer) = store();
    let mut manifest = Manifest::read(dir.path()).expect("a manifest");
    let first = manifest.parts.iter().position(|part| part.table == Table::Readings).expect("a part");
    let part = manifest.parts[first].clone();
    manifest.parts.push(part.clone());
    manifest.publish(dir.path()).expect("a sound disk");
    let found = faults(dir.path());
    assert!(found.iter().any(|fault| fault.contains(&part.path) && fault.contains("in another part too")), "{found:?}");
    manifest.parts.retain(|other| other.path != part.path);
    manifest.publish(dir.path()).expect("a sound disk");
    let found = faults(dir.path());
    assert!(found.iter().any(|fault| fault.starts_with("parts: the sealed records")), "{found:?}");
}
