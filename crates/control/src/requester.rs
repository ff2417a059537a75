//! The user or program behind a request, and the hash by which a repeated request is recognised.

use crate::{Context, Error};
use data_encoding::HEXLOWER;
use pullyard_domain::text::id::EventId;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::Request;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::str::FromStr;

#[derive(Clone, Debug)]
pub struct Requester {
    /// The credential's id, the scope of idempotency keys.
    pub id: String,
    pub name: String,
}

/// The record of a request with an idempotency key, in a scope of the caller.
pub(crate) fn new_request(
    scope: String,
    key: Option<EventId>,
    content: &impl Serialize,
    at: Timestamp,
) -> Option<Request> {
    key.map(|key| Request { caller: scope, key, content: hash_request(content), at })
}

/// The result of the caller's first request with this key; `None` if this is the first.
/// Errors: `KeyReused` if the first one had other content.
pub(crate) async fn find_first_result<T: FromStr>(
    ctx: &Context,
    request: Option<&Request>,
) -> Result<Option<T>, Error> {
    let Some(request) = request else { return Ok(None) };
    match ctx.store.load_request::<T>(request).await? {
        Some((content, _)) if content != request.content => Err(Error::KeyReused),
        first => Ok(first.map(|(_, result)| result)),
    }
}

/// Hash of a request. A key with other content is refused.
pub(crate) fn hash_request(request: &impl Serialize) -> String {
    HEXLOWER.encode(&Sha256::digest(serde_json::to_vec(request).unwrap_or_default()))
}
