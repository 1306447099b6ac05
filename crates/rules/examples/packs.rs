#![allow(clippy::unwrap_used, clippy::print_stdout)]
use huong_types::{Problems, Registry, Stream};
use std::sync::Arc;
fn main() {
    let mut problems = Problems::default();
    let read = |p: &str| std::fs::read_to_string(p).unwrap();
    let registry = Arc::new(Registry::parse("registry", &read("config/registry.toml"), &mut problems));
    let streams = Stream::parse_all("streams", &read("config/streams.toml"), &mut problems);
    let want: Vec<String> = std::env::args().skip(1).collect();
    let mut files: Vec<_> = std::fs::read_dir("pipelines").unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let pipelines: Vec<(String, String)> = files
        .iter()
        .map(|f| (f.display().to_string(), read(f.to_str().unwrap())))
        .filter(|(f, _)| want.is_empty() || want.iter().any(|w| f.contains(w.as_str())))
        .collect();
    let reports = huong_rules::run_tests(&pipelines, &streams, &registry, &mut problems);
    println!("{problems}");
    let mut failed = 0;
    for r in &reports {
        if !r.failures.is_empty() {
            failed += 1;
            println!("FAILED {} {} {}", r.file, r.rule, r.name);
            for f in &r.failures {
                println!("     {f}");
            }
        }
    }
    println!("{} tests, {failed} failed", reports.len());
}
