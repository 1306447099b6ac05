//! A city's cameras at once before one vision thread: what it keeps up with, and how old a frame is when it has been looked at.
//!
//! The way is the program's own: newest wins per camera in the mailbox, the schedule says whose turn it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use huong_flow::Mailbox;
use huong_types::{Frame, Registry, Timestamp};
use huong_vision::{Pipeline, Schedule, ScheduleConfig, Watch};

pub(super) const CAMERAS: usize = 200;
pub(super) const RATE: u32 = 3;
pub(super) const LASTS: Duration = Duration::from_secs(20);

/// What one run came to.
pub(super) struct Kept {
    pub(super) published: u64,
    pub(super) inferred: u64,
    pub(super) gated: u64,
    /// From a frame's arrival to the end of its look, median and 99th percentile.
    pub(super) age: (Duration, Duration),
    /// Of this process, with the pictures, in MB.
    pub(super) resident: u64,
    /// Of the vision thread, in seconds.
    pub(super) cpu: f64,
}

/// Looks at what the cameras send for [`LASTS`]: `picture` is the `turn`-th of a camera.
pub(super) fn run(mut pipeline: Pipeline, registry: &Arc<Registry>, picture: impl Fn(usize, usize) -> Bytes + Send + 'static) -> Kept {
    let mailbox = Arc::new(Mailbox::<(Frame, Instant)>::new(CAMERAS));
    let stop = Arc::new(AtomicBool::new(false));
    let names: Vec<_> = registry.cameras.iter().take(CAMERAS).map(|camera| camera.id.clone()).collect();
    let began = Instant::now();
    let moment = move || Timestamp::from_millis(1_763_769_600_000 + i64::try_from(began.elapsed().as_millis()).unwrap_or(0));
    let feeder = {
        let (mailbox, stop) = (Arc::clone(&mailbox), Arc::clone(&stop));
        thread::spawn(move || {
            let apart = Duration::from_secs(1) / RATE / CAMERAS as u32;
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // The cameras' own pace: none of them waits for us.
                thread::sleep((began + apart * n).saturating_duration_since(Instant::now()));
                let (camera, turn) = (n as usize % CAMERAS, n as usize / CAMERAS);
                let at = moment();
                mailbox.publish(
                    camera,
                    (Frame { camera: names[camera].clone(), at, received: at, jpeg: picture(camera, turn) }, Instant::now()),
                );
            }
        })
    };
    let mut schedule = Schedule::new(ScheduleConfig::default(), (0..CAMERAS).map(|_| Watch::Other));
    let (mut inferred, mut gated, mut ages, worked) = (0, 0, Vec::new(), crate::cpu_seconds());
    mailbox.waker().register();
    while began.elapsed() < LASTS {
        while let Some(camera) = mailbox.claim(0) {
            schedule.add(camera);
        }
        let Some((camera, (frame, arrived))) = schedule.next(moment()).and_then(|camera| Some((camera, mailbox.collect(camera)?))) else {
            mailbox.waker().wait(Duration::from_millis(50));
            continue;
        };
        let outcome = pipeline.process(camera, &frame).expect("it looks");
        *if outcome.gated { &mut gated } else { &mut inferred } += 1;
        ages.push(arrived.elapsed());
    }
    let cpu = crate::cpu_seconds() - worked;
    stop.store(true, Ordering::Relaxed);
    feeder.join().expect("the feeder ends");
    ages.sort();
    let part = |share: f64| ages.get((ages.len() as f64 * share) as usize).copied().unwrap_or_default();
    Kept { published: mailbox.published(), inferred, gated, age: (part(0.5), part(0.99)), resident: resident(), cpu }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
