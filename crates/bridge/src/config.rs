//! Which cameras, from where, how often: a list of `[[camera]]`, checked as a whole.

use std::path::{Path, PathBuf};

use huong_types::{Name, Problems, Span};
use serde::Deserialize;

use crate::BridgeError;

/// A file of cameras, such as `config/cameras.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BridgeConfig {
    /// The bridge's name at the broker: one per bridge.
    pub client_id: String,
    /// How often each camera's state is told.
    pub status_every: Span,
    /// A stream without a picture for so long, beside the time that its rate allows, is opened anew.
    pub stalled_after: Span,
    /// The longest wait between attempts; the first is a sixtieth of it.
    pub retry: Span,
    /// Bytes of one picture; a larger one is skipped.
    pub max_bytes: usize,
    pub camera: Vec<CameraConfig>,
}

/// One camera and the one place where its pictures come from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CameraConfig {
    /// As in the registry.
    pub id: Name,
    /// Pictures a second at most.
    pub fps: f64,
    /// `rtsp://` or `rtsps://`, without user and password.
    #[serde(default)]
    pub rtsp: Option<String>,
    /// `http://` or `https://` of a stream of JPEGs (`multipart/x-mixed-replace`), without user and password.
    #[serde(default)]
    pub mjpeg: Option<String>,
    /// JPEGs, replayed in the order of their names, over and over.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// A video, replayed at its own speed, over and over.
    #[serde(default)]
    pub file: Option<PathBuf>,
    #[serde(default)]
    pub user: Option<String>,
    /// The environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// The file that holds the password; read again at every attempt.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Pixels that pictures of RTSP and videos are scaled to; default: as they come.
    #[serde(default)]
    pub width: Option<u32>,
    /// A folder or video is played once, and then the camera is done.
    #[serde(default)]
    pub once: bool,
}

/// Where pictures come from.
pub(crate) enum Source<'a> {
    Rtsp(&'a str),
    Mjpeg(&'a str),
    Folder(&'a Path),
    File(&'a Path),
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            client_id: "huong-bridge".to_owned(),
            status_every: Span::from_secs(30),
            stalled_after: Span::from_secs(15),
            retry: Span::from_secs(60),
            max_bytes: 8 << 20,
            camera: Vec::new(),
        }
    }
}

impl BridgeConfig {
    /// Every mistake goes to `problems`, under `file`.
    pub fn check(&self, file: &str, problems: &mut Problems) {
        for (field, span) in [("status_every", self.status_every), ("stalled_after", self.stalled_after), ("retry", self.retry)] {
            if span < Span::from_secs(1) {
                problems.add(file, field, format!("`{span}`"), "at least 1s");
            }
        }
        if self.max_bytes < 1024 {
            problems.add(file, "max_bytes", format!("`{}`", self.max_bytes), "at least 1024");
        }
        if self.camera.is_empty() {
            problems.add(file, "camera", "none", "at least one [[camera]]");
        }
        for (i, camera) in self.camera.iter().enumerate() {
            let path = format!("camera[{i}]");
            camera.check(file, &path, problems);
            if self.camera[..i].iter().any(|other| other.id == camera.id) {
                problems.add(file, format!("{path}.id"), format!("`{}` again", camera.id), "each camera once");
            }
        }
    }
}

impl CameraConfig {
    /// The one source; what [`CameraConfig::check`] has not complained of has one.
    pub(crate) fn source(&self) -> Option<Source<'_>> {
        let streams = [self.rtsp.as_deref().map(Source::Rtsp), self.mjpeg.as_deref().map(Source::Mjpeg)];
        let files = [self.folder.as_deref().map(Source::Folder), self.file.as_deref().map(Source::File)];
        let mut all = streams.into_iter().chain(files).flatten();
        all.next().filter(|_| all.next().is_none())
    }

    fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        let mut add = |field: &str, found: String, expected: &str| problems.add(file, format!("{path}.{field}"), found, expected);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.id.is_empty() || !self.id.chars().all(plain) {
            add("id", format!("`{}`", self.id), "letters, digits, `-`, `_` and `.`");
        }
        if !(self.fps > 0.0 && self.fps <= 60.0) {
            add("fps", format!("`{}`", self.fps), "above 0, at most 60");
        }
        if self.width.is_some_and(|width| !(64..=8192).contains(&width)) {
            add("width", format!("`{}`", self.width.unwrap_or_default()), "64 to 8192");
        }
        match self.source() {
            None => add("rtsp", "no source, or several".to_owned(), "one of rtsp, mjpeg, folder and file"),
            Some(Source::Rtsp(url)) => check_url(&mut add, "rtsp", url, &["rtsp://", "rtsps://"]),
            Some(Source::Mjpeg(url)) => check_url(&mut add, "mjpeg", url, &["http://", "https://"]),
            Some(Source::Folder(dir)) if !dir.is_dir() => add("folder", format!("no folder `{}`", dir.display()), "a folder"),
            Some(Source::File(video)) if !video.is_file() => add("file", format!("no file `{}`", video.display()), "a video"),
            Some(Source::Folder(_) | Source::File(_)) => {}
        }
        if self.once && self.folder.is_none() && self.file.is_none() {
            add("once", "`true` of a stream".to_owned(), "a folder or a file to play once");
        }
        if self.password_env.is_some() && self.password_file.is_some() {
            add("password_file", "a file beside password_env".to_owned(), "one of the two");
        } else if self.user.is_none() && (self.password_env.is_some() || self.password_file.is_some()) {
            add("user", "nothing".to_owned(), "a user for the password");
        } else if let Err(error) = self.password() {
            add("password_env", error.to_string(), "a password");
        }
    }

    /// The password as it stands now; `None` when none is configured.
    pub(crate) fn password(&self) -> Result<Option<String>, BridgeError> {
        if let Some(name) = &self.password_env {
            return std::env::var(name).map(Some).map_err(|_| BridgeError::Environment { name: name.clone() });
        }
        let read = |path: &PathBuf| std::fs::read_to_string(path).map_err(|reason| BridgeError::File { path: path.clone(), reason });
        let text = self.password_file.as_ref().map(read).transpose()?;
        Ok(text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// The least time between two pictures, milliseconds.
    pub(crate) fn interval_ms(&self) -> i64 {
        (1000.0 / self.fps) as i64
    }
}

fn check_url(add: &mut impl FnMut(&str, String, &str), field: &str, url: &str, schemes: &[&str]) {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.unwrap_or_default().split(['/', '?']).next().unwrap_or_default();
    if host.contains('@') {
        // Not printed: what stands before the @ is a secret.
        return add(field, "a user in the address".to_owned(), "user, and password_env or password_file");
    }
    // The address goes to ffmpeg in a list of quoted lines.
    let whole = !host.is_empty() && url.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '\'' | '\\' | '"'));
    if !whole {
        add(field, format!("`{}`", url.escape_debug()), &format!("an address that begins with {}", schemes.join(" or ")));
    }
}

