//! Stores the user's contexts (server, token, default project) in one file that only its owner can read.

use super::fault::CliError;
use pullyard_domain::text::nearest::find_nearest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, SavedContext>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedContext {
    pub(crate) url: String,
    pub(crate) token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
}

impl Config {
    pub(crate) fn load() -> Result<Self, CliError> {
        let Some(path) = config_path() else { return Ok(Self::default()) };
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text)).map_err(|error| {
                // Omit the full error: it quotes the line, which may contain a token.
                CliError::failed(format!("can't parse {}: {}", path.display(), error.message()))
                    .with_help("correct the file, or remove it and sign in again")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(CliError::failed(format!("can't read {}: {error}", path.display()))),
        }
    }

    pub(crate) fn save(&self) -> Result<PathBuf, CliError> {
        let path = config_path().ok_or_else(|| {
            CliError::failed("no folder to save contexts in").with_help("set HOME or XDG_CONFIG_HOME")
        })?;
        let text =
            toml::to_string(self).map_err(|error| CliError::failed(format!("can't write the contexts: {error}")))?;
        write_atomic(&path, &text)
            .map_err(|error| CliError::failed(format!("can't write {}: {error}", path.display())))?;
        Ok(path)
    }

    pub(crate) fn context(&self, name: &str) -> Result<&SavedContext, CliError> {
        self.contexts.get(name).ok_or_else(|| {
            let help = match find_nearest(name, self.contexts.keys().map(String::as_str)) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => "`pullyard contexts` lists them".into(),
            };
            CliError::not_found(format!("there is no context {name}")).with_help(help)
        })
    }
}

pub(crate) fn write_sibling(name: &str, text: &str) -> io::Result<PathBuf> {
    let path = config_path().ok_or(io::ErrorKind::NotFound)?.with_file_name(name);
    write_atomic(&path, text)?;
    Ok(path)
}

fn config_path() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("pullyard").join("config.toml"))
}

/// Writes a second file and renames it: the file is always complete, and only its owner can read it.
fn write_atomic(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".");
    // `tempfile` creates it with mode 0600.
    let mut file = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
