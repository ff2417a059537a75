//! The file that secrets are kept in: their present values and those before, readable by its owner only, replaced whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One secret as the file has it; the fields are the wire's.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret_string: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secret_binary: Option<String>,
    /// The value before, and the names of both versions: whoever rotates goes by them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) previous: Option<Version>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version_id: Option<String>,
    /// As `ListSecrets` says it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) last_changed_date: Value,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) version_id: String,
    pub(super) secret_string: String,
}

pub(super) type Secrets = BTreeMap<String, Kept>;

pub(super) struct Disk {
    path: PathBuf,
}

impl Disk {
    pub(super) fn of(folder: &Path) -> Self {
        Self { path: folder.join("secretsmanager.json") }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What was kept; nothing if there is no file yet.
    pub(super) fn read(&self) -> io::Result<Secrets> {
        match fs::read(&self.path) {
            // The parser's own words may quote a value.
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not a list of secrets")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Secrets::new()),
            Err(error) => Err(error),
        }
    }

    /// Written beside, synced and renamed: whoever was told that a secret is set finds it after a crash.
    pub(super) fn write(&self, secrets: &Secrets) -> io::Result<()> {
        let half = self.path.with_extension("json.new");
        // What a crash left there may have other rights.
        let _ = fs::remove_file(&half);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&half)?;
        file.write_all(&serde_json::to_vec(secrets)?)?;
        file.sync_all()?;
        fs::rename(&half, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}
