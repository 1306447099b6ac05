//! The credentials of a handshake: `Basic`, base64 of `user:password` (RFC 7617). The password is the token; the user may be anything.
//!
//! Invariant: what is malformed is no token.

/// The token in an `authorization` header, of either kind.
pub(crate) fn token(header: &str) -> Option<String> {
    if let Some(token) = header.strip_prefix("Bearer ") {
        return Some(token.trim().to_owned());
    }
    let decoded = String::from_utf8(base64(header.strip_prefix("Basic ")?.trim())?).ok()?;
    let (_user, password) = decoded.split_once(':')?;
    Some(password.to_owned())
}

/// Standard base64, with or without padding (RFC 4648).
fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_in_both_kinds_of_headers() {
        for (header, expected) in [
            ("Bearer abc-123", Some("abc-123")),
            // The example of RFC 7617.
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some("open sesame")),
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", Some("open sesame")),
            ("Basic dTpwOnE=", Some("p:q")),
            ("Basic !!!!", None),
            ("Basic YWJj", None),
            ("Digest x", None),
        ] {
            assert_eq!(token(header).as_deref(), expected, "{header}");
        }
    }
}
