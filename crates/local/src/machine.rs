//! Lets the pages link and check folders of this machine, as `pullyard repos add --path` does.

use pullyard_demo_forge::{check_linked_repository, link};
use pullyard_entry::ModelUrls;
use pullyard_function_pages::{LocalMachine, RepositoryProblem};
use std::path::Path;
use std::sync::Arc;

pub(crate) fn machine(
    forge: &Path,
    list_agents: fn() -> Vec<(&'static str, bool)>,
    environment: &[(String, String)],
) -> LocalMachine {
    let (links, checks) = (forge.to_owned(), forge.to_owned());
    let variable = |name: &str| environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    LocalMachine {
        link_folder: Arc::new(move |name, path| Ok(link(&links, name, path).map(drop)?)),
        check_repository: Arc::new(move |name, branch, command| {
            let fault = check_linked_repository(&checks, name, branch, command).err()?;
            Some(RepositoryProblem { sentence: format!("{name} {fault}."), help: fault.help() })
        }),
        list_agents,
        folder: std::env::current_dir().ok().filter(|folder| folder.join(".git").is_dir()),
        model_urls: ModelUrls { anthropic: variable("ANTHROPIC_BASE_URL"), openai: variable("OPENAI_BASE_URL") },
    }
}
