//! The machine of `pullyard up`, whose folders and agents the setup pages offer. On AWS there is none.

use pullyard_control::ModelUrls;
use pullyard_domain::job::agent_check::LocalAgent;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

pub(crate) use pullyard_control::LOCAL_FORGE;

/// Serves the git repository of a folder at the local forge under `owner/name`.
/// Idempotent.
pub type LinkFolder = dyn Fn(&str, &Path) -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync;

/// Checks the base branch of `owner/name` at the local forge, and the script of the agent's command.
pub type CheckRepository = dyn Fn(String, String, Vec<String>) -> RepositoryCheck + Send + Sync;
type RepositoryCheck = Pin<Box<dyn Future<Output = Option<RepositoryProblem>> + Send>>;

pub type ListRepositories = dyn Fn() -> Vec<PathBuf> + Send + Sync;
pub type FindFolder = dyn Fn(&str) -> Option<PathBuf> + Send + Sync;

#[derive(Clone, Debug)]
pub struct RepositoryProblem {
    pub sentence: String,
    /// Commands are between backticks.
    pub help: String,
}

#[derive(Clone)]
pub struct LocalMachine {
    pub link_folder: Arc<LinkFolder>,
    pub check_repository: Arc<CheckRepository>,
    /// Lists the capabilities of installed agents, each with whether the environment has a key for it.
    pub list_agents: fn() -> Vec<(&'static str, bool)>,
    pub home: Option<PathBuf>,
    /// Lists git repositories near the folder where `up` was started, itself first.
    pub list_repositories: Arc<ListRepositories>,
    /// The folder that is linked under `owner/name`.
    pub find_folder: Arc<FindFolder>,
    pub model_urls: ModelUrls,
}

impl LocalMachine {
    pub(crate) fn list_local_agents(&self) -> Vec<LocalAgent> {
        let all = (self.list_agents)().into_iter();
        all.map(|(capability, has_key)| LocalAgent { capability, has_key }).collect()
    }
}

/// The model's addresses on this machine; on AWS, the providers' own.
pub(crate) fn model_urls(machine: Option<&LocalMachine>) -> ModelUrls {
    machine.map(|machine| machine.model_urls.clone()).unwrap_or_default()
}
