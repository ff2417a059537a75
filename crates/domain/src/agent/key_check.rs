//! The result of testing a model key with one request to its provider.

use serde::{Deserialize, Serialize};

/// The provider's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelKeyTest {
    /// The provider accepts the key.
    Accepted,
    /// The provider does not know the key.
    Refused,
    /// The provider knows the key, which lacks the permission that the test needs. A job may need less.
    Forbidden,
    /// The account's quota or rate limit is reached.
    Limited,
    /// The provider did not answer.
    Unreachable,
    /// The provider answered with another error.
    Failed,
    /// A subscription's credential has no free request that could test it.
    Untestable,
}

impl ModelKeyTest {
    pub fn is_refusal(self) -> bool {
        self == Self::Refused
    }

    pub fn sentence(self) -> &'static str {
        match self {
            Self::Accepted => "The model’s provider accepts the key.",
            Self::Refused => "The model’s provider does not accept the key.",
            Self::Forbidden => "The model’s provider knows the key, which may not list models.",
            Self::Limited => "The key’s quota or rate limit at the model’s provider is reached.",
            Self::Unreachable => "Pullyard got no answer from the model’s provider.",
            Self::Failed => "The model’s provider answered the test with an error.",
            Self::Untestable => "A subscription’s credential cannot be tested without a job.",
        }
    }

    pub fn help(self) -> &'static str {
        match self {
            Self::Accepted => "The test is free, so it does not show whether the account has credit.",
            Self::Refused => "Copy the key again without spaces, or create a new one at the provider.",
            Self::Forbidden => "Jobs may work nevertheless. To test it, allow the key to read models at the provider.",
            Self::Limited => "Raise the limit at the provider, or test again later.",
            Self::Unreachable => {
                "Check the network and the address of the model, then test again. Jobs may reach it from elsewhere."
            }
            Self::Failed => "Test again in a minute. If the error remains, check the address of the model.",
            Self::Untestable => "The first job shows whether it works.",
        }
    }
}
