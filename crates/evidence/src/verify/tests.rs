//! A package is changed in every way that somebody might try; each is found and named.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::archive::Writer;
use crate::testing::{Folder, NOON, folder, violation};
use crate::{Decision, Filter, Kind};

/// A package taken apart, to be put together otherwise.
struct Apart {
    dir: TempDir,
    files: Vec<(String, Vec<u8>)>,
}

impl Apart {
    fn of(package: &Path) -> Apart {
        let source = Source::open(package).expect("readable").expect("a container");
        let read = |name: &String| (name.clone(), source.read(name).expect("readable").expect("there").expect("whole"));
        Apart { dir: TempDir::new().expect("a folder"), files: source.names().iter().map(read).collect() }
    }

    fn at(&mut self, name: &str) -> &mut Vec<u8> {
        &mut self.files.iter_mut().find(|(path, _)| path == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    fn together(&self) -> PathBuf {
        let path = self.dir.path().join("package.zip");
        let mut writer = Writer::new(fs::File::create(&path).expect("creates"));
        for (name, bytes) in &self.files {
            writer.add(name, bytes).expect("writes");
        }
        writer.finish().expect("writes");
        path
    }

    fn faults(&self, trust: &Trust) -> Vec<String> {
        faults(&self.together(), trust)
    }
}

fn faults(package: &Path, trust: &Trust) -> Vec<String> {
    verify(package, trust).expect("readable").faults.iter().map(ToString::to_string).collect()
}

fn ids(folder: &Folder) -> Vec<String> {
    folder.open().entries().expect("readable").iter().map(|entry| entry.id.to_string()).collect()
}

fn trust(folder: &Folder) -> Trust {
    let mut records = folder.open();
    Trust { keys: records.keys().expect("readable"), heads: records.heads().expect("readable") }
}

#[test]
fn a_package_as_it_left_is_whole() {
    let folder = folder();
    let package = folder.package(2);
    let report = verify(&package, &Trust::default()).expect("readable");
    assert_eq!(report.faults, []);
    assert_eq!((report.records.len(), report.trusted, report.heads), (2, None, 0));
    // The head of the day before the hand-over became a line of it.
    let chain = fs::read_to_string(folder.config.dir.join("chain.jsonl")).expect("there");
    let before: Vec<&str> = chain.lines().collect();
    let (line, text) = before.iter().enumerate().rfind(|(_, line)| line.contains("decided")).expect("one");
    let head = Head { day: "2025-10-27".to_owned(), line: line as u64 + 1, sha256: sha256(text.as_bytes()) };
    let report = verify(&package, &Trust { heads: vec![head.clone()], ..trust(&folder) }).expect("readable");
    assert_eq!((report.faults.len(), report.trusted, report.heads), (0, Some(true), 1));
    let other = Trust { heads: vec![Head { sha256: "00".repeat(32), ..head }], ..trust(&folder) };
    assert!(faults(&package, &other)[0].starts_with("head: line"), "a chain that was made anew");
    assert_eq!(folder.open().hand_overs().expect("readable")[0].sha256, sha256(&fs::read(&package).expect("there")));
}

#[test]
fn one_byte_of_a_picture() {
    let folder = folder();
    let mut apart = Apart::of(&folder.package(2));
    let name = format!("records/{}/picture-2.jpg", ids(&folder)[1]);
    let picture = apart.at(&name);
    picture[100] ^= 1;
    let found = apart.faults(&Trust::default());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("{name}: changed, found SHA-256")), "{found:?}");
}

#[test]
fn a_file_that_is_gone_and_one_that_was_not_there() {
    let folder = folder();
    let mut apart = Apart::of(&folder.package(1));
    let name = format!("records/{}/picture-3.jpg", ids(&folder)[0]);
    apart.files.retain(|(path, _)| *path != name);
    apart.files.push(("records/note.txt".to_owned(), b"so it was".to_vec()));
    let found = apart.faults(&Trust::default());
    assert_eq!(found[..2], [format!("{name}: missing"), "records/note.txt: added, it is not in the manifest".to_owned()]);
}

#[test]
fn two_records_that_change_places() {
    let folder = folder();
    let mut apart = Apart::of(&folder.package(2));
    let ids = ids(&folder);
    for (path, _) in &mut apart.files {
        *path = match path.split_once('/').map(|(_, rest)| rest.split_once('/')) {
            Some(Some((id, file))) if id == ids[0] => format!("records/{}/{file}", ids[1]),
            Some(Some((id, file))) if id == ids[1] => format!("records/{}/{file}", ids[0]),
            _ => path.clone(),
        };
    }
    let found = apart.faults(&Trust::default());
    let expected = format!("records/{}/picture-1.jpg: changed, it has the content of records/{}/picture-1.jpg", ids[0], ids[1]);
    assert!(found.contains(&expected), "{found:#?}");
    assert!(found.contains(&format!("record {}: record.json is of record {}", ids[1], ids[0])), "{found:#?}");
}

