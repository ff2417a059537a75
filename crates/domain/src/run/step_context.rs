//! The facts of a run that the job of a step gets.

use crate::project::plan::SpawnLimits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limit of all results together: a single one is cut at 8,000, each of 20 at 3,200. Units: characters.
pub const MAX_RESULTS_CHARS: usize = 64_000;

/// The facts of a run for the job of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepContext {
    /// Subject of the commit. The first commit's subject is also the title of the run's pull request.
    pub title: String,
    pub role: Option<String>,
    pub parameters: BTreeMap<String, String>,
    pub needs: Vec<NeedResult>,
    /// The agent must choose one of these.
    pub outcomes: Vec<String>,
    /// Whether a job that writes files also has to write an output.
    pub reports: bool,
    /// Whether such a job may leave the tree unchanged.
    pub may_change_nothing: bool,
    /// Branch for the commit, which gets no pull request.
    pub own_branch: Option<String>,
    /// The branch of the run, once earlier steps have committed to it. A branch of its own starts from it.
    pub starts_from: Option<String>,
    /// Limits of the steps that the agent may add; `turns` counts the remaining turns with this one.
    pub spawn: Option<SpawnLimits>,
    /// Names of the steps that it added in earlier turns.
    pub taken: Vec<String>,
    pub is_draft: bool,
}

/// The commit of a needed step with a branch of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchSource {
    pub branch: String,
    pub head: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeedResult {
    pub name: String,
    /// `done`, or another end.
    pub end: String,
    pub outcome: Option<String>,
    /// The agent's text, or the commit. Hostile.
    pub summary: Option<String>,
    pub patch: Option<PatchSource>,
}

impl NeedResult {
    /// Relative to the folder of input files.
    pub fn patch_file(&self) -> String {
        format!("{}/change.patch", self.name)
    }
}
