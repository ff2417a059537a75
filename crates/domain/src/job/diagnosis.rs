//! The checks that `pullyard doctor` and the page Operations share: findings with their advice.

use crate::agent::egress::warn_if_open;
use crate::agent::runner::RunnerIsolation;
use crate::agent::{AUTO, COMMAND, join_programs};
use crate::job::agent_check::LocalAgent;
use crate::project::Settings;
use crate::project::budget::{Budget, DailyUsage};
use crate::text::id::{JobId, ProjectId};
use crate::text::time::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;

/// Minimum for worktrees. Units: bytes.
const MIN_FREE_BYTES: u64 = 1 << 30;
/// Below this, little or nothing can be stored. Units: bytes.
const FULL_BYTES: u64 = 16 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Good,
    Warning,
    Wrong,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    pub fn good(check: &'static str, sentence: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Good, sentence: sentence.into(), help: None }
    }

    pub fn warning(check: &'static str, sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, sentence: sentence.into(), help: Some(help.into()) }
    }

    pub fn wrong(check: &'static str, sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Wrong, sentence: sentence.into(), help: Some(help.into()) }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct RunnerFacts<'a> {
    pub name: &'a str,
    pub presence: RunnerPresence,
    /// Whether an administrator requested that it takes no more jobs.
    pub is_drained: bool,
    pub last_heartbeat: Timestamp,
    pub capabilities: &'a BTreeSet<String>,
    pub isolation: Option<&'a RunnerIsolation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerPresence {
    Claims,
    Drains,
    Silent,
}

/// Where the agents must be installed. On AWS, the image has all agents.
#[derive(Clone, Copy, Debug)]
enum AgentPlace<'a> {
    Runners(&'a [RunnerFacts<'a>]),
    Machine(&'a [LocalAgent]),
}

/// `free`: bytes of the disk with the data.
pub fn check_disk(free: u64) -> Finding {
    match free {
        0..FULL_BYTES => Finding::wrong(
            "disk",
            format!("The disk with the data is full: {} MB are free.", free >> 20),
            "Free some space: Pullyard can store nothing, and jobs fail.",
        ),
        FULL_BYTES..MIN_FREE_BYTES => Finding::warning(
            "disk",
            format!("{} MB are free where the data is.", free >> 20),
            "Free some space: jobs fail when the disk is full.",
        ),
        _ => Finding::good("disk", format!("{} GB are free where the data is.", free >> 30)),
    }
}

/// `source`: the arguments of `pullyard repos add` that name a repository.
pub fn no_repository(id: &ProjectId, source: &str) -> Finding {
    let help = format!("Connect one: `pullyard repos add {source} --project {id}`.");
    Finding::warning("project", format!("{id} has no repository."), help)
}

pub fn check_settings(id: &ProjectId, settings: &Settings) -> Finding {
    if let Some(holder) = &settings.held_by {
        let help = format!("Release it: `pullyard release --project {id}`.");
        return Finding::warning("project", format!("{id} is on hold ({holder}): no new jobs start."), help);
    }
    if let Some(warning) = warn_if_open(&settings.egress) {
        let help = format!("Example: `pullyard settings set 'egress=[\"forge\",\"npm\"]' --project {id}`.");
        return Finding::warning("project", format!("{id}: {warning}"), help);
    }
    if !settings.auto_create {
        return Finding::warning(
            "project",
            format!("Tickets of {id} that enter {} start nothing: auto-create is off.", settings.statuses.trigger),
            format!("Switch it on: `pullyard settings set auto_create=true --project {id}`, or create jobs by hand."),
        );
    }
    Finding::good("project", format!("Tickets of {id} that enter {} start jobs.", settings.statuses.trigger))
}

