//! Parses JSON bodies. Unknown fields are ignored, as on Bitbucket.

use serde::{Deserialize, de::DeserializeOwned};

use super::refusal::Refusal;

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&format!("Bad request: {error}")))
}

#[derive(Deserialize)]
pub(super) struct Content {
    pub(super) raw: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct AccountRef {
    pub(super) uuid: Option<String>,
}