#[test]
fn a_line_of_the_chain() {
    let folder = folder();
    let mut apart = Apart::of(&folder.package(2));
    let chain = apart.at(CHAIN);
    let text = String::from_utf8(chain.clone()).expect("UTF-8").replacen("\"accepted\"", "\"rejected\"", 1);
    *chain = text.into_bytes();
    let found = apart.faults(&Trust::default());
    assert!(found[0].starts_with("chain.jsonl: changed"), "{found:?}");
    assert!(found[1].starts_with("chain: line 4, which does not follow from the line before"), "the third was changed: {found:?}");
}

/// Who holds another key can make everything agree but that.
#[test]
fn another_key_is_told_by_the_trusted_one_alone() {
    let (ours, theirs) = (folder(), folder());
    let package = theirs.package(1);
    assert_eq!(faults(&package, &Trust::default()), Vec::<String>::new());
    let found = faults(&package, &trust(&ours));
    assert!(found[0].contains("which is not a trusted key"), "{found:?}");
    // A signature of theirs under our manifest.
    let (mut mixed, their) = (Apart::of(&ours.package(1)), Apart::of(&package));
    for name in [SIGNATURE, KEY] {
        let other = their.files.iter().find(|(path, _)| path == name).expect("there").1.clone();
        *mixed.at(name) = other;
    }
    let found = mixed.faults(&trust(&ours));
    assert!(found[0].starts_with("signature:") && found[1].starts_with("key: public-key.txt is not"), "{found:?}");
}

#[test]
fn a_key_signs_in_its_time_only() {
    let folder = folder();
    let old = folder.package(1);
    let mut records = folder.open();
    let before = records.keys().expect("readable");
    records.rotate_key(NOON + huong_types::Span::from_mins(5)).expect("works");
    let keys = records.keys().expect("readable");
    assert_eq!(keys[0].until, Some(keys[1].from));
    assert!(!folder.config.dir.join(format!("keys/{}.key", before[0].public)).exists(), "the old private key is gone");
    assert_eq!(faults(&old, &trust(&folder)), Vec::<String>::new(), "made while the old key was in use");
    let new = folder.export(&mut records, NOON + huong_types::Span::from_mins(9));
    assert_eq!(faults(&new, &trust(&folder)), Vec::<String>::new());
    assert!(!faults(&new, &Trust { keys: before, ..Trust::default() }).is_empty());
    let mut early = keys[0].clone();
    early.until = Some(NOON);
    let found = faults(&old, &Trust { keys: vec![early], ..Trust::default() });
    assert!(found[0].contains("was not in use at 2025-10-27T05:02"), "{found:?}");
}

#[test]
fn what_is_void_rejected_or_not_decided_stays_here() {
    let folder = folder();
    let mut records = folder.open();
    let mut void = violation(1);
    void.frames.truncate(2);
    for one in [void, violation(2), violation(3)] {
        folder.keep(&mut records, &one);
    }
    let all: Vec<_> = records.entries().expect("readable");
    assert_eq!(all.iter().filter(|entry| entry.state == State::Void).count(), 1, "two pictures are too few");
    let reject = Decision::Reject { reasons: vec![Name::new("no_violation")] };
    records.decide(&all[2].id, "lan", reject, None, NOON).expect("new");
    let out = folder.dir.path().join("none.zip");
    let mut export = |filter: &Filter| records.export(filter, &crate::testing::hand_over(), &out, NOON);
    let error = export(&Filter::default()).expect_err("none is accepted").to_string();
    assert!(error.contains("found none that is accepted"), "{error}");
    let every = vec![State::New, State::Seconding, State::Accepted, State::Rejected, State::Void];
    let undecided = export(&Filter { states: every, ..Filter::default() }).expect("one is new");
    assert_eq!(undecided.records, [all[1].id.clone()]);
}

/// Other programs read the container, and a package that was unpacked can be checked too.
#[test]
fn an_unpacked_package_is_as_good() {
    let folder = folder();
    let package = folder.package(1);
    let unpacked = folder.dir.path().join("unpacked");
    let python = std::process::Command::new("python3")
        .args(["-m", "zipfile", "-e", &package.display().to_string(), &unpacked.display().to_string()])
        .status()
        .expect("python3 is here, as the Makefile needs it");
    assert!(python.success());
    assert_eq!(faults(&unpacked, &trust(&folder)), Vec::<String>::new());
    fs::write(unpacked.join("records.csv"), "other").expect("writes");
    assert!(faults(&unpacked, &trust(&folder))[0].starts_with("records.csv: changed"));
    // Packed again by another program: the files are right, the container is not ours.
    let again = folder.dir.path().join("again.zip");
    fs::remove_dir_all(&unpacked).expect("is there");
    let source = Source::open(&package).expect("readable").expect("a container");
    for name in source.names() {
        let path = unpacked.join(name);
        fs::create_dir_all(path.parent().expect("below")).expect("creates");
        fs::write(&path, source.read(name).expect("readable").expect("there").expect("whole")).expect("writes");
    }
    let script = "import shutil,sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[2])";
    let (base, from) = (folder.dir.path().join("again"), unpacked.display().to_string());
    let python = std::process::Command::new("python3").args(["-c", script, &base.display().to_string(), &from]).status().expect("runs");
    assert!(python.success());
    let found = faults(&again, &trust(&folder));
    assert!(found.iter().all(|fault| fault.starts_with("container:") || fault.contains("added")), "compressed files are read: {found:?}");
    assert!(!found.is_empty());
}

