//! Verifies that projects name the secrets for model keys, and that these and signing keys have a value.
//! Reads no value.

use super::Finding;
use super::secret::{SecretState, load_state, restore_help};
use crate::{Aws, Error};
use futures::future::try_join_all;
use pullyard_domain::agent::{AgentSpec, ModelKey, ModelSecrets, list_programs};
use pullyard_domain::project::Compute;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub struct ModelRequirement {
    pub project: String,
    pub agents: BTreeSet<String>,
    /// On Fargate an agent has only these keys: without one, the first job fails.
    pub secrets: ModelSecrets,
    pub compute: Compute,
    pub signing_secret: Option<String>,
}

pub(super) async fn check(aws: &Aws, requirements: &[ModelRequirement]) -> Result<Vec<Finding>, Error> {
    let (mut findings, mut project_of_secret) = (Vec::new(), BTreeMap::new());
    for ModelRequirement { project, agents, secrets, compute, signing_secret } in requirements {
        for agent in agents {
            let mut usable = secrets.iter().filter(|(key, _)| key.supports_capability(agent)).peekable();
            if usable.peek().is_none() && compute.uses_tasks() {
                findings.extend(missing_key(project, agent, *compute));
            }
            project_of_secret.extend(usable.map(|(_, secret)| (secret, project.as_str())));
        }
        project_of_secret.extend(signing_secret.iter().map(|secret| (secret.as_str(), project.as_str())));
    }
    let states = try_join_all(project_of_secret.keys().map(|name| load_state(aws, name))).await?;
    for ((name, project), state) in project_of_secret.iter().zip(states) {
        let Some(problem) = state.problem() else { continue };
        let help = match state {
            SecretState::Deleted => restore_help(name),
            _ => set_help(name, project),
        };
        let sentence = format!("The secret {name}, which {project} names in its settings, {problem}.");
        findings.push(Finding::wrong("model", sentence, help));
    }
    if findings.is_empty() {
        let sentence = match project_of_secret.is_empty() {
            true => "No project names a key for its jobs.",
            false => "Every model or signing key that projects name has a value.",
        };
        findings.push(Finding::good("model", sentence));
    }
    Ok(findings)
}

fn set_help(name: &str, project: &str) -> String {
    match name.split_once("/job/") {
        Some((_, short)) => format!("Set it: `pullyard secrets set {short} --for-jobs`."),
        None => format!(
            "Set one with `pullyard secrets set NAME --for-jobs`, and use its name in the settings of {project}."
        ),
    }
}

/// `None` for an agent that needs no key.
fn missing_key(project: &str, agent: &str, compute: Compute) -> Option<Finding> {
    let keys: Vec<(ModelKey, &str)> = match AgentSpec::find(agent) {
        Some(agent) => agent.keys.iter().map(|key| (*key, "a subscription")).collect(),
        None => list_programs().filter_map(|agent| Some((*agent.keys.first()?, agent.name))).collect(),
    };
    let ((key, _), others) = keys.split_first()?;
    let (setting, name) = (key.setting(), key.spec().provider.spec().code);
    let others: String = others.iter().map(|(key, purpose)| format!(", or `{}` for {purpose}", key.code())).collect();
    let help = format!(
        "`pullyard settings set {setting}=\"$(pullyard secrets set {name} --for-jobs < key.txt)\" \
         --project {project}`{others}."
    );
    let lacks = format!("{project} has no key for its model");
    Some(match compute {
        Compute::RunnersThenFargate => {
            let sentence = format!("Jobs of {project} that use {agent} run on runners only: {lacks}.");
            Finding::warning("model", sentence, help)
        }
        _ => Finding::wrong("model", format!("Jobs of {project} run {agent} on Fargate, but {lacks}."), help),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use pullyard_domain::agent::CODEX;

    #[test]
    fn missing_key_is_a_warning_if_runners_may_have_one() {
        let check = |compute| {
            let finding = missing_key("acme", CODEX, compute).unwrap();
            (finding.verdict, finding.sentence)
        };
        let sentence = "Jobs of acme run codex on Fargate, but acme has no key for its model.";
        assert_eq!(check(Compute::Fargate), (Verdict::Wrong, sentence.to_owned()));
        let sentence = "Jobs of acme that use codex run on runners only: acme has no key for its model.";
        assert_eq!(check(Compute::RunnersThenFargate), (Verdict::Warning, sentence.to_owned()));
    }
}
