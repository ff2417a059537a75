//! The user or program behind a request, and the hash by which a repeated request is recognised.

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

#[derive(Clone, Debug)]
pub struct Requester {
    /// The credential's id, the scope of idempotency keys.
    pub id: String,
    pub name: String,
}

/// Hash of a request. A key with other content is refused.
pub(crate) fn hash_request(request: &impl Serialize) -> String {
    HEXLOWER.encode(&Sha256::digest(serde_json::to_vec(request).unwrap_or_default()))
}