/// `None` for a project that needs no runner. `url` is the address for a new one.
pub fn check_runners(url: &str, id: &ProjectId, settings: &Settings, runners: &[RunnerFacts<'_>]) -> Option<Finding> {
    if !settings.compute.uses_runners() {
        return None;
    }
    let online = runners.iter().filter(|runner| runner.presence == RunnerPresence::Claims).count();
    if online > 0 {
        let verb = if online == 1 { "runner claims" } else { "runners claim" };
        return Some(Finding::good("runners", format!("{online} {verb} jobs of {id}.")));
    }
    let drained = runners.iter().find(|runner| runner.is_drained);
    let last = runners.iter().max_by_key(|runner| runner.last_heartbeat);
    let (sentence, help) = match (drained, last) {
        (Some(runner), _) => (
            format!("No runner claims jobs of {id}: {} is draining.", runner.name),
            format!("Resume it: `pullyard runners resume {}`.", runner.name),
        ),
        (None, Some(runner)) => (
            format!("No runner claims jobs of {id}; the last one was {}.", runner.name),
            format!("Start it again on its machine, with its token: `pullyard runner start --name {}`.", runner.name),
        ),
        (None, None) => (
            match settings.compute.uses_tasks() {
                true => format!(
                    "No runner is registered for {id}; tasks run those of its jobs that need no label and have a key."
                ),
                false => format!("Jobs of {id} need a runner, but none is registered for it."),
            },
            format!(
                "`pullyard tokens create --name NAME --kind runner --projects {id} > FILE`, then \
                 `pullyard runner start --api-url {url} --token-file FILE`."
            ),
        ),
    };
    match settings.compute.uses_tasks() {
        true => Some(Finding::warning("runners", sentence, help)),
        false => Some(Finding::wrong("runners", sentence, help)),
    }
}

pub fn check_isolation(runner: &RunnerFacts<'_>) -> Option<Finding> {
    let is_online = runner.presence != RunnerPresence::Silent;
    runner.isolation.filter(|isolation| is_online && isolation.is_none())?;
    let sentence = format!("Agents on the runner {} have all rights of its user: its isolation is none.", runner.name);
    Some(Finding::warning(
        "isolation",
        sentence,
        "Start it again with `--isolation auto`, which runs agents in a sandbox.",
    ))
}

pub fn is_agent_missing(agent: &str, installed: &[LocalAgent]) -> bool {
    agent != COMMAND && !installed.iter().any(|local| local.works_as(agent))
}

/// Checks that the agents of the repositories are installed where the jobs run. `runners`: `None` if unreadable.
/// `installed`: the agents of this machine; `None` on AWS, where the image has all agents.
pub fn check_agent_places(
    id: &ProjectId,
    settings: &Settings,
    agents: BTreeSet<String>,
    runners: Option<&[RunnerFacts<'_>]>,
    installed: Option<&[LocalAgent]>,
) -> Vec<Finding> {
    let (compute, mut findings) = (settings.compute, Vec::new());
    if let Some(runners) = runners.filter(|_| compute.uses_runners()) {
        findings.extend(check_agents(id, settings, agents.clone(), AgentPlace::Runners(runners)));
    }
    if compute.uses_tasks() {
        for finding in findings.iter_mut().filter(|finding| finding.verdict == Verdict::Wrong) {
            finding.verdict = Verdict::Warning;
            finding.sentence.push_str(" Tasks run jobs that need no label and have a key.");
        }
        let local = installed.map(|installed| check_agents(id, settings, agents, AgentPlace::Machine(installed)));
        findings.extend(local.into_iter().flatten());
    }
    findings
}

/// Checks that one place has the agents, and this machine also their keys.
fn check_agents(
    id: &ProjectId,
    settings: &Settings,
    mut agents: BTreeSet<String>,
    place: AgentPlace<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (place, remedy, source) = match place {
        AgentPlace::Runners(all) => {
            let online: Vec<_> = all.iter().filter(|runner| runner.presence == RunnerPresence::Claims).collect();
            // A missing runner is a finding of `check_runners`.
            agents.retain(|agent| !online.is_empty() && !online.iter().any(|one| one.capabilities.contains(agent)));
            (
                "no online runner offers",
                "Install it and its key on a runner’s machine, or name it with `--capabilities` if each project has a \
                 key; then start the runner again",
                "OWNER/NAME --integration ID",
            )
        }
        AgentPlace::Machine(installed) => {
            let has_key = |local: &LocalAgent| {
                let mut secrets = settings.model_secrets.iter();
                local.has_key || secrets.any(|(key, _)| key.supports_capability(local.capability))
            };
            for agent in &agents {
                let mut capable = installed.iter().filter(|local| local.works_as(agent)).peekable();
                if let Some(first) = capable.peek().copied()
                    && !capable.any(has_key)
                {
                    findings.push(no_key(id, first.capability));
                }
            }
            agents.retain(|agent| is_agent_missing(agent, installed));
            ("is not installed on this machine", "Install it", "--path DIR")
        }
    };
    let finding = |agent: String| {
        let name = if agent == AUTO { join_programs(|agent| agent.code, " or ") } else { agent };
        let sentence = format!("Jobs of {id} need {name}, which {place}.");
        let help = format!(
            "{remedy}, or choose another: `pullyard settings set agent=AGENT --project {id}`, or a script: \
             `pullyard repos add {source} --agent-command ./agent.sh --project {id}`."
        );
        Finding::wrong("agent", sentence, help)
    };
    findings.extend(agents.into_iter().map(finding));
    findings
}

/// A warning, because the environment of the server may have a key.
fn no_key(id: &ProjectId, agent: &str) -> Finding {
    Finding::warning(
        "key",
        format!("Jobs of {id} have no key for {agent}: neither the project nor this environment has one."),
        format!(
            "Store one with `pullyard secrets set NAME --for-jobs`, then name it in its setting, which \
             `pullyard settings --project {id}` lists as model_secrets."
        ),
    )
}

pub fn failed_job(id: &ProjectId, job: &JobId, failure: &str, help: String) -> Finding {
    let sentence = format!("Job {}, the newest ended one of {id}, failed: {failure}", job.short());
    Finding::warning("job", sentence, help)
}

pub fn check_budget(id: &ProjectId, budget: &Budget, today: &DailyUsage) -> Option<Finding> {
    let reason = budget.refusal(id, today)?;
    Some(Finding::warning("budget", reason.sentence(), reason.help()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{CLAUDE_CODE, CODEX};

    #[test]
    fn missing_agent_is_wrong_and_missing_key_is_a_warning() {
        let check = |agent: &str, secret: Option<&str>, installed: &[LocalAgent]| {
            let mut settings = Settings::default();
            settings.model_secrets.openai_api_key = secret.map(str::to_owned);
            let agents = BTreeSet::from([agent.to_owned()]);
            let place = AgentPlace::Machine(installed);
            let findings = check_agents(&ProjectId::new("shop").unwrap(), &settings, agents, place);
            findings.into_iter().map(|finding| (finding.check, finding.verdict)).collect::<Vec<_>>()
        };
        let local = |capability, has_key| LocalAgent { capability, has_key };
        let (no_agent, no_key) = (vec![("agent", Verdict::Wrong)], vec![("key", Verdict::Warning)]);
        let keyless = [local(CODEX, false), local(CLAUDE_CODE, false)];
        for (agent, secret, installed, expected) in [
            (COMMAND, None, &[][..], vec![]),
            (CODEX, Some("k"), &[], no_agent.clone()),
            (CLAUDE_CODE, None, &keyless[..1], no_agent),
            (CODEX, None, &keyless, no_key.clone()),
            (CLAUDE_CODE, Some("k"), &keyless, no_key.clone()),
            (AUTO, None, &keyless, no_key),
            (AUTO, Some("k"), &keyless, vec![]),
            (AUTO, None, &[local(CODEX, false), local(CLAUDE_CODE, true)], vec![]),
        ] {
            assert_eq!(check(agent, secret, installed), expected, "{agent} {secret:?} {installed:?}");
        }
    }
}
