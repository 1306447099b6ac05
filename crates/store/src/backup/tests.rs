//! Backups taken beside a writer and seals, brought back, damaged, interrupted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use huong_types::AlertState;

use super::*;
use crate::testing::{close, copy, csv, filled, logged, mixed, observation, open, reading, refused, scratch, transition, write};
use crate::{Record, replay_readings, seal, transitions_after};

const EVERYTHING: &str = "SELECT 'r' AS t, seq, key AS what FROM readings UNION ALL SELECT 'o', seq, field FROM observations \
                          UNION ALL SELECT 'a', seq, id FROM alerts UNION ALL SELECT 'q', seq, detail FROM quarantine ORDER BY 1, 2, 3";

fn rows(dir: &Path) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(csv(dir, EVERYTHING))
}

/// Two sealed segments, a closed one and an open one.
fn busy() -> (tempfile::TempDir, crate::Writer) {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    for n in 0..3 {
        let mut records = mixed();
        records.extend((0..20).map(|i| reading(100 * n + i)));
        records.extend([observation(n), refused(n), transition(10 + n, n, AlertState::Open)]);
        write(&mut writer, &records);
        let closed = close(&mut writer, 100 * n as i64);
        if n < 2 {
            seal(&closed).expect("a sound disk");
        }
    }
    write(&mut writer, &mixed());
    fs::create_dir(dir.path().join("sinks")).expect("a new folder");
    fs::write(dir.path().join("sinks/duty.offset"), "7\n").expect("a new file");
    (dir, writer)
}

#[test]
fn a_backup_comes_back_row_for_row_and_goes_on() {
    let (dir, _writer) = busy();
    let (target, place) = (scratch(), scratch());
    let config = place.path().join("huong.toml");
    fs::write(&config, "prefix = \"hue\"\n").expect("a new file");
    let saved = backup(dir.path(), target.path(), std::slice::from_ref(&config)).expect("a sound disk");
    assert_eq!((saved.files, saved.bytes), (saved.new_files, saved.new_bytes));
    let (back, back_config) = (place.path().join("store"), place.path().join("saved"));
    let restored = restore(target.path(), &back, Some(&back_config)).expect("a sound backup");
    assert_eq!(restored.files, saved.files);
    assert_eq!(rows(&back), rows(dir.path()));
    assert_eq!(fs::read_to_string(back.join("sinks/duty.offset")).expect("restored"), "7\n");
    let kept = config.strip_prefix("/").expect("an absolute path");
    assert_eq!(fs::read_to_string(back_config.join(kept)).expect("restored"), "prefix = \"hue\"\n");
    let (mut writer, recovered) = open(&back);
    assert_eq!((recovered.damaged, recovered.cut_bytes, recovered.closed.len()), (0, 0, 1));
    write(&mut writer, &[reading(500)]);
    assert_eq!(logged(&back).last().map(|(_, record)| record.clone()), Some(reading(500)));
    assert!(!dir.path().join(STAGE).exists());
}

#[test]
fn the_second_backup_copies_what_is_new_and_drops_what_is_gone() {
    let (dir, mut writer) = busy();
    let target = scratch();
    let first = backup(dir.path(), target.path(), &[]).expect("a sound disk");
    let again = backup(dir.path(), target.path(), &[]).expect("a sound disk");
    assert_eq!((again.files, again.new_files), (first.files, 0), "nothing has changed");
    write(&mut writer, &[reading(900)]);
    let third = backup(dir.path(), target.path(), &[]).expect("a sound disk");
    assert_eq!((third.files, third.new_files), (first.files, 1), "the open segment");
    let contents = fs::read_dir(target.path().join("files")).expect("the backup").count() as u64;
    assert!(contents <= third.files, "the old segment's content is gone: {contents}");
    let place = scratch();
    restore(target.path(), &place.path().join("store"), None).expect("a sound backup");
    assert_eq!(rows(&place.path().join("store")), rows(dir.path()));
}

