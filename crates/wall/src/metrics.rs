//! Figures as Prometheus text (exposition format 0.0.4).
//!
//! Invariant: each name has one HELP and one TYPE line, before its samples, and label values cannot break the format.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use huong_flow::Buckets;

use crate::hub::HubStats;

/// One metric with all its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// By Prometheus' conventions: `_total` of counters, base units (`_seconds`, `_bytes`).
    pub name: &'static str,
    pub help: &'static str,
    kind: &'static str,
    samples: Vec<Sample>,
}

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    suffix: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Family {
    /// What only grows.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: "counter", samples: Vec::new() }
    }

    /// What goes up and down.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: "gauge", samples: Vec::new() }
    }

    /// Durations.
    pub fn histogram(name: &'static str, help: &'static str, buckets: &Buckets) -> Self {
        let count = buckets.upto.last().map_or(0, |(_, count)| *count);
        let bound = |bound: f64| if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
        let sample = |suffix, labels, value| Sample { suffix, labels, value };
        let upto = buckets.upto.iter().map(|(upper, count)| sample("_bucket", vec![("le", bound(*upper))], *count as f64));
        let ends = [sample("_sum", Vec::new(), buckets.sum), sample("_count", Vec::new(), count as f64)];
        Self { name, help, kind: "histogram", samples: upto.chain(ends).collect() }
    }

    /// With one more sample.
    pub fn with(mut self, labels: &[(&'static str, &str)], value: f64) -> Self {
        self.add(labels, value);
        self
    }

    pub fn add(&mut self, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        self.samples.push(Sample { suffix: "", labels, value });
    }
}

/// All families, one after the other; one without samples yet is announced all the same.
pub(crate) fn render(families: &[Family]) -> String {
    let mut text = String::new();
    let mut push = |piece: std::fmt::Arguments<'_>| text.write_fmt(piece).expect("a String takes all text");
    for Family { name, help, kind, samples } in families {
        push(format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", help.replace('\\', "\\\\").replace('\n', "\\n")));
        for Sample { suffix, labels, value } in samples {
            push(format_args!("{name}{suffix}"));
            for (i, (label, of)) in labels.iter().enumerate() {
                let of = of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                push(format_args!("{}{label}=\"{of}\"", if i == 0 { '{' } else { ',' }));
            }
            push(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
        }
    }
    text
}

/// The wall's own.
pub(crate) fn of_hub(stats: &HubStats) -> Vec<Family> {
    let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed) as f64;
    vec![
        Family::gauge("huong_wall_alerts", "Alerts that the wall holds.").with(&[], load(&stats.alerts_open)),
        Family::gauge("huong_screens", "Screens connected to the wall.").with(&[], load(&stats.screens)),
        Family::counter("huong_screens_cut_total", "Screens disconnected because they did not keep up.")
            .with(&[], stats.screens_cut.get() as f64),
        Family::counter("huong_wall_keys_over_limit_total", "Readings of unknown keys beyond the limit, which no screen shows.")
            .with(&[], stats.keys_over_limit.get() as f64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_prometheus_text() {
        let mut readings = Family::counter("huong_readings_total", "Readings.\nBy \\ stream.");
        readings.add(&[("stream", "water \"level\"\n"), ("part", "received")], 5.0);
        let latency = Buckets { upto: vec![(0.5, 2), (f64::INFINITY, 3)], sum: 1.5 };
        let families = [
            readings.with(&[("stream", "rain\\"), ("part", "stored")], 4.0),
            Family::gauge("huong_nothing", "Without samples."),
            Family::histogram("huong_commit_seconds", "Commits.", &latency),
        ];
        let expected = "# HELP huong_readings_total Readings.\\nBy \\\\ stream.\n# TYPE huong_readings_total counter\n\
                        huong_readings_total{stream=\"water \\\"level\\\"\\n\",part=\"received\"} 5\n\
                        huong_readings_total{stream=\"rain\\\\\",part=\"stored\"} 4\n\
                        # HELP huong_nothing Without samples.\n# TYPE huong_nothing gauge\n\
                        # HELP huong_commit_seconds Commits.\n# TYPE huong_commit_seconds histogram\n\
                        huong_commit_seconds_bucket{le=\"0.5\"} 2\nhuong_commit_seconds_bucket{le=\"+Inf\"} 3\n\
                        huong_commit_seconds_sum 1.5\nhuong_commit_seconds_count 3\n";
        assert_eq!(render(&families), expected);
    }
}
