//! From JPEG bytes to a reading, with a detector that really looks at the pixels.

use std::sync::Arc;

use bytes::Bytes;
use huong_types::{BoundingBox, Detection, Frame, Name, Origin, Problems, Registry, RejectReason, Timestamp};
use huong_vision::{ChannelOrder, DetectError, Detector, FrameError, InputSpec, Letterboxed, ModelId, Pipeline, VisionConfig};
use turbojpeg::{Compressor, Image, PixelFormat};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;

/// Calls the black pixels of the input one car; fails on an almost white picture, as a model might on any.
struct BlackBlob {
    model: ModelId,
    labels: Vec<Name>,
}

impl BlackBlob {
    fn boxed() -> Box<Self> {
        Box::new(Self { model: ModelId { name: "black-blob".into(), sha256: "00".into() }, labels: vec!["car".into(), "bus".into()] })
    }
}

impl Detector for BlackBlob {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn input(&self) -> InputSpec {
        InputSpec { width: 320, height: 192, channels: ChannelOrder::Rgb, scale: 1.0 / 255.0, pad: 114, step: None }
    }

    fn labels(&self) -> &[Name] {
        &self.labels
    }

    fn detect(&mut self, image: &Letterboxed) -> Result<Vec<Detection>, DetectError> {
        let plane = &image.pixels[..320 * 192];
        if plane[0] > 0.95 {
            return Err(DetectError::Run("dazzled".to_owned()));
        }
        let black = || plane.iter().enumerate().filter(|(_, v)| **v < 0.15).map(|(i, _)| ((i % 320) as f32, (i / 320) as f32));
        let Some((x, y)) = black().reduce(|a, b| (a.0.min(b.0), a.1.min(b.1))) else {
            return Ok(Vec::new());
        };
        let (right, bottom) = black().fold((0.0f32, 0.0f32), |a, b| (a.0.max(b.0 + 1.0), a.1.max(b.1 + 1.0)));
        let inner = BoundingBox { x, y, width: right - x, height: bottom - y };
        let bbox = image.geometry.to_frame(&inner).expect("black pixels are inside the picture");
        Ok(vec![Detection { label: self.labels[0].clone(), score: 0.9, bbox }])
    }
}

/// A street of one `shade` with a black vehicle of 64x48 pixels, its top left corner at (`x`, 200).
fn picture(vehicle: Option<usize>, shade: u8) -> Bytes {
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT)
        .flat_map(|i| {
            let (x, y) = (i % WIDTH, i / WIDTH);
            let black = vehicle.is_some_and(|at| (at..at + 64).contains(&x) && (200..248).contains(&y));
            [if black { 0 } else { shade }; 3]
        })
        .collect();
    let image = Image { pixels: &pixels[..], width: WIDTH, pitch: 3 * WIDTH, height: HEIGHT, format: PixelFormat::RGB };
    Compressor::new().and_then(|mut compressor| compressor.compress_to_vec(image)).expect("a drawn picture compresses").into()
}

fn frame(second: i64, jpeg: Bytes) -> Frame {
    let at = Timestamp::from_millis(second * 1000);
    Frame { camera: "cam-2".into(), at, received: at, jpeg }
}

