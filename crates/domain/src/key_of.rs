//! Whose key a job's agent uses.

use serde::{Deserialize, Serialize};

/// Whose key a job's agent asks its model with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOf {
    #[default]
    Runner,
    Project,
}
