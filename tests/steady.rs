//! A publisher that loses nothing: what the broker has not acknowledged it holds, over restarts of the broker too, and sends again.
//!
//! MQTT 3.1.1 by hand, because what is held when is the point of it. Messages go out in order; after a fault all that is held goes first.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, wait_for};

/// Sent and not acknowledged; fewer than the packet ids.
const WINDOW: usize = 500;

/// Topic and payload of one message.
pub(crate) type Message = (String, String);

pub(crate) struct Steady {
    last: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<u64>,
}

struct Held {
    packet: u16,
    frame: Vec<u8>,
}

impl Steady {
    /// Publishes message after message to the broker at `port`, so many in a second.
    ///
    /// `next` gives the message of a number, from 0 on; told that it is to end, it gives `None` when there is no more to say.
    pub(crate) fn start(port: u16, rate: f64, mut next: impl FnMut(u64, bool) -> Option<Message> + Send + 'static) -> Self {
        let (last, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ending, count) = (Arc::clone(&last), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let (mut number, mut over, mut held) = (0, false, VecDeque::new());
            let mut packets = (1..=u16::MAX).cycle();
            let begun = Instant::now();
            while !(over && held.is_empty()) {
                let (mut stream, acks) = connect(port);
                // A fault of any kind ends the connection; what is held goes first on the next.
                let mut sound = held.iter_mut().try_for_each(|held: &mut Held| {
                    held.frame[0] |= 0x08;
                    stream.write_all(&held.frame)
                });
                while sound.is_ok() && !(over && held.is_empty()) {
                    let due = (begun.elapsed().as_secs_f64() * rate) as u64;
                    while sound.is_ok() && !over && number < due && held.len() < WINDOW {
                        let Some((topic, payload)) = next(number, ending.load(Ordering::Relaxed)) else {
                            over = true;
                            break;
                        };
                        let packet = packets.next().expect("a cycle has no end");
                        let frame = publish(packet, &topic, &payload);
                        sound = stream.write_all(&frame);
                        held.push_back(Held { packet, frame });
                        number += 1;
                        count.store(number, Ordering::Relaxed);
                    }
                    sound = sound.and_then(|()| take(&acks, &mut held));
                }
                // Its reader ends with it.
                let _closed = stream.shutdown(Shutdown::Both);
            }
            number
        });
        Self { last, sent, thread }
    }

    /// Messages handed to the broker so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Lets it come to its end, and waits until the broker has acknowledged everything. How many messages there were.
    pub(crate) fn finish(self) -> u64 {
        self.last.store(true, Ordering::Relaxed);
        wait_for("the publisher to end", || self.thread.is_finished().then_some(()));
        self.thread.join().expect("the publisher does not fail")
    }
}

/// Waits a moment for acknowledgements; an error when the connection is gone.
fn take(acks: &Receiver<u16>, held: &mut VecDeque<Held>) -> std::io::Result<()> {
    let mut ack = match acks.recv_timeout(Duration::from_millis(5)) {
        Ok(ack) => Some(ack),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => return Err(std::io::ErrorKind::ConnectionReset.into()),
    };
    while let Some(packet) = ack {
        // Nearly always the oldest.
        if let Some(position) = held.iter().position(|held| held.packet == packet) {
            held.remove(position);
        }
        ack = acks.try_recv().ok();
    }
    Ok(())
}

/// A connection, and the packet ids that are acknowledged on it.
fn connect(port: u16) -> (TcpStream, Receiver<u16>) {
    let stream = wait_for("the broker to take the publisher", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        // CONNECT: MQTT 3.1.1, clean session, no keep-alive, client `steady`.
        stream.write_all(b"\x10\x12\0\x04MQTT\x04\x02\0\0\0\x06steady").ok()?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).ok()?;
        (answer == [0x20, 2, 0, 0]).then_some(stream)
    });
    let mut reader = BufReader::new(stream.try_clone().expect("a socket can be cloned"));
    reader.get_ref().set_read_timeout(None).expect("a socket waits for ever");
    let (tell, acks) = mpsc::channel();
    thread::spawn(move || {
        let mut puback = [0; 4];
        while reader.read_exact(&mut puback).is_ok() && puback[..2] == [0x40, 2] {
            if tell.send(u16::from_be_bytes([puback[2], puback[3]])).is_err() {
                return;
            }
        }
    });
    (stream, acks)
}

fn publish(packet: u16, topic: &str, payload: &str) -> Vec<u8> {
    let mut length = 2 + topic.len() + 2 + payload.len();
    let mut frame = vec![0x32];
    while length >= 0x80 {
        frame.push((length % 0x80) as u8 | 0x80);
        length /= 0x80;
    }
    frame.push(length as u8);
    frame.extend((topic.len() as u16).to_be_bytes());
    frame.extend(topic.as_bytes());
    frame.extend(packet.to_be_bytes());
    frame.extend(payload.as_bytes());
    frame
}
