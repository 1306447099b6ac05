//! The container of a package: a ZIP file without compression, written in one way only.
//!
//! Invariant: names and contents in their order determine every byte, so that a container can be made again from what it holds and
//! compared: whatever else stands in it is found. What is read here may come from anybody.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;

use crate::EvidenceError;
use crate::error::Context;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// 2.0, names in UTF-8, stored; the first day that the format knows.
const COMMON: [u16; 5] = [20, 0x0800, 0, 0, 0x0021];
/// Beyond, the format needs other records, which not every reader knows.
const MOST_BYTES: u64 = u32::MAX as u64;
const MOST_FILES: usize = u16::MAX as usize - 1;
/// Of a file that somebody has compressed: a package is not, and a small one must not fill the memory.
const MOST_UNPACKED: u64 = 256 << 20;

/// Writes a container.
pub(crate) struct Writer<W> {
    out: W,
    at: u64,
    central: Vec<u8>,
    files: usize,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, at: 0, central: Vec::new(), files: 0 }
    }

    /// # Errors
    /// `FileTooLarge` when the format has no room for more.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let after = self.at + (30 + name.len() + bytes.len()) as u64;
        if self.files == MOST_FILES || after + self.central.len() as u64 + (46 + name.len() + 22) as u64 > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let size = bytes.len() as u32;
        let mut facts = Vec::with_capacity(30);
        put16(&mut facts, &COMMON);
        put32(&mut facts, &[crc32fast::hash(bytes), size, size]);
        put16(&mut facts, &[name.len() as u16, 0]);
        self.out.write_all(&LOCAL.to_le_bytes())?;
        self.out.write_all(&facts)?;
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(bytes)?;
        put32(&mut self.central, &[CENTRAL]);
        // Made by 2.0 on a system with Unix attributes: a regular file that everybody may read.
        put16(&mut self.central, &[0x0314]);
        self.central.extend(&facts);
        put16(&mut self.central, &[0, 0, 0]);
        put32(&mut self.central, &[0o100_644 << 16, self.at as u32]);
        self.central.extend(name.as_bytes());
        self.at = after;
        self.files += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        let mut end = Vec::with_capacity(22);
        put32(&mut end, &[END]);
        put16(&mut end, &[0, 0, self.files as u16, self.files as u16]);
        put32(&mut end, &[self.central.len() as u32, self.at as u32]);
        put16(&mut end, &[0]);
        self.out.write_all(&self.central)?;
        self.out.write_all(&end)?;
        Ok(self.out)
    }
}

