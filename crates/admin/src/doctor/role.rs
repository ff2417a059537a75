//! Lets each function of the stack check its role, because only AWS knows what it denies.

use super::{Finding, failed_check};
use crate::{Aws, Error, Stack};
use pullyard_domain::text::self_check::{FUNCTIONS, RefusedCall, RoleReport};
use serde::Deserialize;

/// Calls that one finding names.
const MAX_NAMED: usize = 8;

/// The function that stores the object which others read.
const FIRST: &str = "api";
const STORE: &str = "s3:PutObject";
const READ: &str = "s3:GetObject";

/// One function after the other, because a new account runs few at once. Errors: of the first call.
pub(super) async fn check(aws: &Aws, stack: &Stack) -> Result<Vec<Finding>, Error> {
    let mut reports = vec![invoke(aws, stack, FIRST).await?];
    let is_stored =
        matches!(&reports[..], [Ok(first)] if !names(&first.denied, STORE) && !names(&first.unanswered, STORE));
    for function in FUNCTIONS.into_iter().filter(|function| *function != FIRST) {
        let mut report = invoke(aws, stack, function).await.unwrap_or_else(|error| Err(failed_check("roles", &error)));
        if let Ok(report) = &mut report
            && !is_stored
        {
            // S3 answers a read of a missing object with a denial.
            report.denied.retain(|call| call.action != READ);
        }
        reports.push(report);
    }
    let calls = reports.iter().map(|report| report.as_ref().map_or(0, |report| report.calls)).sum::<usize>();
    let mut findings: Vec<_> =
        reports.into_iter().flat_map(|report| report.map_or_else(|bad| vec![bad], findings_of)).collect();
    if findings.is_empty() {
        findings.push(Finding::good("roles", format!("The {} roles allow all {calls} calls.", FUNCTIONS.len())));
    }
    Ok(findings)
}

/// The answer of a function that failed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    error_message: String,
}

async fn invoke(aws: &Aws, stack: &Stack, function: &str) -> Result<Result<RoleReport, Finding>, Error> {
    let answer = aws.self_check(&format!("{}-{function}", stack.name)).await?;
    if let Ok(report) = serde_json::from_str(&answer) {
        return Ok(Ok(report));
    }
    let failure: Option<Failure> = serde_json::from_str(&answer).ok();
    let log = format!("See its log: `aws logs tail /pullyard/{}/{function} --since 10m`.", stack.name);
    // A release without the check takes the event for one of AWS.
    let is_old = failure.as_ref().is_none_or(|failure| failure.error_message.contains("missing field"));
    let help = if is_old { format!("Deploy the release of this program, which has the check. {log}") } else { log };
    let reason = failure.map_or(answer, |failure| failure.error_message);
    let sentence = format!("The function {function} did not check its role: {}.", reason.trim_end_matches('.'));
    Ok(Err(Finding::wrong("roles", sentence, help)))
}

fn names(calls: &[RefusedCall], action: &str) -> bool {
    calls.iter().any(|call| call.action == action)
}

fn findings_of(report: RoleReport) -> Vec<Finding> {
    let RoleReport { function, denied, unanswered, .. } = report;
    let mut findings = Vec::new();
    if let Some(first) = denied.first() {
        findings.push(Finding::wrong(
            "roles",
            format!("The function {function} is denied {}.", list(&denied)),
            format!(
                "Deploy the stack again. If a permissions boundary, a policy of the organization or a policy of the key \
                 denies it, its owner must allow it. AWS said: {}.",
                first.reason.trim_end_matches('.')
            ),
        ));
    }
    if let Some(first) = unanswered.first() {
        findings.push(Finding::warning(
            "roles",
            format!("The function {function} got no answer about {}.", list(&unanswered)),
            format!("Run it again. AWS said: {}.", first.reason.trim_end_matches('.')),
        ));
    }
    findings
}

fn list(calls: &[RefusedCall]) -> String {
    let named = calls.iter().take(MAX_NAMED).map(|call| format!("{} on {}", call.action, call.on));
    let named = named.collect::<Vec<_>>().join(", ");
    match calls.len().saturating_sub(MAX_NAMED) {
        0 => named,
        further => format!("{named}, and {further} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::job::diagnosis::Verdict;

    #[test]
    fn each_denied_call_is_named_with_its_function() {
        let call = |on: &str| RefusedCall {
            action: "dynamodb:PutItem".into(),
            on: on.into(),
            reason: "no identity-based policy allows it".into(),
        };
        let report = |denied: Vec<RefusedCall>, unanswered: Vec<RefusedCall>| RoleReport {
            function: "webhook".into(),
            calls: 40,
            denied,
            unanswered,
        };
        assert_eq!(findings_of(report(Vec::new(), Vec::new())), []);
        let [finding] = &findings_of(report(vec![call("JOB#"), call("PR#")], Vec::new()))[..] else {
            panic!("not one")
        };
        assert_eq!(finding.verdict, Verdict::Wrong);
        assert_eq!(
            finding.sentence,
            "The function webhook is denied dynamodb:PutItem on JOB#, dynamodb:PutItem on PR#."
        );
        assert!(finding.help.as_ref().is_some_and(|help| help.ends_with("no identity-based policy allows it.")));
        let many = (0..10).map(|n| call(&n.to_string())).collect();
        let [finding] = &findings_of(report(Vec::new(), many))[..] else { panic!("not one") };
        assert_eq!(finding.verdict, Verdict::Warning);
        assert!(finding.sentence.ends_with("dynamodb:PutItem on 7, and 2 more."), "{}", finding.sentence);
    }
}
