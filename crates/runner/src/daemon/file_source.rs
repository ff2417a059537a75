//! Names the variables that the file of settings set, and logs them.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// The variables of this process that the file set.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSource {
    pub(crate) path: PathBuf,
    pub(crate) names: BTreeSet<String>,
    /// Numbers of the lines whose variable this release does not know.
    pub(super) unknown: Vec<usize>,
}

impl FileSource {
    pub(crate) fn describe(&self, variable: &str) -> String {
        if self.names.contains(variable) { format!("{variable} in {}", self.path.display()) } else { variable.into() }
    }

    /// Which file was read, and the names of its variables that apply. The text of an unknown line may be a secret.
    pub(crate) fn log(&self) {
        for number in &self.unknown {
            tracing::warn!("line {number} of {} is ignored: this release has no such variable", self.path.display());
        }
        if !self.names.is_empty() {
            let names = Vec::from_iter(self.names.iter().map(String::as_str)).join(", ");
            tracing::info!("settings of {} (`--config none` ignores them): {names}", self.path.display());
        }
    }
}
