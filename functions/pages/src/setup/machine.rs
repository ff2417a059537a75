//! The machine of `pullyard up`, whose folders and agents the setup pages offer. On AWS there is none.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Id of the connection to the forge that `pullyard up` embeds.
pub(crate) const LOCAL_FORGE: &str = "local";

/// Serves the git repository of a folder at the local forge under `owner/name`.
/// Idempotent.
pub type LinkFolder = dyn Fn(&str, &Path) -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync;

#[derive(Clone)]
pub struct LocalMachine {
    pub link_folder: Arc<LinkFolder>,
    /// Lists the capabilities of installed agents, each with whether the environment has a key for it.
    pub list_agents: fn() -> Vec<(&'static str, bool)>,
    /// The git repository in which `pullyard up` was started.
    pub folder: Option<PathBuf>,
}

impl fmt::Debug for LocalMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalMachine").field("folder", &self.folder).finish_non_exhaustive()
    }
}
