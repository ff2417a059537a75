//! Connects a repository on this machine to a server on this machine.

use crate::client::fault::{CliError, Exit};
use crate::client::session::Session;
use pullyard_domain::id::{IntegrationId, RepositoryName};
use pullyard_domain::text::format_error_chain;
use pullyard_local::{ForgeError, LocalSystem};
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
    let integration =
        INTEGRATION.parse().map_err(|bad| CliError::new(Exit::Failed, format!("{INTEGRATION}: {bad}")))?;
    Ok((name, integration))
}

/// Checks that jobs can work there: the checked-out branch has a commit, and it contains the agent's script as an
/// executable file. A runner sees only committed files.
pub(super) fn check(path: &Path, agent_command: &[String]) -> Result<(), CliError> {
    let shown = path.display();
    if git(path, &["rev-parse", "--quiet", "--verify", "HEAD^{commit}"])?.is_none() {
        return Err(CliError::usage(format!("the repository {shown} has no commit on its checked-out branch"))
            .with_help("jobs branch off it: commit something first, `git commit --allow-empty -m Start`"));
    }
    let script = agent_command.first().filter(|name| name.contains('/') && !name.starts_with('/'));
    let Some(script) = script else { return Ok(()) };
    let file = script.trim_start_matches("./");
    let commit_it = format!("commit it: `git add --chmod=+x {file} && git commit -m \"Add the agent\"`");
    match git(path, &["ls-tree", "HEAD", "--", file])?.as_deref().unwrap_or_default() {
        entry if entry.starts_with("100755 ") => Ok(()),
        entry if entry.starts_with("100644 ") => {
            Err(CliError::usage(format!("{script} is not executable in the last commit of {shown}"))
                .with_help(&commit_it))
        }
        _ => Err(CliError::usage(format!("{script} is no file in the last commit of {shown}")).with_help(&commit_it)),
    }
}

/// The output of git, or `None` if git refused.
fn git(path: &Path, arguments: &[&str]) -> Result<Option<String>, CliError> {
    let output = std::process::Command::new("git").arg("-C").arg(path).args(arguments).output();
    let output = output.map_err(|error| CliError::new(Exit::Failed, format!("can't run git: {error}")))?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
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
        ForgeError::Storage { .. } => CliError::new(Exit::Failed, format!("failed to {}", format_error_chain(error))),
        _ => CliError::usage(format!("can't {error}")),
    }
}
