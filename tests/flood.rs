//! The flood of 2025: what the packs announce, how far ahead, and that the table in docs/ is what they give.

use crate::support::{huong, root, shared_data, stderr, stdout};

/// The columns that a row of the scores shares over all families.
struct Row {
    cells: Vec<String>,
}

impl Row {
    fn count(&self, column: usize) -> usize {
        self.cells[column].parse().unwrap_or_else(|_| panic!("column {column} of {:?} is a count", self.cells))
    }
}

/// The rows of a Markdown text that begin with `first`.
fn rows(text: &str, first: &str) -> Vec<Row> {
    let cells = |line: &str| line.trim_matches(['|', ' ']).split(" | ").map(str::to_owned).collect();
    text.lines().filter(|line| line.starts_with(&format!("| {first}"))).map(|line| Row { cells: cells(line) }).collect()
}

const EVENTS: usize = 1;
const DETECTED: usize = 2;
const FALSE: usize = 6;

#[test]
fn the_second_wave_of_2025_is_announced_before_the_river_passes_level_three() {
    let Some(data) = shared_data() else { return };
    let path = |name: &str| data.join("flood").join(name).display().to_string();
    let dir = tempfile::tempdir().expect("a folder");
    let (committed, made) = (root().join("docs/flood-2025.md"), dir.path().join("flood-2025.md"));
    std::fs::copy(&committed, &made).expect("the document is there");
    let table = made.display().to_string();
    let output = huong(&["replay", "--readings", &path("hue_flood_2025.csv"), "--score", &path("crossings_2025.csv"), "--table", &table]);
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let text = std::fs::read_to_string(&made).expect("the tables are written");

    // Both feeds: as published, and with straight lines between the readings.
    let levels = rows(&text, "alarm levels");
    assert_eq!(levels.len(), 2, "{text}");
    for row in &levels {
        assert_eq!((row.count(EVENTS), row.count(DETECTED), row.count(FALSE)), (10, 10, 0), "{:?}", row.cells);
    }
    for family in ["time to level", "rapid rise", "release", "new wave by rain"] {
        let of_family = rows(&text, family);
        assert_eq!(of_family.len(), 2, "{family} in {text}");
        for row in of_family {
            assert_eq!(row.count(FALSE), 0, "{:?}", row.cells);
        }
    }
    for wave in rows(&text, "Phú Ốc: 4.36 m 12:00 29/10/2025") {
        assert!(wave.cells[5].starts_with("09:"), "the rain over the Bồ's basin speaks hours before: {:?}", wave.cells);
        assert!(wave.cells[5].contains("before BĐ3"), "{:?}", wave.cells);
    }
    for wave in rows(&text, "Kim Long: 3.62 m 09:00 29/10/2025") {
        assert!(wave.cells[4].contains("before the peak") && wave.cells[5].contains("before the peak"), "{:?}", wave.cells);
    }
    let committed = std::fs::read_to_string(&committed).expect("the document is there");
    assert_eq!(text, committed, "docs/flood-2025.md is what the command writes");
}
