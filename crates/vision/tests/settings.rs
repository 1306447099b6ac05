//! The settings that are shipped are valid, and are the defaults where they repeat them.

use huong_types::{Act, Name, Problems, Registry, Stream, load_toml};
use huong_vision::{Views, VisionConfig};
use serde::Deserialize;

/// The one section, whatever else is in the file.
#[derive(Default, Deserialize)]
struct Shipped {
    vision: Section,
}

#[derive(Default, Deserialize)]
struct Section {
    #[serde(flatten)]
    settings: VisionConfig,
}

fn workspace(path: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).expect("a file of this repository")
}

fn shipped(text: &str) -> (VisionConfig, Problems) {
    let mut problems = Problems::default();
    let shipped: Shipped = load_toml("huong.toml", text, &mut problems).unwrap_or_default();
    shipped.vision.settings.check("huong.toml", "vision", &mut problems);
    (shipped.vision.settings, problems)
}

#[test]
fn the_shipped_file_is_valid_and_its_examples_are_the_defaults() {
    let text = workspace("config/huong.toml");
    let (settings, problems) = shipped(&text);
    assert!(problems.is_empty(), "{problems}");
    let code = settings.judge.codes.get(&Act::RedLight).and_then(|codes| codes.get("motorbike"));
    assert_eq!(code, Some(&Name::new("168/2024:7.7.c")));
    // With the comment marks of its section taken away.
    let from = text.find("[vision]").expect("the section is there");
    let to = text[from..].find("\n[wall]").expect("and ends") + from;
    let setting = |rest: &&str| {
        let is_key = |key: &str| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| is_key(key))
    };
    let section: Vec<&str> = text[from..to].lines().map(|line| line.strip_prefix("# ").filter(setting).unwrap_or(line)).collect();
    let (mut spelled, problems) = shipped(&section.join("\n"));
    assert!(problems.is_empty(), "{problems}\n{}", section.join("\n"));
    assert_eq!(spelled, settings, "an example differs from the default");
    spelled.judge.codes.clear();
    assert_eq!(spelled, VisionConfig::default());
}

#[test]
fn the_example_of_a_view_is_valid() {
    let mut problems = Problems::default();
    let registry = Registry::parse("registry.toml", &workspace("config/registry.toml"), &mut problems);
    let text = workspace("config/views.toml");
    assert_eq!(Views::parse("views.toml", &text, &registry, &mut problems), Views::default());
    let example: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ")).skip_while(|line| !line.starts_with("[[")).collect();
    let id = registry.cameras.first().expect("the city has cameras").id.as_str();
    let views = Views::parse("views.toml", &example.join("\n").replace("cam-001", id), &registry, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    let view = views.of(id);
    assert_eq!((view.zones.len(), view.lines.len(), view.signals.len()), (2, 1, 1));
    assert!(view.signals[0].green.is_some());
}

#[test]
fn the_streams_hold_what_cameras_tell() {
    let mut problems = Problems::default();
    let streams = Stream::parse_all("streams.toml", &workspace("config/streams.toml"), &mut problems);
    assert!(problems.is_empty(), "{problems}");
    for (id, fields) in [
        ("zone_events", &["event_id", "event", "place", "vehicle", "direction", "track", "stayed"][..]),
        ("signal", &["signal", "state", "confidence"]),
        ("waste", &["garbage", "garbage_bin", "overflow", "total"]),
        ("plates", &["plate", "raw", "vehicle", "confidence"]),
    ] {
        let stream = streams.iter().find(|stream| stream.id == *id).unwrap_or_else(|| panic!("no stream `{id}`"));
        for field in fields {
            assert!(stream.fields.contains_key(*field), "{id}.{field}");
        }
    }
}
