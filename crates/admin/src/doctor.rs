//! Diagnoses a deployed stack through AWS: each check returns sentences and advice.
//! A failed check becomes a finding, and the others continue. The command line adds checks that use the API.

mod agent;
mod alarm;
mod egress;
mod image;
mod label;
mod model;
mod queue;
mod quota;
mod role;
mod secret;
mod sweeper;

pub use agent::compare_agent as check_agents;
pub use label::{ImageLabels, load_labels};
pub use model::ModelRequirement;
pub use pullyard_domain::job::diagnosis::{Finding, Verdict};

use crate::{Aws, Error, Stack};
use futures::future::join_all;
use pullyard_domain::text::{format_error_chain, to_sentence};

/// Runs all checks through AWS. `secrets` are the full names of secrets that integrations and webhooks use.
pub async fn run_checks(aws: &Aws, stack: &Stack, secrets: &[String]) -> Vec<Finding> {
    let mut findings = vec![check_status(stack)];
    let checks: [std::pin::Pin<Box<dyn Future<Output = Vec<Finding>> + '_>>; 8] = [
        Box::pin(run_check("secret", secret::check(aws, stack, secrets))),
        Box::pin(run_check("image", image::check(aws, stack))),
        Box::pin(run_check("egress", egress::check(aws, stack))),
        Box::pin(run_check("alarms", alarm::check(aws, stack))),
        Box::pin(run_check("queue", queue::check(aws, stack))),
        Box::pin(run_check("sweeper", sweeper::check(aws, stack))),
        Box::pin(run_check("quota", quota::check(aws))),
        Box::pin(check_roles(aws, stack)),
    ];
    findings.extend(join_all(checks).await.into_iter().flatten());
    findings
}

pub async fn check_models(aws: &Aws, needs: &[ModelRequirement]) -> Vec<Finding> {
    run_check("model", model::check(aws, needs)).await
}

/// Lets each function check its role.
pub async fn check_roles(aws: &Aws, stack: &Stack) -> Vec<Finding> {
    run_check("roles", role::check(aws, stack)).await
}

async fn run_check(check: &'static str, future: impl Future<Output = Result<Vec<Finding>, Error>>) -> Vec<Finding> {
    future.await.unwrap_or_else(|error| vec![failed_check(check, &error)])
}

fn failed_check(check: &'static str, error: &Error) -> Finding {
    let sentence = format!("This check failed: failed to {}.", format_error_chain(error));
    Finding::wrong(check, sentence, to_sentence(error.help()))
}

fn check_status(stack: &Stack) -> Finding {
    let Stack { name, status, .. } = stack;
    match status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => {
            Finding::good("stack", format!("The stack {name} is deployed ({status})."))
        }
        "UPDATE_ROLLBACK_COMPLETE" => Finding::warning(
            "stack",
            format!("The last update of the stack {name} was rolled back; the previous release is running."),
            format!("See why: `aws cloudformation describe-stack-events --stack-name {name}`."),
        ),
        status if status.ends_with("_IN_PROGRESS") => Finding::warning(
            "stack",
            format!("The stack {name} is being updated ({status}); the other results may change."),
            "Run the command again after the update.",
        ),
        _ => Finding::wrong(
            "stack",
            format!("The stack {name} is in a failed state ({status})."),
            format!("See why: `aws cloudformation describe-stack-events --stack-name {name}`; then deploy again."),
        ),
    }
}