fn pipeline() -> Pipeline {
    let text = r#"
        [[camera]]
        id = "cam-1"
        name = "Ngã sáu"
        name_en = "Six-way junction"
        lat = 16.46
        lon = 107.59
        period = "1s"
        [[camera]]
        id = "cam-2"
        name = "Cầu Trường Tiền"
        name_en = "Truong Tien bridge"
        lat = 16.47
        lon = 107.59
        period = "1s"
        zones.left = [[0.0, 0.5], [0.5, 0.5], [0.5, 1.0], [0.0, 1.0]]
    "#;
    let mut problems = Problems::default();
    let registry = Registry::parse("registry.toml", text, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    Pipeline::new(VisionConfig::default(), Arc::new(registry), BlackBlob::boxed())
}

#[test]
fn a_moving_vehicle_is_boxed_and_counted_where_it_stands() {
    let mut pipeline = pipeline();
    for (second, x, in_zone) in [(0, 100, 1.0), (1, 200, 1.0), (2, 400, 0.0)] {
        let outcome = pipeline.process(1, &frame(second, picture(Some(x), 160))).expect("a good frame");
        assert!(!outcome.gated);
        let found = outcome.detections[0].bbox;
        for (found, expected) in [(found.x, x as f32), (found.y, 200.0), (found.width, 64.0), (found.height, 48.0)] {
            assert!((found - expected).abs() < 5.0, "second {second}: found {found}, expected {expected}");
        }
        let reading = outcome.readings.first().expect("a looked-at frame gives a reading");
        assert_eq!((reading.stream.as_str(), reading.key.as_str(), reading.source.as_str()), ("vehicles", "cam-2", "black-blob"));
        assert_eq!((reading.at.as_millis(), reading.origin, reading.orphan), (second * 1000, Origin::Vision, false));
        for (field, expected) in
            [("car", Some(in_zone)), ("bus", Some(0.0)), ("total", Some(in_zone)), ("zone_left_car", Some(in_zone)), ("truck", None)]
        {
            assert_eq!(reading.number(field), expected, "{field} at second {second}");
        }
    }
}

#[test]
fn a_still_camera_gives_no_reading_until_it_is_time_to_look_again() {
    let mut pipeline = pipeline();
    let still = picture(Some(100), 160);
    let looked_at: Vec<i64> = (0..25)
        .filter(|&second| {
            let outcome = pipeline.process(0, &frame(second, still.clone())).expect("a good frame");
            assert_eq!(outcome.gated, outcome.readings.is_empty());
            !outcome.gated
        })
        .collect();
    assert_eq!(looked_at, vec![0, 10, 20]);
    let other = pipeline.process(1, &frame(25, still)).expect("a good frame");
    assert!(!other.gated, "each camera has a gate of its own");
}

#[test]
fn a_bad_frame_is_an_error_with_its_reason_and_changes_nothing() {
    let mut pipeline = pipeline();
    pipeline.process(0, &frame(0, picture(None, 160))).expect("a good frame");
    let rejected = |result: Result<_, FrameError>| match result {
        Err(FrameError::Rejected(reject)) => reject,
        other => panic!("expected a rejection, got {other:?}"),
    };
    let text = rejected(pipeline.process(0, &frame(1, Bytes::from_static(b"not a picture"))));
    assert_eq!(text.reason, RejectReason::BadFrame);
    let whole = picture(None, 160);
    let cut = rejected(pipeline.process(0, &frame(2, whole.slice(..whole.len() / 2))));
    assert!(cut.detail.contains("cut short"), "{cut}");
    assert!(pipeline.process(0, &frame(3, whole)).expect("a good frame").gated, "the background is what it was");
    let error = pipeline.process(7, &frame(4, picture(None, 160))).expect_err("there are two cameras");
    assert_eq!(error.to_string(), "no camera at this position of the registry: found 7, expected less than 2");
}

#[test]
fn a_failed_detection_is_an_error_and_the_next_frame_is_looked_at() {
    let mut pipeline = pipeline();
    let street = picture(None, 160);
    pipeline.process(0, &frame(0, street.clone())).expect("a good frame");
    // A white picture with a vehicle: the gate sees the vehicle, the detector is dazzled.
    let error = pipeline.process(0, &frame(1, picture(Some(300), 255))).expect_err("too bright");
    assert!(matches!(error, FrameError::Detect(DetectError::Run(_))), "{error}");
    assert!(!pipeline.process(0, &frame(2, street.clone())).expect("a good frame").gated);
    assert!(pipeline.detect(&picture(None, 255)).is_err());
    assert_eq!(pipeline.detect(&street).expect("a good frame"), Vec::new());
}
