//! The starts that a plan allows as a template.

use super::{Plan, PlanFault};
use crate::text::code::coded_enum;
use serde::{Deserialize, Serialize};

coded_enum! {
    /// A kind of start.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum StartedBy {
        /// A user or a program with a token.
        Hand = "hand";
        /// A delivery of a webhook of this template.
        Webhook = "webhook";
        /// A schedule.
        Schedule = "schedule";
        /// A submission.
        Submission = "submission";
    }
}

/// The events that start a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct StartEvents {
    /// Events of GitHub, such as push, pull_request.opened or workflow_run.completed.failure.
    #[schemars(length(min = 1, max = 20), inner(length(max = 80)))]
    pub github: Vec<String>,
}

impl Plan {
    pub fn allows(&self, start: StartedBy) -> bool {
        match start {
            _ if !self.started_by.is_empty() => self.started_by.contains(&start),
            StartedBy::Hand => true,
            StartedBy::Webhook => !self.github_events().is_empty(),
            StartedBy::Schedule | StartedBy::Submission => false,
        }
    }

    pub fn github_events(&self) -> &[String] {
        self.on.as_ref().map_or(&[], |on| &on.github)
    }

    /// Whether an event starts the template: `push`, or `workflow_run.completed.failure`, which `workflow_run` includes.
    pub fn starts_on(&self, event: &str) -> bool {
        let is_start =
            |wanted: &String| event.strip_prefix(wanted).is_some_and(|rest| matches!(rest.as_bytes(), [] | [b'.', ..]));
        self.allows(StartedBy::Webhook) && self.github_events().iter().any(is_start)
    }
}

/// Faults of `started_by` and `on`.
pub(super) fn check_starts(plan: &Plan) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    for (index, event) in plan.github_events().iter().enumerate() {
        let parts: Vec<&str> = event.split('.').collect();
        let is_word =
            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let is_sent = matches!(
            parts[..],
            ["push" | "pull_request" | "workflow_run"]
                | ["pull_request", _]
                | ["workflow_run", "requested" | "in_progress" | "completed"]
                | ["workflow_run", "completed", _]
        );
        if !is_sent || !parts.iter().all(is_word) {
            let fault = "use push, pull_request.opened or workflow_run.completed.failure, with any action or end; all branches count";
            faults.push(PlanFault::new(format!("/on/github/{index}"), fault));
        }
    }
    if plan.allows(StartedBy::Webhook) == plan.github_events().is_empty() {
        faults.push(PlanFault::new("/on", "`on` has the events of `started_by: [webhook]`: set both or none"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(keys: Value) -> Result<Plan, Vec<PlanFault>> {
        let mut plan = json!({ "name": "n", "steps": [{ "name": "a", "prompt": "Work." }] });
        keys.as_object().unwrap().iter().for_each(|(key, value)| plan[key] = value.clone());
        Plan::parse(plan)
    }

    #[test]
    fn template_allows_only_its_starts() {
        let default = parse(json!({})).unwrap();
        assert!(default.allows(StartedBy::Hand) && !default.allows(StartedBy::Schedule));
        let both = parse(json!({ "started_by": ["schedule", "submission"] })).unwrap();
        assert!(both.allows(StartedBy::Submission) && !both.allows(StartedBy::Hand));
    }

    #[test]
    fn event_starts_a_template_by_its_first_words() {
        let on = json!({ "github": ["push", "workflow_run.completed.failure"] });
        let plan = parse(json!({ "started_by": ["webhook"], "on": on })).unwrap();
        for (event, starts) in [
            ("push", true),
            ("workflow_run.completed.failure", true),
            ("workflow_run.completed.success", false),
            ("workflow_run.completed", false),
            ("pushed", false),
            ("pull_request.opened", false),
        ] {
            assert_eq!(plan.starts_on(event), starts, "{event}");
        }
    }

    #[test]
    fn events_and_their_start_are_declared_together() {
        for (keys, pointer) in [
            (json!({ "started_by": ["webhook"] }), "/on"),
            (json!({ "started_by": ["hand"], "on": { "github": ["push"] } }), "/on"),
            (json!({ "started_by": ["webhook"], "on": { "github": ["issues"] } }), "/on/github/0"),
            (json!({ "started_by": ["webhook"], "on": { "github": ["push.a.b.c"] } }), "/on/github/0"),
            (json!({ "started_by": ["cron"] }), "/started_by/0"),
            (json!({ "started_by": [] }), "/started_by"),
        ] {
            let faults = parse(keys.clone()).unwrap_err();
            assert_eq!(faults[0].pointer, pointer, "{keys}: {faults:?}");
        }
    }
}
