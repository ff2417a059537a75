//! Why an exchange has no answer.

use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the address cannot be used: {reason}")]
    Url { reason: &'static str },
    /// Does not repeat the address, which would tell a stranger how names resolve inside the deployment.
    #[error(
        "the address is in a private, local or reserved network; the operator of Pullyard can allow its range with \
         OutboundAllow"
    )]
    AddressNotAllowed,
    #[error("no complete answer within {} s", limit.as_secs())]
    Timeout { limit: Duration },
    #[error("cannot reach the address: {reason}")]
    Unreachable { reason: String },
    #[error("the answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
}

impl Error {
    /// Whether the same request can succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Unreachable { .. })
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "url_invalid",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::Timeout { .. } => "timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::TooLarge { .. } => "response_too_large",
        }
    }
}
