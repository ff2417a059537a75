//! Stores the functions' environment as a file for `sam local invoke --env-vars`.

use crate::{Error, folder};
use pullyard_entry::Config;
use pullyard_entry::config::VARIABLES;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

const FILE: &str = "environment.json";

/// `None` if no `up` uses this folder now. The format is `{"Parameters": {NAME: VALUE}}`.
pub fn load_environment(data: &Path) -> Result<Option<Value>, Error> {
    let path = data.join(FILE);
    if !path.exists() || folder::is_abandoned(data) {
        return Ok(None);
    }
    let json = fs::read(&path).map_err(folder::data_error(&path))?;
    serde_json::from_slice(&json).map(Some).map_err(|error| folder::data_error(&path)(error.into()))
}

/// Writes unused variables as empty, because absent ones would have the template's default.
pub(crate) fn save_environment(data: &Path, config: &Config) -> Result<(), Error> {
    let mut variables: Map<String, Value> =
        VARIABLES.iter().map(|variable| (variable.name.to_owned(), json!(""))).collect();
    variables.extend(config.to_environment().into_iter().map(|(name, value)| (name, Value::String(value))));
    let json = serde_json::to_vec_pretty(&json!({ "Parameters": variables }))
        .map_err(|error| folder::data_error(&data.join(FILE))(error.into()))?;
    folder::write_atomically(data, FILE, &json)
}
