//! `huong evidence` and `huong verify`: the review, the hand-over and the upkeep of violation records, from the command line.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use huong_evidence::{Decision, Entry, EvidenceConfig, Filter, HandOver, Head, Laws, PublicKey, Records, State, Trust};
use huong_types::{Act, Name, Problems, Timestamp, local_date_time};

use crate::clock::Clock;
use crate::commands::{count, print_table, say};
use crate::config::Config;

#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    #[command(subcommand)]
    command: Command,
    #[arg(long, default_value = "config/huong.toml", global = true)]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the folder and the key that signs packages; says the public key.
    Init,
    /// The records, without plates.
    List(Which),
    /// One record with everything that is known of it; noted in the journal of looks.
    Show {
        id: String,
        #[command(flatten)]
        looker: Looker,
    },
    /// The records of a plate; noted in the journal of looks.
    Find {
        plate: String,
        #[command(flatten)]
        looker: Looker,
    },
    /// Accept a record: what it shows is what it says.
    Accept(Deciding),
    /// Reject a record, for good.
    Reject {
        #[command(flatten)]
        deciding: Deciding,
        /// Of [reason] in the file of laws; may be given several times.
        #[arg(long, required = true)]
        reason: Vec<String>,
    },
    /// Write down the plate that a person reads; the reading stays beside it.
    Correct {
        #[command(flatten)]
        deciding: Deciding,
        #[arg(long)]
        plate: String,
    },
    /// Hand accepted records over as a signed package.
    Export {
        /// A new ZIP file.
        out: PathBuf,
        #[command(flatten)]
        which: Which,
        /// Only this plate.
        #[arg(long)]
        plate: Option<String>,
        #[arg(long)]
        by: String,
        /// Who receives it.
        #[arg(long)]
        to: String,
        #[arg(long)]
        why: String,
    },
    /// What was handed over, when, to whom and why.
    HandOvers,
    /// The last line of the chain on each day; publish it, or keep it elsewhere.
    Heads,
    /// The public keys and when they signed, as `huong verify --key` reads them.
    Keys,
    /// A new key signs from now on; the old private key is removed.
    RotateKey,
    /// Delete what was kept long enough.
    Expire {
        /// Delete also when nothing was recorded for a month.
        #[arg(long)]
        clock_is_right: bool,
    },
    /// Read the chain and every file again. Exit code 1 on any difference.
    Audit,
}

#[derive(Debug, Args)]
struct Which {
    /// Ids; all when none is given.
    #[arg(long)]
    id: Vec<String>,
    /// RFC 3339, such as 2025-10-27T00:00:00+07:00.
    #[arg(long, value_parser = time)]
    from: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_parser = time)]
    until: Option<Timestamp>,
    /// Part of the name of the camera or of the place.
    #[arg(long)]
    place: Option<String>,
    /// Such as red_light.
    #[arg(long, value_parser = act)]
    act: Option<Act>,
    /// new, seconding, accepted, rejected or void; may be given several times. Packages hold the accepted ones unless told otherwise.
    #[arg(long, value_parser = state)]
    state: Vec<State>,
}

#[derive(Debug, Args)]
struct Looker {
    #[arg(long)]
    by: String,
    #[arg(long)]
    why: String,
}

#[derive(Debug, Args)]
struct Deciding {
    id: String,
    #[arg(long)]
    by: String,
    #[arg(long)]
    note: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The ZIP file, or the folder that it was unpacked into.
    package: PathBuf,
    /// Trusted public keys: what `huong evidence keys` printed. Without it anybody may have signed.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Published heads: what `huong evidence heads` printed.
    #[arg(long)]
    heads: Option<PathBuf>,
}

impl Which {
    fn filter(self, plate: Option<String>) -> Filter {
        let ids = self.id.into_iter().map(Name::from).collect();
        Filter { ids, from: self.from, to: self.until, place: self.place, act: self.act, plate, states: self.state }
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "expected a time such as 2025-10-27T00:00:00+07:00".to_owned())
}

fn act(text: &str) -> Result<Act, String> {
    let names = || Act::ALL.map(Act::as_str).join(", ");
    Act::ALL.into_iter().find(|act| act.as_str() == text).ok_or_else(|| format!("expected one of {}", names()))
}

fn state(text: &str) -> Result<State, String> {
    let names = || State::ALL.map(State::as_str).join(", ");
    State::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| format!("expected one of {}", names()))
}

/// The records of the configuration.
pub(crate) fn open(config: &EvidenceConfig, now: Timestamp) -> Result<Records> {
    let file = config.laws.display().to_string();
    let text = fs::read_to_string(&config.laws).with_context(|| format!("cannot read {file}"))?;
    let mut problems = Problems::default();
    let laws = Laws::parse(&file, &text, &mut problems);
    ensure!(problems.is_empty(), problems);
    Ok(Records::open(config, laws, now)?)
}

