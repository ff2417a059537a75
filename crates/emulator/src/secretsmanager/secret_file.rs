//! Stores current and previous secret values in a file, replaced atomically and readable by its owner only.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StoredSecret {
    #[serde(flatten)]
    pub(super) current: SecretVersion,
    /// A rotation needs it.
    pub(super) previous: Option<SecretVersion>,
    /// Units: seconds since the epoch.
    pub(super) last_changed_date: f64,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SecretVersion {
    pub(super) version_id: String,
    pub(super) secret_string: String,
}

pub(super) type Secrets = BTreeMap<String, StoredSecret>;

pub(super) struct SecretFile {
    pub(super) path: PathBuf,
}

impl SecretFile {
    pub(super) fn new(folder: &Path) -> Self {
        Self { path: folder.join("secretsmanager.json") }
    }

    pub(super) fn load(&self) -> io::Result<Secrets> {
        match fs::read(&self.path) {
            // The parser's message may contain a value.
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not a list of secrets")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Secrets::new()),
            Err(error) => Err(error),
        }
    }

    /// Writes a temporary file, syncs and renames it, so that an acknowledged change survives a crash.
    pub(super) fn save(&self, secrets: &Secrets) -> io::Result<()> {
        let temporary = self.path.with_extension("json.new");
        // A file left by a crash may have other permissions.
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(secrets)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}
