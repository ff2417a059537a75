//! Templates: stored plans that users, schedules, programs and webhooks start with parameters.

use crate::project::plan::{Plan, PlanFault};
pub use crate::project::plan::{StartEvents, StartedBy};
use crate::text::id::{EventId, InProject, ProjectId, TemplateName};
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub type TemplateId = InProject<TemplateName>;

/// A template as the table stores it. Readers ignore unknown fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub id: TemplateId,
    /// The plan's JSON as its user wrote it, which each start parses again.
    pub plan: String,
    /// Name of the token that stored it.
    pub by: String,
    pub created: Timestamp,
    pub changed: Timestamp,
    #[serde(default)]
    pub rev: u64,
}

/// A program's start of a template: the body of `POST /v1/submissions`, and a message of the queue of submissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Version of this form: 1.
    #[serde(default = "Submission::version")]
    pub v: u32,
    /// Own id: repeats with it start no second run.
    pub id: EventId,
    /// Project.
    pub project: ProjectId,
    /// Template, which allows submissions.
    pub template: TemplateName,
    /// Values of the template's parameters.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
}

impl Submission {
    pub fn version() -> u32 {
        1
    }
}

impl Template {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.plan).unwrap_or_default()
    }

    /// Errors: the first fault of a plan that another version of the program stored.
    pub fn parse(&self) -> Result<Plan, PlanFault> {
        Plan::parse(self.json()).map_err(|faults| {
            let fault = faults.first().map(PlanFault::to_string).unwrap_or_default();
            PlanFault::new("/template", format!("this version refuses it: {fault}"))
        })
    }

    /// The events to which its webhook subscribes: the first part of each event in `on`.
    pub fn start_events(&self) -> BTreeSet<String> {
        let plan = self.parse().unwrap_or_default();
        plan.github_events().iter().filter_map(|event| event.split('.').next()).map(str::to_owned).collect()
    }
}
