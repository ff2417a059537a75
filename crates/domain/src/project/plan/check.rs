//! The rules of a plan that its form cannot express and that need no project.

use super::graph::Graph;
use super::name::{NAME_RULE, is_name};
use super::parameter::{BRANCH_RULE, is_base};
use super::roles::BUILT_IN_ROLES;
use super::shape::{MAX_SHOWN_CHARS, did_you_mean, escape, join_or};
use super::{
    MAX_ALL_NEEDS, MAX_FAULTS, MAX_NEEDS, MAX_TEXT_BYTES, MAX_WALL, Plan, PlanFault, PlanStep, SpawnLimits, StepBranch,
    StepChanges, StepKeys, built_in_role, parse_cost, parse_wall,
};
use crate::agent::commands::CommandPolicy;
use crate::agent::{COMMAND, ChoiceLevel, choices, is_valid_model_name, model_name_rule};
use crate::project::budget::format_usd;
use crate::text::id::RepositoryName;
use crate::text::{is_line, truncate};
use serde_json::Number;
use std::collections::BTreeSet;
use std::time::Duration;

const NAME_TEXT_RULE: &str = "use one line of printable text";
const COST_RULE: &str = "use 0.01 to 1000 dollars";

pub(super) fn check(plan: &Plan) -> Vec<PlanFault> {
    let mut check = Check { plan, faults: Vec::new() };
    check.head();
    check.keys("/defaults", &plan.defaults);
    check.spawn(plan.defaults.spawn.as_ref(), |index| format!("/defaults/spawn/roles/{index}"));
    check.roles();
    check.steps();
    check.faults
}

/// Faults of steps that a manager adds to the plan's run. `at` replaces the pointer `/steps`.
pub(crate) fn check_added_steps(plan: &Plan, steps: Vec<PlanStep>, at: &str) -> Vec<PlanFault> {
    let plan = Plan { steps, ..plan.clone() };
    let mut check = Check { plan: &plan, faults: Vec::new() };
    check.steps();
    let moved = |fault: PlanFault| PlanFault { pointer: fault.pointer.replacen("/steps", at, 1), ..fault };
    check.faults.into_iter().map(moved).collect()
}

struct Check<'a> {
    plan: &'a Plan,
    faults: Vec<PlanFault>,
}

