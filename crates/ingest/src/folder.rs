//! Files as messages: folders that loggers and cameras write to.
//!
//! Invariant: a file leaves its folder only once what it said is on disk. What is still there after a crash is read again, and what
//! had been stored of it is then a duplicate.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use huong_flow::Stop;
use huong_types::{AckToken, Problems, Quarantined, Span};
use serde::Deserialize;
use tokio::fs;
use tokio::io::AsyncReadExt;
use tokio::select;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::{error, warn};

use crate::packets::Message;
use crate::readings::Arrived;

/// A folder whose files are messages: a section `[[folder]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// Its files are taken, its sub-folders and names that begin with a dot or end in `.tmp` or `.part` are not.
    pub dir: PathBuf,
    /// A file is a message on `<topic>/<file name>`; `{prefix}` at its start stands for the configured prefix.
    pub topic: String,
    /// How often to look. A file that did not change between two looks is taken to be whole.
    #[serde(default = "settle")]
    pub settle: Span,
    /// Where files go once stored, on the same file system; default: `done` in `dir`.
    #[serde(default)]
    pub done: Option<PathBuf>,
    /// Where files go that gave no reading; the table `quarantine` says why. Default: `bad` in `dir`.
    #[serde(default)]
    pub bad: Option<PathBuf>,
    /// How long files stay in `done`, `bad` and `pictures`. What they said is in the store, and goes there by its own rules; they may
    /// hold what is kept for a day only, such as number plates.
    #[serde(default = "keep")]
    pub keep: Span,
}

fn keep() -> Span {
    Span::from_mins(24 * 60)
}

fn settle() -> Span {
    Span::from_secs(2)
}

impl FolderConfig {
    /// Every mistake goes to `problems`, under `path` of `file`. Looks whether the folder is there.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let mut add = |field: &str, found: String, expected: &str| problems.add(file, format!("{path}.{field}"), found, expected);
        if !self.dir.is_dir() {
            add("dir", format!("no folder `{}`", self.dir.display()), "a folder");
        }
        if self.topic.is_empty() || self.topic.contains(['+', '#', '\0']) || self.topic.ends_with('/') {
            add("topic", format!("`{}`", self.topic), "a topic without wildcards and without `/` at its end");
        }
        if self.keep < Span::from_mins(1) {
            add("keep", format!("`{}`", self.keep), "at least 1m");
        }
        if self.settle < Span::from_millis(10) {
            add("settle", format!("`{}`", self.settle), "at least 10ms");
        }
        for (field, to) in [("done", self.done()), ("bad", self.bad())] {
            if to == self.dir {
                add(field, format!("`{}`", to.display()), "a folder other than dir");
            }
        }
    }

    /// The topic written out.
    pub fn under(self, prefix: &str) -> Self {
        Self { topic: self.topic.replacen("{prefix}", prefix, 1), ..self }
    }

    /// Where files lie that are done with.
    pub fn left(&self) -> [PathBuf; 3] {
        [self.done(), self.bad(), self.dir.join(PICTURES)]
    }

    fn done(&self) -> PathBuf {
        self.done.clone().unwrap_or_else(|| self.dir.join("done"))
    }

    fn bad(&self) -> PathBuf {
        self.bad.clone().unwrap_or_else(|| self.dir.join("bad"))
    }
}

/// Below a folder: the pictures of the events that were posted to it.
pub(crate) const PICTURES: &str = "pictures";
/// Acknowledgement tokens of folders: their `connection` is at least this, which no count of connections reaches.
pub(crate) const FIRST_FOLDER: u64 = 1 << 63;
/// Files fed and not yet stored.
const MOST_WAITING: usize = 64;
/// Files of one look; the others come with a later one.
const MOST_LISTED: usize = 10_000;
/// How often the stop flag is looked at.
const TICK: Duration = Duration::from_millis(20);

/// One folder being watched.
pub(crate) struct Folder {
    pub(crate) config: FolderConfig,
    /// `connection` of its tokens.
    pub(crate) number: u64,
    /// Bytes of a file; of a larger one only the first are read.
    pub(crate) limit: usize,
    pub(crate) queue: mpsc::Sender<Vec<Arrived>>,
    pub(crate) acks: UnboundedReceiver<AckToken>,
    pub(crate) stop: Stop,
}

/// What a file's content is told by without reading it.
type Stamp = (u64, Option<SystemTime>);

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// As it was at the last look.
    Seen(Stamp),
    /// In `ready` or in `waiting`.
    Taken,
    /// Stored, and could not be moved.
    Stuck(Stamp),
}

#[derive(Default)]
struct Files {
    states: HashMap<String, State>,
    ready: VecDeque<(String, Stamp)>,
    waiting: HashMap<u16, Fed>,
    next_id: u16,
    /// What was last logged, so that a folder that is away is told of once.
    said: String,
}

struct Fed {
    name: String,
    stamp: Stamp,
    /// Whether it gave a reading.
    usable: oneshot::Receiver<bool>,
}

