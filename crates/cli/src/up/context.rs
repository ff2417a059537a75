//! Saves a context, so that the user's commands use the system that just started.

use crate::client::{Config, Signed};
use pullyard_local::Local;
use std::path::Path;

const NAME: &str = "local";

pub(super) enum Saved {
    Current(String),
    Beside(String),
    Not(String),
}

pub(super) fn save(local: &Local, data: &Path, name: Option<String>) -> Saved {
    let name = name.unwrap_or_else(|| NAME.into());
    let mut config = match Config::load() {
        Ok(config) => config,
        Err(fault) => return Saved::Not(fault.words()),
    };
    let project = config.contexts.get(&name).and_then(|before| before.project.clone());
    let context =
        Signed { url: local.api_url().into(), token: local.admin_token().into(), project, data: Some(data.to_owned()) };
    config.contexts.insert(name.clone(), context);
    let current = config.current.get_or_insert_with(|| name.clone()) == &name;
    match config.save() {
        Ok(_) if current => Saved::Current(name),
        Ok(_) => Saved::Beside(name),
        Err(fault) => Saved::Not(fault.words()),
    }
}

impl Saved {
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Current(name) | Self::Beside(name) => Some(name),
            Self::Not(_) => None,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            Self::Current(name) => format!("context {name}: all pullyard commands now use it"),
            Self::Beside(name) => {
                format!("context {name}; another one is current: `pullyard contexts use {name}`, or --context {name}")
            }
            Self::Not(why) => format!("no context was saved ({why}); the token is in keys.json of the data folder"),
        }
    }
}
