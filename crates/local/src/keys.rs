//! The secrets of a local system: made once, kept in a file of its data folder that only its owner reads.
//!
//! The embedded Secrets Manager forgets them with the process; without the file every token would die
//! with it.

use crate::Error;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// The secrets of a local system.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LocalKeys {
    /// Signs the tokens of attempts.
    pub(crate) signing_key: String,
    /// The first API token, with every right.
    pub(crate) admin_token: String,
    /// The token of our account at the demo forge.
    pub(crate) forge_token: String,
}

impl LocalKeys {
    /// Reads the file, or makes it.
    pub(crate) fn load_or_make(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("keys.json");
        let broken = |source| Error::Data { path: path.clone(), source };
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|error| broken(error.into())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let keys = Self {
                    signing_key: hex64(),
                    admin_token: format!("pat_{}", hex64()),
                    forge_token: format!("demo_{}", hex64()),
                };
                let json = serde_json::to_vec_pretty(&keys).map_err(|error| broken(error.into()))?;
                // Written beside and renamed: a half-written file would be worse than none.
                let half = folder.join("keys.json.new");
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                let mut file = options.open(&half).map_err(broken)?;
                file.write_all(&json).and_then(|()| file.sync_all()).map_err(broken)?;
                fs::rename(&half, &path).map_err(broken)?;
                Ok(keys)
            }
            Err(error) => Err(broken(error)),
        }
    }
}

/// 64 random hex digits.
fn hex64() -> String {
    let mut rng = rand::rng();
    format!("{:032x}{:032x}", rng.random::<u128>(), rng.random::<u128>())
}
