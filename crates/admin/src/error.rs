//! How asking AWS can fail.

/// Why AWS did not say what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Neither flag, environment nor profile name a region.
    #[error("choose a region: none is named")]
    NoRegion,
    /// There are no credentials, or they could not be got.
    #[error("sign in to AWS: {reason}")]
    NoCredentials {
        /// What the SDK says.
        reason: String,
    },
    /// The AWS CLI exported no credentials.
    #[error("sign in to AWS: {reason}")]
    NotExported {
        /// The cause, without the AWS CLI's own words.
        reason: String,
        /// The fix, as a part of a line.
        help: String,
    },
    /// Nobody answered.
    #[error("reach {service} in {region}: {reason}")]
    Unreachable {
        /// Which service.
        service: &'static str,
        /// Where.
        region: String,
        /// Why not.
        reason: String,
    },
    /// The service refused.
    #[error("{operation}: {message} ({code})")]
    Refused {
        /// What was tried.
        operation: String,
        /// The service's code, without a namespace.
        code: String,
        /// The service's words.
        message: String,
    },
    /// The answer is not what the service documents.
    #[error("understand the answer to {operation}")]
    Unreadable {
        /// What was tried.
        operation: String,
    },
    /// There is no such stack.
    #[error("find a stack {name} in {region}")]
    NoStack {
        /// Its name.
        name: String,
        /// Where it was looked for.
        region: String,
    },
    /// The stack does not say what ours says.
    #[error("read the stack {name}: it has no output {output}")]
    NotOurs {
        /// Its name.
        name: String,
        /// What it does not say.
        output: &'static str,
    },
    /// The table did not take or give something.
    #[error("{reason}")]
    Table {
        /// What the store says.
        reason: String,
        /// Trying later may help.
        transient: bool,
    },
}

impl Error {
    /// Trying later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Table { transient, .. } => *transient,
            Self::Refused { code, .. } => is_passing(code),
            _ => false,
        }
    }

    /// The service's code, if it refused.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The service and the operation that it refused.
    pub fn operation(&self) -> Option<&str> {
        match self {
            Self::Refused { operation, .. } => Some(operation),
            _ => None,
        }
    }

    /// The operator's own rights do not reach there.
    pub fn is_denied(&self) -> bool {
        let denied = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"];
        self.code().is_some_and(|code| denied.contains(&code))
    }
}

impl From<pullyard_store::Error> for Error {
    fn from(error: pullyard_store::Error) -> Self {
        let reason = pullyard_domain::text::causes(&error);
        Self::Table { reason, transient: error.is_transient() }
    }
}

/// Refusals that pass by themselves.
pub(crate) fn is_passing(code: &str) -> bool {
    let passing =
        ["Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded"];
    passing.contains(&code) || code.starts_with("InternalError") || code.starts_with("ServiceUnavailable")
}
