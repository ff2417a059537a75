//! The present value of a secret and the one before it, for what is signed by somebody else: while both sides
//! learn a new value, both values are in use.

#[cfg(test)]
mod tests;

use super::Secrets;
use crate::Error;
use std::sync::Arc;
use std::time::Duration;

/// How long versions are used before they are fetched again. Whoever meets a signature that fits none of them
/// may have them fetched sooner.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// How often at most they are fetched because something did not fit: strangers can send what they like.
const REFETCHED_EVERY: Duration = Duration::from_secs(10);

/// How long it is remembered that there is no secret of a name: as long as strangers may send without having it
/// looked for again, and no longer than somebody who has just set it can wait.
const ABSENT_FOR: Duration = Duration::from_secs(10);

/// What is tried; reads after "failed to".
const READ: &str = "read a version of a secret";

/// One value of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Version {
    /// The service's name of it.
    pub id: String,
    /// The value.
    pub value: Arc<str>,
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A secret's present value and the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The present one.
    pub current: Version,
    /// The one before, if the service still has it.
    pub previous: Option<Version>,
}

/// Versions and when they were fetched, and fetched for somebody whom they did not fit.
pub(super) struct KeptVersions {
    since: Duration,
    refetched: Option<Refetch>,
    versions: Versions,
}

/// A fetch for somebody whom nothing fitted.
#[derive(Clone, Copy)]
struct Refetch {
    at: Duration,
    /// Whether it was answered: a service that said nothing has not said that there is nothing newer.
    answered: bool,
}

impl Secrets {
    /// The present value and the one before, at most five minutes old.
    ///
    /// Errors: `NoSecret` when there is none of that name or it is empty, or was none ten seconds ago: whoever knows
    /// an address can send to it, and each call of the service costs.
    pub async fn versions(&self, name: &str) -> Result<Versions, Error> {
        let fresh = |kept: &KeptVersions| (self.age(kept.since) < KEPT_FOR).then(|| kept.versions.clone());
        if let Some(versions) = self.lock_versions().get(name).and_then(fresh) {
            return Ok(versions);
        }
        let is_absent = |since: &Duration| self.age(*since) < ABSENT_FOR;
        if self.lock_absent().get(name).is_some_and(is_absent) {
            return Err(Error::NoSecret { name: name.into() });
        }
        self.fetch_versions(name, None).await
    }

    /// The same, fetched now.
    ///
    /// Errors: `NoSecret` when there is none of that name or it is empty.
    pub async fn fresh_versions(&self, name: &str) -> Result<Versions, Error> {
        self.fetch_versions(name, None).await
    }

    /// Newer ones than `unfit`, which something that was shown fits none of. None: there are none that are newer,
    /// and they were fetched so within the last ten seconds.
    ///
    /// Errors: `NoSecret` when there is none of that name or it is empty. For ten seconds after a fetch that
    /// failed, `Unavailable` without another one: nobody knows what fits.
    ///
    /// One caller at a time fetches, and the others wait for what it finds: a storm that is signed with a value
    /// of a moment ago must not be turned away but for its first.
    pub async fn refetched_versions(&self, name: &str, unfit: &Versions) -> Result<Option<Versions>, Error> {
        let _turn = self.refetching.lock().await;
        let now = (self.steady)();
        if let Some(kept) = self.lock_versions().get_mut(name) {
            if kept.versions != *unfit {
                return Ok(Some(kept.versions.clone()));
            }
            match kept.refetched.filter(|last| now.saturating_sub(last.at) < REFETCHED_EVERY) {
                Some(Refetch { answered: true, .. }) => return Ok(None),
                Some(Refetch { answered: false, .. }) => {
                    let reason = "it failed within the last ten seconds".to_owned();
                    return Err(Error::Unavailable { operation: READ, reason });
                }
                None => {}
            }
            // Before the call: a service that does not answer is not asked more often either.
            kept.refetched = Some(Refetch { at: now, answered: false });
        }
        self.fetch_versions(name, Some(Refetch { at: now, answered: true })).await.map(Some)
    }

    async fn fetch_versions(&self, name: &str, refetched: Option<Refetch>) -> Result<Versions, Error> {
        let since = (self.steady)();
        let Some(current) = self.staged(name, "AWSCURRENT").await? else {
            self.lock_absent().insert(name.to_owned(), since);
            return Err(Error::NoSecret { name: name.into() });
        };
        let previous = self.staged(name, "AWSPREVIOUS").await?;
        let versions = Versions { current, previous };
        let kept = KeptVersions { since, refetched, versions: versions.clone() };
        self.lock_versions().insert(name.to_owned(), kept);
        self.lock_absent().remove(name);
        Ok(versions)
    }

    /// The version that the service has at a stage, if there is one.
    async fn staged(&self, name: &str, stage: &str) -> Result<Option<Version>, Error> {
        match self.client.get_secret_value().secret_id(name).version_stage(stage).send().await {
            Ok(answer) => Ok(answer
                .secret_string
                .filter(|value| !value.is_empty())
                .map(|value| Version { id: answer.version_id.unwrap_or_default(), value: value.into() })),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                Ok(None)
            }
            Err(error) => Err(Error::unavailable(READ, error)),
        }
    }

    pub(super) fn forget_versions(&self, name: &str) {
        self.lock_versions().remove(name);
        self.lock_absent().remove(name);
    }

    fn lock_absent(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, Duration>> {
        self.absent.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// As with the other cache, only whole values are in it.
    fn lock_versions(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<String, KeptVersions>> {
        self.versions.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
