//! Verifies that projects name the secrets for model keys, and that these have a value. Reads no value.

use super::Finding;
use super::secret::{SecretState, load_state, restore_help, set_help};
use crate::{Aws, Error};
use futures::future::join_all;
use pullyard_domain::agent::{CLAUDE_CODE, CODEX, ModelSecrets};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub struct ModelRequirement {
    pub project: String,
    pub agents: BTreeSet<String>,
    pub secrets: ModelSecrets,
    /// On Fargate an agent has only these keys: without one, the first job fails.
    pub on_fargate: bool,
}

pub(super) async fn check(aws: &Aws, needs: &[ModelRequirement]) -> Result<Vec<Finding>, Error> {
    let (mut findings, mut named) = (Vec::new(), BTreeMap::new());
    for need in needs {
        for agent in &need.agents {
            let fit: Vec<&str> = need
                .secrets
                .iter()
                .filter(|(key, _)| key.supports_capability(agent))
                .map(|(_, secret)| secret)
                .collect();
            if fit.is_empty() && need.on_fargate {
                findings.push(missing_key(&need.project, agent));
            }
            named.extend(fit.into_iter().map(|secret| (secret, need.project.as_str())));
        }
    }
    let looks =
        named.iter().map(async |(name, project)| Ok::<_, Error>((*name, *project, load_state(aws, name).await?)));
    for result in join_all(looks).await {
        let (name, project, state) = result?;
        let Some(what) = state.problem() else { continue };
        let help = match state {
            SecretState::Deleted => restore_help(name),
            _ => set_help(name, project, ""),
        };
        let sentence = format!("The secret {name}, which {project} names for an agent's model, {what}.");
        findings.push(Finding::wrong("model", sentence, help));
    }
    if findings.is_empty() {
        let sentence = match needs.iter().all(|need| need.agents.is_empty()) {
            true => "No agent of a repository needs a model key.",
            false => "Every model key that jobs need from this stack has a value.",
        };
        findings.push(Finding::good("model", sentence));
    }
    Ok(findings)
}

fn missing_key(project: &str, agent: &str) -> Finding {
    let (setting, name) = match agent {
        CODEX => ("openai_api_key", "openai"),
        _ => ("anthropic_api_key", "anthropic"),
    };
    let other = match agent {
        CLAUDE_CODE => ", or `claude_token` for a subscription",
        CODEX => ", or `codex_auth` for a subscription",
        _ => ", or `openai_api_key` for Codex",
    };
    let sentence = format!("Jobs of {project} run {agent} on Fargate, but {project} has no key for its model.");
    let help = format!(
        "`pullyard settings set model_secrets.{setting}=\"$(pullyard secrets set {name} --for-jobs < key.txt)\" \
         --project {project}`{other}."
    );
    Finding::wrong("model", sentence, help)
}