pub(crate) fn command(args: EvidenceArgs) -> Result<()> {
    let now = Clock::Wall.now();
    let mut records = open(&Config::evidence(&args.config)?, now)?;
    match args.command {
        Command::Init | Command::Keys => lines(&records.keys()?),
        Command::List(which) => list(&records.select(&which.filter(None))?),
        Command::Find { plate, looker } => list(&records.find_plate(&plate, &looker.by, &looker.why, now)?),
        Command::Show { id, looker } => {
            let (record, reviews, folder) = records.show(&id, &looker.by, &looker.why, now)?;
            say(&serde_json::to_string_pretty(&record)?)?;
            for review in reviews {
                say(&serde_json::to_string_pretty(&review)?)?;
            }
            say(&folder.display().to_string())
        }
        Command::Accept(deciding) => decide(&mut records, deciding, Decision::Accept, now),
        Command::Reject { deciding, reason } => {
            decide(&mut records, deciding, Decision::Reject { reasons: reason.into_iter().map(Name::from).collect() }, now)
        }
        Command::Correct { deciding, plate } => decide(&mut records, deciding, Decision::Correct { plate }, now),
        Command::Export { out, which, plate, by, to, why } => {
            let done = records.export(&which.filter(plate), &HandOver { by, to, why }, &out, now)?;
            say(&format!("{}: {}, {} bytes", out.display(), count(done.records.len(), "record"), done.bytes))?;
            say(&format!("sha256 {}\nkey    {}", done.sha256, done.key))
        }
        Command::HandOvers => lines(&records.hand_overs()?),
        Command::Heads => lines(&records.heads()?),
        Command::RotateKey => {
            records.rotate_key(now)?;
            lines(&records.keys()?)
        }
        Command::Expire { clock_is_right } => {
            let gone = records.expire(now, clock_is_right)?;
            say(&format!("{} deleted", count(gone.len(), "record")))
        }
        Command::Audit => audit(&mut records),
    }
}

fn decide(records: &mut Records, deciding: Deciding, decision: Decision, now: Timestamp) -> Result<()> {
    let state = records.decide(&deciding.id, &deciding.by, decision, deciding.note, now)?;
    say(&format!("{}: {}", deciding.id, state.as_str()))
}

fn list(entries: &[Entry]) -> Result<()> {
    let handed = |entry: &Entry| if entry.handed_over { "yes" } else { "" }.to_owned();
    let row = |entry: &Entry| {
        vec![entry.id.to_string(), local_date_time(entry.began), entry.act.as_str().into(), entry.state.as_str().into(), handed(entry)]
    };
    print_table(&["id", "time", "act", "state", "handed over"], entries.iter().map(row).collect())?;
    say(&count(entries.len(), "record"))
}

/// One JSON object a line, as the commands that take such files read them.
fn lines<T: serde::Serialize>(all: &[T]) -> Result<()> {
    all.iter().try_for_each(|one| say(&serde_json::to_string(one)?))
}

fn audit(records: &mut Records) -> Result<()> {
    let audit = records.audit()?;
    for fault in &audit.faults {
        say(&format!("FAULT {fault}"))?;
    }
    say(&format!(
        "{}, {}, {}",
        count(audit.lines as usize, "line"),
        count(audit.records as usize, "record"),
        count(audit.files as usize, "file")
    ))?;
    ensure!(audit.faults.is_empty(), "{} of the evidence", count(audit.faults.len(), "fault"));
    Ok(())
}

pub(crate) fn verify(args: &VerifyArgs) -> Result<()> {
    let keys: Vec<PublicKey> = args.key.as_deref().map_or(Ok(Vec::new()), read_lines)?;
    let heads: Vec<Head> = args.heads.as_deref().map_or(Ok(Vec::new()), read_lines)?;
    let published = heads.len();
    let report = huong_evidence::verify(&args.package, &Trust { keys, heads })?;
    for fault in &report.faults {
        say(&format!("SAI / WRONG  {fault}"))?;
    }
    if let (Some(made), Some(hand_over)) = (&report.made, &report.hand_over) {
        say(&format!("{} hồ sơ / records, {} tệp / files", report.records.len(), report.files))?;
        say(&format!("lập / made   {}", made.local))?;
        say(&format!("người giao / by {}, người nhận / to {}, lý do / why {}", hand_over.by, hand_over.to, hand_over.why))?;
        say(&format!("khóa / key   {}", report.key))?;
    }
    ensure!(
        report.faults.is_empty(),
        "gói hồ sơ KHÔNG nguyên vẹn / the package is NOT as it left: {}",
        count(report.faults.len(), "fault")
    );
    if published > 0 {
        say(&format!(
            "{} trong {published} mốc đã công bố nằm trong gói và khớp / of {published} published heads this many are in it and agree",
            report.heads
        ))?;
    }
    match report.trusted {
        Some(_) => say("NGUYÊN VẸN, đúng khóa ký / WHOLE, signed by a trusted key"),
        None => say(
            "NGUYÊN VẸN, chưa đối chiếu khóa ký: so khóa trên với khóa đã công bố / WHOLE; compare the key with the published one (--key)",
        ),
    }
}

/// A file with a JSON object a line.
fn read_lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parse = |(i, line): (usize, &str)| serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), i + 1));
    let all: Vec<T> = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect::<Result<_>>()?;
    // An empty file would trust everybody.
    ensure!(!all.is_empty(), "{}: found no line, expected at least one", path.display());
    Ok(all)
}
