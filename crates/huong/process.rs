//! What the processor itself takes of the machine, as the system tells it.

use std::fs;

/// As of one look; what the system does not tell is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) open_files: Option<u64>,
    /// Of all threads, in the system and out of it.
    pub(crate) cpu_seconds: Option<f64>,
}

/// Clock ticks per second in `/proc`: 100 on every architecture that Linux gives to user programs (`man 5 proc`, `man 3 sysconf`).
const TICKS: f64 = 100.0;

impl Process {
    /// Quick: the files are made by the kernel, without a disk.
    pub(crate) fn look() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
        let files = fs::read_dir("/proc/self/fd").map(|files| files.count() as u64);
        Self {
            resident_bytes: line("VmRSS:").map(|kib| kib * 1024),
            threads: line("Threads:"),
            // One of them is the look itself.
            open_files: files.ok().map(|files| files.saturating_sub(1)),
            cpu_seconds: fs::read_to_string("/proc/self/stat").ok().and_then(|stat| cpu_seconds(&stat)),
        }
    }
}

/// The name of the program, in brackets, may hold anything; `utime` and `stime` are the 12th and 13th field behind it.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_read() {
        let process = Process::look();
        assert!(process.resident_bytes > Some(1 << 20) && process.threads >= Some(1) && process.open_files >= Some(1), "{process:?}");
        let stat = "71 (hu) ong) S 1 71 71 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 100 1000 200";
        assert_eq!(cpu_seconds(stat), Some(3.0));
    }
}
