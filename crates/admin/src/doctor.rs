//! What may be wrong with a deployed stack, one look each: a plain sentence, and how to mend it.
//!
//! Looks through AWS only; what the API knows of itself is asked by the command line. Each look stands for
//! itself: one that is refused says so, and the others go on.

mod agent;
mod alarm;
mod clock;
mod commit;
mod egress;
mod image;
mod label;
mod metric;
mod model;
mod queue;
mod quota;
mod secret;
mod signing;
mod sweeper;

pub use commit::Commits;
pub use label::Labels;
pub use model::ModelNeed;
pub use signing::SigningNeed;

use crate::{Aws, Error, Stack};
use futures::future::join_all;
use pullyard_domain::text::causes;
use serde::Serialize;

/// How one look went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong there.
    Good,
    /// It works, but for how long.
    Warning,
    /// It does not work.
    Wrong,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, for programs.
    pub check: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// In words.
    pub sentence: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    /// Nothing is wrong.
    pub fn good(check: &'static str, sentence: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, sentence: sentence.into(), help: None }
    }

    /// It works, but for how long.
    pub fn warning(check: &'static str, sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, sentence: sentence.into(), help: Some(help.into()) }
    }

    /// It does not work.
    pub fn wrong(check: &'static str, sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Wrong, sentence: sentence.into(), help: Some(help.into()) }
    }
}

/// Every look through AWS. `secrets` are whole names of secrets that integrations and hooks use.
pub async fn examine(aws: &Aws, stack: &Stack, secrets: &[String]) -> Vec<Finding> {
    let mut findings = vec![deployed(stack)];
    findings.extend(clock::look(aws));
    let looks: [std::pin::Pin<Box<dyn Future<Output = Vec<Finding>> + '_>>; 7] = [
        Box::pin(told("secret", secret::look(aws, stack, secrets))),
        Box::pin(told("image", image::look(aws, stack))),
        Box::pin(told("egress", egress::look(aws, stack))),
        Box::pin(told("alarms", alarm::look(aws, stack))),
        Box::pin(told("queue", queue::look(aws, stack))),
        Box::pin(told("sweeper", sweeper::look(aws, stack))),
        Box::pin(told("quota", quota::look(aws))),
    ];
    findings.extend(join_all(looks).await.into_iter().flatten());
    findings
}

/// Whether agents find the keys for their models, as the API says who needs which.
pub async fn models(aws: &Aws, needs: &[ModelNeed]) -> Vec<Finding> {
    told("model", model::look(aws, needs)).await
}

/// Whether the keys that sign projects' commits are there, and of the form that git signs with.
pub async fn signing(aws: &Aws, needs: &[SigningNeed]) -> Vec<Finding> {
    told("signing", signing::look(aws, needs)).await
}

/// The labels of the image that tasks run, or a warning that says why they were not read.
pub async fn labels(aws: &Aws, stack: &Stack) -> Result<Labels, Finding> {
    label::look(aws, stack).await
}

/// Whether all parts of a deployment are of one commit.
pub fn commits(stack: &Stack, commits: &Commits<'_>) -> Vec<Finding> {
    commit::compare(stack, commits)
}

/// Whether the image has the agents that projects use on Fargate.
pub fn agents(stack: &Stack, labels: &Labels, needs: &[ModelNeed]) -> Vec<Finding> {
    agent::compare(stack, labels, needs)
}

/// Only the clock: all that a first refusal leaves to be said.
pub fn clock(aws: &Aws) -> Option<Finding> {
    clock::look(aws)
}

/// A look that could not be made is a finding, too: nobody knows what is there.
async fn told(check: &'static str, look: impl Future<Output = Result<Vec<Finding>, Error>>) -> Vec<Finding> {
    look.await.unwrap_or_else(|error| vec![unseen(check, &error)])
}

fn unseen(check: &'static str, error: &Error) -> Finding {
    let help = if error.is_denied() {
        "Ask whoever keeps the account for the right to read it; docs/operations.md lists what this command reads."
    } else {
        "Run it again; if it stays so, see whether AWS has a fault in this region."
    };
    Finding::wrong(check, format!("It could not be looked at: failed to {}.", causes(error)), help)
}

/// CloudFormation is done with it.
fn deployed(stack: &Stack) -> Finding {
    let Stack { name, status, .. } = stack;
    match status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => {
            Finding::good("stack", format!("The stack {name} is deployed ({status})."))
        }
        "UPDATE_ROLLBACK_COMPLETE" => Finding::warning(
            "stack",
            format!("The last update of the stack {name} was rolled back; the release before it runs."),
            format!("See why: `aws cloudformation describe-stack-events --stack-name {name}`."),
        ),
        passing if passing.ends_with("_IN_PROGRESS") => Finding::warning(
            "stack",
            format!("The stack {name} is being changed ({status}); what follows may change with it."),
            "Run this again when it is done.",
        ),
        _ => Finding::wrong(
            "stack",
            format!("The stack {name} is not whole ({status})."),
            format!("See why: `aws cloudformation describe-stack-events --stack-name {name}`; then deploy again."),
        ),
    }
}
