//! The wire form of protocol buffers, read field by field without a schema compiler and without copying.
//!
//! Invariant: reading any bytes ends, and yields no more than they hold. Groups, which the format has given up, are an error.

/// One field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wire<'p> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'p [u8]),
    Fixed32(u32),
}

/// The fields of a message by number, in the order they were written; ends after the first error.
pub(super) struct Fields<'p> {
    rest: &'p [u8],
}

impl<'p> Fields<'p> {
    pub(super) fn of(message: &'p [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, &'static str> {
        let mut value = 0u64;
        for (i, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit only; what is above it is lost in every decoder.
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err("a number without end")
    }

    fn take(&mut self, length: usize) -> Result<&'p [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or("the end within a field")?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Wire<'p>), &'static str> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(self.take(8)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))),
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.take(usize::try_from(length).map_err(|_| "the end within a field")?)?)
            }
            5 => Wire::Fixed32(self.take(4)?.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))),
            _ => return Err("a field of no known kind"),
        };
        Ok((tag >> 3, wire))
    }
}

impl<'p> Iterator for Fields<'p> {
    type Item = Result<(u64, Wire<'p>), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends one field.
pub(super) fn write(out: &mut Vec<u8>, number: u64, wire: Wire<'_>) {
    let kind = match wire {
        Wire::Varint(_) => 0,
        Wire::Fixed64(_) => 1,
        Wire::Bytes(_) => 2,
        Wire::Fixed32(_) => 5,
    };
    write_varint(out, number << 3 | kind);
    match wire {
        Wire::Varint(value) => write_varint(out, value),
        Wire::Fixed64(value) => out.extend(value.to_le_bytes()),
        Wire::Fixed32(value) => out.extend(value.to_le_bytes()),
        Wire::Bytes(bytes) => {
            write_varint(out, bytes.len() as u64);
            out.extend(bytes);
        }
    }
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_bytes() {
        // From the encoding guide of protocol buffers: field 1 is 150; field 2 is "testing".
        let fields: Vec<_> = Fields::of(b"\x08\x96\x01\x12\x07testing").collect();
        assert_eq!(fields, [Ok((1, Wire::Varint(150))), Ok((2, Wire::Bytes(b"testing")))]);
        for wrong in [&b"\x08"[..], b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x12\x07test", b"\x09\x01", b"\x0b", b"\x0d\x01"]
        {
            assert!(Fields::of(wrong).last().is_some_and(|field| field.is_err()), "{wrong:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number in 1u64..1 << 29, value in any::<u64>(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let fields = [Wire::Varint(value), Wire::Fixed64(value), Wire::Fixed32(value as u32), Wire::Bytes(&bytes)];
            let mut out = Vec::new();
            fields.iter().for_each(|field| write(&mut out, number, *field));
            prop_assert_eq!(Fields::of(&out).collect::<Vec<_>>(), fields.map(|field| Ok((number, field))));
        }

        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Fields::of(&bytes).count() <= bytes.len());
        }
    }
}
