//! The page's own files, embedded in the binary.
//!
//! Invariant: the page needs nothing but these and the API, so it works with no network beyond this server.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) body: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

/// The page itself; served for `/` and `/wall`.
pub(crate) const PAGE: &str = include_str!("../assets/wall.html");

/// Served under `/assets/`.
const ASSETS: &[Asset] = &[
    Asset { path: "wall.css", kind: "text/css; charset=utf-8", body: include_str!("../assets/wall.css") },
    Asset { path: "main.js", kind: SCRIPT, body: include_str!("../assets/main.js") },
    Asset { path: "link.js", kind: SCRIPT, body: include_str!("../assets/link.js") },
    Asset { path: "format.js", kind: SCRIPT, body: include_str!("../assets/format.js") },
    Asset { path: "dom.js", kind: SCRIPT, body: include_str!("../assets/dom.js") },
    Asset { path: "alerts.js", kind: SCRIPT, body: include_str!("../assets/alerts.js") },
    Asset { path: "stations.js", kind: SCRIPT, body: include_str!("../assets/stations.js") },
    Asset { path: "cameras.js", kind: SCRIPT, body: include_str!("../assets/cameras.js") },
    Asset { path: "figures.js", kind: SCRIPT, body: include_str!("../assets/figures.js") },
    Asset { path: "ledger.js", kind: SCRIPT, body: include_str!("../assets/ledger.js") },
    Asset { path: "vi.json", kind: JSON, body: include_str!("../texts/vi.json") },
    Asset { path: "en.json", kind: JSON, body: include_str!("../texts/en.json") },
];

static BUILD: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    PAGE.hash(&mut hasher);
    ASSETS.iter().for_each(|asset| asset.body.hash(&mut hasher));
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
});

/// Changes whenever a file of the page does.
pub(crate) fn build() -> &'static str {
    &BUILD
}

pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn catalogue(path: &str) -> BTreeMap<String, String> {
        serde_json::from_str(find(path).expect("the catalogue is an asset").body).expect("one flat table of texts")
    }

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let (vi, en) = (catalogue("vi.json"), catalogue("en.json"));
        assert_eq!(vi.keys().collect::<Vec<_>>(), en.keys().collect::<Vec<_>>());
        for (key, text) in &vi {
            assert!(!text.trim().is_empty() && !en[key].trim().is_empty(), "`{key}` is empty");
            assert_eq!(placeholders(text), placeholders(&en[key]), "`{key}` has other placeholders in English");
        }
    }

    #[test]
    fn every_text_used_is_in_the_catalogue_and_every_text_there_is_used() {
        let vi = catalogue("vi.json");
        let scripts: String = ASSETS.iter().filter(|a| a.kind == SCRIPT).map(|a| a.body).chain([PAGE]).collect();
        let used = |start: &str, end: char| -> BTreeSet<String> {
            scripts.split(start).skip(1).filter_map(|rest| rest.split_once(end)).map(|(key, _)| key.to_owned()).collect()
        };
        let named: BTreeSet<String> =
            used("data-text=\"", '"').into_iter().chain(used("texts.both(\"", '"')).chain(used("texts.vi(\"", '"')).collect();
        for key in &named {
            assert!(vi.contains_key(key), "`{key}` is used and has no text");
        }
        for key in vi.keys() {
            // Kinds, units of time and fields are looked up by a name that data brings.
            let by_data = ["kind.", "field."].iter().any(|prefix| key.starts_with(prefix));
            assert!(by_data || named.contains(key), "`{key}` is used nowhere");
        }
    }

    #[test]
    fn the_page_has_no_inline_script_or_style_and_no_address_elsewhere() {
        for text in ASSETS.iter().map(|asset| asset.body).chain([PAGE]) {
            for forbidden in ["<script>", "style=\"", "onclick=", "https://", "innerHTML"] {
                assert!(!text.contains(forbidden), "`{forbidden}` in the page");
            }
        }
    }
}
