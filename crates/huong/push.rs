//! People who are told: the file of the roster read, the office of the sinks opened, what could not be delivered, and what screens ask.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use huong_notify::{CapError, Draft, NotifyConfig, Now, Office, SinkConfig};
use huong_types::{Name, Order, Problems, Registry};
use huong_wall::{Backend, Found, OrderError, Push, Trouble};
use serde_json::json;

use crate::config::Config;
use crate::screens::Screens;
use crate::shared::Shared;

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    #[command(subcommand)]
    command: PushCommand,
}

#[derive(Debug, Subcommand)]
enum PushCommand {
    /// What receivers refused for good or could not be reached for, one JSON object a line.
    Dead {
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
        /// The store's folder, instead of the configuration's.
        #[arg(long)]
        data: Option<PathBuf>,
    },
}

/// `huong push`.
pub(crate) fn command(args: &PushArgs) -> Result<()> {
    let PushCommand::Dead { config, data } = &args.command;
    let store = match data {
        Some(data) => data.clone(),
        None => Config::store(config)?.0,
    };
    dead(&store.join("sinks"), &mut std::io::stdout().lock())
}

fn dead(dir: &Path, out: &mut impl Write) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| [".dead.jsonl", ".dead.old.jsonl"].iter().any(|end| file.to_string_lossy().ends_with(end)));
    files.sort();
    for file in files {
        for line in BufReader::new(File::open(&file)?).lines() {
            writeln!(out, "{}", line.with_context(|| format!("{} cannot be read", file.display()))?)?;
        }
    }
    Ok(())
}

/// Reads and checks the file of the roster; without one nobody is listed.
pub(crate) fn read(
    path: Option<&Path>,
    text: impl FnOnce(&Path, &mut Problems) -> Option<String>,
    problems: &mut Problems,
) -> Option<NotifyConfig> {
    let content = path.map_or(Some(String::new()), |path| text(path, problems))?;
    NotifyConfig::parse(&path.unwrap_or(Path::new("(none)")).display().to_string(), &content, problems)
}

/// Warns of routes that rules name and on which no person is reached, where people are told at all.
pub(crate) fn unreached(config: &Config, problems: &mut Problems) {
    let Some(path) = config.notify.as_deref().filter(|_| config.sinks.iter().any(SinkConfig::tells_people)) else { return };
    let people = read(Some(path), |path, _| std::fs::read_to_string(path).ok(), &mut Problems::default());
    let (Some(people), Some(brain)) = (people, config.brain(&mut Problems::default())) else { return };
    let named = brain.engine().rules().iter().flat_map(|rule| rule.notify.iter().chain(rule.escalate.iter().flat_map(|step| &step.to)));
    let unreached: BTreeSet<&Name> = named.filter(|name| !people.takes(name)).collect();
    if !unreached.is_empty() {
        let names: Vec<String> = unreached.iter().map(|name| format!("`{name}`")).collect();
        problems.warn(
            &path.display().to_string(),
            "route",
            format!("none for {}", names.join(", ")),
            "a [[route]] for whom rules notify or escalate to",
        );
    }
}

/// Opens what the sinks share, beside the store: keys, receipts and subscriptions in `sinks`, CAP files in `cap`.
pub(crate) fn office(path: Option<&Path>, store: &Path, registry: &Arc<Registry>, now: Now) -> Result<Arc<Office>> {
    let mut problems = Problems::default();
    let content =
        path.map(|path| std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))).transpose()?;
    let config = read(path, |_, _| content, &mut problems);
    let config = config.filter(|_| problems.is_empty()).with_context(|| problems.to_string())?;
    let (sinks, cap) = (store.join("sinks"), store.join("cap"));
    Office::open(config, &sinks, &cap, Arc::clone(registry), now)
        .with_context(|| format!("{} or {} cannot be used", sinks.display(), cap.display()))
}

