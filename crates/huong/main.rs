//! `huong`: the command line. Each command is one module; what they share is the configuration and the brain.

mod answers;
mod archive;
mod audit;
mod backtest;
mod backup;
mod brain;
mod bridge;
mod clock;
mod commands;
mod config;
mod demo;
mod evidence;
mod exhibits;
mod explain;
mod flood;
mod health;
mod kept;
mod latency;
mod ledger;
mod metrics;
mod mirror;
mod process;
mod push;
mod recovery;
mod reload;
mod repeats;
mod replay;
mod review;
mod run;
mod score;
mod screens;
mod sealer;
mod series;
mod shared;
mod storm;
mod think;
mod truth;
mod vision;
mod waves;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

/// The system's keeps what a seal or a large query needed for a moment.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Real-time city monitoring: sensors and cameras in, the right alarms out.
#[derive(Debug, Parser)]
#[command(name = "huong", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the processor until Ctrl-C.
    Run {
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
    },
    /// Check the configuration, the registry and the pipelines; lists every mistake.
    Check {
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
    },
    /// Run the tests inside the pipelines, in virtual time.
    Test {
        /// Pipeline files or folders; those of the configuration when none is given.
        pipelines: Vec<PathBuf>,
        /// Only the tests of this rule.
        #[arg(long)]
        rule: Option<String>,
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
    },
    /// Replay recorded readings through the rules and score the alarms.
    Replay(commands::ReplayArgs),
    /// What other rules would have said, over stored readings or those of a file, beside what the running ones say.
    Backtest(backtest::BacktestArgs),
    /// Why an alert came and went: its journal, the readings behind each turn, the values of the rule's expressions.
    Explain {
        /// As the journal has it, such as river-bd3:kimlong:20251026T230000Z.
        alert: String,
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
        /// The store's folder, instead of the configuration's.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Ask the store: tables readings, readings_1m, readings_1h, observations, derived, alerts, quarantine.
    Query {
        sql: String,
        #[arg(long, default_value = "pretty")]
        format: commands::Format,
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
        /// The store's folder, instead of the configuration's.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Save the store and the configuration into a folder, also while the processor runs; what an older backup there has is kept.
    Backup {
        dir: PathBuf,
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
    },
    /// Bring a backup back as a new data directory; every file is checked.
    Restore {
        backup: PathBuf,
        /// The data directory; must not exist or be empty.
        dir: PathBuf,
        /// Put the saved configuration into this folder, which must not exist or be empty.
        #[arg(long)]
        config_to: Option<PathBuf>,
    },
    /// Read every segment and part of the store again: checksums, sequences, counts by stream. Exit code 1 on any difference.
    Audit {
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
        /// The store's folder, instead of the configuration's.
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// Find vehicles in pictures and print their boxes.
    Detect {
        #[arg(required = true)]
        images: Vec<PathBuf>,
        #[arg(long, default_value = "config/huong.toml")]
        config: PathBuf,
    },
    /// Bring cameras that do not speak MQTT to the broker: RTSP, HTTP MJPEG, videos, folders of pictures.
    CameraBridge(bridge::BridgeArgs),
    /// Records of possible violations: review, hand-over, upkeep.
    Evidence(evidence::EvidenceArgs),
    /// Check a package of violation records with nothing but the package. Exit code 1 when anything in it is not as it left.
    Verify(evidence::VerifyArgs),
    /// Print a line for the users' file of [wall]; the password is read from standard input.
    User {
        /// viewer, operator, flood, police or admin.
        role: String,
        name: String,
    },
    /// Messages to people: what could not be delivered.
    Push(push::PushArgs),
    /// The storm of 27 October 2025 at 600 times real speed, with 200 cameras, on this machine.
    Demo(demo::DemoArgs),
}

fn main() -> ExitCode {
    let filter =
        EnvFilter::try_from_env("HUONG_LOG").unwrap_or_else(|_| EnvFilter::new(format!("info,ort=warn,{}", huong_ingest::QUIET.join(","))));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // The MQTT library takes the process's default; the only way this fails is that one is set already.
    let _set = rustls::crypto::ring::default_provider().install_default();
    let outcome = match Cli::parse().command {
        Command::Run { config } => run::command(&config),
        Command::Check { config } => commands::check(&config),
        Command::Test { pipelines, rule, config } => commands::test(&pipelines, rule.as_deref(), &config),
        Command::Replay(args) => commands::replay(&args),
        Command::Backtest(args) => backtest::command(&args),
        Command::Explain { alert, config, data } => explain::command(&alert, &config, data.as_deref()),
        Command::Query { sql, format, config, data } => commands::query(&sql, format, &config, data.as_deref()),
        Command::Backup { dir, config } => backup::backup(&dir, &config),
        Command::Restore { backup: from, dir, config_to } => backup::restore(&from, &dir, config_to.as_deref()),
        Command::Audit { config, data } => audit::command(&config, data),
        Command::Detect { images, config } => commands::detect(&images, &config),
        Command::CameraBridge(args) => bridge::command(&args),
        Command::Evidence(args) => evidence::command(args),
        Command::Verify(args) => evidence::verify(&args),
        Command::User { role, name } => commands::user(&role, &name),
        Command::Push(args) => push::command(&args),
        Command::Demo(args) => demo::command(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::complain(&error);
            ExitCode::FAILURE
        }
    }
}
