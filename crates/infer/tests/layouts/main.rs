//! Models of every layout through the real runtime: small ONNX files, written here, that always give the same outputs.

mod onnx_file;

use std::path::{Path, PathBuf};

use huong_infer::{
    InferError, Layout, ModelManifest, OnnxDetector, OnnxPlateFinder, OnnxPlateReader, Provider, load_openvino, load_runtime,
};
use huong_types::BoundingBox;
use huong_vision::{Detector, Letterbox, Letterboxed, PlateFinder, PlateImage, PlateReader};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use onnx_file::{Output, model};

const WIDTH: u32 = 64;
const HEIGHT: u32 = 32;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A model that gives `outputs`, with a manifest of `layout` and `labels`.
fn folder(layout: &str, labels: &[&str], outputs: &[Output]) -> (TempDir, PathBuf) {
    load_runtime(&workspace().join("vendor/ort")).expect("`make test` puts ONNX Runtime into vendor/ort");
    let bytes = model([1, 3, i64::from(HEIGHT), i64::from(WIDTH)], outputs);
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("m.onnx"), bytes).expect("a temporary file");
    let text = format!(
        "name = \"m\"\nfile = \"m.onnx\"\nsha256 = \"{sha256}\"\nlayout = \"{layout}\"\nlabels = {labels:?}\norigin = \"a test\"\n\
         input = {{ width = {WIDTH}, height = {HEIGHT}, channels = \"bgr\", scale = 1.0, pad = 114 }}\n\
         thresholds = {{ score = 0.3, nms = 0.45, note = \"a test\" }}\n"
    );
    let path = folder.path().join("m.toml");
    std::fs::write(&path, text).expect("a temporary file");
    (folder, path)
}

/// An even picture of a frame twice the size of the input.
fn picture(detector: huong_vision::InputSpec) -> Letterboxed {
    Letterboxed { pixels: vec![0.5; (3 * WIDTH * HEIGHT) as usize], geometry: Letterbox::fit((2 * WIDTH, 2 * HEIGHT), &detector) }
}

/// A bus of score 0.75 at (48, 8) of 16 by 24 pixels in the frame, and a car of 0.5 at (50, 24) of 60 by 32.
fn expect_both(what: &str, detector: &mut OnnxDetector) {
    let found = detector.detect(&picture(detector.input())).expect("it runs");
    let told: Vec<_> = found.iter().map(|d| (d.label.as_str(), d.bbox)).collect();
    let near = |bbox: &BoundingBox, x: f32, y: f32, width: f32, height: f32| bbox.iou(&BoundingBox { x, y, width, height }) > 0.999;
    match told[..] {
        [("bus", bus), ("car", car)] => {
            assert!(near(&bus, 48.0, 8.0, 16.0, 24.0) && near(&car, 50.0, 24.0, 60.0, 32.0), "{what}: {found:?}");
            assert!((found[0].score - 0.75).abs() < 1e-4 && (found[1].score - 0.5).abs() < 1e-4, "{what}: {found:?}");
        }
        _ => panic!("{what}: {found:?}"),
    }
}

