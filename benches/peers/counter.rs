//! The least that a subscriber at QoS 1 can do: it reads what has come, counts, and acknowledges all of it in one write. It keeps
//! nothing. What the broker sends to this is the most that any subscriber gets.
//!
//! `rustc -O`; BENCH_PORT and BENCH_EXPECT come from the checker.

use std::io::{Read, Write};
use std::net::TcpStream;

fn number(name: &str) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} is not set"))
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, u8::try_from(body.len()).expect("a short packet")], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn main() -> std::io::Result<()> {
    let expected = number("BENCH_EXPECT");
    let mut stream = TcpStream::connect(("127.0.0.1", number("BENCH_PORT") as u16))?;
    stream.set_nodelay(true)?;
    // A persistent session, as one that must lose nothing has.
    stream.write_all(&packet(0x10, &[&text("MQTT")[..], &[4, 0, 0, 60], &text("counter-peer")].concat()))?;
    stream.write_all(&packet(0x82, &[&[0, 1][..], &text("hue/sensors/+/+"), &[1]].concat()))?;
    let (mut inbox, mut filled, mut seen) = (vec![0; 1 << 18], 0, 0);
    loop {
        let count = stream.read(&mut inbox[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let (mut at, mut acks) = (0, Vec::new());
        while let Some((first, body, end)) = next(&inbox[at..filled]) {
            if first >> 4 == 3 {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                seen += 1;
                if first & 6 != 0 {
                    acks.extend([0x40, 2, body[2 + topic], body[3 + topic]]);
                }
            }
            at += end;
        }
        inbox.copy_within(at..filled, 0);
        filled -= at;
        stream.write_all(&acks)?;
        if seen >= expected {
            seen = 0;
            stream.write_all(&packet(0x30, &[&text("hue/alerts")[..], b"{}"].concat()))?;
        }
    }
}

/// First byte, body and whole length of the packet at the front.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let mut length = 0;
    for (i, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            let head = i + 2;
            return Some((bytes[0], bytes.get(head..head + length)?, head + length));
        }
    }
    None
}
