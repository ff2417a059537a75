//! Compares the agents in the image with those that projects use on Fargate.

use super::label::REVISION;
use super::{Finding, ImageLabels, ModelRequirement};
use crate::Stack;
use pullyard_domain::agent::{AGENTS, AUTO, ImageOption};
use pullyard_domain::project::Compute;

fn list_image_options() -> impl Iterator<Item = (&'static str, &'static ImageOption)> {
    AGENTS.into_iter().filter_map(|agent| Some((agent.code, agent.image.as_ref()?)))
}

pub fn compare_agent(stack: &Stack, labels: &ImageLabels, needs: &[ModelRequirement]) -> Vec<Finding> {
    let push = format!("infra/image/push --stack {}", stack.name);
    // The Dockerfile sets all labels. The label of an agent that is not installed is empty.
    let has_labels =
        list_image_options().map(|(_, image)| image.label).chain([REVISION]).any(|label| labels.0.contains_key(label));
    if !has_labels {
        let sentence = "The image has no agent labels: an older version of infra/image/push built it.";
        return vec![Finding::warning("agents", sentence, format!("Push it again: `{push}`."))];
    }
    let installed: Vec<(&str, &str)> = list_image_options()
        .map(|(agent, image)| (agent, labels.get(image.label)))
        .filter(|(_, version)| !version.is_empty())
        .collect();
    let is_missing = |agent: &str| match agent {
        AUTO => installed.is_empty(),
        agent => !installed.iter().any(|(name, _)| *name == agent),
    };
    let mut findings = Vec::new();
    for need in needs.iter().filter(|need| need.compute.uses_tasks()) {
        // No task runs a job of `runners_then_fargate` without a key.
        let has_key = |agent: &str| need.secrets.iter().any(|(key, _)| key.supports_capability(agent));
        let may_run = |agent: &str| need.compute == Compute::Fargate || has_key(agent);
        for agent in need.agents.iter().filter(|agent| is_missing(agent) && may_run(agent)) {
            // `auto` accepts any of them.
            let mut options = list_image_options().filter(|(name, _)| agent == AUTO || agent == name);
            let option = options.next().map(|(_, image)| image.option).unwrap_or_default();
            let sentence = match agent.as_str() {
                AUTO => format!("Jobs of {} run an agent on Fargate, but the image has none.", need.project),
                agent => format!("Jobs of {} run {agent} on Fargate, but the image lacks it.", need.project),
            };
            let help = format!("Push an image with it: `infra/image/push {option} latest --stack {}`.", stack.name);
            findings.push(Finding::wrong("agents", sentence, help));
        }
    }
    if findings.is_empty() {
        let versions: Vec<String> = installed.iter().map(|(agent, version)| format!("{agent} {version}")).collect();
        let sentence = match versions.is_empty() {
            true => "The image has no agent.".to_owned(),
            false => format!("The image has {}.", versions.join(" and ")),
        };
        findings.push(Finding::good("agents", sentence));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use crate::stack::sample;
    use pullyard_domain::agent::{CLAUDE_CODE, CODEX, ModelSecrets};

    const CLAUDE_LABEL: &str = "pullyard.agent.claude_code";
    const CODEX_LABEL: &str = "pullyard.agent.codex";
    const REVISION_LABEL: (&str, &str) = (REVISION, "abc");

    fn labels(labels: &[(&str, &str)]) -> ImageLabels {
        ImageLabels(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn model_need(agents: &[&str], on_fargate: bool) -> ModelRequirement {
        let agents = agents.iter().map(|agent| (*agent).to_owned()).collect();
        let secrets = ModelSecrets::default();
        let compute = if on_fargate { Compute::Fargate } else { Compute::Runners };
        ModelRequirement { project: "acme".into(), agents, secrets, compute, signing_secret: None }
    }

    #[track_caller]
    fn check(image: &[(&str, &str)], need: ModelRequirement, expected: &[(Verdict, &str, &str)]) {
        let findings = compare_agent(&sample(), &labels(image), &[need]);
        assert_eq!(findings.len(), expected.len(), "{findings:#?}");
        for (finding, (verdict, sentence, help)) in findings.iter().zip(expected) {
            assert_eq!((finding.verdict, finding.sentence.as_str()), (*verdict, *sentence));
            assert!(finding.help.as_deref().unwrap_or_default().contains(help), "{finding:?}");
        }
    }

    #[test]
    fn versions_are_shown_when_the_image_has_every_agent() {
        let both = [REVISION_LABEL, (CLAUDE_LABEL, "2.1.197"), (CODEX_LABEL, "0.63.0")];
        let all = model_need(&[CLAUDE_CODE, CODEX, AUTO], true);
        check(&both, all, &[(Verdict::Good, "The image has claude_code 2.1.197 and codex 0.63.0.", "")]);
        check(&[REVISION_LABEL], model_need(&[], true), &[(Verdict::Good, "The image has no agent.", "")]);
        check(&[REVISION_LABEL], model_need(&[CODEX], false), &[(Verdict::Good, "The image has no agent.", "")]);
    }

    #[test]
    fn agent_is_wrong_when_the_image_lacks_it() {
        let lacks = "Jobs of acme run codex on Fargate, but the image lacks it.";
        let claude = [REVISION_LABEL, (CLAUDE_LABEL, "2.1.197"), (CODEX_LABEL, "")];
        let fix = "`infra/image/push --codex latest --stack py`";
        check(&claude, model_need(&[AUTO, CLAUDE_CODE, CODEX], true), &[(Verdict::Wrong, lacks, fix)]);
        let overflow = |openai_api_key: Option<String>| {
            let secrets = ModelSecrets { openai_api_key, ..ModelSecrets::default() };
            ModelRequirement { secrets, compute: Compute::RunnersThenFargate, ..model_need(&[CODEX], true) }
        };
        check(&claude, overflow(None), &[(Verdict::Good, "The image has claude_code 2.1.197.", "")]);
        check(&claude, overflow(Some("openai".into())), &[(Verdict::Wrong, lacks, fix)]);
        let expected = [
            (Verdict::Wrong, "Jobs of acme run an agent on Fargate, but the image has none.", "--claude-code latest"),
            (
                Verdict::Wrong,
                "Jobs of acme run claude_code on Fargate, but the image lacks it.",
                "infra/image/push --claude-code latest",
            ),
        ];
        check(&[REVISION_LABEL], model_need(&[AUTO, CLAUDE_CODE], true), &expected);
    }

    #[test]
    fn image_of_an_older_push_is_a_warning() {
        let older = [("org.opencontainers.image.version", "0.1.0")];
        let sentence = "The image has no agent labels: an older version of infra/image/push built it.";
        check(&older, model_need(&[CODEX], true), &[(Verdict::Warning, sentence, "infra/image/push --stack py")]);
    }
}
