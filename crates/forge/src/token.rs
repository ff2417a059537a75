//! A forge token that can't be printed by accident.
//! It does not know how tokens look: their length and alphabet have changed before.

use reqwest::header::HeaderValue;

/// The secret that a forge knows us by.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Wraps the token; that it is one is found out at the first call.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself, for whoever it is made for.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// As an `Authorization` header, or `None` when it can't be one.
    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        let fits = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic());
        let mut header = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        header.set_sensitive(true);
        fits.then_some(header)
    }

    /// Foreign words with the token taken out, should a server have repeated it.
    pub(crate) fn redact(&self, words: &str) -> String {
        // Nothing is between any two characters.
        if self.0.is_empty() { words.to_owned() } else { words.replace(&self.0, "[token]") }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::new("ghs_1_secret");
        assert!(!format!("{token:?} {:?}", token.bearer()).contains("secret"));
        assert_eq!(token.redact("bad ghs_1_secret!"), "bad [token]!");
    }

    #[test]
    fn what_is_no_header_is_no_token() {
        for bad in ["", "a b", "a\nb", "ü"] {
            assert!(Token::new(bad).bearer().is_none(), "{bad:?}");
        }
    }
}
