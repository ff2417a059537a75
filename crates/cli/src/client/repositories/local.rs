//! Connects a repository on this machine to a server on this machine.

use crate::client::prelude::*;
use pullyard_domain::text::format_error_chain;
use pullyard_domain::text::id::{IntegrationId, RepositoryName};
use pullyard_local::{ForgeError, LocalSystem, RepositoryFault};
use std::path::Path;

const INTEGRATION: &str = "local";

pub(super) fn link(
    session: &Session,
    path: &Path,
    name: Option<RepositoryName>,
) -> Result<(RepositoryName, IntegrationId), CliError> {
    let Some(data) = &session.data else {
        return Err(CliError::usage(format!("{} does not run on this machine as `pullyard up`", session.url))
            .with_help("--path works only with `pullyard up`; otherwise push to a forge and give OWNER/NAME"));
    };
    let name = match name {
        Some(name) => name,
        None => name_from_folder(path)?,
    };
    pullyard_local::link(&LocalSystem::forge_folder(data), name.as_str(), path)
        .map_err(|error| to_fault(&error, &name))?;
    let integration = INTEGRATION.parse().map_err(|bad| CliError::failed(format!("{INTEGRATION}: {bad}")))?;
    Ok((name, integration))
}

pub(super) fn check(path: &Path, agent_command: &[String]) -> Result<(), CliError> {
    pullyard_local::check_repository(path, None, agent_command).map_err(|fault| {
        let sentence = format!("the repository {} {fault}", path.display());
        let exit = if matches!(fault, RepositoryFault::Git(_)) { Exit::Failed } else { Exit::Usage };
        CliError::new(exit, sentence).with_help(fault.help())
    })
}

fn name_from_folder(path: &Path) -> Result<RepositoryName, CliError> {
    let absolute = std::fs::canonicalize(path)
        .map_err(|error| CliError::usage(format!("can't use the folder {}: {error}", path.display())))?;
    let folder = absolute.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = folder.strip_suffix(".git").unwrap_or(folder);
    format!("local/{folder}").parse().map_err(|_| {
        CliError::usage(format!("a repository can't be named after the folder {}", absolute.display()))
            .with_help("name it: `pullyard repos add local/NAME --path DIR`")
    })
}

fn to_fault(error: &ForgeError, name: &RepositoryName) -> CliError {
    match error {
        ForgeError::RepositoryExists { .. } => {
            CliError::new(Exit::Refused, format!("{name} already names another repository"))
                .with_help("give it another name")
        }
        ForgeError::Storage { .. } => CliError::failed(format!("failed to {}", format_error_chain(error))),
        _ => CliError::usage(format!("can't {error}")),
    }
}
