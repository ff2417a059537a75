//! Sign-in of a browser: `POST /v1/sign-in-links`.

use serde::{Deserialize, Serialize};

/// A link that signs in one browser, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignInLink {
    /// URL to open. A credential until it is used: do not log it.
    pub url: String,
    /// Lifetime of the link.
    pub expires_in_secs: u64,
}

debug_only!(SignInLink { expires_in_secs });
