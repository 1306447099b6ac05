//! From a kept candidate to a package that another machine verifies, through the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use huong_evidence::{CameraFacts, EvidenceConfig, Laws, Records, Scene};
use huong_types::{Act, BoundingBox, Candidate, EvidenceFrame, PlateText, Problems, Span, Timestamp};
use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::support::{huong, root, stderr, stdout};

/// A folder with a configuration and a motorbike that passed a red light.
struct Site {
    dir: tempfile::TempDir,
    id: String,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().expect("a folder");
        let config = EvidenceConfig { dir: dir.path().join("evidence"), ..EvidenceConfig::default() };
        std::fs::write(dir.path().join("huong.toml"), format!("[evidence]\ndir = \"{}\"\n", config.dir.display())).expect("writes");
        let at = Timestamp::parse_rfc3339("2025-10-27T12:00:00+07:00").expect("a time");
        let id = keep(&config, &candidate(at));
        Site { dir, id }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `huong evidence ...`: whether it succeeded, and what it said.
    fn run(&self, args: &[&str]) -> (bool, String) {
        let config = self.path("huong.toml").display().to_string();
        let output = huong(&[&["evidence", "--config", &config], args].concat());
        (output.status.success(), format!("{}{}", stdout(&output), stderr(&output)))
    }
}