/// Answers what the screens ask of pushes, for the person `who`; short waits for the disk only.
pub(crate) async fn answer(office: Arc<Office>, who: String, question: Push) -> Result<Found, Trouble> {
    tokio::task::spawn_blocking(move || at_desk(&office, &who, question)).await.map_err(|error| Trouble::Failed(error.to_string()))?
}

fn at_desk(office: &Office, who: &str, question: Push) -> Result<Found, Trouble> {
    let done = || Found::Json(json!({ "done": true }));
    let failed = |error: std::io::Error| Trouble::Failed(error.to_string());
    let desk = |error: CapError| match error {
        CapError::Unknown(_) => Trouble::Absent(error.to_string()),
        CapError::Nobody => Trouble::Wrong(error.to_string()),
        CapError::Disk(_) => Trouble::Failed(error.to_string()),
    };
    let xml = |bytes: Vec<u8>, kind| Found::Bytes { kind, bytes: bytes.into() };
    match question {
        Push::Key => match office.subscriptions().public_key() {
            Some(key) => Ok(Found::Json(json!({ "key": key }))),
            None => Err(Trouble::Absent("no web push is configured: set subject in [push] of the file of people".to_owned())),
        },
        Push::Subscribe(_) if office.name_of(who).is_none() => {
            Err(Trouble::Refused(format!("`{who}` is no [[person]] of the file of people: nothing would ever come")))
        }
        Push::Subscribe(subscription) => {
            let subscribed = office.subscriptions().subscribe(who, subscription.to_string().as_bytes());
            subscribed.map(|()| done()).map_err(|error| Trouble::Wrong(error.to_string()))
        }
        Push::Unsubscribe { endpoint } => office.subscriptions().unsubscribe(who, &endpoint).map(|()| done()).map_err(failed),
        Push::Warnings => {
            let desk = office.cap().list();
            let draft = |draft: &Draft| {
                let (info, id) = (&draft.info, &draft.id);
                json!({ "id": id, "alert": draft.alert, "made": draft.made, "cancels": draft.cancels, "headline": info.headline, "text": info.text, "area": info.area, "severity": info.severity })
            };
            Ok(Found::Json(json!({ "drafts": desk.drafts.iter().map(draft).collect::<Vec<_>>(), "released": desk.released })))
        }
        Push::Release { id } => office.cap().release(&id, who).map(|_xml| done()).map_err(desk),
        Push::Reject { id } => office.cap().reject(&id, who).map(|()| done()).map_err(desk),
        Push::Warning { id } => match office.cap().file(&id) {
            Some(bytes) => Ok(xml(bytes, "application/cap+xml")),
            None => Err(Trouble::Absent("no such warning was released".to_owned())),
        },
        Push::Feed => {
            office.cap().feed(office.links().base().unwrap_or_default()).map(|bytes| xml(bytes, "application/atom+xml")).map_err(failed)
        }
    }
}

/// What a message's link is about; following it acknowledges in the name of whom the message was for.
pub(crate) async fn link(shared: Arc<Shared>, token: String, follow: bool) -> Result<Found, Trouble> {
    let claim = shared.office.links().check(&token, shared.clock.now()).map_err(|bad| Trouble::Absent(bad.to_string()))?;
    let name = shared.office.name_of(&claim.person).unwrap_or(&claim.person).to_owned();
    if follow {
        let order = Order::Acknowledge { alert: claim.alert.to_string(), by: name.clone() };
        Screens(Arc::clone(&shared)).order(order).await.map_err(|error| match error {
            OrderError::NotFound(_) => Trouble::Refused("the alert is over".to_owned()),
            OrderError::Refused(why) => Trouble::Refused(why),
            OrderError::Stopping => Trouble::Busy("the processor is stopping".to_owned()),
        })?;
    }
    let open = shared.open.load();
    let alert = open.iter().find(|alert| alert.id == claim.alert);
    let advice = alert.and_then(|alert| shared.office.advice(&alert.rule));
    Ok(Found::Json(json!({ "alert": alert, "advice": advice, "id": claim.alert, "person": name, "expires": claim.expires })))
}
