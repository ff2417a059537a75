//! Saves a context, so that the user's commands use the system that just started.

use crate::client::{Config, SavedContext};
use pullyard_local::LocalSystem;
use std::path::Path;

const NAME: &str = "local";

pub(super) enum SaveOutcome {
    Current(String),
    NotCurrent(String),
    Failed(String),
}

pub(super) fn save(local: &LocalSystem, data: &Path, name: Option<String>) -> SaveOutcome {
    let name = name.unwrap_or_else(|| NAME.into());
    let mut config = match Config::load() {
        Ok(config) => config,
        Err(fault) => return SaveOutcome::Failed(fault.message()),
    };
    let project = config.contexts.get(&name).and_then(|before| before.project.clone());
    let (url, token) = (local.api_url().into(), local.admin_token().into());
    config.contexts.insert(name.clone(), SavedContext { url, token, project, data: Some(data.to_owned()) });
    let current = config.current.get_or_insert_with(|| name.clone()) == &name;
    match config.save() {
        Ok(_) if current => SaveOutcome::Current(name),
        Ok(_) => SaveOutcome::NotCurrent(name),
        Err(fault) => SaveOutcome::Failed(fault.message()),
    }
}

impl SaveOutcome {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Current(name) | Self::NotCurrent(name) => Some(name),
            Self::Failed(_) => None,
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Current(name) => format!("context {name}: all pullyard commands now use it"),
            Self::NotCurrent(name) => {
                format!("context {name}; another one is current: `pullyard contexts use {name}`, or --context {name}")
            }
            Self::Failed(reason) => {
                format!("no context was saved ({reason}); the token is in keys.json of the data folder")
            }
        }
    }
}
