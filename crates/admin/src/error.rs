//! Errors of calls to AWS.

use pullyard_cloud::signed::{SignedCallError, is_denial, is_transient_code};

#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("choose a region: set AWS_REGION or use --region")]
    NoRegion,
    #[error("sign in to AWS: {reason}")]
    NoCredentials { reason: String },
    #[error("sign in to AWS: {reason}")]
    ExportFailed { reason: String, help: String },
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

    pub fn is_denied(&self) -> bool {
        self.code().is_some_and(is_denial)
    }

    /// Advice for the operator, without a capital letter and a period.
    pub fn help(&self) -> &str {
        match self {
            Self::ExportFailed { help, .. } => help,
            Self::NoRegion => "choose one with --region, or set AWS_REGION",
            Self::NoCredentials { .. } => "sign in to AWS, or choose a --profile",
            Self::StackNotFound { .. } => {
                "choose another --region or --profile; `aws cloudformation list-stacks` lists stacks"
            }
            Self::MissingOutput { .. } => {
                "use the name of the root stack, deployed with this program's release or a newer one"
            }
            Self::Refused { message, .. }
                if message.starts_with("Signature expired") || message.starts_with("Signature not yet current") =>
            {
                "this machine's clock is wrong; set it"
            }
            error if error.is_denied() => {
                "request this permission from the account's administrator; docs/operations.md lists all that are needed"
            }
            _ => "check the credentials and the network, then run it again",
        }
    }
}

impl From<pullyard_store::Error> for Error {
    fn from(error: pullyard_store::Error) -> Self {
        let reason = pullyard_domain::text::format_error_chain(&error);
        Self::Table { reason, transient: error.is_transient() }
    }
}

impl From<SignedCallError> for Error {
    fn from(error: SignedCallError) -> Self {
        match error {
            SignedCallError::NoCredentials { reason } => Self::NoCredentials { reason },
            SignedCallError::Unreachable { service, region, reason } => Self::Unreachable { service, region, reason },
            SignedCallError::Refused { operation, code, message } => Self::Refused { operation, code, message },
        }
    }
}
