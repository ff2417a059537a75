//! Caches the current and the previous value of a secret that other systems sign with; both are valid in a rotation.

#[cfg(test)]
mod tests;

use super::{Secrets, lock};
use crate::Error;
use std::sync::Arc;
use std::time::Duration;

/// A signature that matches no version may cause an earlier fetch.
const CACHE_TTL: Duration = Duration::from_secs(300);

/// Limits the fetches that wrong signatures cause, because anyone can send them.
const REFETCH_INTERVAL: Duration = Duration::from_secs(10);

/// Limits lookups of a missing secret, which anyone can cause. Short, because an operator may just have set it.
const ABSENT_TTL: Duration = Duration::from_secs(10);

const READ: &str = "read a version of a secret";

#[derive(Clone, PartialEq, Eq)]
pub struct Version {
    pub id: String,
    pub value: Arc<str>,
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    pub current: Version,
    /// `None` when Secrets Manager has no previous version.
    pub previous: Option<Version>,
}

pub(super) struct CachedVersions {
    since: Duration,
    last_refetch: Option<Refetch>,
    versions: Versions,
}

#[derive(Clone, Copy)]
struct Refetch {
    at: Duration,
    /// False if the service did not respond, so newer versions may exist.
    is_success: bool,
}

impl Secrets {
    /// Returns versions that are at most five minutes old. Errors: `NoSecret` when the secret is missing or empty, or
    /// was within the last ten seconds: anyone can cause lookups, and each one costs money.
    pub async fn versions(&self, name: &str) -> Result<Versions, Error> {
        let fresh = |cached: &CachedVersions| (self.age(cached.since) < CACHE_TTL).then(|| cached.versions.clone());
        if let Some(versions) = lock(&self.versions).get(name).and_then(fresh) {
            return Ok(versions);
        }
        let is_absent = |since: &Duration| self.age(*since) < ABSENT_TTL;
        if lock(&self.absent).get(name).is_some_and(is_absent) {
            return Err(Error::NoSecret { name: name.into() });
        }
        self.fetch_versions(name, None).await
    }

    /// Always fetches. Errors: `NoSecret` when the secret is missing or empty.
    pub async fn load_versions(&self, name: &str) -> Result<Versions, Error> {
        self.fetch_versions(name, None).await
    }

    /// Returns versions newer than `unfit`, which did not match a signature. `None` if a fetch in the last ten seconds
    /// found none. Callers wait for one fetch, so that all deliveries with a rotated secret are accepted.
    /// Errors: `NoSecret` when the secret is missing or empty; `Unavailable` for ten seconds after a failed fetch.
    pub async fn refetch_versions(&self, name: &str, unfit: &Versions) -> Result<Option<Versions>, Error> {
        let _guard = self.refetch_lock.lock().await;
        let now = (self.clock)();
        if let Some(cached) = lock(&self.versions).get_mut(name) {
            if cached.versions != *unfit {
                return Ok(Some(cached.versions.clone()));
            }
            match cached.last_refetch.filter(|last| now.saturating_sub(last.at) < REFETCH_INTERVAL) {
                Some(Refetch { is_success: true, .. }) => return Ok(None),
                Some(Refetch { is_success: false, .. }) => {
                    let reason = "it failed within the last ten seconds".to_owned();
                    return Err(Error::Unavailable { operation: READ, reason });
                }
                None => {}
            }
            // Set before the call, so that the limit also applies when the service does not respond.
            cached.last_refetch = Some(Refetch { at: now, is_success: false });
        }
        self.fetch_versions(name, Some(Refetch { at: now, is_success: true })).await.map(Some)
    }

    async fn fetch_versions(&self, name: &str, refetch: Option<Refetch>) -> Result<Versions, Error> {
        let since = (self.clock)();
        let Some(current) = self.get_version(name, "AWSCURRENT").await? else {
            lock(&self.absent).insert(name.to_owned(), since);
            return Err(Error::NoSecret { name: name.into() });
        };
        let previous = self.get_version(name, "AWSPREVIOUS").await?;
        let versions = Versions { current, previous };
        let cached = CachedVersions { since, last_refetch: refetch, versions: versions.clone() };
        lock(&self.versions).insert(name.to_owned(), cached);
        lock(&self.absent).remove(name);
        Ok(versions)
    }

    async fn get_version(&self, name: &str, stage: &str) -> Result<Option<Version>, Error> {
        match self.client.get_secret_value().secret_id(name).version_stage(stage).send().await {
            Ok(answer) => Ok(answer
                .secret_string
                .filter(|value| !value.is_empty())
                .map(|value| Version { id: answer.version_id.unwrap_or_default(), value: value.into() })),
            Err(error) if super::is_missing(&error) => Ok(None),
            Err(error) => Err(Error::unavailable(READ, error)),
        }
    }

    pub(super) fn forget_versions(&self, name: &str) {
        lock(&self.versions).remove(name);
        lock(&self.absent).remove(name);
    }
}
