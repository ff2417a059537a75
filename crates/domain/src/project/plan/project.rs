//! The rules of a plan that depend on its project, and the settings of a step's job.

use super::{Plan, PlanFault, PlanStep, SpawnRequest, StepBranch, StepChanges, StepKeys, parse_wall};
use crate::project::budget::format_usd;
use crate::project::{Repository, Settings};

fn secs(limit: &Option<String>) -> Option<u64> {
    limit.as_deref().and_then(parse_wall).map(|limit| limit.as_secs())
}

impl StepKeys {
    pub fn has_own_branch(&self) -> bool {
        self.branch == Some(StepBranch::Own) && !self.is_read_only()
    }

    /// Whether the job of a step that writes also has to write an output.
    pub fn reports(&self) -> bool {
        !self.is_read_only() && (self.outcomes.is_some() || self.spawn.is_some())
    }

    /// Whether an unchanged tree completes the step. A manager may only add steps.
    pub fn may_change_nothing(&self) -> bool {
        self.changes.map_or(self.spawn.is_some(), |changes| changes == StepChanges::Optional)
    }

    /// Returns the settings and the repository to plan the step's job with. `repository`: with its agent resolved.
    /// Errors: why the agent or the model is refused.
    pub fn apply(&self, settings: &Settings, repository: &Repository) -> Result<(Settings, Repository), String> {
        let (mut settings, mut repository) = (settings.clone(), repository.clone());
        let limits = &mut settings.limits;
        // The project may have lowered its limits since the submission.
        limits.wall_secs = secs(&self.limits.wall).map_or(limits.wall_secs, |wall| wall.min(limits.wall_secs));
        limits.stall_secs = secs(&self.limits.stall).map_or(limits.stall_secs, |stall| stall.min(limits.stall_secs));
        limits.turns = self.limits.turns.into_iter().chain(limits.turns).min();
        limits.cost_usd_micros = self.cost_usd_micros().into_iter().chain(limits.cost_usd_micros).min();
        let commands = &mut repository.commands;
        commands.setup = self.setup.clone().or_else(|| commands.setup.take());
        commands.checks = self.checks.clone().or_else(|| commands.checks.take());
        let agent = repository.agent.with_job_choice(self.agent.as_deref(), self.model.as_deref());
        repository.agent = agent.map_err(|bad| bad.message)?;
        Ok((settings, repository))
    }
}

impl Plan {
    /// Finds the faults of a plan in a project. `repository`: with its agent resolved; without it, agents are not
    /// checked.
    pub fn check_for_project(&self, settings: &Settings, repository: Option<&Repository>) -> Vec<PlanFault> {
        let mut faults = Vec::new();
        for (index, step) in self.steps.iter().enumerate().filter(|(_, step)| step.prompt.is_some()) {
            let fault = |(key, fault): (&str, String)| PlanFault::new(format!("/steps/{index}{key}"), fault);
            faults.extend(self.find_step_faults(step, settings, repository).into_iter().map(fault));
            // An added step has the commands of its role, so each role that may be added is checked now.
            for role in self.resolve(step).spawn.into_iter().flat_map(|spawn| spawn.roles) {
                let added = PlanStep { role: Some(role.clone()), ..PlanStep::default() };
                let of_role = self.find_step_faults(&added, settings, repository).into_iter();
                faults.extend(of_role.map(|(_, text)| fault(("", format!("its added role `{role}`: {text}")))));
            }
        }
        faults
    }

    /// Returns why the project refuses a step that a manager adds.
    pub fn find_spawn_fault(
        &self,
        list: &[SpawnRequest],
        settings: &Settings,
        repository: &Repository,
    ) -> Option<String> {
        list.iter().find_map(|request| {
            let faults = self.find_step_faults(&request.as_step(self), settings, Some(repository));
            // Limits above the project's are lowered and not refused, because the manager's turn is paid already.
            let (key, fault) = faults.into_iter().find(|(key, _)| !key.starts_with("/limits"))?;
            // A request has no `setup` and no `checks`: its role has them.
            let key = if key == "/agent" { key } else { "" };
            Some(format!("{fault} at `{}{key}`", request.name))
        })
    }

