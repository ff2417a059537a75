//! How a call says who asks. What it asks is not known here.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderValue;

use super::app_key::AppKey;
use crate::{Error, Token};

/// Who asks.
#[derive(Clone)]
pub(super) enum Credential {
    Nobody,
    Token(Token),
    /// Signed anew for each request, so that none is sent twice and all are young.
    App {
        issuer: String,
        key: AppKey,
    },
}

impl Credential {
    /// What the next request says; nothing of nobody.
    pub(super) fn next(&self) -> Result<Option<Token>, Error> {
        Ok(match self {
            Self::Nobody => None,
            Self::Token(token) => Some(token.clone()),
            Self::App { issuer, key } => Some(key.jwt(issuer, seconds_now(), rand::random())?),
        })
    }
}

/// A token as a header.
pub(super) fn bearer(token: &Token) -> Result<HeaderValue, Error> {
    token.bearer().ok_or_else(|| Error::Settings { reason: "the token has impossible characters".to_owned() })
}

/// Seconds since 1970.
pub(super) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
