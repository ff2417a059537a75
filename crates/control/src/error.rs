//! Errors of use cases. A guard's refusal is an answer, not an error.

use pullyard_domain::agent::runner::Refusal;
use pullyard_domain::job::artifact::ArtifactRefusal;
use pullyard_domain::job::{JobStatus, TransitionRefusal};
use pullyard_domain::project::naming::NotListed;
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::id::{InvalidId, ProjectId, TokenId};
use pullyard_domain::text::setting_fault::SettingFault;
use pullyard_domain::text::time::Timestamp;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] pullyard_store::Error),
    #[error(transparent)]
    Cloud(#[from] pullyard_cloud::Error),
    #[error("use the secret {name} for the agent's model: it {fault}")]
    NoModelSecret { name: String, fault: SecretFault },
    #[error("use the secret {name} that signs commits: it {fault}")]
    NoSigningSecret { name: String, fault: SecretFault },
    /// A project names a secret or an integration whose list does not have it.
    #[error("use {pointer}: {}", .refusal.sentence())]
    NotListed { pointer: &'static str, refusal: NotListed },
    #[error("call the forge: {0}")]
    Forge(#[from] pullyard_forge::Error),
    /// The ticket tool is not reached, or asked for a pause.
    #[error("call the ticket tool: {0}")]
    ToolUnavailable(pullyard_tracker::Error),
    /// Concurrent writers kept changing the subject. `Retries::backoff` lists earlier writes that may exist.
    #[error("update {subject}: concurrent writers kept changing it")]
    Contended { subject: String },
    /// A time limit has passed or would pass. Work in progress stops as in a crash.
    #[error("{step} within {} s", .within.as_secs())]
    Timeout { step: &'static str, within: Duration },
    #[error("find {resource} {name}")]
    NotFound { resource: &'static str, name: String },
    #[error("use the name {name}: another {resource} has it")]
    NameTaken { resource: &'static str, name: String },
    #[error("use {pointer}: {fault}")]
    Invalid { pointer: &'static str, fault: String },
    #[error("apply the change: another change came first")]
    RevisionMismatch { revision: u64 },
    #[error("repeat the request: its Idempotency-Key belongs to another request")]
    KeyReused,
    #[error("show the token {token} again")]
    TokenAlreadyShown {
        /// The token that the same request created before. A token is shown only once.
        token: TokenId,
    },
    #[error("act for the attempt: another attempt holds the job, or the job has finished")]
    LeaseLost {
        /// The late result was stored nevertheless.
        recorded: bool,
    },
    #[error("do this while the job is {}", .0.label())]
    WrongStatus(JobStatus),
    #[error("change the job: {}", .0.code())]
    Denied(Denial),
    #[error("continue: the job is stopping")]
    StopRequested,
    #[error("accept the runner: {}", .0.sentence())]
    Runner(Refusal),
    #[error("store an artifact: {}", .0.code())]
    Artifact(ArtifactRefusal),
    /// The token is forged, expired or of another kind.
    #[error("accept the token")]
    InvalidToken,
    /// An id that is derived from other data, such as a name at the forge, is invalid.
    #[error("derive a valid id: {0}")]
    DerivedId(#[from] InvalidId),
    /// Stored data is inconsistent; an operator must repair it.
    #[error("use the stored data: {0}")]
    Inconsistent(String),
}

/// Why a project's job does not get the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    #[error("does not exist or is empty")]
    Missing,
    #[error("does not list the project {0}")]
    NotListed(ProjectId),
}

impl From<SettingFault> for Error {
    fn from(SettingFault { pointer, fault }: SettingFault) -> Self {
        Self::Invalid { pointer, fault: fault.into() }
    }
}

impl Error {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Cloud(error) => error.is_transient(),
            Self::Forge(error) => error.is_transient(),
            Self::ToolUnavailable(_) | Self::Contended { .. } | Self::Timeout { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn not_found(resource: &'static str, name: impl ToString) -> Self {
        Self::NotFound { resource, name: name.to_string() }
    }

    /// Errors: `Denied`, if there is a denial.
    pub(crate) fn refuse_if(denial: Option<Denial>) -> Result<(), Self> {
        denial.map_or(Ok(()), |denial| Err(Self::Denied(denial)))
    }

    pub(crate) fn from_denial(denial: Option<Denial>, refusal: TransitionRefusal, now: Timestamp) -> Self {
        denial.map_or_else(|| Self::from_refusal(refusal, now), Self::Denied)
    }

    pub(crate) fn from_refusal(refusal: TransitionRefusal, now: Timestamp) -> Self {
        match refusal {
            TransitionRefusal::LeaseLost => Self::LeaseLost { recorded: false },
            TransitionRefusal::WrongStatus(status) => Self::WrongStatus(status),
            TransitionRefusal::StopRequested => Self::StopRequested,
            // Callers handle these where they can occur. Here they indicate a bug.
            TransitionRefusal::NewerInput | TransitionRefusal::TooManyInputs => {
                Self::Inconsistent("unexpected input".into())
            }
            TransitionRefusal::AlreadyDone => Self::Inconsistent("an unrecognised repeat".into()),
            TransitionRefusal::NotBefore(until) => {
                Self::Inconsistent(format!("the push window is open until {until}, and it is {now}"))
            }
        }
    }
}

pub(crate) fn format_for_table(error: &Error) -> String {
    pullyard_domain::text::truncate(&format!("failed to {error}"), 300)
}
