//! A folder of records and violations for tests, with real JPEGs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use huong_types::{
    Act, BoundingBox, Candidate, EvidenceFrame, ModelId, Name, PlateText, Problems, SignalSight, SignalState, Span, Timestamp,
};
use tempfile::TempDir;
use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::{CameraFacts, ClockOffset, Decision, EvidenceConfig, Filter, HandOver, Laws, Records, Scene};

/// 27 October 2025, 12:00 in Huế.
pub(crate) const NOON: Timestamp = Timestamp::from_millis(1_761_541_200_000);

pub(crate) struct Folder {
    pub(crate) dir: TempDir,
    pub(crate) config: EvidenceConfig,
}

pub(crate) fn folder() -> Folder {
    let dir = TempDir::new().expect("a temporary folder");
    let config = EvidenceConfig { dir: dir.path().join("evidence"), ..EvidenceConfig::default() };
    Folder { dir, config }
}

impl Folder {
    pub(crate) fn open(&self) -> Records {
        Records::open(&self.config, laws(), NOON).expect("opens")
    }

    pub(crate) fn keep(&self, records: &mut Records, candidate: &Candidate) -> Name {
        records.keep(candidate, &scene(), NOON).expect("is kept")
    }

    /// All accepted records, as a package.
    pub(crate) fn export(&self, records: &mut Records, now: Timestamp) -> PathBuf {
        let out = self.dir.path().join(format!("package-{}.zip", now.as_millis()));
        records.export(&Filter::default(), &hand_over(), &out, now).expect("exports");
        out
    }

    /// A package of `count` accepted records and where it is.
    pub(crate) fn package(&self, count: u64) -> PathBuf {
        let mut records = self.open();
        for track in 1..=count {
            let id = self.keep(&mut records, &violation(track));
            records.decide(&id, "lan", Decision::Accept, None, NOON + Span::from_mins(1)).expect("new");
        }
        self.export(&mut records, NOON + Span::from_mins(2))
    }
}

pub(crate) fn hand_over() -> HandOver {
    HandOver { by: "minh".to_owned(), to: "Phòng CSGT".to_owned(), why: "bàn giao hằng ngày".to_owned() }
}

/// The configuration of the project.
pub(crate) fn laws() -> Laws {
    let mut problems = Problems::default();
    let laws = Laws::parse("violations.toml", include_str!("../../../config/violations.toml"), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    laws
}

pub(crate) fn scene() -> Scene {
    Scene {
        camera: CameraFacts {
            id: Name::new("cam-001"),
            name: "Ngã sáu Hùng Vương".to_owned(),
            lat: 16.4637,
            lon: 107.5909,
            heading: Some(90.0),
            certificate: None,
        },
        clock: Some(ClockOffset { millis: -180, source: "median of arrival less capture".to_owned() }),
        thresholds: BTreeMap::from([(Name::new("score"), 0.4)]),
    }
}

/// A picture with a pattern of its own.
pub(crate) fn picture(width: usize, height: usize, seed: usize) -> Vec<u8> {
    let pixels: Vec<u8> = (0..width * height * 3).map(|i| (i / 3 % width * 3 + i / 3 / width * 5 + seed * 41) as u8).collect();
    let image = Image { pixels: pixels.as_slice(), width, height, pitch: width * 3, format: PixelFormat::RGB };
    turbojpeg::compress(image, 80, Subsamp::Sub2x2).expect("a JPEG").to_vec()
}

/// A car that passed a red light, with a plate.
pub(crate) fn violation(track: u64) -> Candidate {
    let began = NOON - Span::from_mins(10) + Span::from_secs(track as i64);
    let frame = |i: usize, moment: &str| EvidenceFrame {
        moment: Name::new(moment),
        at: began + Span::from_secs(i as i64),
        received: began + Span::from_millis(i as i64 * 1000 + 150),
        jpeg: Bytes::from(picture(96, 64, track as usize * 3 + i)),
        bbox: BoundingBox { x: 20.0, y: 8.0, width: 48.0, height: 40.0 },
        others: Vec::new(),
        signal: Some(SignalSight {
            signal: Name::new("north"),
            state: SignalState::Red,
            confidence: 0.93,
            since: began - Span::from_secs(4),
            source: Name::new("camera"),
        }),
    };
    Candidate {
        id: Name::from(format!("cam-001:red_light:{track}:{}", began.as_millis())),
        act: Act::RedLight,
        code: Some(Name::new("168/2024:6.9.b")),
        camera: Name::new("cam-001"),
        place: Name::new("vach-dung-bac"),
        began,
        at: began + Span::from_secs(2),
        track: Some(track),
        label: Name::new("car"),
        frames: vec![frame(0, "before"), frame(1, "on"), frame(2, "after")],
        plate: Some(PlateText {
            text: Some("75A-123.45".to_owned()),
            raw: "75A12345".to_owned(),
            confidence: 0.97,
            characters: vec![0.99; 8],
            kinds: vec![Name::new("car5")],
            corrected: false,
            unread: None,
            frames: 3,
            crop: Some((began + Span::from_secs(1), BoundingBox { x: 34.0, y: 34.0, width: 20.0, height: 10.0 })),
        }),
        rule_version: Name::new("1f0c2a77"),
        view_version: Name::new("93ab10de"),
        models: vec![ModelId { name: Name::new("vehicles"), sha256: Name::from("ab".repeat(32)) }],
        void: Vec::new(),
    }
}
