//! The `[wall]` section.
//!
//! Invariant: a configuration that passes [`WallConfig::check`] never opens the city's data to a network without tokens.

use std::net::SocketAddr;
use std::path::PathBuf;

use huong_types::Problems;
use serde::Deserialize;

use crate::auth::Tokens;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WallConfig {
    /// Where to listen. Anything but a loopback address needs tokens.
    pub listen: SocketAddr,
    /// A file of lines `role name token`, role `viewer` or `operator`; `#` starts a comment.
    pub tokens_file: Option<PathBuf>,
    /// An environment variable with the same lines.
    pub tokens_env: Option<String>,
    /// Connections served at once; more wait to be accepted.
    pub max_connections: usize,
    /// Screens served at once; one more is refused.
    pub max_screens: usize,
    /// Events kept for one screen; a screen that falls further behind is disconnected.
    pub screen_queue: usize,
}

impl Default for WallConfig {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        Self { listen, tokens_file: None, tokens_env: None, max_connections: 256, max_screens: 32, screen_queue: 64 }
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
        match Tokens::load(self) {
            Err(mistakes) => {
                for mistake in mistakes {
                    problems.add(file, format!("{path}.{}", mistake.field), mistake.found, mistake.expected);
                }
            }
            Ok(tokens) if tokens.is_empty() && !self.listen.ip().is_loopback() => {
                let expected = "a loopback address, or tokens in tokens_file or tokens_env";
                problems.add(file, format!("{path}.listen"), format!("`{}` without tokens", self.listen), expected);
            }
            Ok(_) => {}
        }
    }
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
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[1].starts_with("huong.toml: wall.listen: found `0.0.0.0:8080` without tokens"), "{lines:#?}");
    }

    #[test]
    fn bad_tokens_are_named_by_line_without_showing_them() {
        let dir = tempfile::tempdir().expect("a directory for the tokens");
        let file = dir.path().join("tokens");
        std::fs::write(&file, "# who\noperator duty 0123456789abcdef\nboss duty2 0123456789abcdefg\nviewer tv short\nviewer\n")
            .expect("write the tokens");
        let text = format!("listen = \"0.0.0.0:1\"\ntokens_file = {:?}", file.display().to_string());
        let lines = problems_of(&text);
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[0].contains("line 3: role `boss`"), "{lines:#?}");
        assert!(lines[1].contains("line 4: a token of 5 characters") && !lines[1].contains("short"), "{lines:#?}");
        assert!(lines[2].contains("line 5: 1 words"), "{lines:#?}");
        assert!(problems_of("tokens_env = \"HUONG_NO_SUCH_VARIABLE\"")[0].contains("tokens_env"));
    }
}
