//! Keeping, and every moment at which keeping, deciding, handing over and deleting can be interrupted.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::*;
use crate::testing::{Folder, NOON, folder, hand_over, laws, scene, violation};
use crate::{Decision, EvidenceConfig};

/// Copies the folder before each step, and in the middle of each write.
#[derive(Debug, Clone)]
struct Spy {
    root: PathBuf,
    copies: Arc<Mutex<Vec<TempDir>>>,
}

impl Spy {
    fn copy(&self) {
        let copy = TempDir::new().expect("a folder");
        copy_dir(&self.root, copy.path());
        self.copies.lock().expect("no panic").push(copy);
    }

    /// The folder as it was before half of `bytes` was there.
    fn halfway(&self, path: &Path, bytes: &[u8], keep: &[u8]) {
        let whole = [keep, &bytes[..bytes.len() / 2]].concat();
        fs::write(path, whole).expect("writes");
        self.copy();
        if keep.is_empty() {
            fs::remove_file(path).expect("is there");
        } else {
            fs::write(path, keep).expect("writes");
        }
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for name in names(from).expect("listed") {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy_dir(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copies");
        }
    }
}

impl Disk for Spy {
    fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
        self.copy();
        self.halfway(path, bytes, &[]);
        Real.write(path, bytes, mode)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        self.copy();
        self.halfway(path, bytes, &fs::read(path).unwrap_or_default());
        Real.append(path, bytes)
    }

    fn cut(&self, path: &Path, length: u64) -> std::io::Result<()> {
        self.copy();
        Real.cut(path, length)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.copy();
        Real.rename(from, to)
    }

    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        self.copy();
        Real.create_dir(path)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.copy();
        // A folder goes file by file.
        if path.is_dir() {
            for name in names(path).expect("listed") {
                fs::remove_file(path.join(name))?;
                self.copy();
            }
        }
        Real.remove(path)
    }
}

/// The folder at each moment of `act`, which finds it as `before` left it.
fn interrupted(folder: &Folder, before: impl Fn(&mut Records), act: impl Fn(&mut Records)) -> Vec<EvidenceConfig> {
    before(&mut folder.open());
    let copies = Arc::new(Mutex::new(Vec::new()));
    let spy = Spy { root: folder.config.dir.clone(), copies: Arc::clone(&copies) };
    act(&mut Records::open_on(Box::new(spy.clone()), &folder.config, laws(), NOON).expect("opens"));
    spy.copy();
    let copies = std::mem::take(&mut *copies.lock().expect("no panic"));
    copies.into_iter().map(|copy| EvidenceConfig { dir: copy.keep(), ..folder.config.clone() }).collect()
}

/// Opens each copy: all of it must be whole, and `act` again must lead to the same end. Returns how many records each had after opening.
fn recover(copies: Vec<EvidenceConfig>, again: impl Fn(&mut Records), expected: &str) -> Vec<String> {
    let mut before = Vec::new();
    for config in copies {
        let mut records = Records::open(&config, laws(), NOON).expect("opens after any crash");
        let audit = records.audit().expect("readable");
        assert_eq!(audit.faults, Vec::<String>::new());
        assert!(names(&config.dir.join("staged")).expect("listed").is_empty(), "nothing is left over");
        before.push(states(&mut records));
        again(&mut records);
        assert_eq!(states(&mut records), expected, "after it was done again");
        assert_eq!(records.audit().expect("readable").faults, Vec::<String>::new());
        assert_eq!(Records::open(&config, laws(), NOON).expect("opens").counts().expect("reads"), records.counts().expect("reads"));
        fs::remove_dir_all(&config.dir).expect("is ours");
    }
    before
}

fn states(records: &mut Records) -> String {
    let counts = records.counts().expect("readable");
    let states: Vec<String> = counts.states.iter().map(|(state, n)| format!("{} {n}", state.as_str())).collect();
    format!("{} expired {}", states.join(" "), counts.expired)
}

