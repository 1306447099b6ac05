//! The connection of the frames: QoS 0, newest wins per camera, nothing waited for.
//!
//! Invariant: a frame that reaches the mailbox is of a known camera, has passed the header check and is dated within bounds.

use std::sync::Arc;

use huong_flow::{Mailbox, Ring, Stop};
use huong_types::{AckToken, Frame, Inbound, Name, Registry, Reject, RejectReason, Timestamp};

use crate::packets::{Message, Role};
use crate::session::{Deliver, Outgoing, Session};
use crate::{Clock, IngestError, IngestStats, MqttConfig, ShedReason};

/// Looks at a JPEG's header without decoding it: width and height in pixels, or why it is refused.
pub type FrameCheck = Arc<dyn Fn(&[u8]) -> Result<(u32, u32), Reject> + Send + Sync>;

/// Receives frames on `<prefix>/cameras/<id>/frame` and `<prefix>/cameras/<id>/frame/<epoch ms>` until `stop` is set and publishes
/// each to its camera's slot, which is its position in the registry. Refused ones go to `ring`, or are counted as shed when it is full.
///
/// The time of capture is the MQTT 5 user property `capture-time` (epoch ms or RFC 3339), else the topic's, else the time of arrival.
///
/// # Errors
/// When the configuration cannot be used: what [`MqttConfig::check`] finds.
#[expect(clippy::too_many_arguments, reason = "the wiring of one task; each is named at its one call")]
pub async fn run_frames(
    config: MqttConfig,
    prefix: &str,
    registry: Arc<Registry>,
    clock: Clock,
    check: FrameCheck,
    mailbox: Arc<Mailbox<Frame>>,
    ring: Arc<Ring<Inbound>>,
    stats: Arc<IngestStats>,
    stop: Stop,
) -> Result<(), IngestError> {
    let root = format!("{prefix}/cameras/");
    // `#` matches the level above it too, so one filter takes frames with and without a time: two could deliver a frame twice.
    let filters = vec![format!("{root}+/frame/#")];
    let counters = Arc::clone(&stats);
    let mut cameras = Cameras { root, registry, clock, check, mailbox, ring, stats, config: config.clone() };
    let session = Session { config, role: Role::Frames, filters, own_thread: false, stop };
    session.run(Outgoing::default(), &counters.void_acks, &counters.frames, &mut cameras).await
}

struct Cameras {
    root: String,
    registry: Arc<Registry>,
    clock: Clock,
    check: FrameCheck,
    mailbox: Arc<Mailbox<Frame>>,
    ring: Arc<Ring<Inbound>>,
    stats: Arc<IngestStats>,
    config: MqttConfig,
}

impl Deliver for Cameras {
    fn take(&mut self, message: Message, _: Option<AckToken>) {
        let now = (self.clock)();
        let topic = String::from_utf8_lossy(&message.topic);
        let (slot, frame) = match self.frame(&topic, &message, now) {
            Ok(found) => found,
            Err(reject) => {
                let kept = reject.quarantine(now, &topic, Some(Name::new("frames")), None, &message.payload);
                // Before the push, so that nobody sees more leave than came in.
                self.stats.rejected.add(1);
                if let Err(left) = self.ring.push(Inbound { rejected: vec![kept], ..Inbound::default() }) {
                    self.stats.shed.add(&left, ShedReason::Full);
                }
                return;
            }
        };
        self.stats.delivered_frames.add(1);
        // The mailbox counts what it replaces.
        self.mailbox.publish(slot, frame);
    }

    async fn settle(&mut self) {}
}

impl Cameras {
    fn frame(&self, topic: &str, message: &Message, now: Timestamp) -> Result<(usize, Frame), Reject> {
        let mut levels = topic.strip_prefix(&self.root).unwrap_or_default().split('/');
        let id = levels.next().unwrap_or_default();
        let (_, in_topic, more) = (levels.next(), levels.next(), levels.next());
        if more.is_some() {
            return Err(Reject::new(
                RejectReason::UnknownStream,
                format!("topic: found more levels, expected {}<id>/frame/<epoch ms>", self.root),
            ));
        }
        let unknown =
            || Reject::new(RejectReason::UnknownCamera, format!("camera: found `{}`, expected one of the registry", id.escape_debug()));
        let slot = self.registry.camera_position(id).ok_or_else(unknown)?;
        let largest = self.config.max_packet_frames as usize;
        if message.payload.len() > largest {
            let detail = format!("frame: found {} bytes, expected at most {largest}", message.payload.len());
            return Err(Reject::new(RejectReason::TooLarge, detail));
        }
        let at = self.captured(message.capture_time.as_deref().or(in_topic), now)?;
        (self.check)(&message.payload)?;
        let camera = self.registry.cameras[slot].id.clone();
        Ok((slot, Frame { camera, at, received: now, jpeg: message.payload.clone() }))
    }

    fn captured(&self, text: Option<&str>, now: Timestamp) -> Result<Timestamp, Reject> {
        let Some(text) = text else { return Ok(now) };
        let millis = text.parse::<i64>().ok().map(Timestamp::from_millis);
        let at = millis.or_else(|| Timestamp::parse_rfc3339(text)).ok_or_else(|| {
            let detail = format!("capture time: found `{}`, expected epoch ms or RFC 3339", text.escape_debug());
            Reject::new(RejectReason::BadTime, detail)
        })?;
        let (latest, earliest) = (now + self.config.frame_future, now - self.config.frame_max_age);
        if at > latest {
            return Err(Reject::new(RejectReason::Future, format!("capture time: found {at}, expected at most {latest}")));
        }
        if at < earliest {
            return Err(Reject::new(RejectReason::TooOld, format!("capture time: found {at}, expected at least {earliest}")));
        }
        Ok(at)
    }
}
