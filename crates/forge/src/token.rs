//! A forge token with redacted `Debug` output; its format is not validated, because forges have changed it before.

use reqwest::header::HeaderValue;

#[derive(Clone)]
pub struct Token(String);

impl Token {
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn bearer(&self) -> Option<HeaderValue> {
        let is_valid = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic());
        let mut header = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        header.set_sensitive(true);
        is_valid.then_some(header)
    }

    pub(crate) fn redact(&self, text: &str) -> String {
        // Replacing an empty string would insert text between all characters.
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, "[token]") }
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
    fn token_is_never_printed() {
        let token = Token::new("ghs_1_secret");
        assert!(!format!("{token:?} {:?}", token.bearer()).contains("secret"));
        assert_eq!(token.redact("bad ghs_1_secret!"), "bad [token]!");
    }

    #[test]
    fn token_invalid_as_header_has_no_bearer() {
        for bad in ["", "a b", "a\nb", "ü"] {
            assert!(Token::new(bad).bearer().is_none(), "{bad:?}");
        }
    }
}
