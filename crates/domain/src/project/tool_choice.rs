//! A project's choice of a ticket tool.

use super::Statuses;
use crate::project::tracker::{ToolStatus, TrackerSettings};
use crate::text::id::IntegrationId;
use crate::text::setting_fault::{SettingFault, fault};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The tool of a project, and the statuses that get a meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolChoice {
    /// The connection's name.
    pub connection: IntegrationId,
    /// The tool's own project, in its spelling.
    #[serde(default)]
    pub scope: String,
    /// The status that starts a job. None of the following: as before.
    #[serde(default)]
    pub trigger: Option<String>,
    /// The status after a failed job.
    #[serde(default)]
    pub todo: Option<String>,
    /// The status after a completed job.
    #[serde(default)]
    pub completion: Option<String>,
    /// The status after the merge of the pull request.
    #[serde(default)]
    pub merged: Option<String>,
    /// The status after a close without a merge.
    #[serde(default)]
    pub unmerged: Option<String>,
    /// The statuses of closed tickets.
    #[serde(default)]
    pub closed: BTreeSet<String>,
}

impl ToolChoice {
    /// Leaves all statuses as they are.
    pub fn new(connection: IntegrationId) -> Self {
        let (scope, closed) = (String::new(), BTreeSet::new());
        Self { connection, scope, trigger: None, todo: None, completion: None, merged: None, unmerged: None, closed }
    }

    /// The statuses of a project with this tool. Each is a column.
    pub fn choose(&self, statuses: Statuses) -> Statuses {
        let chosen = Statuses {
            trigger: self.trigger.clone().unwrap_or(statuses.trigger),
            todo: self.todo.clone().unwrap_or(statuses.todo),
            completion: self.completion.clone().unwrap_or(statuses.completion),
            merged: self.merged.clone().or(statuses.merged),
            unmerged: self.unmerged.clone().or(statuses.unmerged),
            closed: if self.closed.is_empty() { statuses.closed } else { self.closed.clone() },
            ..statuses
        };
        chosen.with_missing_columns()
    }

    /// The statuses of a project whose tool has exactly the given ones, which are the columns in the tool's order. The
    /// closed ones are those of the choice, or of `before`, or those that the tool counts as done or cancelled.
    /// `same` are the settings of the same scope before: its statuses are those ids, perhaps under new names.
    pub fn choose_from(
        &self,
        tool: &[ToolStatus],
        before: &Statuses,
        same: Option<&TrackerSettings>,
    ) -> Result<Statuses, SettingFault> {
        let mut columns: Vec<String> = Vec::new();
        let rename = |name: &String| {
            let id = same.and_then(|same| same.statuses.iter().find(|[_, known]| known == name));
            let status = id.and_then(|[id, _]| tool.iter().find(|status| status.id == *id));
            status.map_or(name, |status| &status.name).clone()
        };
        for ToolStatus { name, .. } in tool {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        let find = |pointer, wanted: &str| match columns.iter().find(|name| name.eq_ignore_ascii_case(wanted)) {
            Some(name) => Ok(name.clone()),
            None => fault(pointer, format!("the tool has no status {wanted}; its statuses: {}", columns.join(", "))),
        };
        let choose =
            |pointer, wanted: &Option<String>, before| find(pointer, &wanted.clone().unwrap_or_else(|| rename(before)));
        let optional = |pointer, wanted: &Option<String>, before: &Option<String>| {
            // The names of another scope mean nothing here.
            let before = before.as_ref().map(rename).filter(|name| same.is_some() || columns.contains(name));
            wanted.clone().or(before).map(|wanted| find(pointer, &wanted)).transpose()
        };
        let closes = || tool.iter().filter(|status| status.closes).map(|status| status.name.clone());
        Ok(Statuses {
            trigger: choose("/trigger", &self.trigger, &before.trigger)?,
            todo: choose("/todo", &self.todo, &before.todo)?,
            completion: choose("/completion", &self.completion, &before.completion)?,
            merged: optional("/merged", &self.merged, &before.merged)?,
            unmerged: optional("/unmerged", &self.unmerged, &before.unmerged)?,
            closed: match same {
                _ if !self.closed.is_empty() => {
                    self.closed.iter().map(|name| find("/closed", name)).collect::<Result<_, _>>()?
                }
                Some(_) => before.closed.iter().map(|name| find("/closed", &rename(name))).collect::<Result<_, _>>()?,
                None => closes().collect(),
            },
            columns,
            allow_others: before.allow_others,
        })
    }
}
