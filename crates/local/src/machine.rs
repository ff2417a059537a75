//! Lets the pages list, link and check folders of this machine, as `pullyard repos add --path` does.

use crate::Options;
use pullyard_entry::ModelUrls;
use pullyard_function_pages::{LocalMachine, RepositoryProblem};
use pullyard_local_forge::{check_linked_repository, link};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// A check runs git in the user's folder, which may be on a network that never answers.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// A check without an end keeps its thread, and each refresh of the page begins one.
const MAX_CHECKS: usize = 4;

pub(crate) fn machine(forge: &Path, options: &Options) -> LocalMachine {
    let [links, checks, folders] = [(); 3].map(|()| forge.to_owned());
    let permits = Arc::new(Semaphore::new(MAX_CHECKS));
    let variable = |name: &str| {
        let is_variable = |(key, _): &&(String, String)| key == name;
        options.task_environment.iter().find(is_variable).map(|(_, value)| value.clone())
    };
    LocalMachine {
        link_folder: Arc::new(move |name, path| Ok(link(&links, name, path).map(drop)?)),
        check_repository: Arc::new(move |name, branch, command| {
            let (checks, permits) = (checks.clone(), Arc::clone(&permits));
            Box::pin(async move { check_in_time(&permits, checks, name, branch, command).await })
        }),
        list_agents: options.list_agents,
        home: std::env::home_dir(),
        list_repositories: Arc::clone(&options.list_repositories),
        find_folder: Arc::new(move |name| find_folder(&folders, name)),
        model_urls: ModelUrls::from_variables(variable),
    }
}

async fn check_in_time(
    permits: &Arc<Semaphore>,
    forge: PathBuf,
    name: String,
    branch: String,
    command: Vec<String>,
) -> Option<RepositoryProblem> {
    let late = RepositoryProblem {
        sentence: format!("The folder of {name} did not answer within {} s.", CHECK_TIMEOUT.as_secs()),
        help: "Check the disk or the network that contains it.".into(),
    };
    let check = async {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        let check = move || {
            let _permit = permit;
            let fault = check_linked_repository(&forge, &name, &branch, &command).err()?;
            Some(RepositoryProblem { sentence: format!("{name} {fault}."), help: fault.help() })
        };
        spawn_blocking(check).await.ok()?
    };
    timeout(CHECK_TIMEOUT, check).await.unwrap_or(Some(late))
}

fn find_folder(forge: &Path, name: &str) -> Option<PathBuf> {
    let git_dir = std::fs::read_link(forge.join(format!("{name}.git"))).ok()?;
    let is_inner = git_dir.ends_with(".git");
    if is_inner { git_dir.parent().map(Path::to_owned) } else { Some(git_dir) }
}
