//! The storm of 2025 with the city's whole simulated fleet: what an operator hears in twelve days.

use crate::support::{huong, stderr, stdout};

/// Cameras are left to the command: their three million counts take minutes, and add traffic jams and one feeder's outage.
#[test]
fn twelve_days_of_storm_ask_no_more_of_one_operator_than_he_can_do() {
    let output = huong(&["replay", "--storm", "--cameras", "0"]);
    let (text, complaint) = (stdout(&output), stderr(&output));
    assert!(output.status.success(), "{text}{complaint}");

    // What the figures are worth: the fleet spoke, every kind of alarm was raised, and each level alarm came through.
    let number = |line: &str, before: &str| -> usize {
        let line = text.lines().find(|l| l.contains(line)).unwrap_or_else(|| panic!("a line with `{line}` in\n{text}"));
        let words: Vec<&str> = line.split(before).next().unwrap_or_default().split_whitespace().collect();
        words.last().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("a number before `{before}` in `{line}`"))
    };
    assert!(number(" readings, ", " readings, ") > 1_000_000);
    assert!(number("in 60 minutes", " in 60 minutes") <= 12);
    assert_eq!(number("level alarms:", " crossings"), number("level alarms:", " raised"));
    assert_eq!(number("level alarms:", " of them not announced"), 0);
    for rule in
        ["river-bd3", "street-flood-30", "rescue-cluster", "fire-confirmed", "malware-spreads", "boats-in-storm", "class-silent-rain"]
    {
        assert!(text.lines().any(|line| line.split_whitespace().nth(1) == Some(rule)), "{rule} was never announced in\n{text}");
    }
}
