//! The brightness of each 8x8 block of a baseline JPEG out of its DC coefficients alone: what the gate needs, at half of what a decoder
//! takes that scales to an eighth.
//!
//! A block's DC coefficient is its mean (ITU-T T.81, A.3.3, with the DCT's factor of 8). Between two of them lie the AC coefficients, of
//! which only the lengths matter: one look into a table skips as many as fit into [`LOOK`] bits.
//!
//! Invariant: it gives the very numbers that libjpeg gives at an eighth, or nothing: whatever is not a plain picture, whole to its last
//! bit, is left to libjpeg to read or to refuse.

use crate::jpeg::{marker, segment};

/// The bits that one look into a table resolves.
const LOOK: u32 = 11;
/// Zeros after the last byte, so that bits may be taken from beyond it: to be found out a row later.
const BEYOND: usize = 4096;

/// Buffers that are kept from picture to picture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    /// The picture's data without stuffed bytes, one piece after the other, each followed by [`BEYOND`] zeros.
    data: Vec<u8>,
    /// The pieces between restart markers: where each begins and ends in `data`.
    pieces: Vec<(usize, usize)>,
}

/// One colour component as the frame header and the scan header tell it.
#[derive(Clone, Copy, Debug, Default)]
struct Component {
    id: u8,
    /// Blocks of one minimum coded unit across and down.
    across: usize,
    down: usize,
    quantisation: usize,
    dc: usize,
    ac: usize,
}

/// A Huffman table for skipping: what the next [`LOOK`] bits come to.
#[derive(Clone, Debug)]
struct Skips {
    table: Vec<Skip>,
    longer: Longer,
}

/// How many bits and coefficients to go on.
#[derive(Clone, Copy, Debug, Default)]
struct Skip {
    /// All symbols that the bits hold.
    bits: u8,
    coefficients: u8,
    /// The last of them ends the block.
    ends: bool,
    /// The first alone; no bits when its code is longer than the look.
    first_bits: u8,
    first_coefficients: u8,
    first_ends: bool,
}

/// A Huffman table for values: length of the code and bits of the value, by the next [`LOOK`] bits.
#[derive(Clone, Debug)]
struct Values {
    table: Vec<(u8, u8)>,
    longer: Longer,
}

/// Codes by length, for those that a look does not resolve (T.81, F.2.2.3).
#[derive(Clone, Debug, Default)]
struct Longer {
    /// The first code of each length, the number of codes, and where their symbols begin.
    lengths: [(u32, u32, usize); 17],
    symbols: Vec<u8>,
}

/// What the headers say.
#[derive(Debug, Default)]
struct Header {
    size: (usize, usize),
    components: Vec<Component>,
    /// Of the DC coefficient, by table.
    steps: [Option<i32>; 4],
    dc: [Option<Values>; 4],
    ac: [Option<Skips>; 4],
    /// Minimum coded units between two restart markers; 0: there are none.
    restart: usize,
    /// Where the picture's data begins.
    data: usize,
}

/// Bits out of a piece.
struct Bits<'a> {
    data: &'a [u8],
    /// The next byte to be taken, and the bits taken that are not used yet, the next one highest.
    at: usize,
    held: u64,
    count: u32,
}

impl Scanner {
    /// The brightness of each block into `luma`, row by row; columns and rows. `None`: not a picture of the plain kind, or not a whole one.
    pub(crate) fn luma(&mut self, jpeg: &[u8], luma: &mut Vec<u8>) -> Option<(u32, u32)> {
        let header = Header::read(jpeg)?;
        self.unstuff(jpeg.get(header.data..)?)?;
        let (columns, rows) = (header.size.0.div_ceil(8), header.size.1.div_ceil(8));
        luma.clear();
        luma.resize(columns * rows, 0);
        let light = header.components.first()?;
        let units = (columns.div_ceil(light.across), rows.div_ceil(light.down));
        let all = units.0 * units.1;
        let step = header.steps.get(light.quantisation).copied().flatten()?;
        // Of each component: the blocks of a unit, whether they are kept, and its tables.
        let mut parts = Vec::with_capacity(3);
        for (i, component) in header.components.iter().enumerate() {
            let (dc, ac) = (header.dc.get(component.dc)?.as_ref()?, header.ac.get(component.ac)?.as_ref()?);
            parts.push((i == 0, component.across, component.across * component.down, dc, ac));
        }
        let each = if header.restart == 0 { all } else { header.restart };
        if self.pieces.len() != all.div_ceil(each) {
            return None;
        }
        for (piece, &(begin, end)) in self.pieces.iter().enumerate() {
            let mut bits = Bits { data: &self.data[begin..end + BEYOND], at: 0, held: 0, count: 0 };
            let mut mean = 0;
            for unit in piece * each..all.min((piece + 1) * each) {
                let (x, y) = (unit % units.0 * light.across, unit / units.0 * light.down);
                for &(kept, across, blocks, dc, ac) in &parts {
                    for block in 0..blocks {
                        let size = dc.next(&mut bits)?;
                        if kept {
                            mean += bits.value(size);
                            // As libjpeg's inverse DCT of one pixel a block: an eighth, rounded. No picture of 8 bits has more than this.
                            let level = (mean.checked_mul(step)? + 4) >> 3;
                            if level.abs() >= 512 {
                                return None;
                            }
                            let (x, y) = (x + block % across, y + block / across);
                            if x < columns && y < rows {
                                luma[y * columns + x] = (level + 128).clamp(0, 255) as u8;
                            }
                        } else {
                            bits.skip(size);
                        }
                        ac.block(&mut bits)?;
                    }
                }
                if bits.used() > end - begin {
                    return None;
                }
            }
            // The rest of the last byte is filled up.
            if bits.used() != end - begin {
                return None;
            }
        }
        Some((columns as u32, rows as u32))
    }