impl Check<'_> {
    fn steps(&mut self) {
        let plan = self.plan;
        for (index, step) in plan.steps.iter().enumerate() {
            self.step(index, step);
        }
        self.order();
    }

    fn fault(&mut self, pointer: impl Into<String>, fault: impl Into<String>) {
        self.faults.push(PlanFault::new(pointer, fault));
    }

    fn require(&mut self, is_valid: bool, pointer: &str, rule: &str) {
        if !is_valid {
            self.fault(pointer, rule);
        }
    }

    fn head(&mut self) {
        let plan = self.plan;
        self.require(plan.name.is_empty() || is_line(&plan.name, usize::MAX), "/name", NAME_TEXT_RULE);
        if let Some(Err(rule)) = plan.repository.as_deref().map(RepositoryName::new) {
            self.fault("/repository", rule.to_string());
        }
        self.require(plan.base.as_deref().is_none_or(is_base), "/base", BRANCH_RULE);
        let group = plan.concurrency.as_ref().map_or("", |concurrency| &concurrency.group);
        self.require(group.is_empty() || is_line(group, usize::MAX), "/concurrency/group", NAME_TEXT_RULE);
        // No output would show the difference between the two groups.
        self.require(group.trim() == group, "/concurrency/group", "use no space at the ends");
        self.wall("/limits/wall", plan.limits.wall.as_deref(), MAX_WALL);
        self.cost("/limits/cost_usd", plan.limits.cost_usd.as_ref());
    }

    fn roles(&mut self) {
        for (name, role) in &self.plan.roles {
            let pointer = format!("/roles/{}", escape(name));
            self.require(is_name(name), &pointer, NAME_RULE);
            let is_new = !BUILT_IN_ROLES.contains(&name.as_str());
            self.require(is_new, &pointer, "a built-in role has this name; choose another one");
            self.text(&format!("{pointer}/prompt"), role.prompt.as_deref());
            self.keys(&pointer, &role.keys);
            if role.keys.is_read_only() {
                self.reader(&pointer, &role.keys);
            }
            self.spawn(role.keys.spawn.as_ref(), |index| format!("{pointer}/spawn/roles/{index}"));
        }
    }

    fn step(&mut self, index: usize, step: &PlanStep) {
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
        let pointer = format!("/steps/{index}");
        let is_twice = self.plan.steps.iter().take(index).any(|earlier| earlier.name == step.name);
        match is_name(&step.name) {
            true => self.require(!is_twice, &format!("{pointer}/name"), "an earlier step has this name"),
            false => self.fault(format!("{pointer}/name"), NAME_RULE),
        }
        if let Some(role) = step.role.as_deref().filter(|name| self.plan.find_role(name).is_none()) {
            let fault = self.unknown_role(role);
            self.fault(format!("{pointer}/role"), fault);
        }
        self.text(&format!("{pointer}/prompt"), step.prompt.as_deref());
        self.text(&format!("{pointer}/approve"), step.approve.as_deref());
        match (&step.prompt, &step.approve) {
            (None, None) => self.fault(&pointer, "a step needs `prompt`, or `approve` with a question to a user"),
            (Some(_), Some(_)) => {
                self.fault(format!("{pointer}/approve"), "a step has `prompt` or `approve`, not both")
            }
            (None, Some(_)) => {
                let own = StepKeys { allow_failure: None, ..step.keys.clone() };
                let is_question = step.role.is_none() && own == StepKeys::default();
                let rule = "a question has only `name`, `needs`, `when` and `allow_failure` beside it";
                self.require(is_question, &format!("{pointer}/approve"), rule);
            }
            (Some(_), None) => self.work(&pointer, step),
        }
        self.needs(&pointer, step);
        self.when(&pointer, step);
    }

    fn work(&mut self, pointer: &str, step: &PlanStep) {
        self.keys(pointer, &step.keys);
        let keys = self.plan.resolve(step);
        if keys.is_read_only() {
            self.reader(pointer, &step.keys);
        }
        let is_with_model = keys.agent.as_deref() == Some(COMMAND) && keys.model.is_some();
        self.require(!is_with_model, &format!("{pointer}/model"), "the agent `command` has no model");
        let limit = self.plan.cost_limit_usd_micros();
        match (limit, keys.cost_usd_micros()) {
            (Some(limit), Some(cost)) if cost > limit => {
                let rule =
                    format!("the limit of the run is {}, and this step needs {}", format_usd(limit), format_usd(cost));
                self.fault(format!("{pointer}/limits/cost_usd"), rule);
            }
            (Some(_), None) if keys.limits.cost_usd.is_none() => {
                self.fault(pointer, "the run has a cost limit: set `limits.cost_usd` here or in `defaults`");
            }
            _ => {}
        }
        // The commits of its turns would be on several branches.
        let is_scattered = keys.spawn.is_some() && keys.branch == Some(StepBranch::Own);
        self.require(!is_scattered, &format!("{pointer}/branch"), "a step with `spawn` writes to the shared branch");
        match (&step.keys.spawn, step.role.as_deref().and_then(built_in_role)) {
            (None, Some(role)) => self.spawn(role.keys.spawn.as_ref(), |_| format!("{pointer}/role")),
            (own, _) => self.spawn(own.as_ref(), |index| format!("{pointer}/spawn/roles/{index}")),
        }
    }

    /// Refuses keys that have no effect on a step that only reads.
    fn reader(&mut self, pointer: &str, keys: &StepKeys) {
        let has_changes = keys.changes == Some(StepChanges::Required);
        for (key, is_set) in [
            ("setup", keys.setup.is_some()),
            ("checks", keys.checks.is_some()),
            ("changes", has_changes),
            ("branch", keys.branch.is_some()),
        ] {
            let rule = format!("a step that only reads has no `{key}`");
            self.require(!is_set, &format!("{pointer}/{key}"), &rule);
        }
    }

    /// Checks the roles of added steps where they are listed.
    fn spawn(&mut self, limits: Option<&SpawnLimits>, pointer: impl Fn(usize) -> String) {
        for (index, name) in limits.iter().flat_map(|limits| limits.roles.iter().enumerate()) {
            let pointer = pointer(index);
            let Some(role) = self.plan.find_role(name) else {
                let fault = self.unknown_role(name);
                self.fault(pointer, fault);
                continue;
            };
            let keys = self.plan.resolve_spawned(&role);
            let rule = format!("the role `{name}` adds steps, and added steps cannot");
            self.require(keys.spawn.is_none(), &pointer, &rule);
            let has_cost = self.plan.cost_limit_usd_micros().is_none() || keys.cost_usd_micros().is_some();
            let rule = format!("the run has a cost limit: set `limits.cost_usd` of the role `{name}` or in `defaults`");
            self.require(has_cost, &pointer, &rule);
        }
    }

    fn needs(&mut self, pointer: &str, step: &PlanStep) {
        // Lists of managers pass no schema.
        let has_room = step.needs.len() <= MAX_NEEDS;
        self.require(has_room, &format!("{pointer}/needs"), &format!("use at most {MAX_NEEDS} needs"));
        let mut seen = BTreeSet::new();
        for (index, need) in step.needs.iter().enumerate() {
            let pointer = format!("{pointer}/needs/{index}");
            if self.plan.find_step(need).is_none() {
                let others = self.plan.steps.iter().map(|other| other.name.as_str()).filter(|name| *name != step.name);
                let fault = unknown_step(need, others);
                self.fault(&pointer, fault);
            }
            self.require(seen.insert(need), &pointer, "this step is listed twice");
        }
    }

    fn when(&mut self, pointer: &str, step: &PlanStep) {
        for (need, wanted) in &step.when {
            let pointer = format!("{pointer}/when/{}", escape(need));
            if !step.needs.contains(need) {
                let is_known = |need: &String| self.plan.find_step(need).is_some();
                // A misspelt need may be this one.
                if step.needs.iter().all(is_known) {
                    let fault = match is_known(need) {
                        true => format!("add `{need}` to `needs`; `when` compares the outcomes of needed steps"),
                        false => unknown_step(need, step.needs.iter().map(String::as_str)),
                    };
                    self.fault(&pointer, fault);
                }
                continue;
            }
            let Some(of) = self.plan.find_step(need) else { continue };
            let outcomes = self.plan.resolve(of).outcomes.unwrap_or_default();
            let known: Vec<&str> = outcomes.iter().map(String::as_str).collect();
            let unknown = wanted.as_slice().iter().find(|outcome| !known.contains(&outcome.as_str()));
            match unknown {
                Some(_) if known.is_empty() => self.fault(pointer, format!("`{need}` has no `outcomes`")),
                Some(_) => self.fault(pointer, format!("`{need}` ends as {}", join_or(&known))),
                None => self.require(!wanted.as_slice().is_empty(), &pointer, "name an outcome"),
            }
        }
    }

    fn keys(&mut self, pointer: &str, keys: &StepKeys) {
        let agents = choices(ChoiceLevel::Job);
        if let Some(agent) = keys.agent.as_deref().filter(|agent| !agents.contains(agent)) {
            let sentence = format!("use {}", join_or(&agents));
            self.fault(format!("{pointer}/agent"), did_you_mean(sentence, agent, agents));
        }
        let is_model = keys.model.as_deref().is_none_or(is_valid_model_name);
        self.require(is_model, &format!("{pointer}/model"), &model_name_rule());
        for (key, commands) in [("setup", &keys.setup), ("checks", &keys.checks)] {
            for (index, command) in commands.iter().flatten().enumerate() {
                // The project's policy is known at the start of a run.
                if let Err(fault) = CommandPolicy::Unrestricted.parse_command(command) {
                    self.fault(format!("{pointer}/{key}/{index}"), fault);
                }
            }
        }
        let day = Duration::from_secs(24 * 3_600);
        self.wall(&format!("{pointer}/limits/wall"), keys.limits.wall.as_deref(), day);
        self.wall(&format!("{pointer}/limits/stall"), keys.limits.stall.as_deref(), day);
        self.cost(&format!("{pointer}/limits/cost_usd"), keys.limits.cost_usd.as_ref());
        let has_turns = keys.limits.turns.is_none_or(|turns| (1..=10_000).contains(&turns));
        self.require(has_turns, &format!("{pointer}/limits/turns"), "use 1 to 10000 turns");
        let mut seen = BTreeSet::new();
        for (index, outcome) in keys.outcomes.iter().flatten().enumerate() {
            let pointer = format!("{pointer}/outcomes/{index}");
            let is_word = is_name(&outcome.replace('_', "-"));
            self.require(is_word, &pointer, "use lower-case letters, digits, dashes and underscores");
            self.require(seen.insert(outcome), &pointer, "this outcome is listed twice");
        }
    }

    fn order(&mut self) {
        let steps = &self.plan.steps;
        let all = steps.iter().map(|step| step.needs.len()).sum::<usize>();
        self.require(all <= MAX_ALL_NEEDS, "/steps", &format!("use at most {MAX_ALL_NEEDS} needs in all"));
        let Some(graph) = Graph::new(steps) else { return };
        let name = |index: &usize| steps.get(*index).map_or("", |step| step.name.as_str());
        let cycle = graph.find_cycle();
        if let Some(first) = cycle.first() {
            let names: Vec<_> = cycle.iter().map(name).collect();
            self.fault(format!("/steps/{first}/needs"), format!("these steps need each other: {}", names.join(" → ")));
        }
        // Without a misspelt need, the order may be another one.
        let are_known = steps.iter().flat_map(|step| &step.needs).all(|need| self.plan.find_step(need).is_some());
        if !cycle.is_empty() || !are_known {
            return;
        }
        let writes = |step: &PlanStep| {
            let keys = self.plan.resolve(step);
            step.prompt.is_some() && !keys.is_read_only() && keys.branch != Some(StepBranch::Own)
        };
        let writers: Vec<usize> = (0..steps.len()).filter(|index| steps.get(*index).is_some_and(writes)).collect();
        for later in &writers {
            // Two steps of one name have that fault already.
            let is_unordered = |earlier: &&usize| {
                *earlier < later
                    && name(earlier) != name(later)
                    && !graph.is_before(**earlier, *later)
                    && !graph.is_before(*later, **earlier)
            };
            if let Some(earlier) = writers.iter().find(is_unordered) {
                let names = format!("`{}` and `{}`", name(earlier), name(later));
                let rule =
                    format!("{names} both write to the shared branch: let one need the other, or use `branch: own`");
                self.fault(format!("/steps/{later}"), rule);
            }
        }
    }

    fn text(&mut self, pointer: &str, text: Option<&str>) {
        let is_valid = text.is_none_or(|text| !text.trim().is_empty() && text.len() <= MAX_TEXT_BYTES);
        self.require(is_valid, pointer, "use 1 byte to 16 KiB of text");
    }

    fn wall(&mut self, pointer: &str, text: Option<&str>, longest: Duration) {
        let allowed = Duration::from_secs(60)..=longest;
        let is_valid = text.is_none_or(|text| parse_wall(text).is_some_and(|wall| allowed.contains(&wall)));
        self.require(is_valid, pointer, &format!("use 1m to {}h, such as 30m or 2h", longest.as_secs() / 3_600));
    }

    fn cost(&mut self, pointer: &str, cost: Option<&Number>) {
        self.require(cost.is_none_or(|cost| parse_cost(cost).is_some()), pointer, COST_RULE);
    }

    fn unknown_role(&self, name: &str) -> String {
        let known = BUILT_IN_ROLES.into_iter().chain(self.plan.roles.keys().map(String::as_str));
        did_you_mean(format!("there is no role `{}`", truncate(name, MAX_SHOWN_CHARS)), name, known)
    }
}

fn unknown_step<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> String {
    did_you_mean(format!("there is no step `{}`", truncate(name, MAX_SHOWN_CHARS)), name, words)
}
