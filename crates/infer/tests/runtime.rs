//! A runtime that does not load. One test and a process of its own, because a failure is for good; `tests/onnx.rs` loads a good one.

use std::path::Path;

use huong_infer::{InferError, OnnxDetector, Provider, load_runtime};

#[test]
fn each_fault_of_the_runtime_is_named() {
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
    let error = OnnxDetector::open(&manifest, Provider::Cpu).expect_err("no runtime yet");
    assert!(matches!(error, InferError::RuntimeNotLoaded { .. }), "{error}");

    let vendored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vendor/ort");
    let error = load_runtime(&vendored).expect_err("not after a failure");
    assert!(error.to_string().ends_with("an earlier attempt of this process failed, start it again"), "{error}");
}
