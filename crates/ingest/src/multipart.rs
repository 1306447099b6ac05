//! The parts of a `multipart/form-data` body (RFC 7578, RFC 2046 §5.1.1), as slices of it.
//!
//! Invariant: splitting any bytes ends, copies nothing and yields at most [`MOST_PARTS`].

/// A camera sends an event and two or three pictures.
const MOST_PARTS: usize = 16;

#[derive(Debug, PartialEq)]
pub(crate) struct Part<'b> {
    /// Header lines, as they are.
    head: &'b [u8],
    pub(crate) body: &'b [u8],
}

impl Part<'_> {
    /// True when a header says that it is of this type, `xml` or `image`, by its content type or a file name's end.
    pub(crate) fn is(&self, kind: &str) -> bool {
        String::from_utf8_lossy(self.head).to_ascii_lowercase().contains(kind)
    }
}

/// The boundary that a content type names; `None` for what is not multipart.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    // RFC 2046: 1 to 70 characters.
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// The parts between the delimiters; what is cut off at the end counts as a part, as far as it came.
pub(crate) fn parts<'b>(body: &'b [u8], boundary: &str) -> Vec<Part<'b>> {
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut parts = Vec::new();
    let mut start = None;
    let lines = std::iter::once(0).chain(body.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1));
    for line in lines.filter(|line| body[*line..].starts_with(&delimiter)) {
        if let Some(start) = start {
            parts.extend(part(&body[start..line]));
        }
        start = Some(line + delimiter.len());
        if parts.len() == MOST_PARTS || body[line + delimiter.len()..].starts_with(b"--") {
            return parts;
        }
    }
    parts.extend(start.and_then(|start| part(&body[start..])));
    parts
}

/// Splits at the first empty line, which may be the first; the line break before the next delimiter is the delimiter's.
fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let begins = bytes.starts_with(b"\r\n") || bytes.starts_with(b"\n");
    let (head, body) = [&b"\r\n\r\n"[..], b"\n\n"].iter().filter(|_| begins).find_map(|empty| {
        let at = bytes.windows(empty.len()).position(|window| window == *empty)?;
        Some((&bytes[..at], &bytes[at + empty.len()..]))
    })?;
    Some(Part { head, body: body.strip_suffix(b"\r\n").or_else(|| body.strip_suffix(b"\n")).unwrap_or(body) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_split_at_their_delimiters() {
        let body = b"preamble\r\n--b\r\nContent-Disposition: form-data; name=\"anpr.xml\"\r\nContent-Type: text/xml\r\n\r\n<a>--b</a>\r\n--b\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\n\r\n\r\n--b--\r\nepilogue";
        let found = parts(body, "b");
        assert_eq!(found.iter().map(|part| part.body).collect::<Vec<_>>(), [&b"<a>--b</a>"[..], b"\xff\xd8\n\r\n"]);
        assert!(found[0].is("xml") && !found[0].is("image") && found[1].is("image"));
        for (cut, expected) in [(body.len() - 19, 2), (60, 0), (0, 0)] {
            assert_eq!(parts(&body[..cut], "b").len(), expected, "{cut}");
        }
        assert_eq!(parts(&b"--b\r\n\r\nx\r\n".repeat(100), "b").len(), MOST_PARTS);
    }

    #[test]
    fn the_boundary_is_a_parameter_of_a_multipart_type() {
        for (text, expected) in [
            ("multipart/form-data; boundary=MIME_boundary", Some("MIME_boundary")),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data; boundary=", None),
            ("application/xml; boundary=x", None),
            ("multipart/form-data", None),
        ] {
            assert_eq!(boundary(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end(body in proptest::collection::vec(proptest::sample::select(b"-b\r\n x:".to_vec()), 0..200)) {
            let found = parts(&body, "b");
            proptest::prop_assert!(found.iter().map(|part| part.head.len() + part.body.len()).sum::<usize>() <= body.len());
        }
    }
}
