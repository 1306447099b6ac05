//! Rules that change while the system runs: a thread of its own looks at the folder, compiles what changed and hands the engine over.
//!
//! Invariant: only an engine that compiled whole is handed over; until there is one, the last good rules stay. The brain never waits
//! for a compilation.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use huong_flow::{Counter, Ring, Stop};
use huong_rules::Engine;
use huong_types::{Problems, Registry, Stream};

use crate::config::{Pipeline, read_pipelines};

/// How often the folder is looked at. Files are read once two looks in a row found the same: an editor may still be writing.
const LOOK: Duration = Duration::from_secs(1);

/// What the threads share about it.
pub(crate) struct Reload {
    /// An operator asked for it (SIGHUP).
    asked: Ring<()>,
    /// On their way to the brain.
    pub(crate) engines: Ring<Box<Engine>>,
    /// Counted by the brain, once it judges by them.
    pub(crate) taken: Counter,
    pub(crate) refused: Counter,
    /// The newest files have mistakes.
    broken: AtomicBool,
}

impl Reload {
    pub(crate) fn new() -> Self {
        Self { asked: Ring::new(1), engines: Ring::new(1), taken: Counter::new(), refused: Counter::new(), broken: AtomicBool::new(false) }
    }

    /// Has the folder read again, changed or not.
    pub(crate) fn ask(&self) {
        // One request waits already: it is answered by the same reading.
        let _asked = self.asked.push(());
    }

    /// Whether older rules than those in the folder run, because these have mistakes.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// Where rules come from and what they are compiled against.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) streams: Vec<Stream>,
    pub(crate) registry: Arc<Registry>,
    /// The files whose rules run.
    pub(crate) running: Vec<Pipeline>,
}

/// Runs until `stop` is set.
pub(crate) fn run(mut folder: Folder, reload: &Reload, stop: &Stop) {
    reload.asked.waker().register();
    // The first look is always compared: the files may have changed since the start read them.
    let (mut judged, mut last) = (None, None);
    while !stop.is_set() {
        let found = folder.look();
        let settled = last.as_ref() == Some(&found) && judged.as_ref() != Some(&found);
        if reload.asked.pop().is_some() || settled {
            folder.judge(reload, stop);
            judged = Some(found.clone());
        }
        last = Some(found);
        reload.asked.waker().wait(LOOK);
    }
}

/// By file, when it was written and how long it is.
type Look = BTreeMap<PathBuf, Option<(SystemTime, u64)>>;

impl Folder {
    fn look(&self) -> Look {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let seen = |path: PathBuf| {
            let written = fs::metadata(&path).ok().and_then(|data| Some((data.modified().ok()?, data.len())));
            (path, written)
        };
        entries.map(|entry| seen(entry.path())).collect()
    }

    /// Reads and compiles the files; hands the engine over or says why not.
    fn judge(&mut self, reload: &Reload, stop: &Stop) {
        let mut problems = Problems::default();
        let files = read_pipelines(std::slice::from_ref(&self.path), &mut problems);
        if problems.is_empty() && files == self.running {
            reload.broken.store(false, Ordering::Relaxed);
            return;
        }
        let engine = Engine::compile(&files, &self.streams, Arc::clone(&self.registry), &mut problems);
        let Some(engine) = engine.filter(|_| problems.is_empty()) else {
            reload.refused.add(1);
            reload.broken.store(true, Ordering::Relaxed);
            tracing::error!("the changed rules are refused, those of before stay:\n{problems}");
            return;
        };
        let mut waiting = Box::new(engine);
        while let Err(back) = reload.engines.push(waiting) {
            if stop.is_set() {
                return;
            }
            waiting = back;
            reload.asked.waker().wait(LOOK);
        }
        self.running = files;
        reload.broken.store(false, Ordering::Relaxed);
    }
}
