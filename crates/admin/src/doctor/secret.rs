//! Verifies that named secrets have a value. Reads no value.

use super::Finding;
use crate::aws::Service;
use crate::{Aws, Error, Stack};
use futures::future::try_join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) enum SecretState {
    Set,
    Empty,
    Deleted,
    Missing,
}

impl SecretState {
    /// Completes a sentence after the secret's name; `None` for a secret with a value.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Set => None,
            Self::Empty => Some("has no value"),
            Self::Deleted => Some("is marked for deletion"),
            Self::Missing => Some("does not exist"),
        }
    }
}

pub(super) fn restore_help(name: &str) -> String {
    format!("Restore it: `aws secretsmanager restore-secret --secret-id {name}`.")
}

pub(super) async fn check(aws: &Aws, stack: &Stack, others: &[String]) -> Result<Vec<Finding>, Error> {
    let mut names: BTreeSet<&str> = others.iter().map(String::as_str).collect();
    names.insert(&stack.key_secret);
    let states = try_join_all(names.iter().map(|name| load_state(aws, name))).await?;
    let mut findings = Vec::new();
    for (name, state) in names.iter().zip(states) {
        let Some(problem) = state.problem() else { continue };
        let short = name.strip_prefix(&stack.user_secret_prefix);
        let help = match (state, short) {
            (SecretState::Deleted, _) => restore_help(name),
            (_, Some(short)) => format!("Set it: `pullyard secrets set {short}`."),
            (SecretState::Missing, None) => "Deploy the stack again to create this secret.".into(),
            (_, None) => format!(
                "Set it to 64 random hex digits: `openssl rand -hex 32 | tr -d '\\n' | aws \
                 secretsmanager put-secret-value --secret-id {name} --secret-string file:///dev/stdin`; running \
                 attempts will fail."
            ),
        };
        findings.push(Finding::wrong("secret", format!("The secret {name} {problem}."), help));
    }
    if findings.is_empty() {
        let sentence = match names.len() {
            1 => "The secret that signs the tokens of attempts has a value.".to_owned(),
            n => format!("All {n} secrets in use have a value."),
        };
        findings.push(Finding::good("secret", sentence));
    }
    Ok(findings)
}

pub(super) async fn load_state(aws: &Aws, name: &str) -> Result<SecretState, Error> {
    let response = aws.call_json(Service::SECRETS_MANAGER, "DescribeSecret", &json!({ "SecretId": name })).await;
    let secret = match response {
        Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(SecretState::Missing),
        response => response?,
    };
    if !secret["DeletedDate"].is_null() {
        return Ok(SecretState::Deleted);
    }
    let stages = secret["VersionIdsToStages"].as_object().into_iter().flat_map(|versions| versions.values());
    let is_set = stages.filter_map(Value::as_array).flatten().any(|stage| stage == "AWSCURRENT");
    Ok(if is_set { SecretState::Set } else { SecretState::Empty })
}
