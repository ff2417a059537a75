//! Reading the JSON object a caller sent. What is not known in it is left, as Bitbucket does.

use serde::{Deserialize, de::DeserializeOwned};

use super::refusal::Refusal;

pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&format!("Bad request: {error}")))
}

/// Text as whoever sends it writes it: `{"raw": "…"}`.
#[derive(Deserialize)]
pub(super) struct Content {
    pub(super) raw: Option<String>,
}

/// Somebody, named by the UUID.
#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) uuid: Option<String>,
}
