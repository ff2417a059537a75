//! Credentials of a GitHub call.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::HeaderValue;

use super::app_key::AppKey;
use crate::{Error, Token};

#[derive(Clone)]
pub(super) enum Credential {
    Anonymous,
    Token(Token),
    /// A new JWT per request, so that none is reused or expired.
    App {
        issuer: String,
        key: AppKey,
    },
}

impl Credential {
    pub(super) fn next_token(&self) -> Result<Option<Token>, Error> {
        Ok(match self {
            Self::Anonymous => None,
            Self::Token(token) => Some(token.clone()),
            Self::App { issuer, key } => Some(key.jwt(issuer, unix_secs_now(), rand::random())?),
        })
    }
}

pub(super) fn bearer(token: &Token) -> Result<HeaderValue, Error> {
    token.bearer().ok_or_else(|| Error::Settings {
        reason: "the token has invalid characters: only printable ASCII without spaces is allowed".to_owned(),
    })
}

pub(super) fn unix_secs_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
