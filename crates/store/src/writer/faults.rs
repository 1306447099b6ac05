//! The log on disks that fail at the n-th operation, for every n and in every way, and on a real one that is full.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

use huong_types::{AlertState, Span};
use proptest::prelude::*;
use rustix::io::Errno;

use super::tests::check_recovered;
use super::*;
use crate::testing::{copy, logged, minute, open, reading, scratch, transition, write};

/// How an operation fails.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Nothing happens: ENOSPC.
    Before,
    /// A write is half done, a sync loses what was written since the last one: EIO. Others are done all the same.
    Midway,
    /// It is done, and says that it is not: EIO.
    After,
}

/// Operations `at..at + lasts` fail.
#[derive(Clone, Copy, Debug)]
struct Fault {
    at: usize,
    lasts: usize,
    way: Way,
}

/// A disk that fails as told, and knows what a power cut would leave. Its syncs are its own: nothing reaches a real disk.
#[derive(Clone, Debug)]
struct Faulty(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    fault: Option<Fault>,
    operations: usize,
    /// By inode, what is durable.
    durable: HashMap<u64, Vec<u8>>,
}

fn content(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.metadata()?.len() as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

impl Faulty {
    fn new(fault: Option<Fault>) -> Self {
        Self(Arc::new(Mutex::new(State { fault, operations: 0, durable: HashMap::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// Counts an operation and says how it is to fail.
    fn way(&self) -> Option<Way> {
        let mut state = self.state();
        state.operations += 1;
        let now = state.operations - 1;
        state.fault.filter(|fault| (fault.at..fault.at + fault.lasts).contains(&now)).map(|fault| fault.way)
    }

    fn run<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.way() {
            None => operation(),
            Some(Way::Before) => Err(Errno::NOSPC.into()),
            Some(Way::Midway | Way::After) => operation().and(Err(Errno::IO.into())),
        }
    }

    /// What a power cut now would leave of `dir`.
    fn power_cut(&self, dir: &Path) -> tempfile::TempDir {
        let left = copy(dir);
        let log = segment::log_dir(dir);
        for entry in fs::read_dir(&log).expect("the log").flatten() {
            if let Some(durable) = self.state().durable.get(&entry.metadata().expect("a file").ino()) {
                fs::write(segment::log_dir(left.path()).join(entry.file_name()), durable).expect("a writable file");
            }
        }
        left
    }
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.run(|| Real.create(path))
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        self.run(|| Real.open(path))
    }

    fn write_at(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        match self.way() {
            Some(Way::Midway) => Real.write_at(file, &bytes[..bytes.len() / 2], at).and(Err(Errno::IO.into())),
            Some(Way::Before) => Err(Errno::NOSPC.into()),
            Some(Way::After) => Real.write_at(file, bytes, at).and(Err(Errno::IO.into())),
            None => Real.write_at(file, bytes, at),
        }
    }

    fn set_len(&self, file: &File, length: u64) -> io::Result<()> {
        self.run(|| Real.set_len(file, length))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let way = self.way();
        let (inode, written) = (file.metadata()?.ino(), content(file)?);
        let mut state = self.state();
        match way {
            Some(Way::Before) => return Err(Errno::NOSPC.into()),
            Some(Way::Midway) => {
                // The pages are dropped and called clean: the next sync would find nothing to do.
                let durable = state.durable.get(&inode).cloned().unwrap_or_default();
                let mut lost = vec![0; written.len()];
                let both = durable.len().min(lost.len());
                lost[..both].copy_from_slice(&durable[..both]);
                file.write_all_at(&lost, 0)?;
                return Err(Errno::IO.into());
            }
            Some(Way::After) | None => drop(state.durable.insert(inode, written)),
        }
        way.map_or(Ok(()), |_| Err(Errno::IO.into()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(|| Real.rename(from, to))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(|| Real.sync_dir(dir))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(|| Real.remove(path))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(Record),
    Commit,
    Rotate,
    /// The first half of a commit, the beginning of the second, and its end: more may come in between.
    Write,
    Begin,
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..50u64).prop_map(|n| Step::Append(reading(n))),
        1 => (1..50u64).prop_map(|seq| Step::Append(transition(seq, seq, AlertState::Open))),
        3 => Just(Step::Commit),
        1 => Just(Step::Rotate),
        2 => Just(Step::Write),
        3 => Just(Step::Begin),
        2 => Just(Step::End),
    ]
}

struct Run {
    disk: Faulty,
    dir: tempfile::TempDir,
    appended: Vec<Record>,
    /// So many of them may be acknowledged.
    stored: usize,
    what: String,
}

impl Run {
    /// However the process ends now: what may have been acknowledged is there, and nothing that was never written.
    fn check(&self) {
        for (how, left) in [("killed", copy(self.dir.path())), ("power cut", self.disk.power_cut(self.dir.path()))] {
            let (mut writer, recovered) = open(left.path());
            let found: Vec<Record> = logged(left.path()).into_iter().map(|(_, record)| record).collect();
            let what = format!("{how}, {}, {} of {} stored", self.what, self.stored, self.appended.len());
            assert!(found.len() >= self.stored, "lost: {} found; {what}", found.len());
            assert!(found[..] == self.appended[..found.len()], "made up; {what}");
            assert_eq!(recovered.damaged, 0, "{what}");
            check_recovered(&recovered, &found);
            write(&mut writer, &[reading(99)]);
            let goes_on: Vec<(u64, Record)> = (FIRST_SEQ..).zip(found.into_iter().chain([reading(99)])).collect();
            assert_eq!(logged(left.path()), goes_on, "{what}");
        }
    }

    /// Plays `script` with one fault; what failed is tried again while more comes in. Says how many operations there were.
    fn play(script: &[Step], fault: Option<Fault>) -> usize {
        let disk = Faulty::new(fault);
        let what = format!("{fault:?} in {script:?}");
        let mut run = Run { disk: disk.clone(), dir: scratch(), appended: Vec::new(), stored: 0, what };
        let mut config = StoreConfig::new(run.dir.path());
        config.segment_age = Span::from_mins(10);
        let opened = (0..10).find_map(|_| Writer::open_on(Arc::new(disk.clone()), config.clone()).ok());
        let (mut writer, _) = opened.expect("a fault that passes");
        let last = [Step::Rotate, Step::Commit].into_iter().cycle().take(20);
        let mut begun: Option<Sync> = None;
        for (i, step) in script.iter().cloned().chain(last).enumerate() {
            // As the processor does it: a sync ends before anything that must not run beside it.
            let alone = matches!(step, Step::Commit | Step::Rotate | Step::End) || writer.torn;
            let ended = begun.take_if(|_| alone).map_or(Ok(()), |sync| writer.synced(sync.run()));
            let done = ended.and_then(|()| match step {
                Step::Append(ref record) => {
                    writer.append(record).expect("a small record");
                    run.appended.push(record.clone());
                    Ok(())
                }
                Step::Commit => writer.commit(),
                Step::Rotate => writer.rotate_if_due(minute(100 * i as i64)).map(drop),
                Step::Write => writer.write(),
                Step::Begin => {
                    begun = begun.take().or_else(|| writer.sync());
                    Ok(())
                }
                Step::End => Ok(()),
            });
            if let (Step::Append(record), Err(_)) = (&step, &done) {
                // It comes whatever the disk does.
                writer.append(record).expect("a small record");
                run.appended.push(record.clone());
            }
            run.stored = usize::try_from(writer.progress().1 - FIRST_SEQ).expect("a few records");
            if done.is_err() || i == script.len() {
                run.check();
            }
        }
        drop(writer);
        assert_eq!(run.stored, run.appended.len(), "it recovers by itself: {}", run.what);
        run.check();
        let expected: Vec<(u64, Record)> = (FIRST_SEQ..).zip(run.appended.iter().cloned()).collect();
        assert_eq!(logged(run.dir.path()), expected, "each once, in order: {}", run.what);
        disk.state().operations
    }
}

/// Plays `script` once well, then with every operation failing in every way, once and for a while.
fn fail_everywhere(script: &[Step]) {
    let operations = Run::play(script, None);
    for at in 0..operations {
        for way in [Way::Before, Way::Midway, Way::After] {
            for lasts in [1, 2, 5] {
                Run::play(script, Some(Fault { at, lasts, way }));
            }
        }
    }
}

#[test]
fn a_rotation_that_fails_anywhere_leaves_one_log() {
    let append = |n| Step::Append(reading(n));
    let alert = Step::Append(transition(1, 1, AlertState::Open));
    fail_everywhere(&[
        append(1),
        Step::Rotate,
        append(2),
        Step::Rotate,
        alert,
        Step::Commit,
        append(3),
        Step::Commit,
        append(4),
        Step::Rotate,
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn whatever_fails_and_when_nothing_acknowledged_is_lost_or_made_up(script in prop::collection::vec(step(), 6..14)) {
        fail_everywhere(&script);
    }
}

#[test]
fn a_transition_is_told_from_memory_when_asked_and_once() {
    let disk = Faulty::new(None);
    let dir = scratch();
    let mut config = StoreConfig::new(dir.path());
    config.transition_tail = 1;
    let (mut writer, _) = Writer::open_on(Arc::new(disk.clone()), config).expect("a sound directory");
    let at = disk.state().operations;
    disk.state().fault = Some(Fault { at, lasts: 1, way: Way::Before });
    for seq in 1..4 {
        writer.append(&transition(seq, seq, AlertState::Open)).expect("a small record");
    }
    let told = |writer: &Writer, after| -> Vec<u64> {
        writer.tail().transitions_after(after, 10).expect("a sound log").iter().map(|t| t.seq).collect()
    };
    assert!(writer.commit().is_err());
    assert!(told(&writer, 0).is_empty(), "not before the writer says so");
    writer.tell(u64::MAX);
    assert_eq!((told(&writer, 0), told(&writer, 2)), (vec![1, 2, 3], vec![3]), "more than the tail keeps, for the disk has none");
    write(&mut writer, &[transition(4, 4, AlertState::Open)]);
    assert_eq!((told(&writer, 0), told(&writer, 3)), (vec![1, 2, 3, 4], vec![4]));
}

/// A file system of its own in memory, gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, said loudly, when this process may not mount: such a test proves nothing then.
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    fn mount(at: &Path, bytes: u64) -> Option<Self> {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(at).output();
        if done.is_ok_and(|output| output.status.success()) {
            return Some(Self(at.to_owned()));
        }
        eprintln!("SKIPPED: only root can mount a small disk");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_file_system_loses_nothing_and_the_log_goes_on_once_there_is_room() {
    let mount_point = scratch();
    let Some(_disk) = SmallDisk::mount(mount_point.path(), 1 << 20) else { return };
    let (mut writer, _) = open(mount_point.path());
    let mut appended = Vec::new();
    let append = |writer: &mut Writer, appended: &mut Vec<Record>| {
        for _ in 0..100 {
            let record = reading(appended.len() as u64);
            writer.append(&record).expect("a small record");
            appended.push(record);
        }
    };
    write(&mut writer, &[]);
    append(&mut writer, &mut appended);
    writer.commit().expect("there is room");
    let stored = appended.len();
    let ballast = mount_point.path().join("ballast");
    let filled = fs::write(&ballast, vec![1; 4 << 20]).expect_err("the disk is smaller than that");
    assert_eq!(filled.kind(), io::ErrorKind::StorageFull);
    for _ in 0..100 {
        append(&mut writer, &mut appended);
    }
    for _ in 0..3 {
        let error = writer.commit().expect_err("no room");
        assert!(matches!(&error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull), "{error}");
    }
    let crashed = copy(mount_point.path());
    let (_, recovered) = open(crashed.path());
    let found: Vec<Record> = logged(crashed.path()).into_iter().map(|(_, record)| record).collect();
    assert!(found.len() >= stored && found[..] == appended[..found.len()] && recovered.damaged == 0);
    fs::remove_file(&ballast).expect("the test's own file");
    append(&mut writer, &mut appended);
    writer.commit().expect("there is room again");
    let expected: Vec<(u64, Record)> = (FIRST_SEQ..).zip(appended).collect();
    assert_eq!(logged(mount_point.path()), expected);
}
