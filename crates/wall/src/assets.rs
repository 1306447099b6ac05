//! The pages' own files, embedded in the binary.
//!
//! Invariant: the pages need nothing but these and the API, so they work with no network beyond this server.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::server::refusal;

struct File {
    name: &'static str,
    plain: &'static [u8],
    /// gzip.
    packed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Shown in place of every page when the screens were not built.
const MISSING: &str = include_str!("../assets/missing.html");

/// Their names change with their content.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

static BUILD: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    MISSING.hash(&mut hasher);
    FILES.iter().for_each(|file| (file.name, file.plain).hash(&mut hasher));
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hasher.finish())
});

/// Changes whenever a file of the pages does.
pub(crate) fn build() -> &'static str {
    &BUILD
}

/// `/` is the wall; other pages are named like their files.
pub(crate) async fn page(uri: Uri, headers: HeaderMap) -> Response {
    let name = match uri.path().trim_matches('/') {
        "" => "wall.html".to_owned(),
        name => format!("{name}.html"),
    };
    match FILES.iter().find(|file| file.name == name) {
        Some(file) => serve(file, &headers, ASK_AGAIN),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], MISSING).into_response(),
    }
}

/// Files that browsers look for by fixed names.
pub(crate) async fn fixed(uri: Uri, headers: HeaderMap) -> Response {
    find(uri.path().trim_start_matches('/'), &headers, ASK_AGAIN)
}

pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    find(&format!("assets/{name}"), &headers, FOREVER)
}

fn find(name: &str, headers: &HeaderMap, keep: HeaderValue) -> Response {
    match FILES.iter().find(|file| file.name == name) {
        Some(file) => serve(file, headers, keep),
        None => refusal(StatusCode::NOT_FOUND, "no such file"),
    }
}

fn serve(file: &File, headers: &HeaderMap, keep: HeaderValue) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let packed = file.packed.len() < file.plain.len() && accepted.split(',').any(|coding| coding.trim() == "gzip");
    let body = Bytes::from_static(if packed { file.packed } else { file.plain });
    let mut response = ([(header::CONTENT_TYPE, kind(file.name))], body).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, keep);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if packed {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("pbf") => "application/x-protobuf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_page_has_an_inline_script_or_style() {
        let pages = FILES.iter().filter(|file| file.name.ends_with(".html")).map(|file| String::from_utf8_lossy(file.plain).into_owned());
        for page in pages.chain([MISSING.to_owned()]) {
            for forbidden in ["<script>", "<style", "style=\"", "onclick=", "src=\"http", "href=\"http"] {
                assert!(!page.contains(forbidden), "`{forbidden}` in {page}");
            }
        }
    }
}
