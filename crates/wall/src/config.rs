//! The `[wall]` section.
//!
//! Invariant: a configuration that passes [`WallConfig::check`] never opens the city's data to a network without tokens.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use huong_types::{Problems, Span};
use serde::{Deserialize, Serialize};

use crate::auth::Tokens;
use crate::oidc::OidcConfig;
use crate::users::Users;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WallConfig {
    /// Where to listen. Anything but a loopback address needs tokens.
    pub listen: SocketAddr,
    /// A file of lines `role name hash`, as `huong user` prints them: people who sign in. Role `viewer`, `operator`, `flood`, `police` or `admin`.
    pub users_file: Option<PathBuf>,
    /// People of the city's own accounts, by OpenID Connect.
    pub oidc: Option<OidcConfig>,
    /// A file of lines `role name token`, for devices and scripts; `#` starts a comment.
    pub tokens_file: Option<PathBuf>,
    /// An environment variable with the same lines.
    pub tokens_env: Option<String>,
    /// Whoever reaches it may look without signing in, though users or tokens are configured. On loopback only.
    pub open: bool,
    /// How long a person stays signed in.
    pub session: Span,
    /// Where sessions and the pinned scene are kept over a restart; without it they end with the program.
    pub dir: Option<PathBuf>,
    /// A certificate and its key, PEM files. Needed for any address but loopback.
    pub tls: Option<WallTls>,
    /// GeoJSON of rivers, roads and wards to draw the map from.
    pub map: Option<PathBuf>,
    /// Map tiles or a PMTiles file instead, from another server.
    pub tiles: Option<Tiles>,
    /// Connections served at once; more wait to be accepted.
    pub max_connections: usize,
    /// Screens served at once; one more is refused.
    pub max_screens: usize,
    /// Events kept for one screen; a screen that falls further behind is disconnected.
    pub screen_queue: usize,
}

/// PEM files, read at the start.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WallTls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Where the map comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    pub kind: TileKind,
    /// `https://`, for `tiles` with `{z}`, `{x}` and `{y}`.
    pub url: String,
    /// Who made the map: most licences ask for it.
    pub attribution: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TileKind {
    Tiles,
    Pmtiles,
}

impl Tiles {
    /// Scheme, host and port: what the page must be allowed to load from.
    pub(crate) fn origin(&self) -> Option<&str> {
        let rest = self.url.strip_prefix("https://")?;
        let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
        let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b));
        plain.then(|| &self.url[..self.url.len() - rest.len() + host.len()])
    }
}

impl Default for WallConfig {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        Self {
            listen,
            users_file: None,
            oidc: None,
            tokens_file: None,
            tokens_env: None,
            open: false,
            session: Span::from_mins(12 * 60),
            dir: None,
            tls: None,
            map: None,
            tiles: None,
            max_connections: 256,
            max_screens: 32,
            screen_queue: 64,
        }
    }
}

impl WallConfig {
    /// Every mistake goes to `problems`, `path` being this section's path in `file`. Reads the tokens to check them.
    pub fn check(&self, file: &str, path: &str, problems: &mut Problems) {
        for (name, value) in
            [("max_connections", self.max_connections), ("max_screens", self.max_screens), ("screen_queue", self.screen_queue)]
        {
            if value == 0 {
                problems.add(file, format!("{path}.{name}"), "`0`", "at least 1");
            }
        }
        if self.session <= Span::ZERO {
            problems.add(file, format!("{path}.session"), format!("`{}`", self.session), "more than 0s");
        }
        let (tokens, users) = (Tokens::load(self), Users::load(self));
        let nobody = matches!((&tokens, &users), (Ok(tokens), Ok(users)) if tokens.is_empty() && users.is_empty()) && self.oidc.is_none();
        for mistake in [tokens.err(), users.err()].into_iter().flatten().flatten() {
            problems.add(file, format!("{path}.{}", mistake.field), mistake.found, mistake.expected);
        }
        if let Some(oidc) = &self.oidc {
            oidc.check(file, &format!("{path}.oidc"), problems);
        }
        if !self.listen.ip().is_loopback() {
            let listen = format!("{path}.listen");
            if nobody {
                let expected = "a loopback address, or users_file, oidc, tokens_file or tokens_env";
                problems.add(file, listen.clone(), format!("`{}` without users and tokens", self.listen), expected);
            }
            if self.open {
                problems.add(file, format!("{path}.open"), "`true`", "false, or a loopback address");
            }
            if self.tls.is_none() {
                problems.add(file, listen, format!("`{}` without tls", self.listen), "a loopback address, or tls = { cert, key }");
            }
        }
        if let Some(tls) = &self.tls
            && let Err(found) = crate::tls::acceptor(tls)
        {
            problems.add(file, format!("{path}.tls"), found, "a certificate and its private key as PEM files");
        }
        if let Some(map) = &self.map
            && let Err(found) = read_map(map)
        {
            problems.add(file, format!("{path}.map"), found, "a GeoJSON FeatureCollection");
        }
        if let Some(tiles) = &self.tiles
            && tiles.origin().is_none()
        {
            problems.add(file, format!("{path}.tiles.url"), format!("`{}`", tiles.url), "an https:// address");
        }
    }
}

/// The GeoJSON of `file`, as its bytes.
pub(crate) fn read_map(file: &Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("`{}`: {error}", file.display()))?;
    let map: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| format!("`{}`: {error}", file.display()))?;
    if map["type"] == "FeatureCollection" { Ok(bytes) } else { Err(format!("`{}`: type {}", file.display(), map["type"])) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use huong_types::load_toml;

    fn problems_of(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let config: WallConfig = load_toml("huong.toml", text, &mut problems).expect("defaults fill the rest");
        config.check("huong.toml", "wall", &mut problems);
        problems.list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_default_is_loopback_and_valid() {
        assert_eq!(problems_of(""), Vec::<String>::new());
        assert!(WallConfig::default().listen.ip().is_loopback());
    }

    #[test]
    fn an_open_address_needs_tokens() {
        let lines = problems_of("listen = \"0.0.0.0:8080\"\nscreen_queue = 0");
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[1].starts_with("huong.toml: wall.listen: found `0.0.0.0:8080` without users and tokens"), "{lines:#?}");
        assert!(lines[2].starts_with("huong.toml: wall.listen: found `0.0.0.0:8080` without tls"), "{lines:#?}");
    }

    #[test]
    fn bad_tokens_are_named_by_line_without_showing_them() {
        let dir = tempfile::tempdir().expect("a directory for the tokens");
        let file = dir.path().join("tokens");
        std::fs::write(&file, "# who\noperator duty 0123456789abcdef\nboss duty2 0123456789abcdefg\nviewer tv short\nviewer\n")
            .expect("write the tokens");
        let text = format!("tokens_file = {:?}", file.display().to_string());
        let lines = problems_of(&text);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[0].contains("line 3: role `boss`"), "{lines:#?}");
        assert!(lines[1].contains("line 5: 1 words"), "{lines:#?}");
        assert!(lines[2].contains("`tv`: a token of 5 characters") && !lines[2].contains("short"), "{lines:#?}");
        assert!(problems_of("tokens_env = \"HUONG_NO_SUCH_VARIABLE\"")[0].contains("tokens_env"));
    }
}