#[test]
fn every_layout_runs_and_gives_its_boxes() {
    let zeros = |count: usize| vec![0.0f32; count];
    let v5 = [28.0, 10.0, 8.0, 12.0, 1.0, 0.1, 0.75, 40.0, 20.0, 30.0, 16.0, 1.0, 0.5, 0.1].into_iter().chain(zeros(7)).collect();
    let v8 = vec![28.0, 0.0, 40.0, 10.0, 0.0, 20.0, 8.0, 0.0, 30.0, 12.0, 0.0, 16.0, 0.1, 0.0, 0.5, 0.75, 0.0, 0.1];
    let v10 = vec![24.0, 4.0, 32.0, 16.0, 0.75, 1.0, 25.0, 12.0, 55.0, 28.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let shares = [[28.0 / 64.0, 10.0 / 32.0, 8.0 / 64.0, 12.0 / 32.0], [40.0 / 64.0, 20.0 / 32.0, 30.0 / 64.0, 16.0 / 32.0]];
    let detr = shares.iter().zip([[0.1, 0.75], [0.5, 0.1]]).flat_map(|(sides, scores)| [&sides[..], &scores].concat()).collect();
    // ln 3 is the logit of 0.75.
    let logits = vec![-3.0, 3.0f32.ln(), 0.0, -3.0];
    let mut yolox = zeros(42 * 7);
    // Cell (3, 1) of stride 8, cell (1, 0) of stride 32.
    yolox[11 * 7..][..7].copy_from_slice(&[0.5, 0.25, 0.0, 1.5f32.ln(), 1.0, 0.1, 0.75]);
    yolox[41 * 7..][..7].copy_from_slice(&[0.25, 0.625, (30.0f32 / 32.0).ln(), 0.5f32.ln(), 1.0, 0.5, 0.1]);
    let apart = [Output::f32("logits", [1, 2, 2], logits), Output::f32("pred_boxes", [1, 2, 4], shares.concat())];
    let cases: [(&str, Vec<Output>); 6] = [
        ("yolox", vec![Output::f32("output", [1, 42, 7], yolox)]),
        ("yolov5", vec![Output::f32("output0", [1, 3, 7], v5)]),
        ("yolov8", vec![Output::f32("output0", [1, 6, 3], v8)]),
        ("yolov10", vec![Output::f32("output0", [1, 3, 6], v10)]),
        ("rt-detr", vec![Output::f32("output0", [1, 2, 6], detr)]),
        ("rt-detr", apart.to_vec()),
    ];
    for (layout, outputs) in cases {
        let (_folder, path) = folder(layout, &["car", "bus"], &outputs);
        let mut detector = OnnxDetector::open(&path, Provider::Cpu).unwrap_or_else(|error| panic!("{layout}: {error}"));
        expect_both(layout, &mut detector);
    }
}

#[test]
fn a_model_that_does_not_fit_its_manifest_is_refused_with_both() {
    let refusal = |layout: &str, labels: &[&str], output: Output| {
        let (_folder, path) = folder(layout, labels, &[output]);
        OnnxDetector::open(&path, Provider::Cpu).expect_err("must be refused").to_string()
    };
    let v8 = || Output::f32("output0", [1, 6, 3], vec![0.0; 18]);
    let error = refusal("yolov8", &["car", "bus", "truck"], v8());
    assert!(error.contains("has another output than its manifest says: found [1, 6, 3], expected f32 [1, 7, ?]"), "{error}");
    let error = refusal("yolov10", &["car", "bus"], v8());
    assert!(error.contains("found [1, 6, 3], expected f32 [1, ?, 6]"), "{error}");
    let error = refusal("yolov8", &["car", "bus"], Output::i64("output0", [1, 6, 3], vec![0; 18]));
    assert!(error.contains("expected tensors of f32"), "{error}");
    let error = refusal("plate-ctc", &["A", "B"], v8());
    assert!(error.contains("layout: found `PlateCtc`, expected a layout of boxes"), "{error}");
    let error = refusal("yolov9000", &["car"], v8());
    assert!(error.contains("layout: found `\"yolov9000\"`") && error.contains("`rt-detr`"), "{error}");
}

#[test]
fn plates_are_found_and_read() {
    let row = [0.8, 10.0, 8.0, 30.0, 16.0, 9.0, 9.0, 29.0, 7.0, 31.0, 15.0, 11.0, 17.0];
    let values = [row.to_vec(), vec![0.0; 13]].concat();
    let (_folder, path) = folder("plate-corners", &["plate"], &[Output::f32("plates", [1, 2, 13], values)]);
    let mut finder = OnnxPlateFinder::open(&path, Provider::Cpu).expect("a plate finder");
    let found = finder.find(&picture(finder.input()), None).expect("it runs");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].bbox, BoundingBox { x: 20.0, y: 16.0, width: 40.0, height: 16.0 });
    assert_eq!(found[0].corners[2], (62.0, 30.0));
    assert!(OnnxPlateReader::open(&path, Provider::Cpu).is_err(), "a finder is no reader");

    let steps = vec![0.1, 0.9, 0.0, 0.7, 0.1, 0.2];
    // The outputs' order in the file is not that in which they are read.
    let outputs = [Output::f32("two_lines", [1, 1], vec![0.25]), Output::f32("characters", [1, 2, 3], steps.clone())];
    let (_folder, path) = folder("plate-ctc", &["7", "K"], &outputs);
    let mut reader = OnnxPlateReader::open(&path, Provider::Cpu).expect("a plate reader");
    assert_eq!(reader.alphabet(), b"7K");
    let plate = PlateImage { pixels: vec![0.5; (3 * WIDTH * HEIGHT) as usize], aspect: 4.5, split: false };
    let sight = reader.read(&plate).expect("it runs");
    assert_eq!(sight.two_lines, Some(0.25));
    assert_eq!(sight.ctc.steps().flatten().copied().collect::<Vec<f32>>(), steps);
    let (_folder, path) = folder("plate-ctc", &["7", "K", "M"], &outputs);
    let error = OnnxPlateReader::open(&path, Provider::Cpu).expect_err("a character more").to_string();
    assert!(error.contains("found [1, 2, 3] and [1, 1], expected f32 [1, ?, 4]"), "{error}");
}

