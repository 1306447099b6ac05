//! The parameters behind the `?` of an address. Invariant: text or nothing; no half-decoded value goes on.

/// In the order given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

/// Not percent-encoded UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Parameters {
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    /// Takes the first value of `name` out.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// The name of the first that nobody has taken.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(|(name, _)| name.as_str())
    }
}

fn decode(text: &str) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(Malformed);
                u8::try_from(digit()? * 16 + digit()?).map_err(|_| Malformed)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_or_refused() {
        let mut parameters = Parameters::parse("sql=SELECT+1%2B1&&format=csv&key=th%C6%B0%E1%BB%A3ng&format=json&bare").expect("sound");
        assert_eq!(parameters.take("sql").as_deref(), Some("SELECT 1+1"));
        assert_eq!(parameters.take("key").as_deref(), Some("thượng"));
        assert_eq!((parameters.take("format").as_deref(), parameters.take("format").as_deref()), (Some("csv"), Some("json")));
        assert_eq!(parameters.first(), Some("bare"));
        assert_eq!(parameters.take("bare").as_deref(), Some(""));
        assert_eq!(parameters.first(), None);
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%ff=a"] {
            assert_eq!(Parameters::parse(text), Err(Malformed), "{text}");
        }
    }
}