#[test]
fn a_backup_beside_a_writer_and_seals_is_one_moment_of_it() {
    let dir = filled(&[]);
    let (mut writer, _) = open(dir.path());
    let target = scratch();
    let (stored, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let moments = std::thread::scope(|scope| {
        let (stored, stop, dir) = (&stored, &stop, dir.path());
        scope.spawn(move || {
            let mut n = 0;
            while !stop.load(Ordering::Acquire) {
                write(&mut writer, &[reading(n), reading(n + 1)]);
                n += 2;
                stored.store(n, Ordering::Release);
                if n % 40 == 0 {
                    seal(&close(&mut writer, 100 * n as i64)).expect("a sound disk");
                }
            }
        });
        let mut moments = Vec::new();
        while moments.len() < 8 {
            let before = stored.load(Ordering::Acquire);
            backup(dir, target.path(), &[]).expect("a sound disk");
            // One commit may be durable and not counted yet.
            moments.push((before, stored.load(Ordering::Acquire) + 2, copy(target.path())));
        }
        stop.store(true, Ordering::Release);
        moments
    });
    for (before, after, backup) in moments {
        let place = scratch();
        let back = place.path().join("store");
        restore(backup.path(), &back, None).expect("a sound backup");
        let mut found = Vec::new();
        replay_readings(&back, &|_| Some(huong_types::Timestamp::MIN), &mut |reading| found.push(Record::Reading(reading)))
            .expect("a sound store");
        assert!((before..=after).contains(&(found.len() as u64)), "{before} <= {} <= {after}", found.len());
        assert_eq!(found, (0..found.len() as u64).map(reading).collect::<Vec<_>>(), "all from the first to the last, once");
        let (_, recovered) = open(&back);
        assert_eq!((recovered.damaged, recovered.cut_bytes), (0, 0));
    }
}

#[test]
fn damage_to_any_file_of_a_backup_is_told_and_nothing_is_restored() {
    let (dir, _writer) = busy();
    let target = scratch();
    backup(dir.path(), target.path(), &[]).expect("a sound disk");
    for entry in fs::read_dir(target.path().join("files")).expect("the backup").flatten() {
        let spoilt = copy(target.path());
        let path = spoilt.path().join("files").join(entry.file_name());
        let mut bytes = fs::read(&path).expect("a file of the backup");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("a writable file");
        let place = scratch();
        let error = restore(spoilt.path(), &place.path().join("store"), None).expect_err("a spoilt backup").to_string();
        assert!(error.contains("checksum") && error.contains(&path.display().to_string()), "{error}");
        assert!(!place.path().join("store").exists());
    }
}

#[test]
fn what_would_harm_is_refused() {
    let (dir, _writer) = busy();
    let target = scratch();
    let nothing = restore(target.path(), &target.path().join("x"), None).expect_err("no backup yet");
    assert!(matches!(nothing, StoreError::NoBackup(_)), "{nothing}");
    backup(dir.path(), target.path(), &[]).expect("a sound disk");
    let full = restore(target.path(), dir.path(), None).expect_err("a folder in use");
    assert!(matches!(full, StoreError::NotEmpty(_)), "{full}");
    let empty = scratch();
    assert!(matches!(backup(empty.path(), target.path(), &[]), Err(StoreError::Damaged { .. })), "not a store");
    let _lock = disk::try_lock(dir.path(), "backup.lock").expect("a sound disk").expect("nobody has it");
    assert!(matches!(backup(dir.path(), target.path(), &[]), Err(StoreError::BackupRuns(_))));
    let text = fs::read_to_string(Index::path(target.path())).expect("the index");
    fs::write(Index::path(target.path()), text.replacen("store/manifest.json", "store/../manifest.json", 1)).expect("a writable file");
    let escape = restore(target.path(), &empty.path().join("store"), None).expect_err("a path that leads away").to_string();
    assert!(escape.contains("../manifest.json"), "{escape}");
}

#[test]
fn until_the_index_is_written_the_backup_before_stands() {
    let (dir, mut writer) = busy();
    let target = scratch();
    backup(dir.path(), target.path(), &[]).expect("a sound disk");
    let before = rows(dir.path());
    let index = fs::read(Index::path(target.path())).expect("the index");
    write(&mut writer, &[transition(50, 50, AlertState::Open)]);
    // As the process leaves it that dies before the last step: new contents, the old index, links not cleared away.
    let mut interrupted = Target::open(target.path()).expect("the backup");
    let stage = dir.path().join(STAGE);
    fs::create_dir(&stage).expect("a new folder");
    let (_, segments) = interrupted.freeze(dir.path(), &stage).expect("a sound disk");
    for (name, (mut file, path)) in segments {
        interrupted.put(name, &whole_records(&path, &mut file).expect("a sound segment"), 0).expect("a sound disk");
    }
    drop(interrupted);
    assert_eq!(fs::read(Index::path(target.path())).expect("the index"), index);
    let place = scratch();
    restore(target.path(), &place.path().join("old"), None).expect("a sound backup");
    assert_eq!(rows(&place.path().join("old")), before);
    backup(dir.path(), target.path(), &[]).expect("the next one clears up");
    restore(target.path(), &place.path().join("new"), None).expect("a sound backup");
    assert_eq!(transitions_after(&place.path().join("new"), 49, 9).expect("a sound store").len(), 1);
}
