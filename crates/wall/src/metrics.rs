//! The figures as Prometheus text (exposition format 0.0.4).
//!
//! Invariant: a name from outside cannot break the format: names keep letters, digits and `_`, label values are escaped.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use crate::hub::HubStats;
use crate::model::Figures;

/// All figures, one metric after the other, each with its type.
pub(crate) fn render(figures: &Figures, stats: &HubStats) -> String {
    let mut text = Text::default();
    let ledger = figures.ledger.iter();
    for (stream, ledger) in ledger.clone() {
        for (part, count) in
            [("received", ledger.received), ("stored", ledger.stored), ("rejected", ledger.rejected), ("shed", ledger.shed)]
        {
            text.sample("huong_readings_total", "counter", &[("stream", stream), ("part", part)], count as f64);
        }
    }
    for (stream, ledger) in ledger.clone() {
        text.sample("huong_readings_in_flight", "gauge", &[("stream", stream)], ledger.in_flight as f64);
    }
    for (stream, ledger) in ledger {
        text.sample("huong_ledger_balanced", "gauge", &[("stream", stream)], f64::from(u8::from(ledger.balanced())));
    }
    let frames = figures.frames;
    for (part, count) in [
        ("received", frames.received),
        ("replaced", frames.replaced),
        ("inferred", frames.inferred),
        ("gated", frames.gated),
        ("errors", frames.errors),
    ] {
        text.sample("huong_frames_total", "counter", &[("part", part)], count as f64);
    }
    if let Some(latency) = figures.latency {
        text.sample("huong_decision_latency_milliseconds", "gauge", &[("quantile", "0.5")], latency.p50);
        text.sample("huong_decision_latency_milliseconds", "gauge", &[("quantile", "0.99")], latency.p99);
    }
    text.sample("huong_broker_connected", "gauge", &[], f64::from(u8::from(figures.broker_connected)));
    for sink in &figures.sinks {
        for (part, count) in [("delivered", sink.delivered), ("retries", sink.retries), ("dead_letters", sink.dead_letters)] {
            text.sample("huong_sink_total", "counter", &[("sink", &sink.name), ("part", part)], count as f64);
        }
    }
    for sink in &figures.sinks {
        text.sample("huong_sink_behind", "gauge", &[("sink", &sink.name)], sink.behind as f64);
    }
    let load = &figures.load;
    for (figure, value) in [
        ("last_10_min", load.last_10_min),
        ("last_hour", load.last_hour),
        ("per_hour", load.per_hour),
        ("standing", load.standing.into()),
        ("unacknowledged", load.unacknowledged.into()),
        ("chattering", load.chattering.into()),
        ("stale", load.stale.into()),
        ("shelved", load.shelved.into()),
        ("suppressed", load.suppressed.into()),
        ("grouped", load.grouped.into()),
        ("top_share", load.top_share),
        ("in_flood", f64::from(u8::from(load.in_flood))),
        ("flood_share", load.flood_share),
    ] {
        text.sample("huong_alarm_load", "gauge", &[("figure", figure)], value);
    }
    for target in &load.missed {
        text.sample("huong_alarm_target_missed", "gauge", &[("target", target)], 1.0);
    }
    let rules = figures.rules;
    for (result, count) in [("taken", rules.taken), ("refused", rules.refused)] {
        text.sample("huong_rules_reload_total", "counter", &[("result", result)], count as f64);
    }
    text.sample("huong_rules_current", "gauge", &[], f64::from(u8::from(!rules.outdated)));
    text.sample("huong_alerts_open", "gauge", &[], stats.alerts_open.load(Ordering::Relaxed) as f64);
    text.sample("huong_screens", "gauge", &[], stats.screens.load(Ordering::Relaxed) as f64);
    text.sample("huong_screens_cut_total", "counter", &[], stats.screens_cut.get() as f64);
    text.sample("huong_wall_keys_over_limit_total", "counter", &[], stats.keys_over_limit.get() as f64);
    for (name, count) in &figures.counters {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        text.sample(&format!("huong_{name}_total"), "counter", &[], *count as f64);
    }
    text.out
}

#[derive(Default)]
struct Text {
    out: String,
    last: String,
}

impl Text {
    fn sample(&mut self, name: &str, kind: &str, labels: &[(&str, &str)], value: f64) {
        if self.last != name {
            self.last = name.to_owned();
            self.push(format_args!("# TYPE {name} {kind}\n{name}"));
        } else {
            self.push(format_args!("{name}"));
        }
        for (i, (label, of)) in labels.iter().enumerate() {
            let of = of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.push(format_args!("{}{label}=\"{of}\"", if i == 0 { '{' } else { ',' }));
        }
        self.push(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a String takes all text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Ledger, RuleFigures};

    #[test]
    fn figures_are_prometheus_text() {
        let mut figures = Figures::default();
        figures.ledger.insert("water \"level\"".into(), Ledger { received: 5, stored: 3, rejected: 1, shed: 0, in_flight: 0 });
        figures.rules = RuleFigures { taken: 2, refused: 1, outdated: true };
        figures.counters.insert("ingest.messages".to_owned(), 7);
        let text = render(&figures, &HubStats::default());
        let expected = "# TYPE huong_readings_total counter\nhuong_readings_total{stream=\"water \\\"level\\\"\",part=\"received\"} 5\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("huong_ledger_balanced{stream=\"water \\\"level\\\"\"} 0\n"), "{text}");
        let reloads = "huong_rules_reload_total{result=\"taken\"} 2\nhuong_rules_reload_total{result=\"refused\"} 1\n";
        assert!(text.contains(reloads) && text.contains("huong_rules_current 0\n"), "{text}");
        assert!(text.contains("# TYPE huong_ingest_messages_total counter\nhuong_ingest_messages_total 7\n"), "{text}");
        let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        assert_eq!(types.len(), types.iter().collect::<std::collections::BTreeSet<_>>().len(), "each type once: {text}");
    }
}
