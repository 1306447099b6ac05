//! CAP files, read by a validator of others.

use std::path::Path;
use std::sync::Arc;

use huong_notify::{CapError, MessageType};
use huong_types::{Alert, Severity, TransitionKind};

use crate::peers::run;
use crate::support::{Memory, alert, start_with, wait_for, wall_clock};

const SINKS: &str = "[[sink]]\nname = \"public\"\nupdates = true\nmin_severity = \"severe\"\ncap = { audience = \"public\" }\n\
                     [[sink]]\nname = \"staff\"\nupdates = true\ncap = { audience = \"staff\" }\n";

const NOTIFY: &str = r#"
    cap = { sender = "ioc.example.invalid", contact = "19001075", valid = "6h" }
    links = { base = "https://wall.example.invalid" }
    [[guide]]
    rules = ["river-bd3"]
    event = { vi = "Lũ trên báo động III", en = "Flood above alarm level III" }
    category = "Met"
    advice = { vi = "Xác nhận <trực ban> & báo xã", en = "Confirm" }
    public = { vi = "Không đi qua vùng ngập", en = "Do not cross flooded ground" }
"#;

fn verdicts(paths: &[&Path]) -> Vec<String> {
    let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    run("cap.py", &paths, "").lines().map(str::to_owned).collect()
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let start = xml.split_once(&format!("<{name}>"))?.1;
    start.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

#[test]
fn the_public_hears_what_a_named_person_released_and_staff_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Arc::new(Memory::default());
    let running = start_with(SINKS, NOTIFY, dir.path(), &journal, (0, 0), wall_clock());
    let desk = running.sinks.office().cap();
    let flood = Alert { exercise: false, ..alert("river-bd3", "kimlong", Severity::Extreme) };
    running.sinks.wake(journal.append(TransitionKind::Raised, flood.clone()));
    wait_for("the draft", || desk.list().drafts.len() == 1);
    let id = desk.list().drafts[0].id.clone();
    assert!(desk.file(&id).is_none() && desk.list().released.is_empty(), "nobody has released it");
    assert!(matches!(desk.release(&id, " "), Err(CapError::Nobody)));
    assert!(matches!(desk.release("../../etc/passwd", "an"), Err(CapError::Unknown(_))));
    let first = String::from_utf8(desk.release(&id, "Nguyễn Văn An").expect("released")).expect("text");
    assert_eq!(desk.file(&id).as_deref(), Some(first.as_bytes()));
    assert!(matches!(desk.release(&id, "Nguyễn Văn An"), Err(CapError::Unknown(_))), "once");
    assert_eq!(element(&first, "instruction"), Some("Không đi qua vùng ngập"));
    assert_eq!(
        (element(&first, "scope"), element(&first, "status"), element(&first, "severity")),
        (Some("Public"), Some("Actual"), Some("Extreme"))
    );
    assert_eq!(first.matches("<info>").count(), 2);
    assert!(first.contains("<language>vi-VN</language>") && first.contains("<language>en</language>"));

    running.sinks.wake(journal.append(TransitionKind::Updated, flood.clone()));
    wait_for("the second draft", || desk.list().drafts.len() == 1);
    let second = desk.list().drafts[0].id.clone();
    desk.release(&second, "Trần Thị Bình").expect("released");
    running.sinks.wake(journal.append(TransitionKind::Cleared, flood.clone()));
    wait_for("the last draft", || desk.list().drafts.iter().any(|draft| draft.cancels));
    let last = desk.list().drafts[0].id.clone();
    let cancel = String::from_utf8(desk.release(&last, "Trần Thị Bình").expect("released")).expect("text");
    let released = desk.list().released;
    assert_eq!(
        released.iter().map(|message| message.kind).collect::<Vec<_>>(),
        [MessageType::Alert, MessageType::Update, MessageType::Cancel]
    );
    let references: Vec<String> = [&id, &second]
        .iter()
        .map(|id| {
            let xml = String::from_utf8(desk.file(id).expect("released")).expect("text");
            format!("ioc.example.invalid,{id},{}", element(&xml, "sent").expect("a time"))
        })
        .collect();
    assert_eq!(element(&cancel, "references"), Some(references.join(" ").as_str()));

    wait_for("the staff's files", || std::fs::read_dir(dir.path().join("cap/staff")).is_ok_and(|files| files.count() == 3));
    let staff: Vec<_> =
        std::fs::read_dir(dir.path().join("cap/staff")).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    let public: Vec<_> = released.iter().map(|message| dir.path().join(format!("cap/{}.xml", message.id))).collect();
    let all: Vec<&Path> = staff.iter().chain(&public).map(AsRef::as_ref).collect();
    assert_eq!(verdicts(&all), vec!["good"; 6]);
    let spoilt = dir.path().join("spoilt.xml");
    std::fs::write(&spoilt, first.replace("<urgency>Immediate</urgency>", "")).expect("written");
    assert!(verdicts(&[&spoilt])[0].starts_with("bad"), "the validator looks");

    let feed = String::from_utf8(desk.feed("https://wall.example.invalid/").expect("a feed")).expect("text");
    assert_eq!(feed.matches("<entry>").count(), 3);
    assert!(feed.contains(&format!("href=\"https://wall.example.invalid/cap/{last}.xml\"")), "{feed}");
    running.stop();
}

#[test]
fn what_is_over_before_its_release_never_reaches_the_public_and_a_rejected_draft_does_not_return() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Arc::new(Memory::default());
    let running = start_with(SINKS, NOTIFY, dir.path(), &journal, (0, 0), wall_clock());
    let desk = running.sinks.office().cap();
    let (one, two) = (alert("river-bd3", "kimlong", Severity::Extreme), alert("river-record", "kimlong", Severity::Extreme));
    journal.append(TransitionKind::Raised, one.clone());
    running.sinks.wake(journal.append(TransitionKind::Raised, two));
    wait_for("two drafts", || desk.list().drafts.len() == 2);
    let rejected = desk.list().drafts[1].id.clone();
    desk.reject(&rejected, "An").expect("rejected");
    running.sinks.wake(journal.append(TransitionKind::Cleared, one));
    wait_for("none", || desk.list().drafts.is_empty());
    running.stop();
    std::fs::remove_file(dir.path().join("public.offset")).expect("as if it had never run");
    let running = start_with(SINKS, NOTIFY, dir.path(), &journal, (0, 0), wall_clock());
    running.sinks.wake(3);
    wait_for("all steps to be read again", || running.of("public").behind == 0);
    assert_eq!((running.sinks.office().cap().list().drafts.len(), running.sinks.office().cap().list().released.len()), (0, 0));
    running.stop();
}
