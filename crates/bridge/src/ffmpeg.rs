//! ffmpeg as a child process: whatever it can open comes out as JPEGs on its standard output.
//!
//! Invariant: the address, with user and password, is handed over on standard input, because arguments can be read by everybody on
//! the machine; what ffmpeg says is cut to a line and the password taken out before anyone sees it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use crate::BridgeError;
use crate::config::{CameraConfig, Source};

/// A network connection that says nothing for so long is given up, microseconds.
const TIMEOUT_US: u64 = 10_000_000;
/// JPEG quality of what is encoded here: 2 is the best, 31 the worst; 4 is close to what cameras send.
const QUALITY: &str = "4";
/// Of a line of ffmpeg's, in a log.
const MOST_SAID: usize = 300;

pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) pictures: ChildStdout,
    said: JoinHandle<String>,
    secrets: Vec<String>,
}

/// Starts ffmpeg on the stream or video of `camera`; `None` when that is a folder.
pub(crate) fn start(camera: &CameraConfig) -> Result<Option<Running>, BridgeError> {
    let (mut arguments, list, secrets) = match camera.source() {
        Some(Source::Rtsp(url)) => {
            let (url, secrets) = with_credentials(url, camera)?;
            let list = format!("ffconcat version 1.0\nfile '{url}'\noption rtsp_transport tcp\noption timeout {TIMEOUT_US}\n");
            (from_list(), list, secrets)
        }
        Some(Source::Mjpeg(url)) => {
            let (url, secrets) = with_credentials(url, camera)?;
            let list = format!("ffconcat version 1.0\nfile '{url}'\noption rw_timeout {TIMEOUT_US}\n");
            (from_list(), list, secrets)
        }
        Some(Source::File(video)) => (from_file(video, camera.once), String::new(), Vec::new()),
        Some(Source::Folder(_)) | None => return Ok(None),
    };
    arguments.extend(["-an", "-sn", "-dn"].map(OsString::from));
    if camera.mjpeg.is_some() {
        // Pictures already: passed on as they are, and the surplus is left out here.
        arguments.extend(["-c:v", "copy"].map(OsString::from));
    } else {
        // Leaves frames out and never doubles one, as the filter `fps` would when the camera is slower.
        let least = (1.0 / camera.fps - 0.005).max(0.0);
        let scale = camera.width.map_or_else(String::new, |width| format!(",scale={width}:-2"));
        let filter = format!("select='isnan(prev_selected_t)+gte(t-prev_selected_t,{least:.4})'{scale}");
        arguments.extend(["-threads", "1", "-vf", &filter, "-fps_mode", "vfr", "-c:v", "mjpeg", "-q:v", QUALITY].map(OsString::from));
    }
    arguments.extend(["-flush_packets", "1", "-f", "image2pipe", "pipe:1"].map(OsString::from));

    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(BridgeError::Start)?;
    let (Some(mut input), Some(pictures), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
        return Err(BridgeError::Start(std::io::Error::other("a pipe is missing")));
    };
    let said = std::thread::spawn(move || last_line(errors));
    let running = Running { child, pictures, said, secrets };
    match input.write_all(list.as_bytes()) {
        Ok(()) => Ok(Some(running)),
        Err(reason) => {
            running.finish();
            Err(BridgeError::Hand(reason))
        }
    }
}

impl Running {
    /// Its process and its pictures, and what tells afterwards why it ended.
    pub(crate) fn split(self) -> (Child, ChildStdout, Words) {
        (self.child, self.pictures, Words { said: self.said, secrets: self.secrets })
    }

    fn finish(self) {
        let (child, _, words) = self.split();
        end(child);
        tracing::debug!("{}", words.last());
    }
}

/// What ffmpeg said.
pub(crate) struct Words {
    said: JoinHandle<String>,
    secrets: Vec<String>,
}

impl Words {
    /// Its last line without secrets; waits for the end of the process.
    pub(crate) fn last(self) -> String {
        let said = self.said.join().unwrap_or_default();
        let plain = self.secrets.iter().fold(said, |text, secret| text.replace(secret.as_str(), "***"));
        let plain = plain.trim();
        if plain.is_empty() { "ffmpeg gave no reason".to_owned() } else { plain.chars().take(MOST_SAID).collect() }
    }
}

/// Ends the process and takes its last word away.
pub(crate) fn end(mut child: Child) {
    // Both fail only when it has ended by itself.
    let _ended = child.kill();
    let _ended = child.wait();
}

fn from_list() -> Vec<OsString> {
    let allowed = "pipe,fd,rtsp,rtsps,rtp,udp,tcp,tls,http,https,httpproxy";
    ["-protocol_whitelist", allowed, "-f", "concat", "-safe", "0", "-i", "pipe:0"].map(OsString::from).to_vec()
}

fn from_file(video: &Path, once: bool) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("-re")];
    if !once {
        arguments.extend(["-stream_loop", "-1"].map(OsString::from));
    }
    // A name that begins with `-` or looks like an address is a file all the same.
    let mut name = OsString::from("file:");
    name.push(video);
    arguments.extend([OsString::from("-i"), name]);
    arguments
}

/// The address with user and password in it, and what of it must not be seen.
fn with_credentials(url: &str, camera: &CameraConfig) -> Result<(String, Vec<String>), BridgeError> {
    let (Some(user), Some((scheme, rest))) = (&camera.user, url.split_once("://")) else { return Ok((url.to_owned(), Vec::new())) };
    let password = camera.password()?.unwrap_or_default();
    let encoded = encode(&password);
    let url = format!("{scheme}://{}:{encoded}@{rest}", encode(user));
    // The longer form first: the password may be part of it.
    let secrets = [encoded, password].into_iter().filter(|secret| !secret.is_empty()).collect();
    Ok((url, secrets))
}

/// Percent-encoding of everything but the unreserved characters of RFC 3986, section 2.3.
fn encode(text: &str) -> String {
    let byte = |b: u8| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The last line that is not empty. Lines may be of any length; no more than a bounded piece of each is kept.
fn last_line(errors: impl Read) -> String {
    let mut reader = BufReader::new(errors);
    let mut last = Vec::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(4096).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&last).into_owned(),
            Ok(_) if line.iter().all(u8::is_ascii_whitespace) => {}
            Ok(_) => std::mem::swap(&mut last, &mut line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_into_the_address_and_out_of_what_is_said() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), "s3cr:t@/'\n").expect("it is written");
        let camera = CameraConfig {
            id: "cam".into(),
            fps: 1.0,
            rtsp: Some("rtsp://10.0.0.5/s1".to_owned()),
            mjpeg: None,
            folder: None,
            file: None,
            user: Some("bob".to_owned()),
            password_env: None,
            password_file: Some(file.path().to_owned()),
            width: None,
            once: false,
        };
        let (url, secrets) = with_credentials("rtsp://10.0.0.5/s1", &camera).expect("the file is readable");
        assert_eq!(url, "rtsp://bob:s3cr%3At%40%2F%27@10.0.0.5/s1");
        let said = format!("\nfirst\n[concat] Impossible to open '{url}', s3cr:t@/'\n\n");
        let words = Words { said: std::thread::spawn(move || last_line(said.as_bytes())), secrets };
        assert_eq!(words.last(), "[concat] Impossible to open 'rtsp://bob:***@10.0.0.5/s1', ***");
    }
}
