//! Whether an ID token says what it says: its signature, and for whom, by whom and until when it was made (OpenID Connect Core 1.0, 3.1.3.7).
//!
//! Invariant: nothing of a token is believed before its signature is; the algorithm is one of two, whatever the token names.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Seconds that the provider's clock may differ from ours.
const LEEWAY: u64 = 60;

/// A key of the provider (RFC 7517); of other kinds only the kind is read.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    kid: Option<String>,
    r#use: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// What a token must say.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client: &'a str,
    pub(crate) nonce: &'a str,
    /// Seconds since the epoch.
    pub(crate) now: u64,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it is no signed token")]
    Malformed,
    #[error("it is signed with another algorithm than RS256 and ES256")]
    Algorithm,
    #[error("none of the provider's keys is the one that it names")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("another issuer made it")]
    Issuer,
    #[error("it was made for another client")]
    Audience,
    #[error("its time is over")]
    Expired,
    #[error("its time has not come")]
    Early,
    #[error("it answers another sign-in")]
    Nonce,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

/// The claims of `token`, once it is shown to be what it must.
pub(crate) fn verify(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Value, Fault> {
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts[..] else { return Err(Fault::Malformed) };
    let header: Header = part(head)?;
    let kty = match header.alg.as_str() {
        "RS256" => "RSA",
        "ES256" => "EC",
        _ => return Err(Fault::Algorithm),
    };
    let fits = |key: &&Jwk| key.kty == kty && key.r#use.as_deref() != Some("enc") && (header.kid.is_none() || key.kid == header.kid);
    let mut fitting = keys.iter().filter(fits).peekable();
    fitting.peek().ok_or(Fault::Key)?;
    let signed = token.get(..head.len() + 1 + body.len()).ok_or(Fault::Malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Fault::Malformed)?;
    if !fitting.any(|key| key.signed(signed.as_bytes(), &signature)) {
        return Err(Fault::Signature);
    }
    let claims: Value = part(body)?;
    check(&claims, expected)?;
    Ok(claims)
}

fn check(claims: &Value, expected: &Expected<'_>) -> Result<(), Fault> {
    if claims["iss"] != expected.issuer {
        return Err(Fault::Issuer);
    }
    let ours = match &claims["aud"] {
        Value::Array(all) => all.iter().any(|one| one == expected.client) && (all.len() == 1 || claims["azp"] == expected.client),
        one => one == expected.client,
    };
    // Whoever it was given to must be us, where that is said at all.
    if !ours || claims.get("azp").is_some_and(|to| to != expected.client) {
        return Err(Fault::Audience);
    }
    // Times may have a fraction (RFC 7519, 2: NumericDate).
    let time = |name: &str| claims[name].as_f64();
    if time("exp").is_none_or(|until| until + LEEWAY as f64 <= expected.now as f64) {
        return Err(Fault::Expired);
    }
    if ["nbf", "iat"].iter().filter_map(|name| time(name)).any(|from| from > (expected.now + LEEWAY) as f64) {
        return Err(Fault::Early);
    }
    if claims["nonce"] == expected.nonce { Ok(()) } else { Err(Fault::Nonce) }
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Fault::Malformed)
}

impl Jwk {
    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?.trim_end_matches('=')).ok();
        match (number(&self.n), number(&self.e), number(&self.x), number(&self.y)) {
            (Some(n), Some(e), ..) => RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok(),
            (_, _, Some(x), Some(y)) if self.crv.as_deref() == Some("P-256") => {
                let point = [&[4], &x[..], &y[..]].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_761_541_200;

    struct Provider {
        pair: EcdsaKeyPair,
        keys: Vec<Jwk>,
    }

    fn provider() -> Provider {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random).expect("a key");
        let point = pair.public_key().as_ref();
        let key = json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]) });
        Provider { keys: vec![serde_json::from_value(key).expect("a key")], pair }
    }

    impl Provider {
        fn token(&self, header: &Value, claims: &Value) -> String {
            let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", text(header), text(claims));
            let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("signs");
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }

        fn verify(&self, token: &str) -> Result<Value, Fault> {
            verify(token, &self.keys, &Expected { issuer: "https://sso.invalid", client: "huong", nonce: "n", now: NOW })
        }
    }

    fn claims() -> Value {
        json!({ "iss": "https://sso.invalid", "aud": "huong", "exp": NOW + 300, "iat": NOW, "nonce": "n", "sub": "1" })
    }

    #[test]
    fn each_claim_counts() {
        let provider = provider();
        let good = json!({ "alg": "ES256", "kid": "a" });
        let told = |change: Value| {
            let mut all = claims();
            all.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            provider.verify(&provider.token(&good, &all)).map(|claims| claims["sub"].clone())
        };
        assert_eq!(told(json!({})), Ok(json!("1")));
        assert_eq!(told(json!({ "aud": ["huong"] })), Ok(json!("1")));
        assert_eq!(told(json!({ "aud": ["huong", "other"], "azp": "huong" })), Ok(json!("1")));
        assert_eq!(told(json!({ "exp": NOW as f64 - 59.5 })), Ok(json!("1")), "clocks differ");
        for (change, fault) in [
            (json!({ "iss": "https://sso.invalid/" }), Fault::Issuer),
            (json!({ "iss": null }), Fault::Issuer),
            (json!({ "aud": "other" }), Fault::Audience),
            (json!({ "aud": [] }), Fault::Audience),
            (json!({ "aud": ["huong", "other"] }), Fault::Audience),
            (json!({ "azp": "other" }), Fault::Audience),
            (json!({ "exp": NOW - 60 }), Fault::Expired),
            (json!({ "exp": null }), Fault::Expired),
            (json!({ "nbf": NOW + 61 }), Fault::Early),
            (json!({ "iat": NOW + 3600 }), Fault::Early),
            (json!({ "nonce": "m" }), Fault::Nonce),
            (json!({ "nonce": null }), Fault::Nonce),
        ] {
            assert_eq!(told(change.clone()), Err(fault), "{change}");
        }
    }

    #[test]
    fn no_other_algorithm_no_other_key_and_no_other_text() {
        let (ours, theirs) = (provider(), provider());
        for (header, fault) in [
            (json!({ "alg": "none" }), Fault::Algorithm),
            (json!({ "alg": "HS256", "kid": "a" }), Fault::Algorithm),
            (json!({ "alg": "RS256", "kid": "a" }), Fault::Key),
            (json!({ "alg": "ES256", "kid": "b" }), Fault::Key),
        ] {
            assert_eq!(ours.verify(&ours.token(&header, &claims())), Err(fault), "{header}");
        }
        let good = ours.token(&json!({ "alg": "ES256" }), &claims());
        assert!(ours.verify(&good).is_ok(), "a provider with one key may leave its name out");
        assert_eq!(theirs.verify(&good), Err(Fault::Signature));
        let (head, rest) = good.split_once('.').expect("parts");
        let (body, signature) = rest.split_once('.').expect("parts");
        let other = URL_SAFE_NO_PAD.encode(claims().to_string().replace("\"1\"", "\"2\""));
        assert_eq!(ours.verify(&format!("{head}.{other}.{signature}")), Err(Fault::Signature));
        assert_eq!(ours.verify(&format!("{head}.{body}.")), Err(Fault::Signature));
        for broken in ["", "a.b", "a.b.c", &format!("{good}.x"), &format!("{head}.{body}.{signature}=")] {
            assert_eq!(ours.verify(broken), Err(Fault::Malformed), "{broken}");
        }
    }
}
