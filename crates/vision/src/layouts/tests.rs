//! One picture told in every layout: a bus at (48, 20 - h/2) and so on, see [`SCENE`]; each must come out as the same boxes.

use proptest::prelude::*;

use super::*;
use crate::{ChannelOrder, InputSpec};

const SPEC: InputSpec = InputSpec { width: 64, height: 32, channels: ChannelOrder::Bgr, scale: 1.0, pad: 114, step: None };
// YOLOX: 8·4 cells of stride 8, 4·2 of 16, 2·1 of 32.
const CELLS: usize = 42;
/// Label, score, and the box in pixels of the input: centre and size. The frame is twice as large.
const SCENE: [(usize, f32, [f32; 4]); 3] =
    [(1, 0.72, [28.0, 10.0, 8.0, 12.0]), (0, 0.5, [40.0, 20.0, 30.0, 16.0]), (0, 0.42, [16.0, 16.0, 16.0, 16.0])];

/// A tensor that owns its values.
struct Owned(Vec<i64>, Vec<f32>);

impl Owned {
    fn zeros(shape: [i64; 3]) -> Self {
        Self(shape.to_vec(), vec![0.0; shape.iter().product::<i64>() as usize])
    }

    fn row(&mut self, row: usize, values: &[f32]) {
        let columns = self.0[2] as usize;
        self.1[row * columns..][..values.len()].copy_from_slice(values);
    }

    fn tensor(&self) -> Tensor<'_> {
        Tensor { shape: &self.0, values: &self.1 }
    }
}

fn head(layout: Layout, score: f32, iou: f32) -> Head {
    Head::new(layout, vec!["car".into(), "bus".into()], SPEC, score, iou)
}

fn decode(layout: Layout, outputs: &[Owned], score: f32, iou: f32) -> Result<Vec<Detection>, DetectError> {
    let outputs: Vec<Tensor<'_>> = outputs.iter().map(Owned::tensor).collect();
    head(layout, score, iou).decode(&outputs, &Letterbox::fit((128, 64), &SPEC))
}

fn scores(class: usize, score: f32) -> [f32; 2] {
    if class == 0 { [score, 0.1] } else { [0.1, score] }
}

/// The scene as a model of the layout says it.
fn told(layout: Layout) -> Vec<Owned> {
    let mut output = Owned::zeros(match layout {
        Layout::Yolox => [1, CELLS as i64, 7],
        Layout::Yolov5 => [1, 9, 7],
        Layout::Yolov8 => [1, 6, 9],
        Layout::Yolov10 => [1, 5, 6],
        Layout::RtDetr => [1, 7, 6],
    });
    for (i, (class, score, [cx, cy, w, h])) in SCENE.into_iter().enumerate() {
        match layout {
            Layout::Yolox => {
                // Any cell can say it: row 11 is cell (3, 1) of stride 8, 37 is (1, 1) of 16, 41 is (1, 0) of 32.
                let (row, x, y, stride) = [(11, 3.0, 1.0, 8.0f32), (37, 1.0, 1.0, 16.0), (41, 1.0, 0.0, 32.0)][i];
                let [a, b] = scores(class, score / 0.9);
                output.row(row, &[cx / stride - x, cy / stride - y, (w / stride).ln(), (h / stride).ln(), 0.9, a, b]);
            }
            Layout::Yolov5 => {
                let [a, b] = scores(class, score / 0.9);
                output.row(2 * i, &[cx, cy, w, h, 0.9, a, b]);
            }
            Layout::Yolov8 => {
                let [a, b] = scores(class, score);
                for (row, value) in [cx, cy, w, h, a, b].into_iter().enumerate() {
                    output.1[row * 9 + 3 * i] = value;
                }
            }
            Layout::Yolov10 => output.row(i, &[cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0, score, class as f32]),
            Layout::RtDetr => {
                let [a, b] = scores(class, score);
                output.row(i, &[cx / 64.0, cy / 32.0, w / 64.0, h / 32.0, a, b]);
            }
        }
    }
    vec![output]
}