    /// Takes the picture's data apart at restart markers, and the zeros out that follow each byte of ones, to the end of the picture.
    fn unstuff(&mut self, mut data: &[u8]) -> Option<()> {
        self.data.clear();
        self.pieces.clear();
        let mut begin = 0;
        loop {
            let ones = data.iter().position(|&byte| byte == 0xFF)?;
            let (plain, rest) = data.split_at(ones);
            self.data.extend_from_slice(plain);
            match *rest.get(1)? {
                0 => self.data.push(0xFF),
                code @ (0xD0..=0xD7 | 0xD9) => {
                    if code != 0xD9 && usize::from(code - 0xD0) != self.pieces.len() % 8 {
                        return None;
                    }
                    self.pieces.push((begin, self.data.len()));
                    self.data.resize(self.data.len() + BEYOND, 0);
                    begin = self.data.len();
                    if code == 0xD9 {
                        return Some(());
                    }
                }
                _ => return None,
            }
            data = &rest[2..];
        }
    }
}

impl Header {
    fn read(jpeg: &[u8]) -> Option<Self> {
        let mut header = Header::default();
        let mut at = 2;
        let mut others = false;
        loop {
            let (code, after) = marker(jpeg, at).ok()?;
            let body = segment(jpeg, after).ok()?;
            at = after + 2 + body.len();
            match code {
                // Baseline, or extended with Huffman codes.
                0xC0 | 0xC1 => header.frame(body)?,
                0xC4 => header.codes(body)?,
                0xDB => header.quantisation(body)?,
                0xDD => header.restart = usize::from(u16::from_be_bytes(*body.first_chunk()?)),
                0xDA => {
                    header.scan(body)?;
                    header.data = at;
                    return (!others).then_some(header);
                }
                // Adobe's marker may say that the colours are not brightness and two differences.
                0xEE => others |= body.starts_with(b"Adobe") && body.get(11) != Some(&1),
                0xE0..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
    }

    fn frame(&mut self, body: &[u8]) -> Option<()> {
        let &[8, h1, h0, w1, w0, count, ref components @ ..] = body else { return None };
        let side = |high, low| usize::from(u16::from_be_bytes([high, low]));
        self.size = (side(w1, w0), side(h1, h0));
        if !self.components.is_empty() || components.len() != 3 * usize::from(count) || self.size.0 * self.size.1 == 0 {
            return None;
        }
        let mut units = 0;
        for component in components.chunks_exact(3) {
            let (across, down) = (usize::from(component[1] >> 4), usize::from(component[1] & 15));
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return None;
            }
            units += across * down;
            self.components.push(Component { id: component[0], across, down, quantisation: component[2].into(), ..Component::default() });
        }
        match &mut self.components[..] {
            // A scan of one component has a block in each unit, whatever its sampling.
            [grey] => (grey.across, grey.down) = (1, 1),
            [light, blue, red] => {
                // The other numbers are the letters of red, green and blue, or anybody's guess.
                let usual = (light.id, blue.id, red.id) == (1, 2, 3);
                // A unit has ten blocks at most (T.81, B.2.3), so that no unit has more bits than there are zeros beyond a piece.
                if units > 10 || !usual || light.across < blue.across.max(red.across) || light.down < blue.down.max(red.down) {
                    return None;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn quantisation(&mut self, mut body: &[u8]) -> Option<()> {
        while let [head, rest @ ..] = body {
            let wide = match head >> 4 {
                0 => false,
                1 => true,
                _ => return None,
            };
            let step = if wide { u16::from_be_bytes(*rest.first_chunk()?) } else { (*rest.first()?).into() };
            *self.steps.get_mut(usize::from(head & 15))? = Some(step.into());
            body = rest.get(if wide { 128 } else { 64 }..)?;
        }
        Some(())
    }

    fn codes(&mut self, mut body: &[u8]) -> Option<()> {
        while let [head, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
            let codes = Longer::new(counts, rest.get(..total)?)?;
            body = &rest[total..];
            let table = usize::from(head & 15);
            match head >> 4 {
                0 => *self.dc.get_mut(table)? = Some(Values::new(codes)?),
                1 => *self.ac.get_mut(table)? = Some(Skips::new(codes)),
                _ => return None,
            }
        }
        Some(())
    }

    /// All components in one scan, all coefficients whole.
    fn scan(&mut self, body: &[u8]) -> Option<()> {
        let [count, rest @ ..] = body else { return None };
        let (choices, spectrum) = rest.split_at_checked(2 * usize::from(*count))?;
        if self.components.is_empty() || self.components.len() != usize::from(*count) || spectrum != [0, 63, 0] {
            return None;
        }
        for (component, choice) in self.components.iter_mut().zip(choices.chunks_exact(2)) {
            if component.id != choice[0] {
                return None;
            }
            (component.dc, component.ac) = ((choice[1] >> 4).into(), (choice[1] & 15).into());
        }
        Some(())
    }
}

impl Longer {
    /// Codes of `counts` lengths from 1 to 16, and their symbols in order (T.81, C.2).
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let (mut lengths, mut code, mut begin) = ([(0, 0, 0); 17], 0u32, 0);
        for (length, &count) in (1..).zip(counts) {
            let count = u32::from(count);
            // More codes than there are of this length.
            if code + count > 1 << length {
                return None;
            }
            lengths[length] = (code, count, begin);
            (code, begin) = ((code + count) << 1, begin + count as usize);
        }
        Some(Self { lengths, symbols: symbols.to_vec() })
    }

    /// For all that [`LOOK`] bits may be, the symbol at their head and the length of its code; 0 when it is longer.
    fn looks(&self) -> Vec<(u8, u32)> {
        let mut looks = vec![(0, 0); 1 << LOOK];
        for length in 1..=LOOK {
            let (first, count, begin) = self.lengths[length as usize];
            let (wide, from) = (1 << (LOOK - length), (first as usize) << (LOOK - length));
            for (looks, symbol) in looks[from..].chunks_exact_mut(wide).zip(&self.symbols[begin..begin + count as usize]) {
                looks.fill((*symbol, length));
            }
        }
        looks
    }

    /// The symbol at the head of 16 bits and the length of its code.
    fn symbol(&self, head: u32) -> Option<(u8, u32)> {
        for length in 1..=16 {
            let (first, count, begin) = self.lengths[length as usize];
            let code = head >> (16 - length);
            if code.wrapping_sub(first) < count {
                return Some((*self.symbols.get(begin + (code - first) as usize)?, length));
            }
        }
        None
    }
}

/// Of an AC symbol of a code of `length` bits: the bits with its value, the coefficients that it is for, whether it ends the block.
fn meaning(symbol: u8, length: u32) -> (u8, u8, bool) {
    let (run, size) = (symbol >> 4, symbol & 15);
    let ends = size == 0 && run != 15;
    (length as u8 + size, if ends { 0 } else { run + 1 }, ends)
}

impl Skips {
    fn new(longer: Longer) -> Self {
        let codes = longer.looks();
        let single: Vec<(u8, u8, bool)> =
            codes.iter().map(|&(symbol, length)| if length == 0 { (0, 0, false) } else { meaning(symbol, length) }).collect();
        let table = (0..single.len()).map(|head| {
            let (first_bits, first_coefficients, first_ends) = single[head];
            let mut skip = Skip { first_bits, first_coefficients, first_ends, ..Skip::default() };
            while u32::from(skip.bits) < LOOK && !skip.ends {
                // What is left of the bits, with zeros after them that must not be part of the code.
                let rest = (head << skip.bits) & (single.len() - 1);
                let ((_, length), (bits, coefficients, ends)) = (codes[rest], single[rest]);
                if length == 0 || u32::from(skip.bits) + length > LOOK {
                    break;
                }
                skip = Skip { bits: skip.bits + bits, coefficients: skip.coefficients + coefficients, ends, ..skip };
            }
            skip
        });
        Self { table: table.collect(), longer }
    }

    /// Skips the AC coefficients of one block.
    fn block(&self, bits: &mut Bits<'_>) -> Option<()> {
        let mut next = 1;
        while next < 64 {
            bits.fill();
            let skip = &self.table[bits.peek(LOOK) as usize];
            let (taken, coefficients, ends) = if skip.bits > 0 && next + skip.coefficients + u8::from(skip.ends) <= 64 {
                (skip.bits, skip.coefficients, skip.ends)
            } else if skip.first_bits > 0 {
                // The block ends before the last of them.
                (skip.first_bits, skip.first_coefficients, skip.first_ends)
            } else {
                let (symbol, length) = self.longer.symbol(bits.peek(16))?;
                meaning(symbol, length)
            };
            bits.skip(taken.into());
            next += coefficients;
            if ends {
                return Some(());
            }
        }
        (next == 64).then_some(())
    }
}

impl Values {
    fn new(longer: Longer) -> Option<Self> {
        // Differences of 8-bit pictures have 11 bits at most.
        if longer.symbols.iter().any(|size| *size > 11) {
            return None;
        }
        let table = longer.looks().into_iter().map(|(size, length)| (length as u8, size)).collect();
        Some(Self { table, longer })
    }

    /// Takes a code; how many bits of value follow it.
    fn next(&self, bits: &mut Bits<'_>) -> Option<u32> {
        bits.fill();
        let (mut length, mut size) = self.table[bits.peek(LOOK) as usize];
        if length == 0 {
            let (symbol, long) = self.longer.symbol(bits.peek(16))?;
            (length, size) = (long as u8, symbol);
        }
        bits.skip(length.into());
        Some(size.into())
    }
}

impl Bits<'_> {
    /// At least 56 bits are held, of zeros beyond the piece: enough for a code and its value, or for all that a look resolves.
    fn fill(&mut self) {
        if self.count < 48
            && let Some(next) = self.data.get(self.at..).and_then(<[u8]>::first_chunk::<8>)
        {
            let bytes = (64 - self.count) / 8;
            self.held |= (u64::from_be_bytes(*next) >> self.count) & (u64::MAX << (64 - self.count - 8 * bytes));
            self.at += bytes as usize;
            self.count += 8 * bytes;
        }
    }

    fn peek(&self, bits: u32) -> u32 {
        (self.held >> (64 - bits)) as u32
    }

    fn skip(&mut self, bits: u32) {
        self.held <<= bits;
        self.count = self.count.saturating_sub(bits);
    }

    /// A difference of so many bits, 0 to 11 (T.81, F.2.2.1).
    fn value(&mut self, size: u32) -> i32 {
        if size == 0 {
            return 0;
        }
        let value = self.peek(size) as i32;
        self.skip(size);
        if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
    }

    /// Bytes that were used, in part or whole.
    fn used(&self) -> usize {
        self.at - (self.count / 8) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

    use super::*;
    use crate::FrameLimits;
    use crate::decode::Picture;

    /// Smooth colours with noise on them, `rough` levels of it.
    fn jpeg((width, height): (usize, usize), subsamp: Subsamp, quality: i32, rough: u32, optimal: bool) -> Vec<u8> {
        let noise = |i: usize| (i as u32).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519) >> 16;
        let sample = |i: usize| {
            let (x, y) = (i / 3 % width, i / 3 / width);
            (((x * (1 + i % 3) / 2 + y * 3) % 256) as u32 + noise(i) % (rough + 1)).min(255) as u8
        };
        let pixels: Vec<u8> = (0..width * height * 3).map(sample).collect();
        let image = Image { pixels: &pixels[..], width, pitch: 3 * width, height, format: PixelFormat::RGB };
        let mut compressor = Compressor::new().expect("libjpeg starts");
        compressor.set_subsamp(subsamp).expect("a valid option");
        compressor.set_quality(quality).expect("a valid option");
        compressor.set_optimize(optimal).expect("a valid option");
        compressor.compress_to_vec(image).expect("it compresses")
    }

    fn theirs(jpeg: &[u8]) -> Option<(Vec<u8>, (u32, u32))> {
        let mut luma = Vec::new();
        let size = Picture::open(jpeg, &FrameLimits::default()).ok()?.scaled_to_eighth(&mut luma).ok()?;
        Some((luma, size))
    }

    fn ours(jpeg: &[u8]) -> Option<(Vec<u8>, (u32, u32))> {
        let mut luma = Vec::new();
        let size = Scanner::default().luma(jpeg, &mut luma)?;
        Some((luma, size))
    }

    #[test]
    fn it_gives_what_libjpeg_gives() {
        for subsamp in [Subsamp::None, Subsamp::Sub2x1, Subsamp::Sub2x2, Subsamp::Sub1x2, Subsamp::Gray] {
            for (size, quality, rough) in
                [((640, 360), 80, 20), ((333, 217), 95, 255), ((16, 8), 5, 0), ((1, 1), 50, 90), ((129, 65), 100, 255)]
            {
                for optimal in [false, true] {
                    let bytes = jpeg(size, subsamp, quality, rough, optimal);
                    let ours = ours(&bytes);
                    assert!(ours.is_some(), "{subsamp:?} {size:?} {quality}");
                    assert_eq!(ours, theirs(&bytes), "{subsamp:?} {size:?} {quality}");
                }
            }
        }
    }

    /// The same picture with a restart marker after so many units, as cameras write them: their differences begin anew, so a flat picture.
    #[test]
    fn restart_markers_are_followed_and_counted() {
        let flat = jpeg((64, 16), Subsamp::Gray, 50, 0, false);
        let header = Header::read(&flat).expect("plain");
        // Units of a grey middle: a difference of 0 and the end of the block, in 6 bits of the usual tables; a byte with the filling.
        let unit = 0b0010_1011u8;
        let with = |units: usize, markers: &[u8]| {
            let mut bytes = flat[..header.data].to_vec();
            let scan = bytes.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).expect("a scan");
            bytes.splice(scan..scan, [0xFF, 0xDD, 0, 4, 0, 1]);
            for i in 0..units {
                bytes.push(unit);
                if let Some(marker) = markers.get(i) {
                    bytes.extend([0xFF, *marker]);
                }
            }
            bytes.extend([0xFF, 0xD9]);
            bytes
        };
        let markers: Vec<u8> = (0..15).map(|i| 0xD0 + i % 8).collect();
        let whole = with(16, &markers);
        assert_eq!(ours(&whole), Some((vec![128; 16], (8, 2))));
        assert_eq!(ours(&whole), theirs(&whole));
        assert_eq!(ours(&with(15, &markers[..14])), None, "one piece is missing");
        assert_eq!(ours(&with(16, &[&markers[..7], &[0xD3], &markers[8..]].concat())), None, "out of turn");
        assert_eq!(ours(&with(16, &markers[..14])), None, "two units where one is due");
    }

    #[test]
    fn what_is_not_plain_or_not_whole_is_left_to_libjpeg() {
        let whole = jpeg((160, 120), Subsamp::Sub2x2, 80, 60, false);
        let data = Header::read(&whole).expect("plain").data;
        for cut in (data..whole.len() - 2).step_by(97) {
            assert_eq!(ours(&[&whole[..cut], &[0xFF, 0xD9]].concat()), None, "cut at {cut}");
        }
        let with = |from: &[u8], to: &[u8]| {
            let at = whole.windows(from.len()).position(|bytes| bytes == from).expect("it is there");
            [&whole[..at], to, &whole[at + from.len()..]].concat()
        };
        assert_eq!(ours(&with(&[0xFF, 0xC0], &[0xFF, 0xC2])), None, "progressive");
        assert_eq!(ours(&with(&[0xFF, 0xE0], &[0xFF, 0xEE, 0, 14, b'A', b'd', b'o', b'b', b'e', 0, 100, 0, 0, 0, 0, 0, 0xFF, 0xE0])), None);
        assert_eq!(ours(&[]), None);
    }

    proptest! {
        #[test]
        fn damaged_pictures_are_read_as_libjpeg_reads_them_or_left_to_it(
            (width, height) in (1usize..90, 1usize..70),
            quality in 1i32..100,
            rough in 0u32..256,
            damages in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..3),
        ) {
            let mut bytes = jpeg((width, height), Subsamp::Sub2x2, quality, rough, false);
            for (place, byte) in damages {
                let at = (place * bytes.len() as f64) as usize;
                bytes[at] = byte;
            }
            if let (Some(ours), Some(theirs)) = (ours(&bytes), theirs(&bytes)) {
                prop_assert_eq!(ours, theirs);
            }
        }

        #[test]
        fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..2000), keep in 0usize..700) {
            let whole = jpeg((80, 48), Subsamp::Sub2x1, 70, 90, false);
            let _answered = ours(&[&whole[..keep.min(whole.len())], &bytes, &[0xFF, 0xD9]].concat());
        }
    }
}
