//! What the forge remembers beside its repositories: people, hooks, old names and Apps, in one file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::{Error, access::Grant, record, users::Member};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ForgeRecord {
    pub(crate) users: Vec<Member>,
    /// Looked-up names that lead to a repository under another name now.
    pub(crate) moved: BTreeMap<String, u64>,
    pub(crate) hooks: Vec<HookRecord>,
    pub(crate) apps: Vec<AppRecord>,
    pub(crate) installations: Vec<InstallationRecord>,
    pub(crate) tokens: Vec<TokenRecord>,
    /// Manifests that wait to be converted: code, App, and the end of the hour.
    pub(crate) codes: BTreeMap<String, CodeRecord>,
    /// Ids of App tokens that were seen: none is taken twice.
    pub(crate) seen: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TargetKind {
    Repository,
    Organization,
    Integration,
}

/// Through which API something was made, and so in whose shape and words it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Face {
    #[default]
    GitHub,
    Bitbucket,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HookRecord {
    pub(crate) id: u64,
    /// The other face neither shows it nor tells it anything. All hooks of an older forge were made on GitHub's.
    #[serde(default)]
    pub(crate) face: Face,
    pub(crate) kind: TargetKind,
    /// The repository, the App, or the organisation's account.
    pub(crate) target: u64,
    pub(crate) active: bool,
    pub(crate) events: Vec<String>,
    /// What Bitbucket shows it as; GitHub has none.
    #[serde(default)]
    pub(crate) description: Option<String>,
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
    pub(crate) content_type: String,
    pub(crate) insecure_ssl: String,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AppRecord {
    pub(crate) id: u64,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) external_url: String,
    pub(crate) client_id: String,
    pub(crate) bot_id: u64,
    pub(crate) owner: String,
    /// The public half of its key, which is all that is kept, as the DER of PKCS #1.
    pub(crate) public_key: Vec<u8>,
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) events: Vec<String>,
    pub(crate) created_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InstallationRecord {
    pub(crate) id: u64,
    pub(crate) app: u64,
    pub(crate) owner: String,
    /// `None` is every repository of the owner.
    pub(crate) repositories: Option<Vec<u64>>,
    pub(crate) created_at: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TokenRecord {
    pub(crate) token: String,
    pub(crate) app: u64,
    pub(crate) grant: Grant,
    pub(crate) expires_at: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CodeRecord {
    pub(crate) manifest: serde_json::Value,
    pub(crate) owner: String,
    pub(crate) expires_at: i64,
}

#[derive(Debug)]
pub(crate) struct State {
    path: PathBuf,
    record: Mutex<ForgeRecord>,
}

impl State {
    pub(crate) async fn load(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("forge.json");
        let record = if path.exists() { record::load(&path).await? } else { ForgeRecord::default() };
        Ok(Self { path, record: Mutex::new(record) })
    }

    pub(crate) async fn read<T>(&self, read: impl FnOnce(&ForgeRecord) -> T) -> T {
        read(&*self.record.lock().await)
    }

    /// Writes: the record, only when `change` says so by `Ok`; others see it once it is on disk.
    pub(crate) async fn change<T, E: From<Error>>(
        &self,
        change: impl FnOnce(&mut ForgeRecord) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut record = self.record.lock().await;
        let mut changed = record.clone();
        let outcome = change(&mut changed)?;
        record::save(&changed, &self.path).await?;
        *record = changed;
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hook_of_an_older_forge_is_one_of_githubs_face() {
        let stored = json!({
            "id": 1, "kind": "repository", "target": 2, "active": true, "events": ["push"], "url": "http://x",
            "secret": null, "content_type": "json", "insecure_ssl": "0", "created_at": "", "updated_at": "",
        });
        let hook: HookRecord = serde_json::from_value(stored).unwrap();
        assert_eq!((hook.face, hook.description), (Face::GitHub, None));
    }
}
