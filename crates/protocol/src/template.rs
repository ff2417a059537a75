//! Templates: `/v1/templates…`.

use pullyard_domain::project::plan::Parameter;
use pullyard_domain::project::template as domain;
use pullyard_domain::project::template::StartedBy;
use pullyard_domain::text::id::{EventId, ProjectId, RepositoryName, TemplateName};
use pullyard_domain::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Body of `PUT /v1/templates/{project}/{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutTemplate {
    /// Plan, as a plan file contains it; `GET /plan.schema.json` returns its schema.
    #[schemars(extend("additionalProperties" = {}))]
    pub plan: Map<String, Value>,
}

/// Body of `POST /v1/templates/{project}/{name}/runs`: starts a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartTemplate {
    /// Values of the parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// Repository; absent: the plan's, or the project's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    /// Branch to start from; absent: the plan's, or the repository's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Own key of the run: the same key in the same project gives the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<EventId>,
}

/// A template of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Template {
    /// Project.
    pub project: ProjectId,
    /// Its name in the project.
    pub name: TemplateName,
    /// Starts that it allows.
    pub started_by: Vec<StartedBy>,
    /// Parameters of its plan.
    pub parameters: BTreeMap<String, Parameter>,
    /// Name of the token that stored it.
    pub by: String,
    /// Time of the last change.
    #[serde(with = "WireTime")]
    pub changed: Timestamp,
    /// Its plan. Absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("additionalProperties" = {}))]
    pub plan: Option<Map<String, Value>>,
}

impl Template {
    /// A stored template. Without starts and parameters if this version refuses its plan.
    pub fn new(template: domain::Template) -> Self {
        let json = template.json();
        let plan = template.parse().ok();
        let allowed = StartedBy::ALL.into_iter().filter(|start| plan.as_ref().is_some_and(|plan| plan.allows(*start)));
        Self {
            project: template.id.project,
            name: template.id.name,
            started_by: allowed.collect(),
            parameters: plan.map(|plan| plan.parameters).unwrap_or_default(),
            by: template.by,
            changed: template.changed,
            plan: json.as_object().cloned(),
        }
    }
}

/// Answer to `GET /v1/templates/{project}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Templates {
    /// By name.
    pub templates: Vec<Template>,
}