#[cfg(test)]
mod tests {
    use huong_types::load_toml;

    use super::*;

    fn problems_of(text: &str) -> String {
        let mut problems = Problems::default();
        let config: Option<BridgeConfig> = load_toml("cameras.toml", text, &mut problems);
        if let Some(config) = config {
            config.check("cameras.toml", &mut problems);
        }
        problems.to_string()
    }

    #[test]
    fn a_list_of_cameras_is_read() {
        let text = "status_every = \"10s\"\n[[camera]]\nid = \"cam-1\"\nfps = 0.5\nrtsp = \"rtsp://10.0.0.5:554/s1?x=1\"\nwidth = 1280\n";
        assert_eq!(problems_of(text), "");
    }

    #[test]
    fn the_shipped_list_is_valid() {
        assert_eq!(problems_of(include_str!("../../../config/cameras.toml")), "");
    }

    #[test]
    fn every_mistake_is_named_and_no_password() {
        let found = problems_of(
            "retry = \"1ms\"\nmax_bytes = 3\n[[camera]]\nid = \"a b\"\nfps = 0\nrtsp = \"rtsp://bob:secret@10.0.0.5/s1\"\n\
             [[camera]]\nid = \"x\"\nfps = 1\nmjpeg = \"rtsp://h/'\"\npassword_env = \"HUONG_NO_SUCH_VARIABLE\"\n\
             [[camera]]\nid = \"x\"\nfps = 1\nfolder = \"/nowhere\"\nfile = \"/nowhere\"\n[[camera]]\nid = \"y\"\nfps = 1\nfolder = \"/nowhere\"\nuser = \"u\"\npassword_env = \"HUONG_NO_SUCH_VARIABLE\"\n",
        );
        for expected in [
            "retry: found `1ms`",
            "max_bytes: found `3`",
            "camera[0].id: found `a b`",
            "camera[0].fps: found `0`",
            "camera[0].rtsp: found a user in the address",
            "camera[1].mjpeg: found `rtsp://h/\\'`",
            "camera[1].user: found nothing",
            "camera[2].rtsp: found no source, or several",
            "camera[2].id: found `x` again",
            "camera[3].folder: found no folder `/nowhere`",
            "camera[3].password_env: found environment variable is not set: HUONG_NO_SUCH_VARIABLE",
        ] {
            assert!(found.contains(expected), "{expected} in {found}");
        }
        assert!(!found.contains("secret"), "{found}");
    }
}