/// The same with scores before their sigmoid, in an output of their own.
fn told_by_logits() -> Vec<Owned> {
    let (mut boxes, mut logits) = (Owned::zeros([1, 7, 4]), Owned::zeros([1, 7, 2]));
    logits.1.fill(-9.0);
    for (i, (class, score, [cx, cy, w, h])) in SCENE.into_iter().enumerate() {
        boxes.row(i, &[cx / 64.0, cy / 32.0, w / 64.0, h / 32.0]);
        let logit = (score / (1.0 - score)).ln();
        logits.row(i, &if class == 0 { [logit, -3.0] } else { [-3.0, logit] });
    }
    vec![boxes, logits]
}

const ALL: [Layout; 5] = [Layout::Yolox, Layout::Yolov5, Layout::Yolov8, Layout::Yolov10, Layout::RtDetr];

#[test]
fn every_layout_tells_the_same_scene() {
    let cases = ALL.into_iter().map(|layout| (layout, told(layout))).chain([(Layout::RtDetr, told_by_logits())]);
    for (layout, outputs) in cases {
        let found = decode(layout, &outputs, 0.3, 0.45).expect("well formed");
        assert_eq!(found.len(), 3, "{layout:?}: {found:?}");
        for (found, (class, score, [cx, cy, w, h])) in found.iter().zip(SCENE) {
            assert_eq!(found.label, ["car", "bus"][class], "{layout:?}");
            let b = found.bbox;
            let expected = [score, 2.0 * cx - w, 2.0 * cy - h, 2.0 * w, 2.0 * h];
            for (found, expected) in [found.score, b.x, b.y, b.width, b.height].into_iter().zip(expected) {
                assert!((found - expected).abs() < 2e-3, "{layout:?}: found {found}, expected {expected}");
            }
        }
        assert_eq!(decode(layout, &outputs, 0.45, 0.45).expect("well formed").len(), 2, "{layout:?}: 0.42 is below the least score");
    }
}

#[test]
fn overlaps_of_a_label_are_suppressed_unless_told_otherwise() {
    let mut output = Owned::zeros([1, 4, 7]);
    output.row(0, &[20.0, 10.0, 20.0, 10.0, 0.9, 0.9, 0.0]);
    output.row(1, &[21.0, 10.0, 20.0, 10.0, 0.8, 0.9, 0.0]);
    output.row(2, &[20.0, 10.0, 20.0, 10.0, 0.7, 0.0, 0.9]);
    let output = [output];
    assert_eq!(decode(Layout::Yolov5, &output, 0.3, 0.45).expect("well formed").len(), 2, "a rider and a motorbike are two");
    assert_eq!(decode(Layout::Yolov5, &output, 0.3, 1.0).expect("well formed").len(), 3);
}

#[test]
fn other_shapes_are_named_with_what_was_expected() {
    let cases: [(Layout, &[&[i64]], &str); 9] = [
        (Layout::Yolox, &[&[1, 41, 7]], "found [1, 41, 7], expected [1, 42, 7]"),
        (Layout::Yolov5, &[&[1, 9, 8]], "found [1, 9, 8], expected [1, ?, 7]"),
        (Layout::Yolov5, &[&[1, 9, 7], &[1, 3, 4, 4, 7]], "found [1, 9, 7] and [1, 3, 4, 4, 7], expected [1, ?, 7]"),
        (Layout::Yolov8, &[&[1, 9, 6]], "found [1, 9, 6], expected [1, 6, ?]"),
        (Layout::Yolov10, &[&[300, 6]], "found [300, 6], expected [1, ?, 6]"),
        (Layout::RtDetr, &[&[1, 300, 7]], "found [1, 300, 7], expected [1, ?, 6], or [1, ?, 4] and [1, ?, 2]"),
        (Layout::RtDetr, &[&[1, 300, 4], &[1, 300, 3]], "expected [1, ?, 6], or [1, ?, 4] and [1, ?, 2]"),
        (Layout::Yolov8, &[], "found nothing, expected [1, 6, ?]"),
        (Layout::Yolov8, &[&[2, 6, 9]], "found [2, 6, 9], expected [1, 6, ?]"),
    ];
    for (layout, found, expected) in cases {
        let error = head(layout, 0.3, 0.45).check(found).expect_err("another shape").to_string();
        assert!(error.ends_with(expected), "{layout:?}: {error}");
    }
    head(Layout::Yolov8, 0.3, 0.45).check(&[&[-1, 6, -1]]).expect("what the model leaves open fits");
    let short = [Owned(vec![1, 9, 7], vec![0.0; 60])];
    let error = decode(Layout::Yolov5, &short, 0.3, 0.45).expect_err("values are missing").to_string();
    assert!(error.ends_with("found 60 values, expected 63"), "{error}");
    let uneven = [Owned::zeros([1, 7, 4]), Owned::zeros([1, 6, 2])];
    assert!(decode(Layout::RtDetr, &uneven, 0.3, 0.45).is_err(), "boxes without scores");
}