impl Folder {
    /// Runs until the stop flag is set, or nobody takes messages any more.
    pub(crate) async fn run(mut self) {
        let mut files = Files::default();
        let mut next_look = Instant::now();
        while !self.stop.is_set() {
            if Instant::now() >= next_look {
                match self.look(&mut files).await {
                    Ok(()) => files.said.clear(),
                    Err(error) => files.says(format!("cannot list {}: {error}", self.config.dir.display())),
                }
                next_look = Instant::now() + self.config.settle.to_std();
            }
            while files.waiting.len() < MOST_WAITING
                && let Some((name, stamp)) = files.ready.pop_front()
            {
                if !self.feed(&mut files, name, stamp).await {
                    return;
                }
            }
            select! {
                Some(token) = self.acks.recv() => self.stored(&mut files, token.packet_id).await,
                () = sleep(TICK.min(next_look.saturating_duration_since(Instant::now()))) => {}
            }
        }
        // What is stored by now need not be read again.
        while let Ok(token) = self.acks.try_recv() {
            self.stored(&mut files, token.packet_id).await;
        }
    }

    async fn look(&self, files: &mut Files) -> io::Result<()> {
        let mut entries = fs::read_dir(&self.config.dir).await?;
        let mut found = HashMap::new();
        while found.len() < MOST_LISTED
            && let Some(entry) = entries.next_entry().await?
        {
            let Ok(name) = entry.file_name().into_string() else {
                files.says(format!("a file's name is not UTF-8: {:?}", entry.path()));
                continue;
            };
            let unfinished = name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".part");
            // A file may be gone between the listing and the look at it.
            if let (false, Ok(metadata)) = (unfinished, entry.metadata().await)
                && metadata.is_file()
            {
                found.insert(name, (metadata.len(), metadata.modified().ok()));
            }
        }
        files.states.retain(|name, state| *state == State::Taken || found.contains_key(name));
        let mut whole: Vec<(String, Stamp)> = Vec::new();
        for (name, stamp) in found {
            match files.states.get(&name) {
                Some(State::Seen(before)) if *before == stamp => whole.push((name, stamp)),
                Some(State::Stuck(before)) if *before == stamp => {}
                Some(State::Taken) => {}
                _ => drop(files.states.insert(name, State::Seen(stamp))),
            }
        }
        // Loggers put the time into the name.
        whole.sort();
        for (name, stamp) in whole {
            files.states.insert(name.clone(), State::Taken);
            files.ready.push_back((name, stamp));
        }
        Ok(())
    }

    /// False when nobody takes messages any more.
    async fn feed(&self, files: &mut Files, name: String, stamp: Stamp) -> bool {
        let (payload, length) = match self.read(&name, stamp).await {
            Ok(read) => read,
            Err(error) => {
                warn!("cannot read {} yet: {error}", self.config.dir.join(&name).display());
                files.states.remove(&name);
                return true;
            }
        };
        let packet_id = files.free_id();
        let ack = AckToken { connection: self.number, packet_id };
        let topic = format!("{}/{name}", self.config.topic);
        let (verdict, usable) = oneshot::channel();
        files.waiting.insert(packet_id, Fed { name, stamp, usable });
        let message = Message { topic: topic.into(), payload, packet_id: Some(packet_id), capture_time: None };
        self.queue.send(vec![Arrived { message, length, ack: Some(ack), verdict: Some(verdict) }]).await.is_ok()
    }

    /// The content, or the first bytes and the whole length of what is too large.
    async fn read(&self, name: &str, stamp: Stamp) -> io::Result<(Bytes, Option<u64>)> {
        let path = self.config.dir.join(name);
        let mut bytes = Vec::new();
        let most = if stamp.0 > self.limit as u64 { Quarantined::MAX_BYTES } else { self.limit };
        fs::File::open(&path).await?.take(most as u64).read_to_end(&mut bytes).await?;
        if stamp_of(&path).await? != stamp {
            return Err(io::Error::other("it is being written"));
        }
        Ok((bytes.into(), (stamp.0 > self.limit as u64).then_some(stamp.0)))
    }

    async fn stored(&self, files: &mut Files, packet_id: u16) {
        let Some(mut fed) = files.waiting.remove(&packet_id) else { return };
        let path = self.config.dir.join(&fed.name);
        // Written anew under the same name since it was read: the new content is still to be read.
        if stamp_of(&path).await.is_ok_and(|stamp| stamp != fed.stamp) {
            files.states.remove(&fed.name);
            return;
        }
        let to = if fed.usable.try_recv().unwrap_or(true) { self.config.done() } else { self.config.bad() };
        match put(&path, &to, &fed.name).await {
            Ok(()) => drop(files.states.remove(&fed.name)),
            Err(error) => {
                error!("cannot move {} to {}: {error}; it is stored, and read again after a restart", path.display(), to.display());
                files.states.insert(fed.name, State::Stuck(fed.stamp));
            }
        }
    }
}

impl Files {
    fn free_id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            if !self.waiting.contains_key(&self.next_id) {
                return self.next_id;
            }
        }
    }

    fn says(&mut self, text: String) {
        if self.said != text {
            error!("{text}");
            self.said = text;
        }
    }
}

async fn stamp_of(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path).await?;
    Ok((metadata.len(), metadata.modified().ok()))
}

/// Moves a file without replacing another of the same name.
async fn put(from: &Path, to: &Path, name: &str) -> io::Result<()> {
    fs::create_dir_all(to).await?;
    let mut target = to.join(name);
    let mut again = 0;
    while fs::try_exists(&target).await? {
        again += 1;
        target = to.join(format!("{name}.{again}"));
    }
    fs::rename(from, target).await
}