/// Both ends were seen, and nothing else.
fn only(before: &[String], first: &str, last: &str) {
    assert!(before.iter().all(|states| states == first || states == last), "{before:?}");
    assert_eq!((before.first().map(String::as_str), before.last().map(String::as_str)), (Some(first), Some(last)));
    assert!(before.iter().filter(|states| *states == last).count() > 1, "a crash after the announcement is completed: {before:?}");
}

#[test]
fn keeping_is_whole_or_not_at_all() {
    let folder = folder();
    let keep = |track| move |records: &mut Records| drop(records.keep(&violation(track), &scene(), NOON).expect("is kept"));
    let copies = interrupted(&folder, keep(1), keep(2));
    assert!(copies.len() > 15, "{}", copies.len());
    only(&recover(copies, keep(2), "new 2 expired 0"), "new 1 expired 0", "new 2 expired 0");
}

#[test]
fn the_first_opening_can_be_interrupted() {
    let folder = folder();
    let copies = Arc::new(Mutex::new(Vec::new()));
    fs::create_dir(&folder.config.dir).expect("creates");
    let spy = Spy { root: folder.config.dir.clone(), copies: Arc::clone(&copies) };
    drop(Records::open_on(Box::new(spy), &folder.config, laws(), NOON).expect("opens"));
    let copies = std::mem::take(&mut *copies.lock().expect("no panic"));
    assert!(copies.len() > 5);
    for copy in copies {
        let config = EvidenceConfig { dir: copy.path().to_owned(), ..folder.config.clone() };
        let mut records = Records::open(&config, laws(), NOON).expect("opens after any crash");
        assert_eq!(records.keys().expect("readable").len(), 1);
        records.signing_key().expect("the key is there");
        assert_eq!(records.audit().expect("readable").faults, Vec::<String>::new());
    }
}

#[test]
fn deciding_is_whole_or_not_at_all() {
    let folder = folder();
    let id = folder.keep(&mut folder.open(), &violation(1));
    let accept = |records: &mut Records| {
        // Done before the crash: it is accepted already.
        let done = records.decide(&id, "lan", Decision::Accept, None, NOON);
        assert!(done.is_ok() || done.is_err_and(|error| error.to_string().contains("it is accepted already")));
    };
    let copies = interrupted(&folder, |_| {}, accept);
    only(&recover(copies, accept, "accepted 1 expired 0"), "new 1 expired 0", "accepted 1 expired 0");
}

#[test]
fn deleting_is_whole_or_not_at_all() {
    let folder = folder();
    let id = folder.keep(&mut folder.open(), &violation(1));
    folder.keep(&mut folder.open(), &violation(2));
    folder.open().decide(&id, "lan", Decision::Accept, None, NOON).expect("new");
    let expire = |records: &mut Records| drop(records.expire(NOON + huong_types::Span::from_mins(60 * 24 * 40), true).expect("works"));
    let copies = interrupted(&folder, |_| {}, expire);
    only(&recover(copies, expire, "accepted 1 expired 1"), "new 1 accepted 1 expired 0", "accepted 1 expired 1");
}

#[test]
fn no_package_leaves_without_its_line() {
    let folder = folder();
    let id = folder.keep(&mut folder.open(), &violation(1));
    folder.open().decide(&id, "lan", Decision::Accept, None, NOON).expect("new");
    let out = folder.config.dir.join("out");
    fs::create_dir(&out).expect("creates");
    let package = out.join("package.zip");
    let export = |records: &mut Records| drop(records.export(&Filter::default(), &hand_over(), &package, NOON).expect("exports"));
    let mut left = 0;
    for config in interrupted(&folder, |_| {}, export) {
        let there = config.dir.join("out/package.zip").exists();
        let mut records = Records::open(&config, laws(), NOON).expect("opens after any crash");
        let told = records.hand_overs().expect("readable").len();
        assert!(told == 1 || !there, "a package without a line");
        left += usize::from(there);
        assert_eq!(records.audit().expect("readable").faults, Vec::<String>::new());
        fs::remove_dir_all(&config.dir).expect("is ours");
    }
    assert_eq!(left, 1);
}

