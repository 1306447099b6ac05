//! The page in a real browser.

use std::process::Command;

use huong_types::TransitionKind;
use huong_wall::WallConfig;

use crate::support::{NOW, Served, alert_of, reading, wait_for};

const CHROMIUM: &str = "/usr/bin/chromium";

/// The page's document as headless Chromium has it after a while.
fn document(url: &str) -> String {
    let profile = tempfile::tempdir().expect("a directory for the browser's profile");
    let mut command = Command::new(CHROMIUM);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--timeout=4000", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
    let output = command.output().unwrap_or_else(|error| panic!("{CHROMIUM} cannot be started ({error}): install the package chromium"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_page_shows_an_alert_in_vietnamese_and_a_value_with_a_decimal_comma() {
    let mut served = Served::start(WallConfig::default());
    served.feed.value(&reading("kimlong", NOW, 3.625));
    served.step(1, TransitionKind::Raised, alert_of("kimlong"));
    let mut html = String::new();
    // A busy machine may need more than one look.
    wait_for("the page to show the alert and the value", || {
        html = document(&served.url("/wall"));
        html.contains("Kim Long 3,62 m, trên báo động III") && html.contains(">3,63<")
    });
    assert!(html.contains("<html lang=\"vi\">") && html.contains("Kim Long 3.62 m, above alarm level III"), "English beside it: {html}");
    assert!(html.contains("CẢNH BÁO") && html.contains("CHƯA NHẬN"), "the catalogue's texts: {html}");
    assert!(!html.contains("<body class=\"lost\">"), "the page is connected: {html}");
}
