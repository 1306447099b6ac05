//! Loading the runtime, in the order of a first start. One test, because a process loads it once.

use std::path::Path;

use huong_infer::{InferError, OnnxDetector, load_runtime};

#[test]
fn each_fault_of_the_runtime_is_named_and_then_it_loads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = folder.path().join("nowhere");
    let error = load_runtime(&missing).expect_err("nothing is there");
    assert!(matches!(&error, InferError::RuntimeMissing { path } if *path == missing), "{error}");

    let error = load_runtime(folder.path()).expect_err("the folder is empty");
    assert!(matches!(&error, InferError::RuntimeMissing { .. }), "{error}");

    let text = folder.path().join("libonnxruntime.so.1");
    std::fs::write(&text, "not a library").expect("a temporary file");
    let error = load_runtime(folder.path()).expect_err("a text file");
    assert!(matches!(&error, InferError::Runtime { path, .. } if path.ends_with("libonnxruntime.so.1")), "{error}");

    let manifest = folder.path().join("m.toml");
    let described = r#"
        name = "m"
        file = "m.onnx"
        # Of an empty file.
        sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        layout = "yolox"
        labels = ["car"]
        origin = "a test"
        input = { width = 416, height = 256, channels = "bgr", scale = 1.0, pad = 114 }
        thresholds = { score = 0.3, nms = 0.45, note = "a test" }
    "#;
    std::fs::write(&manifest, described).expect("a temporary file");
    std::fs::write(folder.path().join("m.onnx"), "").expect("a temporary file");
    let error = OnnxDetector::open(&manifest).expect_err("no runtime yet");
    assert!(matches!(error, InferError::RuntimeNotLoaded { .. }), "{error}");

    let vendored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vendor/ort");
    load_runtime(&vendored).expect("`make test` puts ONNX Runtime into vendor/ort");
    load_runtime(&missing).expect("loaded already: the path does not matter any more");
    let error = OnnxDetector::open(&manifest).expect_err("an empty file is no model");
    assert!(matches!(error, InferError::Load { .. }), "{error}");
}
