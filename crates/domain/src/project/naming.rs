//! Decides which projects may name a secret or an integration. Both belong to the deployment, and a project's settings
//! and repositories name them.

use crate::project::Settings;
use crate::project::secret::{SecretField, named_secrets};
use crate::text::id::{IntegrationId, ProjectId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A change of a project, and the projects of the caller's token; `None` means all.
#[derive(Clone, Copy, Debug)]
pub struct ProjectChange<'a> {
    pub project: &'a ProjectId,
    pub caller: Option<&'a BTreeSet<ProjectId>>,
}

impl<'a> ProjectChange<'a> {
    /// By a token for all projects, or by Pullyard itself.
    pub fn by_operator(project: &'a ProjectId) -> Self {
        Self { project, caller: None }
    }
}

/// The projects that may use a secret. A secret without a list has no item, or one without projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretProjects {
    /// The secret's full name.
    pub secret: String,
    #[serde(default)]
    pub projects: Option<BTreeSet<ProjectId>>,
    pub rev: u64,
}

impl SecretProjects {
    pub fn none(secret: impl Into<String>) -> Self {
        Self { secret: secret.into(), projects: None, rev: 0 }
    }
}

/// A thing that lists the projects that may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The secret's full name.
    Secret(String),
    Integration(IntegrationId),
}

/// A thing that a project must not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotListed {
    pub named: Named,
    pub project: ProjectId,
}

impl NotListed {
    /// The same for a thing without a list, so that a limited token learns nothing about other projects.
    pub fn sentence(&self) -> String {
        let Self { named, project } = self;
        match named {
            Named::Secret(secret) => format!("The secret {secret} does not list the project {project}."),
            Named::Integration(id) => format!("The integration {id} does not list the project {project}."),
        }
    }

    pub fn help(&self) -> String {
        let Self { named, project } = self;
        let command = match named {
            Named::Secret(secret) => {
                let name = secret.rsplit('/').next().unwrap_or_default();
                let kind = if secret.contains("/job/") { " --for-jobs" } else { "" };
                format!("pullyard secrets allow {name}{kind}")
            }
            Named::Integration(id) => format!("pullyard integrations allow {id}"),
        };
        format!("Let a token for all projects add it to the list: `{command} --projects {project}`.")
    }
}

/// Whether a caller may store a name in a project. With a list, the list decides. Without one, only a token for all
/// projects may.
/// `caller`: the projects of the caller's token; `None` means all.
pub fn may_name(caller: Option<&BTreeSet<ProjectId>>, list: Option<&BTreeSet<ProjectId>>, project: &ProjectId) -> bool {
    match list {
        Some(list) => list.contains(project),
        None => caller.is_none(),
    }
}

/// Whether a project may use what it names. A name that is stored without a list works.
pub fn may_use(list: Option<&BTreeSet<ProjectId>>, project: &ProjectId) -> bool {
    may_name(None, list, project)
}

/// The secrets that changed settings name in a field where the earlier settings did not.
pub fn new_secrets<'a>(before: &Settings, after: &'a Settings) -> Vec<(SecretField, &'a str)> {
    let known = named_secrets(before);
    let mut new = named_secrets(after);
    new.retain(|name| !known.contains(name));
    new
}

#[cfg(test)]
mod tests;
