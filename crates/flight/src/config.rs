//! The `[flight]` section. Invariant: absent, nothing listens.

use std::net::SocketAddr;

use huong_types::Problems;
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlightConfig {
    /// Where to listen. There is no TLS here: beyond this machine, put a proxy before it that has.
    pub listen: SocketAddr,
}

impl FlightConfig {
    /// Every mistake goes to `problems`, `path` being this section's path in `file`. Statements read plates and calls, so somebody must
    /// be known who may ask: `has_tokens` says that tokens are configured.
    pub fn check(&self, has_tokens: bool, file: &str, path: &str, problems: &mut Problems) {
        if !has_tokens {
            let expected = "an operator's token in tokens_file or tokens_env of [wall]";
            problems.add(file, format!("{path}.listen"), format!("`{}` without tokens", self.listen), expected);
        }
    }
}

#[cfg(test)]
mod tests {
    use huong_types::load_toml;

    use super::*;

    #[test]
    fn nobody_may_ask_without_a_token() {
        let mut problems = Problems::default();
        let config: FlightConfig = load_toml("huong.toml", "listen = \"127.0.0.1:8082\"", &mut problems).expect("sound");
        config.check(true, "huong.toml", "flight", &mut problems);
        assert!(problems.is_empty(), "{problems}");
        config.check(false, "huong.toml", "flight", &mut problems);
        assert!(problems.list[0].to_string().contains("flight.listen: found `127.0.0.1:8082` without tokens"), "{problems}");
    }
}
