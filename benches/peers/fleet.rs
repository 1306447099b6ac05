//! A city's cameras at once before the vision threads of a machine: what they keep up with, and how old a frame is when it has been looked
//! at. And the same frames for a program elsewhere, over MQTT.
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
#[derive(Default)]
pub(super) struct Kept {
    pub(super) published: u64,
    pub(super) inferred: u64,
    pub(super) gated: u64,
    /// From each frame's arrival to the end of its look, in order.
    pub(super) ages: Vec<Duration>,
    /// Of this process, with the pictures, in MB.
    pub(super) resident: u64,
    /// Of the vision threads, in seconds.
    pub(super) cpu: f64,
}

/// Looks at what the cameras send for [`LASTS`], on a thread for each pipeline: `picture` is the `turn`-th of a camera.
pub(super) fn run(pipelines: Vec<Pipeline>, registry: &Arc<Registry>, picture: impl Fn(usize, usize) -> Bytes + Send + Sync) -> Kept {
    let lanes = pipelines.len();
    let mailbox = Mailbox::<(Frame, Instant)>::with_lanes(CAMERAS, lanes);
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    let moment = || Timestamp::from_millis(1_763_769_600_000 + i64::try_from(began.elapsed().as_millis()).unwrap_or(0));
    let mut kept = thread::scope(|scope| {
        scope.spawn(|| {
            at_their_pace(&stop, |camera, turn| {
                let frame =
                    Frame { camera: registry.cameras[camera].id.clone(), at: moment(), received: moment(), jpeg: picture(camera, turn) };
                mailbox.publish(camera, (frame, Instant::now()));
            });
        });
        let lookers: Vec<_> = pipelines
            .into_iter()
            .enumerate()
            .map(|(lane, pipeline)| {
                scope.spawn({
                    let (mailbox, moment) = (&mailbox, &moment);
                    move || look(pipeline, mailbox, lane, began, moment)
                })
            })
            .collect();
        let mut all = Kept::default();
        for looker in lookers {
            let one = looker.join().expect("it looks");
            all.inferred += one.inferred;
            all.gated += one.gated;
            all.cpu += one.cpu;
            all.ages.extend(one.ages);
        }
        stop.store(true, Ordering::Relaxed);
        all
    });
    kept.ages.sort();
    Kept { published: mailbox.published(), resident: resident(), ..kept }
}

fn look(mut pipeline: Pipeline, mailbox: &Mailbox<(Frame, Instant)>, lane: usize, began: Instant, moment: &impl Fn() -> Timestamp) -> Kept {
    let mut schedule = Schedule::new(ScheduleConfig::default(), (0..CAMERAS).map(|_| Watch::Other));
    let (mut kept, worked) = (Kept::default(), crate::cpu_seconds());
    mailbox.waker_of(lane).register();
    while began.elapsed() < LASTS {
        while let Some(camera) = mailbox.claim(lane) {
            schedule.add(camera);
        }
        let Some((camera, (frame, arrived))) = schedule.next(moment()).and_then(|camera| Some((camera, mailbox.collect(camera)?))) else {
            mailbox.waker_of(lane).wait(Duration::from_millis(50));
            continue;
        };
        let outcome = pipeline.process(camera, &frame).expect("it looks");
        *if outcome.gated { &mut kept.gated } else { &mut kept.inferred } += 1;
        kept.ages.push(arrived.elapsed());
    }
    kept.cpu = crate::cpu_seconds() - worked;
    kept
}

/// Publishes the frames to the broker at this port of the loopback, until nobody reads there any more.
pub(super) fn feed(port: u16, registry: &Registry, picture: impl Fn(usize, usize) -> Bytes) {
    let mut options = rumqttc::MqttOptions::new("cameras", "127.0.0.1", port);
    options.set_max_packet_size(1 << 22, 1 << 22);
    let (client, mut connection) = rumqttc::Client::new(options, CAMERAS);
    let gone = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            connection.iter().take_while(Result::is_ok).for_each(drop);
            gone.store(true, Ordering::Relaxed);
        });
        at_their_pace(&gone, |camera, turn| {
            let topic = format!("hue/cameras/{}/frame", registry.cameras[camera].id);
            // Refused only when the connection has ended.
            let _gone = client.publish(topic, rumqttc::QoS::AtMostOnce, false, picture(camera, turn));
        });
    });
}

/// One camera after the other, each [`RATE`] times a second; none of them waits for us.
fn at_their_pace(stop: &AtomicBool, mut send: impl FnMut(usize, usize)) {
    let (began, apart) = (Instant::now(), Duration::from_secs(1) / RATE / CAMERAS as u32);
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep((began + apart * n).saturating_duration_since(Instant::now()));
        send(n as usize % CAMERAS, n as usize / CAMERAS);
    }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a Linux");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
