//! An error of JSON-RPC.

use serde_json::{Value, json};

/// An error of the protocol. Tools report errors in their result, where the model reads them.
pub(super) struct RpcError(pub(super) Value);

impl RpcError {
    pub(super) fn new(code: i32, message: &str) -> Self {
        Self(json!({ "code": code, "message": message }))
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(-32602, message)
    }
}
