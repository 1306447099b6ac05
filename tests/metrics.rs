//! `/metrics` as a strict reader takes it, and the dashboards against it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Huong, Mosquitto, Publisher, free_port, get, root, wait_for};

/// The families of an answer: kind, and the names of the labels.
#[derive(Debug, Default)]
struct Families(BTreeMap<String, (String, BTreeSet<String>)>);

/// Reads the text format (Prometheus, exposition format 0.0.4) and refuses whatever is not strictly in it.
fn parse(text: &str) -> Families {
    let mut families = Families::default();
    let mut seen = BTreeSet::new();
    let mut current = String::new();
    let mut buckets: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a help text");
            assert!(!help.is_empty() && is_name(name), "{line}");
            assert!(!families.0.contains_key(name), "again: {line}");
            current = name.to_owned();
            families.0.insert(current.clone(), Default::default());
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, current, "TYPE follows HELP");
            assert_eq!(kind == "counter", name.ends_with("_total"), "counters, and only they, end in _total: {line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(!["_ms", "milliseconds", "_mb", "_percent"].iter().any(|unit| name.contains(unit)), "base units: {line}");
            families.0.get_mut(name).expect("just inserted").0 = kind.to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels_of(labels.strip_suffix('}').expect("a closed set of labels"))),
            None => (series, Vec::new()),
        };
        let (kind, known) = families.0.get_mut(&current).expect("a family");
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.iter().any(|suffix| name == format!("{current}{suffix}")), "{name} among the samples of {current}");
        assert!(kind != "counter" || value >= 0.0, "{line}");
        assert!(seen.insert(series.to_owned()), "twice: {series}");
        if name.ends_with("_bucket") && kind == "histogram" {
            buckets.entry(current.clone()).or_default().push(value);
        }
        if name.ends_with("_count") && kind == "histogram" {
            let counts = &buckets[&current];
            assert!(counts.windows(2).all(|pair| pair[0] <= pair[1]) && counts.last() == Some(&value), "{current}: {counts:?}");
        }
        known.extend(labels.into_iter().map(|(label, _)| label));
    }
    families
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn labels_of(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name), "{text}");
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (i, c) in quoted.char_indices() {
            match (escaped, c) {
                (true, '\\' | '"' | 'n') => escaped = false,
                (true, _) => panic!("an unknown escape: {text}"),
                (false, '\\') => escaped = true,
                (false, '"') => {
                    end = Some(i + 1);
                    break;
                }
                (false, c) => value.push(c),
            }
        }
        labels.push((name.to_owned(), value));
        rest = &quoted[end.expect("a closed value")..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

/// Every string of `key` anywhere below.
fn strings<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get(key).and_then(Value::as_str));
            map.values().for_each(|value| strings(value, key, found));
        }
        Value::Array(list) => list.iter().for_each(|value| strings(value, key, found)),
        _ => {}
    }
}

/// Names and labels in an expression: words that are neither functions nor keywords of PromQL.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[test]
fn metrics_are_strict_and_the_dashboards_name_only_what_exists() {
    let broker = Mosquitto::start();
    // A mirror whose server is away has all its figures, and delays nothing.
    let away = format!("[mirror]\nurl = \"http://127.0.0.1:{}\"\norg = \"hue\"\nbucket = \"huong\"\nevery = \"50ms\"\n", free_port());
    let mut huong = Huong::start(broker.port, &away).connected();
    let publisher = Publisher::connect(broker.port);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_millis();
    let river = "hue/sensors/water_level/kimlong";
    publisher.publish(river, "not JSON");
    publisher.publish(river, format!("{{\"ts\":{now},\"value\":3.9,\"unit\":\"m\"}}"));
    let text = wait_for("the alarm in the metrics", || {
        let text = get(huong.wall, "/metrics").ok()?;
        let shown = text.contains("huong_alert_steps_total{kind=\"raised\"}") && text.contains("huong_mirror_failing 1\n");
        (shown && text.contains("reason=\"malformed\"} 1\n")).then_some(text)
    });
    let families = parse(&text);
    assert!(text.contains("huong_readings_total{stream=\"water_level\",source=\"sensors\",part=\"stored\"} 1\n"), "{text}");
    assert!(families.0.len() > 60, "{}", families.0.len());
    let labels: BTreeSet<&String> = families.0.values().flat_map(|(_, labels)| labels).collect();

    let dashboard = std::fs::read_to_string(root().join("config/grafana/huong.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut expressions = Vec::new();
    strings(&dashboard, "expr", &mut expressions);
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in expressions {
        let own = |word: &&str| word.starts_with("huong_") || word.starts_with("process_");
        let names: Vec<&str> = words(expression).filter(own).collect();
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let histogram = base.is_some_and(|base| families.0.get(base).is_some_and(|(kind, _)| kind == "histogram"));
            let kind = families.0.get(name).map(|(kind, _)| kind.as_str());
            assert!(histogram || kind.is_some(), "`{name}` is not in /metrics: {expression}");
            assert!(
                kind != Some("counter") || ["rate(", "increase("].iter().any(|by| expression.contains(by)),
                "a bare counter: {expression}"
            );
        }
        for grouped in expression.split("by (").skip(1) {
            let list = grouped.split(')').next().unwrap_or("");
            words(list).for_each(|label| assert!(labels.contains(&label.to_owned()), "`{label}` is no label: {expression}"));
        }
        for matcher in expression.split(['{', ',']).skip(1).filter_map(|part| part.split_once("=")) {
            let label = matcher.0.trim_end_matches('!').trim();
            assert!(labels.contains(&label.to_owned()), "`{label}` is no label: {expression}");
        }
    }
    assert!(huong.stop());
}