#[test]
fn the_same_candidate_is_one_record() {
    let folder = folder();
    let mut records = folder.open();
    let id = folder.keep(&mut records, &violation(1));
    assert_eq!(folder.keep(&mut records, &violation(1)), id);
    assert_eq!(folder.keep(&mut folder.open(), &violation(1)), id, "by another process too");
    assert_eq!(&*id, "20251027-115001-cam-001-red_light-".to_owned() + &id[id.len() - 12..]);
    assert_eq!(states(&mut records), "new 1 expired 0");
    assert_ne!(folder.keep(&mut records, &violation(2)), id);
}

/// The pictures are the camera's bytes, and whatever the candidate knew is in the record.
#[test]
fn a_record_holds_all_of_its_candidate() {
    let folder = folder();
    let mut records = folder.open();
    let candidate = violation(1);
    let id = folder.keep(&mut records, &candidate);
    let (record, _, path) = records.show(&id, "lan", "review", NOON).expect("there");
    assert_eq!(path, folder.config.dir.join("records/2025-10-27").join(&*id));
    for (frame, picture) in candidate.frames.iter().zip(&record.pictures) {
        assert_eq!(fs::read(path.join(&picture.file)).expect("there"), frame.jpeg, "not a byte is changed");
        assert_eq!((frame.at, frame.received), (picture.at.millis, picture.received.millis));
        assert_eq!(frame.signal, picture.signal);
    }
    assert_eq!((record.track, record.label, record.place), (candidate.track, candidate.label, candidate.place));
    assert_eq!((record.plate, record.models), (candidate.plate, candidate.models));
    assert_eq!((record.rule_version, record.view_version), (candidate.rule_version, candidate.view_version));
    assert_eq!((record.camera, record.clock, record.thresholds), (scene().camera, scene().clock, scene().thresholds));
    let law = record.law.expect("known to the configuration");
    assert_eq!((law.provision.points, law.law.version.as_str()), (4, "2026-08-15"));
    assert_eq!(record.began.local, "2025-10-27 11:50:01.000 +07:00");
    assert_eq!(record.crop.expect("a plate was seen").from, "picture-2.jpg");
}

#[test]
fn what_was_changed_behind_our_back_is_found() {
    let folder = folder();
    let mut records = folder.open();
    let id = folder.keep(&mut records, &violation(1));
    records.decide(&id, "lan", Decision::Accept, None, NOON).expect("new");
    let path = folder.config.dir.join("records/2025-10-27").join(&*id);
    let faults = |records: &mut Records| records.audit().expect("readable").faults;
    fs::write(path.join("note.txt"), "x").expect("writes");
    fs::write(path.join("review-1.json"), "{}").expect("writes");
    let found = faults(&mut records);
    assert!(found.iter().any(|fault| fault.ends_with("review-1.json: changed")), "{found:?}");
    assert!(found.iter().any(|fault| fault.ends_with("note.txt: belongs to no record")), "{found:?}");
    fs::write(path.join("picture-1.jpg"), "x").expect("writes");
    let out = folder.dir.path().join("p.zip");
    assert!(records.export(&Filter::default(), &hand_over(), &out, NOON).is_err());
    assert!(!out.exists() && records.hand_overs().expect("readable").is_empty());
    fs::remove_dir_all(&path).expect("is there");
    assert!(faults(&mut records)[0].ends_with("record.json: missing"));
    // A line in the middle of the chain.
    let chain = folder.config.dir.join("chain.jsonl");
    let text = fs::read_to_string(&chain).expect("there").replace("red_light", "wrong_way");
    fs::write(&chain, text).expect("writes");
    let error = Records::open(&folder.config, laws(), NOON).expect_err("altered").to_string();
    assert!(error.contains("line 3, which does not follow from the line before, is damaged in"), "{error}");
}

#[test]
fn the_private_key_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let mut records = folder.open();
    let public = records.keys().expect("readable")[0].public.clone();
    let path = folder.config.dir.join(format!("keys/{public}.key"));
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));
    records.signing_key().expect("loads");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
    assert!(records.signing_key().expect_err("others can read it").to_string().contains("found mode 0640"));
    fs::remove_file(&path).expect("there");
    assert!(records.signing_key().expect_err("gone").to_string().contains("bring it back from the backup"));
    folder.keep(&mut records, &violation(1));
}
