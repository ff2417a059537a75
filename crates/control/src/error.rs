//! How a use case can fail. A refusal by a guard is not a failure: it is an answer.

use pullyard_domain::artifact::Refusal as Refused;
use pullyard_domain::denial::Denial;
use pullyard_domain::id::TokenId;
use pullyard_domain::job::{NotNow, Status};
use pullyard_domain::runner::Refusal;
use pullyard_domain::time::Timestamp;
use std::time::Duration;

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] pullyard_store::Error),
    #[error(transparent)]
    Cloud(#[from] pullyard_cloud::Error),
    /// A secret that the project names for its agents' models is not there, or is empty.
    #[error("find the secret {name} for the agent's model")]
    NoModelSecret { name: String },
    /// The secret with the key that signs the project's commits is not there, or is empty.
    #[error("find the secret {name} that signs commits")]
    NoSigningSecret { name: String },
    /// The forge failed or refused.
    #[error("ask the forge: {0}")]
    Forge(#[from] pullyard_forge::Error),
    /// Others kept changing the same thing, and what was decided about it is not written. What a use case writes before
    /// that may be (see `Rounds::again`); the same call again goes over it.
    #[error("change {subject}: others kept changing it")]
    Contended { subject: String },
    /// It took longer than whoever began it has time for, or was to be begun too late. What was under way is left where
    /// it stands, as after a crash.
    #[error("{what} within {} s", .within.as_secs())]
    TooSlow { what: &'static str, within: Duration },
    #[error("find {what} {name}")]
    NotFound { what: &'static str, name: String },
    /// The name is taken by something else.
    #[error("take the name {name}: another {what} has it")]
    Taken { what: &'static str, name: String },
    /// A value in the request can't be used.
    #[error("use {pointer}: {fault}")]
    Invalid { pointer: &'static str, fault: String },
    #[error("change it: somebody else did first")]
    ChangedMeanwhile { revision: u64 },
    /// The key was used for another request before.
    #[error("repeat the request: its key was used for another one")]
    KeyReused,
    /// The same request made a token before, and a token is shown once.
    #[error("show the token {token} again")]
    TokenShown { token: TokenId },
    /// The attempt does not hold its job.
    #[error("act for the attempt: another one holds the job, or it has ended")]
    LeaseLost {
        /// The result was kept all the same.
        recorded: bool,
    },
    /// The job is not where this leads on from.
    #[error("do this while the job is {}", .0.words())]
    WrongStatus(Status),
    /// What a person asks of a job can't be done to it.
    #[error("change the job: {}", .0.code())]
    Denied(Denial),
    /// The job's people want it to stop.
    #[error("go on: the job is to stop")]
    Unwanted,
    /// A self-hosted runner is not let in, or not heard.
    #[error("let the runner in: {}", .0.sentence())]
    Runner(Refusal),
    /// Something can't be kept, or is not there.
    #[error("keep an artifact: {}", .0.code())]
    Artifact(Refused),
    /// A token was not made by us, has expired, or is for something else.
    #[error("accept the token")]
    BadProof,
    /// What is stored does not fit together; a person must look.
    #[error("understand the table: {0}")]
    Inconsistent(String),
}

impl Error {
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Cloud(error) => error.is_transient(),
            Self::Forge(error) => error.is_transient(),
            Self::Contended { .. } | Self::TooSlow { .. } => true,
            _ => false,
        }
    }

    /// A transition that the domain refused.
    pub(crate) fn refused(refusal: NotNow, now: Timestamp) -> Self {
        match refusal {
            NotNow::LeaseLost => Self::LeaseLost { recorded: false },
            NotNow::Status(status) => Self::WrongStatus(status),
            NotNow::Unwanted => Self::Unwanted,
            // These are answered where they can happen; here they are our own mistake.
            NotNow::NewerInput | NotNow::TooMany => Self::Inconsistent("an input was not expected".into()),
            NotNow::Already => Self::Inconsistent("a repeat was not recognised".into()),
            NotNow::NotBefore(until) => Self::Inconsistent(format!("it may be pushed until {until}, now it is {now}")),
        }
    }
}