#[test]
fn the_sheet_is_text_in_vietnamese() {
    let folder = folder();
    let mut apart = Apart::of(&folder.package(1));
    let name = format!("records/{}/sheet.pdf", ids(&folder)[0]);
    let pdf = apart.at(&name).clone();
    assert!(pdf.starts_with(b"%PDF-"));
    assert!(pdf.windows(10).filter(|ten| *ten == b"/DCTDecode").count() == 4, "three pictures and the plate, as they are");
    let path = folder.dir.path().join("sheet.pdf");
    fs::write(&path, &pdf).expect("writes");
    let read = std::process::Command::new("pdftotext").args(["-layout", &path.display().to_string(), "-"]).output();
    let read = read.expect("pdftotext is here (scripts/need)");
    assert!(read.status.success() && read.stderr.is_empty(), "{}", String::from_utf8_lossy(&read.stderr));
    let text = String::from_utf8_lossy(&read.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "PHIẾU DỮ LIỆU VI PHẠM GHI NHẬN QUA CAMERA",
        "Biển kiểm soát 75A-123.45",
        "Loại phương tiện Ô tô",
        "Thời gian 11:50:01, 27/10/2025 (UTC 2025-10-27T04:50:01.000Z)",
        "Địa điểm Ngã sáu Hùng Vương (16.463700, 107.590900); vach-dung-bac",
        "Căn cứ 168/2024:6.9.b: Không chấp hành hiệu lệnh của đèn tín hiệu giao thông; Nghị định 168/2024/NĐ-CP",
        "trừ 4 điểm",
        "Lệch đồng hồ -180 ms",
        "từng ký tự 0.99 0.99",
        "đèn north đỏ (độ tin cậy 0.93, nguồn camera)",
        "Người duyệt lan, 12:01:00, 27/10/2025: chấp nhận",
        "picture-3.jpg",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let manifest: Manifest = serde_json::from_slice(apart.at(MANIFEST)).expect("a manifest");
    let kinds: BTreeSet<_> =
        manifest.files.iter().filter(|file| file.path.ends_with(".jpg")).map(|file| file.kind == Kind::Original).collect();
    assert_eq!(kinds.len(), 2, "pictures are originals, the cut plate is derived");
}

#[test]
fn what_is_no_package_is_told() {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("x.zip");
    for bytes in [&b""[..], b"PK", b"not a zip file at all, but long enough to hold an end record"] {
        fs::write(&path, bytes).expect("writes");
        assert_eq!(faults(&path, &Trust::default()), ["container: found no end of a ZIP file"]);
    }
    assert!(verify(&dir.path().join("missing"), &Trust::default()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Any byte, anywhere, in any way: also where the container keeps what nobody reads.
    #[test]
    fn any_byte_that_is_flipped_is_found(places in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..8)) {
        let package = PACKAGE.get_or_init(|| { let folder = folder(); fs::read(folder.package(1)).expect("there") });
        let dir = TempDir::new().expect("a folder");
        for (place, mask) in places {
            let mut bytes = package.clone();
            let at = place.index(bytes.len());
            bytes[at] ^= mask;
            prop_assert!(found(&dir, &bytes), "byte {at} of {} with {mask:#04x}", bytes.len());
        }
    }

    /// Cut short anywhere, or with anything behind.
    #[test]
    fn any_other_length_is_found(cut in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 1..40)) {
        let package = PACKAGE.get_or_init(|| { let folder = folder(); fs::read(folder.package(1)).expect("there") });
        let dir = TempDir::new().expect("a folder");
        prop_assert!(found(&dir, &package[..cut.index(package.len())]));
        prop_assert!(found(&dir, &[package, more.as_slice()].concat()));
    }
}

static PACKAGE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();

fn found(dir: &TempDir, bytes: &[u8]) -> bool {
    let path = dir.path().join("package.zip");
    fs::write(&path, bytes).expect("writes");
    !faults(&path, &Trust::default()).is_empty()
}

/// Every byte that is not a file's content: headers, names, the directory, signature and key.
#[test]
fn every_byte_of_the_container_counts() {
    let package = PACKAGE.get_or_init(|| {
        let folder = folder();
        fs::read(folder.package(1)).expect("there")
    });
    let dir = TempDir::new().expect("a folder");
    let directory = package.windows(4).position(|four| four == [0x50, 0x4b, 1, 2]).expect("a directory");
    let tail = package.len() - directory;
    assert!(tail > 500, "{tail}");
    for at in directory..package.len() {
        let mut bytes = package.clone();
        bytes[at] ^= 0x20;
        assert!(found(&dir, &bytes), "byte {at}");
    }
}
