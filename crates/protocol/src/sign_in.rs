//! Sign-in of a browser: `POST /v1/sign-in-links`.

use serde::{Deserialize, Serialize};

/// Body of `POST /v1/sign-in-links`. The link gets the rights of the caller's token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSignInLink {}

/// A link that signs in one browser, once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignInLink {
    /// URL to open. A credential until it is used: do not log it.
    pub url: String,
    /// Lifetime of the link.
    pub expires_in_secs: u64,
}

impl std::fmt::Debug for SignInLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The link must not reach a log.
        f.debug_struct("SignInLink").field("expires_in_secs", &self.expires_in_secs).finish_non_exhaustive()
    }
}
