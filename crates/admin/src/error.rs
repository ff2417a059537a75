//! Errors of calls to AWS.

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("choose a region: set AWS_REGION or use --region")]
    NoRegion,
    #[error("sign in to AWS: {reason}")]
    NoCredentials { reason: String },
    #[error("sign in to AWS: {reason}")]
    ExportFailed {
        /// Never contains the AWS CLI's own message.
        reason: String,
        help: String,
    },
    #[error("reach {service} in {region}: {reason}")]
    Unreachable { service: &'static str, region: String, reason: String },
    #[error("{operation}: {message} ({code})")]
    Refused { operation: String, code: String, message: String },
    #[error("parse the response to {operation}")]
    Unreadable { operation: String },
    #[error("find the stack {name} in {region}")]
    StackNotFound { name: String, region: String },
    #[error("read the stack {name}: it has no output {output}")]
    MissingOutput { name: String, output: &'static str },
    #[error("{reason}")]
    Table { reason: String, transient: bool },
}

impl Error {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Table { transient, .. } => *transient,
            Self::Refused { code, .. } => is_transient_code(code),
            _ => false,
        }
    }

    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    pub fn operation(&self) -> Option<&str> {
        match self {
            Self::Refused { operation, .. } => Some(operation),
            _ => None,
        }
    }

    pub fn is_denied(&self) -> bool {
        let denied = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"];
        self.code().is_some_and(|code| denied.contains(&code))
    }
}

impl From<pullyard_store::Error> for Error {
    fn from(error: pullyard_store::Error) -> Self {
        let reason = pullyard_domain::text::format_error_chain(&error);
        Self::Table { reason, transient: error.is_transient() }
    }
}

pub(crate) fn is_transient_code(code: &str) -> bool {
    let passing =
        ["Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded"];
    passing.contains(&code) || code.starts_with("InternalError") || code.starts_with("ServiceUnavailable")
}