fn put16(to: &mut Vec<u8>, values: &[u16]) {
    to.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn put32(to: &mut Vec<u8>, values: &[u32]) {
    to.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// What a package is read from: its container, or a folder that it was unpacked into.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// In the order of the container; the same name may come twice.
    names: Vec<String>,
    /// By name, the last of that name; `None` for a folder.
    container: Option<(File, BTreeMap<String, Entry>)>,
}

#[derive(Debug)]
struct Entry {
    method: u16,
    packed: u64,
    size: u64,
    offset: u64,
}

impl Source {
    /// The inner error says why it is no container.
    pub(crate) fn open(path: &Path) -> Result<Result<Source, String>, EvidenceError> {
        if path.is_dir() {
            let mut names = Vec::new();
            walk(path, "", &mut names)?;
            return Ok(Ok(Source { path: path.to_owned(), names, container: None }));
        }
        let mut file = File::open(path).during("open", path)?;
        let length = file.metadata().during("read", path)?.len();
        let entries = directory(&mut file, length).during("read", path)?;
        Ok(entries.map(|entries| {
            let names = entries.iter().map(|(name, _)| name.clone()).collect();
            Source { path: path.to_owned(), names, container: Some((file, entries.into_iter().collect())) }
        }))
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The last file of that name; `None` when there is none. The inner error says why it cannot be unpacked.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Result<Vec<u8>, String>>, EvidenceError> {
        match &self.container {
            Some((file, entries)) => entries.get(name).map(|entry| self.unpack(file, entry)).transpose(),
            // Only what was found in the folder: a name may come from anybody.
            None if !self.names.iter().any(|known| known == name) => Ok(None),
            None => {
                let path = self.path.join(name);
                fs::read(&path).during("read", &path).map(|bytes| Some(Ok(bytes)))
            }
        }
    }

    fn unpack(&self, mut file: &File, entry: &Entry) -> Result<Result<Vec<u8>, String>, EvidenceError> {
        let path = &self.path;
        let mut head = [0; 30];
        file.seek(SeekFrom::Start(entry.offset)).during("read", path)?;
        if file.read_exact(&mut head).is_err() || get32(&head, 0) != Some(LOCAL) {
            return Ok(Err("its beginning is not where the container says".to_owned()));
        }
        let skip = u64::from(get16(&head, 26).unwrap_or(0)) + u64::from(get16(&head, 28).unwrap_or(0));
        file.seek(SeekFrom::Current(skip as i64)).during("read", path)?;
        let mut bytes = Vec::new();
        let packed = file.take(entry.packed);
        let read = match entry.method {
            0 => file.take(entry.size).read_to_end(&mut bytes),
            8 => DeflateDecoder::new(packed).take(entry.size.min(MOST_UNPACKED)).read_to_end(&mut bytes),
            method => return Ok(Err(format!("it is packed by method {method}"))),
        };
        Ok(match read {
            Ok(_) if bytes.len() as u64 == entry.size => Ok(bytes),
            Ok(_) => Err("it is cut short".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Where the container first differs from one with the files of `names`, in that order; `None` when it does not, or for a folder.
    pub(crate) fn differs(&self, names: &[&str]) -> Result<Option<u64>, EvidenceError> {
        let Some((file, _)) = &self.container else { return Ok(None) };
        let path = &self.path;
        let mut all = Vec::new();
        let mut position = 0;
        let mut writer = Writer::new(Collect(&mut all));
        for name in names {
            let Some(Ok(bytes)) = self.read(name)? else { return Ok(Some(position)) };
            writer.add(name, &bytes).during("compare", path)?;
            if let Some(at) = compare(file, writer.out.0, &mut position).during("read", path)? {
                return Ok(Some(at));
            }
        }
        let Collect(rest) = writer.finish().during("compare", path)?;
        if let Some(at) = compare(file, rest, &mut position).during("read", path)? {
            return Ok(Some(at));
        }
        let length = file.metadata().during("read", path)?.len();
        Ok((length > position).then_some(position))
    }
}

/// A writer into memory that can be emptied between files.
struct Collect<'a>(&'a mut Vec<u8>);

impl Write for Collect<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where `file` from `position` on differs from `expected`, which is emptied; the position moves behind it.
fn compare(mut file: &File, expected: &mut Vec<u8>, position: &mut u64) -> io::Result<Option<u64>> {
    let mut found = Vec::with_capacity(expected.len());
    file.seek(SeekFrom::Start(*position))?;
    file.take(expected.len() as u64).read_to_end(&mut found)?;
    let same = found.iter().zip(expected.iter()).take_while(|(a, b)| a == b).count();
    let differs = (same < expected.len()).then_some(*position + same as u64);
    *position += expected.len() as u64;
    expected.clear();
    Ok(differs)
}

/// The directory at the container's end. The inner error says why there is none.
fn directory(file: &mut File, length: u64) -> io::Result<Result<Vec<(String, Entry)>, String>> {
    let mut tail = Vec::new();
    // The longest comment that may follow the end record.
    let from = length.saturating_sub(22 + u64::from(u16::MAX));
    file.seek(SeekFrom::Start(from))?;
    file.take(length - from).read_to_end(&mut tail)?;
    let Some(end) = tail.windows(4).rposition(|four| four == END.to_le_bytes()).and_then(|at| tail.get(at..at + 22)) else {
        return Ok(Err("found no end of a ZIP file".to_owned()));
    };
    let (size, offset) = (get32(end, 12).unwrap_or(0), get32(end, 16).unwrap_or(0));
    let mut central = Vec::new();
    file.seek(SeekFrom::Start(u64::from(offset)))?;
    file.take(u64::from(size)).read_to_end(&mut central)?;
    let mut entries = Vec::new();
    let mut rest = central.as_slice();
    while !rest.is_empty() {
        let Some((entry, after)) = entry(rest) else {
            return Ok(Err(format!("found no directory entry at byte {}", u64::from(offset) + (central.len() - rest.len()) as u64)));
        };
        entries.push(entry);
        rest = after;
    }
    Ok(Ok(entries))
}

/// The directory entry that `bytes` begin with, and what follows it.
fn entry(bytes: &[u8]) -> Option<((String, Entry), &[u8])> {
    if get32(bytes, 0)? != CENTRAL {
        return None;
    }
    let name_end = 46 + usize::from(get16(bytes, 28)?);
    let end = name_end + usize::from(get16(bytes, 30)?) + usize::from(get16(bytes, 32)?);
    let name = String::from_utf8_lossy(bytes.get(46..name_end)?).into_owned();
    let entry = Entry {
        method: get16(bytes, 10)?,
        packed: u64::from(get32(bytes, 20)?),
        size: u64::from(get32(bytes, 24)?),
        offset: u64::from(get32(bytes, 42)?),
    };
    Some(((name, entry), bytes.get(end..)?))
}

fn get16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn get32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn walk(dir: &Path, prefix: &str, into: &mut Vec<String>) -> Result<(), EvidenceError> {
    for name in crate::disk::names(dir)? {
        let path = dir.join(&name);
        if path.is_dir() {
            walk(&path, &format!("{prefix}{name}/"), into)?;
        } else {
            into.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