#[test]
fn nonsense_is_an_error_never_an_empty_picture() {
    for layout in ALL {
        let mut outputs = told(layout);
        let spoil = |outputs: &mut Vec<Owned>, found: f32, with: f32| {
            let at = outputs[0].1.iter().position(|value| *value == found).expect("it is told");
            outputs[0].1[at] = with;
        };
        let width = match layout {
            Layout::Yolox => (8.0f32 / 8.0).ln(),
            Layout::RtDetr => 8.0 / 64.0,
            Layout::Yolov10 => 28.0 + 4.0,
            Layout::Yolov5 | Layout::Yolov8 => 8.0,
        };
        if layout != Layout::Yolox {
            spoil(&mut outputs, width, f32::INFINITY);
            assert!(matches!(decode(layout, &outputs, 0.3, 0.45), Err(DetectError::NotANumber { .. })), "{layout:?}");
        }
        let mut outputs = told(layout);
        let score = if matches!(layout, Layout::Yolox | Layout::Yolov5) { 0.9 } else { 0.72 };
        spoil(&mut outputs, score, f32::NAN);
        assert!(matches!(decode(layout, &outputs, 0.3, 0.45), Err(DetectError::NotANumber { .. })), "{layout:?}");
    }
    let mut outputs = told(Layout::Yolov10);
    outputs[0].1[5] = 2.0;
    let error = decode(Layout::Yolov10, &outputs, 0.3, 0.45).expect_err("there is no label 2").to_string();
    assert!(error.ends_with("found label 2, expected 0 to 1"), "{error}");
    let mut output = Owned::zeros([1, CELLS as i64, 7]);
    output.row(8, &[0.0, 0.0, 0.0, f32::INFINITY, 0.9, 0.9, 0.0]);
    assert!(matches!(decode(Layout::Yolox, &[output], 0.3, 0.45), Err(DetectError::NotANumber { row: 8 })));
}

proptest! {
    #[test]
    fn every_box_lies_in_the_frame(
        layout in prop::sample::select(ALL.to_vec()),
        (w, h) in (1u32..3000, 1u32..3000),
        rows in prop::collection::vec(prop::array::uniform4(-100.0f32..100.0), 6..7),
    ) {
        let mut outputs = told(layout);
        let columns = outputs[0].0[2] as usize;
        for (i, sides) in rows.iter().enumerate().take(5) {
            if layout == Layout::Yolov8 {
                sides.iter().enumerate().for_each(|(row, side)| outputs[0].1[row * columns + i] = *side);
            } else {
                outputs[0].1[i * columns..][..4].copy_from_slice(sides);
            }
        }
        let tensors: Vec<Tensor<'_>> = outputs.iter().map(Owned::tensor).collect();
        let found = head(layout, 0.0, 1.0).decode(&tensors, &Letterbox::fit((w, h), &SPEC)).expect("all numbers");
        for Detection { bbox: b, .. } in found {
            prop_assert!(b.x >= 0.0 && b.y >= 0.0 && b.width > 0.0 && b.height > 0.0);
            prop_assert!(b.x + b.width <= w as f32 * 1.0001 && b.y + b.height <= h as f32 * 1.0001, "{:?} in {}x{}", b, w, h);
        }
    }
}
