//! Connects a repository on this machine to a server on this machine.

use crate::client::fault::{Exit, Fault};
use crate::client::session::Session;
use pullyard_domain::id::{IntegrationId, RepositoryName};
use pullyard_domain::text::format_error_chain;
use pullyard_local::{ForgeError, Local};
use std::path::Path;

const INTEGRATION: &str = "local";

pub(super) fn link(
    session: &Session,
    path: &Path,
    name: Option<RepositoryName>,
) -> Result<(RepositoryName, IntegrationId), Fault> {
    let Some(data) = &session.data else {
        return Err(Fault::usage(format!("{} does not run on this machine as `pullyard up`", session.url))
            .help("--path works only with `pullyard up`; otherwise push to a forge and give OWNER/NAME"));
    };
    let name = match name {
        Some(name) => name,
        None => named_after(path)?,
    };
    pullyard_local::link(&Local::forge_folder(data), name.as_str(), path).map_err(|error| fault(&error, &name))?;
    let integration = INTEGRATION.parse().map_err(|bad| Fault::new(Exit::Failed, format!("{INTEGRATION}: {bad}")))?;
    Ok((name, integration))
}

fn named_after(path: &Path) -> Result<RepositoryName, Fault> {
    let whole = std::fs::canonicalize(path)
        .map_err(|error| Fault::usage(format!("can't use the folder {}: {error}", path.display())))?;
    let folder = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = folder.strip_suffix(".git").unwrap_or(folder);
    format!("local/{folder}").parse().map_err(|_| {
        Fault::usage(format!("a repository can't be named after the folder {}", whole.display()))
            .help("name it: `pullyard repos add local/NAME --path DIR`")
    })
}

fn fault(error: &ForgeError, name: &RepositoryName) -> Fault {
    match error {
        ForgeError::RepositoryExists { .. } => {
            Fault::new(Exit::Refused, format!("{name} already names another repository")).help("give it another name")
        }
        ForgeError::Storage { .. } => Fault::new(Exit::Failed, format!("failed to {}", format_error_chain(error))),
        _ => Fault::usage(format!("can't {error}")),
    }
}
