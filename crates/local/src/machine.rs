//! Lets the pages list, link and check folders of this machine, as `pullyard repos add --path` does.

use crate::Options;
use pullyard_demo_forge::{check_linked_repository, link};
use pullyard_entry::ModelUrls;
use pullyard_function_pages::{LocalMachine, RepositoryProblem};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) fn machine(forge: &Path, options: &Options) -> LocalMachine {
    let [links, checks, folders] = [(); 3].map(|()| forge.to_owned());
    let variable = |name: &str| {
        let is_variable = |(key, _): &&(String, String)| key == name;
        options.task_environment.iter().find(is_variable).map(|(_, value)| value.clone())
    };
    LocalMachine {
        link_folder: Arc::new(move |name, path| Ok(link(&links, name, path).map(drop)?)),
        check_repository: Arc::new(move |name, branch, command| {
            let fault = check_linked_repository(&checks, name, branch, command).err()?;
            Some(RepositoryProblem { sentence: format!("{name} {fault}."), help: fault.help() })
        }),
        list_agents: options.list_agents,
        home: std::env::home_dir(),
        list_repositories: Arc::clone(&options.list_repositories),
        find_folder: Arc::new(move |name| find_folder(&folders, name)),
        model_urls: ModelUrls::from_variables(variable),
    }
}

fn find_folder(forge: &Path, name: &str) -> Option<PathBuf> {
    let git_dir = std::fs::read_link(forge.join(format!("{name}.git"))).ok()?;
    let is_inner = git_dir.ends_with(".git");
    if is_inner { git_dir.parent().map(Path::to_owned) } else { Some(git_dir) }
}