    fn find_step_faults(
        &self,
        step: &PlanStep,
        settings: &Settings,
        repository: Option<&Repository>,
    ) -> Vec<(&str, String)> {
        let (keys, most) = (self.resolve(step), &settings.limits);
        let mut faults = Vec::new();
        for (key, wanted, most) in [
            ("/limits/wall", secs(&keys.limits.wall), Some(most.wall_secs)),
            ("/limits/stall", secs(&keys.limits.stall), Some(most.stall_secs)),
            ("/limits/turns", keys.limits.turns.map(u64::from), most.turns.map(u64::from)),
            ("/limits/cost_usd", keys.cost_usd_micros(), most.cost_usd_micros),
        ] {
            let Some(most) = most.filter(|most| wanted.is_some_and(|wanted| wanted > *most)) else { continue };
            let most = match key {
                "/limits/cost_usd" => format_usd(most),
                "/limits/turns" => most.to_string(),
                _ => format!("{most} s"),
            };
            faults.push((key, format!("the project's limit is {most}")));
        }
        for (key, lines) in [("/setup", &keys.setup), ("/checks", &keys.checks)] {
            if let Err(fault) = settings.command_policy.check(lines.as_deref().unwrap_or_default()) {
                faults.push((key, fault));
            }
        }
        if let Some(Err(fault)) = repository.map(|repository| keys.apply(settings, repository)) {
            faults.push((if step.keys.agent.is_some() { "/agent" } else { "" }, fault));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::Agent;
    use serde_json::{Value, json};

    fn plan(steps: Value) -> Plan {
        let plan = json!({ "name": "test", "steps": steps });
        Plan::parse(plan).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    fn repository() -> Repository {
        let agent = Agent { capability: "claude_code".into(), command: Vec::new(), model: None };
        Repository { agent, ..crate::fixtures::repository() }
    }

    #[track_caller]
    fn check(step: Value, pointer: &str, fault: &str) {
        let mut settings = Settings::default();
        (settings.limits.turns, settings.limits.cost_usd_micros) = (Some(50), Some(2_000_000));
        let mut step = step;
        step["name"] = json!("a");
        step["prompt"] = json!("Work.");
        let faults = plan(json!([step])).check_for_project(&settings, Some(&repository()));
        let found: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.fault.as_str())).collect();
        assert!(matches!(&found[..], [(at, text)] if *at == pointer && text.contains(fault)), "{found:?}");
    }

    #[test]
    fn plan_is_refused_where_it_exceeds_its_project() {
        check(json!({ "limits": { "wall": "2h" } }), "/steps/0/limits/wall", "3600 s");
        check(json!({ "limits": { "stall": "30m" } }), "/steps/0/limits/stall", "900 s");
        check(json!({ "limits": { "turns": 51 } }), "/steps/0/limits/turns", "limit is 50");
        check(json!({ "limits": { "cost_usd": 3 } }), "/steps/0/limits/cost_usd", "limit is $2.00");
        check(json!({ "setup": ["rm -r x"] }), "/steps/0/setup", "not on the list");
        check(json!({ "checks": ["rm -r x"] }), "/steps/0/checks", "not on the list");
        check(json!({ "agent": "command" }), "/steps/0/agent", "name a program");
    }

    #[test]
    fn added_step_is_refused_without_a_key_that_it_cannot_have() {
        let plan = json!({ "name": "test", "roles": { "worker": { "checks": ["rm -r x"] } },
            "steps": [{ "name": "lead", "prompt": "Lead.", "spawn": { "roles": ["worker"] } }] });
        let plan = Plan::parse(plan).unwrap_or_else(|faults| panic!("{faults:?}"));
        let list = json!([{ "name": "a", "role": "worker", "prompt": "Work." }]);
        let list: Vec<SpawnRequest> = serde_json::from_value(list).unwrap();
        let fault = plan.find_spawn_fault(&list, &Settings::default(), &repository()).unwrap();
        assert!(fault.contains("not on the list") && fault.ends_with(" at `a`"), "{fault}");
    }

    #[test]
    fn step_keys_replace_those_of_project_and_repository() {
        let keys = json!({ "agent": "codex", "model": "m", "checks": ["just test"],
            "limits": { "wall": "10m", "stall": "5m", "turns": 7, "cost_usd": 1 } });
        let keys: StepKeys = serde_json::from_value(keys).unwrap();
        let mut repository = repository();
        (repository.commands.setup, repository.commands.checks) = (Some(vec!["npm ci".into()]), Some(Vec::new()));
        let (settings, applied) = keys.apply(&Settings::default(), &repository).unwrap();
        let limits = settings.limits;
        assert_eq!((limits.wall_secs, limits.stall_secs), (600, 300));
        assert_eq!((limits.turns, limits.cost_usd_micros), (Some(7), Some(1_000_000)));
        assert_eq!((applied.agent.capability.as_str(), applied.agent.model.as_deref()), ("codex", Some("m")));
        assert_eq!(applied.commands.setup, Some(vec!["npm ci".to_owned()]));
        assert_eq!(applied.commands.checks, Some(vec!["just test".to_owned()]));
        let unchanged = StepKeys::default().apply(&Settings::default(), &repository).unwrap();
        assert_eq!(unchanged, (Settings::default(), repository));
    }
}
