#![allow(clippy::print_stdout, clippy::unwrap_used)]
use std::sync::Arc;
use huong_infer::*; use huong_types::*; use huong_vision::*;
fn cpu() -> f64 { std::fs::read_to_string("/proc/thread-self/schedstat").unwrap().split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6 }
fn main() {
    let mut args = std::env::args().skip(1);
    let manifest = args.next().unwrap();
    load_runtime("vendor/ort".as_ref()).unwrap();
    let files: Vec<bytes::Bytes> = args.map(|f| std::fs::read(f).unwrap().into()).collect();
    let text = "[[camera]]\nid = \"junction\"\nname = \"x\"\nname_en = \"x\"\nlat = 16.46\nlon = 107.59\nperiod = \"1s\"";
    let mut problems = Problems::default();
    let registry = Arc::new(Registry::parse("registry.toml", text, &mut problems));
    let d = OnnxDetector::open(manifest.as_ref()).unwrap();
    let mut p = Pipeline::new(VisionConfig::default(), registry, Box::new(d));
    for jpeg in files.iter().take(0) { for x in p.detect(jpeg).unwrap().iter().take(6) { println!("{} {:.2} {:?}", x.label, x.score, x.bbox); } }
    for round in 0..3 {
        let t = cpu();
        for jpeg in &files { p.detect(jpeg).unwrap(); }
        let all = (cpu() - t) / files.len() as f64;
        let t = cpu();
        let mut gated = 0;
        for (i, jpeg) in files.iter().enumerate() { let at = Timestamp::from_millis(i as i64 * 200 + round*1000_000); gated += p.process(0, &Frame{camera:"junction".into(), at, received: at, jpeg: jpeg.clone()}).unwrap().gated as u32; }
        let proc = (cpu() - t) / files.len() as f64;
        // one frame again and again: gated
        let t = cpu(); let mut g2 = 0;
        for i in 0..40 { let at = Timestamp::from_millis(round*1000_000 + 900_000 + i); g2 += p.process(0, &Frame{camera:"junction".into(), at, received: at, jpeg: files[0].clone()}).unwrap().gated as u32; }
        let still = (cpu() - t) / 40.0;
        println!("detect {all:.2} ms, process {proc:.2} ms (gated {gated}/{}), still {still:.2} ms ({g2}/40 gated)", files.len());
    }
}