#[test]
fn every_shipped_model_opens_by_its_manifest() {
    load_runtime(&workspace().join("vendor/ort")).expect("`make test` puts ONNX Runtime into vendor/ort");
    let entries = std::fs::read_dir(workspace().join("models")).expect("the models");
    let mut manifests: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    manifests.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    assert!(!manifests.is_empty(), "there is at least the model of vehicles");
    for path in manifests {
        let layout = ModelManifest::read(&path).unwrap_or_else(|error| panic!("{error}")).layout;
        let opened = match layout {
            Layout::PlateCorners => OnnxPlateFinder::open(&path, Provider::Cpu).map(drop),
            Layout::PlateCtc => OnnxPlateReader::open(&path, Provider::Cpu).map(drop),
            _ => OnnxDetector::open(&path, Provider::Cpu).map(drop),
        };
        opened.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn openvino_gives_the_same_boxes_or_says_why_it_cannot() {
    let (_folder, _) = folder("yolov8", &["car", "bus"], &[Output::f32("output0", [1, 6, 3], vec![0.0; 18])]);
    let empty = tempfile::tempdir().expect("a temporary folder");
    let error = load_openvino(empty.path()).expect_err("nothing is there");
    assert!(matches!(error, InferError::OpenvinoMissing { .. }), "{error}");
    let plugin = std::env::var_os("HUONG_OPENVINO").map_or_else(|| workspace().join("vendor/openvino"), PathBuf::from);
    if !plugin.exists() {
        return eprintln!("SKIPPED: no {}; `make openvino` fetches it", plugin.display());
    }
    let intel = std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("GenuineIntel"));
    match load_openvino(&plugin) {
        Ok(()) => same_boxes_everywhere(),
        Err(error) => {
            assert!(!intel, "{error}");
            assert!(error.to_string().ends_with("found no processor that it takes, expected one of Intel's"), "{error}");
            eprintln!("SKIPPED: this is no Intel processor");
        }
    }
}

/// Drawn pictures through the shipped model: IoU at least 0.95, scores within 0.02, for whatever scores well above the threshold.
fn same_boxes_everywhere() {
    let manifest = workspace().join("models/vehicles.toml");
    let mut ours = OnnxDetector::open(&manifest, Provider::Cpu).expect("the shipped model");
    let mut theirs = OnnxDetector::open(&manifest, Provider::Openvino).expect("the shipped model by the other provider");
    let spec = ours.input();
    let (width, height) = (spec.width as usize, spec.height as usize);
    let mut compared = 0;
    for seed in 0..40usize {
        // A dark car's shape on a light road, in another place and size each time.
        let (x0, y0) = (20 + seed * 7 % (width / 2), height / 3 + seed * 5 % (height / 4));
        let (w, h) = (60 + seed % 5 * 12, 30 + seed % 4 * 8);
        let mut pixels = vec![180.0f32 * spec.scale; 3 * width * height];
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let (x, y) = (i % width, i / width % height);
            let body = (x0..x0 + w).contains(&x) && (y0..y0 + h).contains(&y);
            let roof = (x0 + w / 5..x0 + 4 * w / 5).contains(&x) && (y0.saturating_sub(h / 2)..y0).contains(&y);
            let wheel = [x0 + w / 5, x0 + 4 * w / 5].iter().any(|cx| x.abs_diff(*cx).pow(2) + y.abs_diff(y0 + h).pow(2) < (h / 4).pow(2));
            if body || roof || wheel {
                *pixel = if wheel {
                    20.0
                } else if roof {
                    90.0
                } else {
                    60.0
                } * spec.scale;
            }
        }
        let image = Letterboxed { pixels, geometry: Letterbox::fit((spec.width, spec.height), &spec) };
        let (a, b) = (ours.detect(&image).expect("it runs"), theirs.detect(&image).expect("it runs"));
        for one in a.iter().filter(|d| d.score > 0.45) {
            let other = b.iter().find(|d| d.label == one.label && d.bbox.iou(&one.bbox) >= 0.95);
            let other = other.unwrap_or_else(|| panic!("picture {seed}: {one:?} is not in {b:?}"));
            assert!((one.score - other.score).abs() <= 0.02, "picture {seed}: {one:?} and {other:?}");
            compared += 1;
        }
    }
    assert!(compared > 0, "the drawn pictures hold nothing for the model: this compares nothing");
}
