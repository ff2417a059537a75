//! Secrets of a local system, in a file of its data folder that only the owner can read.
//! The embedded Secrets Manager loses them with the process, which would invalidate all tokens.

use crate::{Error, folder};
use pullyard_store::hash_token;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::path::Path;

const FILE: &str = "keys.json";

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct LocalKeys {
    pub(crate) signing_key: String,
    pub(crate) admin_token: String,
    pub(crate) forge_token: String,
    /// The token of the forge's account for users. New at each start, because only the functions use it.
    #[serde(skip, default = "random_hex")]
    pub(crate) person_token: String,
    /// Hashes of replaced admin tokens, revoked at every start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) retired: Vec<String>,
}

impl LocalKeys {
    pub(crate) fn load_or_create(folder: &Path) -> Result<Self, Error> {
        if let Some(keys) = folder::load_json(folder, FILE)? {
            return Ok(keys);
        }
        let keys = Self {
            signing_key: random_hex(),
            admin_token: format!("pat_{}", random_hex()),
            forge_token: format!("demo_{}", random_hex()),
            person_token: random_hex(),
            retired: Vec::new(),
        };
        folder::save_json(folder, FILE, &keys)?;
        Ok(keys)
    }

    /// Creates another admin token. The same write retires the old one, so that it is revoked even after a crash.
    pub(crate) fn renew_admin_token(&mut self, folder: &Path) -> Result<(), Error> {
        let old = std::mem::replace(&mut self.admin_token, format!("pat_{}", random_hex()));
        self.retired.push(hash_token(&old));
        folder::save_json(folder, FILE, self)
    }
}

fn random_hex() -> String {
    let mut rng = rand::rng();
    format!("{:032x}{:032x}", rng.random::<u128>(), rng.random::<u128>())
}
