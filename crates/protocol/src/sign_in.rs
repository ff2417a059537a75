//! Sign-in of a browser: `POST /v1/sign-in-links`.

use serde::{Deserialize, Serialize};

/// `POST /v1/sign-in-links`: the caller's own token says with which rights.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateSignInLink {}

/// A link that signs one browser in, once.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInLink {
    /// Where to go. A credential until it is used: not for logs.
    pub url: String,
    /// How long it works.
    pub expires_in_secs: u64,
}

impl std::fmt::Debug for SignInLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The link never reaches a log.
        f.debug_struct("SignInLink").field("expires_in_secs", &self.expires_in_secs).finish_non_exhaustive()
    }
}