/// Makes a record of it, as the processor does; gives its id.
pub(crate) fn keep(config: &EvidenceConfig, candidate: &Candidate) -> String {
    let mut problems = Problems::default();
    let laws = std::fs::read_to_string(root().join(&config.laws)).expect("is shipped");
    let laws = Laws::parse("violations.toml", &laws, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let camera = CameraFacts {
        id: "cam-001".into(),
        name: "Ngã sáu Hùng Vương".to_owned(),
        lat: 16.4637,
        lon: 107.5909,
        heading: None,
        certificate: None,
    };
    let scene = Scene { camera, clock: None, thresholds: BTreeMap::new() };
    let records = Records::open(config, laws, candidate.at);
    records.and_then(|mut records| records.keep(candidate, &scene, candidate.at)).expect("is kept").to_string()
}

/// A motorbike that passed a red light, with a plate.
pub(crate) fn candidate(began: Timestamp) -> Candidate {
    let frame = |i: i64, moment: &str| {
        let pixels: Vec<u8> = (0..64 * 48 * 3).map(|n| (n as i64 * (i + 3) / 7) as u8).collect();
        let image = Image { pixels: pixels.as_slice(), width: 64, height: 48, pitch: 64 * 3, format: PixelFormat::RGB };
        EvidenceFrame {
            moment: moment.into(),
            at: began + Span::from_secs(i),
            received: began + Span::from_secs(i),
            jpeg: turbojpeg::compress(image, 80, Subsamp::Sub2x2).expect("a JPEG").to_vec().into(),
            bbox: BoundingBox { x: 4.0, y: 4.0, width: 30.0, height: 30.0 },
            others: Vec::new(),
            signal: None,
        }
    };
    Candidate {
        id: "cam-001:red_light:7".into(),
        act: Act::RedLight,
        code: None,
        camera: "cam-001".into(),
        place: "vach-dung-bac".into(),
        began,
        at: began + Span::from_secs(2),
        track: Some(7),
        label: "motorbike".into(),
        frames: vec![frame(0, "before"), frame(1, "on"), frame(2, "after")],
        plate: Some(PlateText { text: Some("75F1-234.56".to_owned()), raw: "75F123456".to_owned(), ..PlateText::default() }),
        rule_version: "1".into(),
        view_version: "1".into(),
        models: Vec::new(),
        void: Vec::new(),
    }
}

pub(crate) fn verify(args: &[&Path]) -> (bool, String) {
    let args: Vec<String> = args.iter().map(|arg| arg.display().to_string()).collect();
    let output = huong(&[&["verify"], args.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat());
    (output.status.success(), format!("{}{}", stdout(&output), stderr(&output)))
}

#[test]
fn a_record_is_reviewed_handed_over_and_verified() {
    let site = Site::new();
    let (ok, told) = site.run(&["list", "--state", "new", "--act", "red_light"]);
    assert!(ok && told.contains(&site.id) && told.contains("12:00 27/10/2025") && told.contains("1 record"), "{told}");
    assert!(!told.contains("75F1"), "no plates in lists");
    let package = site.path("package.zip");
    let out = package.display().to_string();
    let export = ["export", &out, "--by", "minh", "--to", "Phòng CSGT", "--why", "daily"];
    let (ok, told) = site.run(&export);
    assert!(!ok && told.contains("found none that is accepted"), "{told}");
    let (ok, told) = site.run(&["reject", &site.id, "--by", "lan", "--reason", "because"]);
    assert!(!ok && told.contains("reason: found `because`, expected camera_fault, duplicate"), "{told}");
    let (ok, told) = site.run(&["find", "75f1-23456", "--by", "lan", "--why", "complaint 12"]);
    assert!(ok && told.contains(&site.id), "{told}");
    let (ok, told) = site.run(&["show", &site.id, "--by", "lan", "--why", "review"]);
    assert!(ok && told.contains("\"code\": \"168/2024:7.7.c\"") && told.contains("75F1-234.56"), "{told}");
    let (ok, told) = site.run(&["accept", &site.id, "--by", "lan"]);
    assert!(ok && told.contains("accepted"), "{told}");
    let (ok, told) = site.run(&export);
    assert!(ok && told.contains("1 record"), "{told}");
    let (ok, told) = site.run(&["hand-overs"]);
    assert!(ok && told.contains("\"to\":\"Phòng CSGT\"") && told.contains(&site.id), "{told}");
    let (ok, told) = site.run(&["audit"]);
    assert!(ok && !told.contains("FAULT"), "{told}");
    // The other machine has the package, and the keys by another way.
    let (ok, told) = verify(&[&package]);
    assert!(ok && told.contains("NGUYÊN VẸN, chưa đối chiếu khóa ký"), "{told}");
    let mut trust = Vec::new();
    for (command, option, file) in [("keys", "--key", site.path("keys.jsonl")), ("heads", "--heads", site.path("heads.jsonl"))] {
        let (ok, told) = site.run(&[command]);
        assert!(ok, "{told}");
        std::fs::write(&file, told).expect("writes");
        trust.extend([PathBuf::from(option), file]);
    }
    let trusted = |package: &Path| verify(&[&[package], trust.iter().map(PathBuf::as_path).collect::<Vec<_>>().as_slice()].concat());
    let (ok, told) = trusted(&package);
    assert!(ok && told.contains("NGUYÊN VẸN, đúng khóa ký"), "{told}");
    let mut bytes = std::fs::read(&package).expect("is there");
    let picture = bytes.windows(3).position(|three| three == [0xFF, 0xD8, 0xFF]).expect("a picture");
    bytes[picture + 300] ^= 1;
    std::fs::write(&package, bytes).expect("writes");
    let (ok, told) = trusted(&package);
    assert!(!ok && told.contains(&format!("SAI / WRONG  records/{}/picture-1.jpg: changed", site.id)), "{told}");
}

#[test]
fn the_published_signature_check_needs_openssl_alone() {
    let site = Site::new();
    let out = site.path("package.zip").display().to_string();
    assert!(site.run(&["accept", &site.id, "--by", "lan"]).0);
    assert!(site.run(&["export", &out, "--by", "minh", "--to", "CSGT", "--why", "daily"]).0);
    let script = "python3 -m zipfile -e package.zip . \
        && { printf '302a300506032b6570032100'; cat public-key.txt; } | python3 -c 'import sys;sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' > key.der \
        && python3 -c 'import sys;sys.stdout.buffer.write(bytes.fromhex(open(\"manifest.sig\").read()))' > sig.bin \
        && openssl pkeyutl -verify -pubin -keyform DER -inkey key.der -rawin -in manifest.json -sigfile sig.bin";
    let output = std::process::Command::new("sh").args(["-c", script]).current_dir(site.dir.path()).output().expect("a shell");
    assert!(
        output.status.success() && stdout(&output).contains("Signature Verified Successfully"),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

#[test]
fn mistakes_in_the_section_are_listed() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("huong.toml");
    let text = "[evidence]\nframes = 0\nfont = \"none.ttf\"\ntwo = true\n[evidence.keep_days]\nvoid = 0\n";
    std::fs::write(&file, text).expect("writes");
    let output = huong(&["check", "--config", &file.display().to_string()]);
    let told = stderr(&output);
    for expected in [
        "huong.toml:2:10: evidence.frames: found `0`, expected at least 1",
        "huong.toml:3:8: evidence.font: found no file `none.ttf`, expected a TrueType font",
        "huong.toml:4:1: evidence.two: found unknown field `two`",
        "huong.toml:6:8: evidence.keep_days.void: found `0`, expected at least 1",
    ] {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    std::fs::write(&file, "").expect("writes");
    let output = huong(&["evidence", "list", "--config", &file.display().to_string()]);
    assert!(stderr(&output).contains("evidence: found nothing, expected an [evidence] section"), "{}", stderr(&output));
}
