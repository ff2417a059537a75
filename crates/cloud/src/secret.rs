//! Reads secrets with a cache of one minute; sets, lists and deletes the users' secrets.

#[cfg(test)]
mod tests;
mod versions;

pub use versions::{Version, Versions};

use crate::lazy::Lazy;
use crate::signed::is_denial;
use crate::{Error, Tags};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use pullyard_domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type MonotonicClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Other instances of a function use a new value after this time at the latest.
const CACHE_TTL: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSummary {
    pub name: String,
    pub set_at: Option<Timestamp>,
}

/// Values never appear in an error, a log or a `Debug`.
#[derive(Clone)]
pub struct Secrets {
    client: Lazy<aws_sdk_secretsmanager::Client>,
    cache: Arc<Mutex<HashMap<String, CachedValue>>>,
    versions: Arc<Mutex<HashMap<String, versions::CachedVersions>>>,
    /// Missing names and the times of their lookups. Few: only webhooks and admin requests look up versions.
    absent: Arc<Mutex<HashMap<String, Duration>>>,
    refetch_lock: Arc<tokio::sync::Mutex<()>>,
    clock: MonotonicClock,
    kms_key: Option<String>,
    tags: Tags,
}

struct CachedValue {
    since: Duration,
    value: Arc<str>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets { .. }")
    }
}

impl Secrets {
    pub fn new(config: &aws_config::SdkConfig, endpoint: Option<&str>) -> Self {
        let (config, endpoint) = (config.clone(), endpoint.map(str::to_owned));
        let start = Instant::now();
        Self {
            client: Lazy::new(move || {
                let mut builder = aws_sdk_secretsmanager::config::Builder::from(&config);
                builder.set_endpoint_url(endpoint);
                aws_sdk_secretsmanager::Client::from_conf(builder.build())
            }),
            cache: Arc::default(),
            versions: Arc::default(),
            absent: Arc::default(),
            refetch_lock: Arc::default(),
            clock: Arc::new(move || start.elapsed()),
            kms_key: None,
            tags: Tags::default(),
        }
    }

    /// Measures the age of cached values with this monotonic clock instead of the machine's.
    #[must_use]
    pub fn with_clock(self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Creates secrets under this KMS key. An existing secret keeps its own key.
    #[must_use]
    pub fn with_kms_key(self, kms_key: Option<String>) -> Self {
        Self { kms_key, ..self }
    }

    /// Creates secrets with these tags. An existing secret keeps its own tags.
    #[must_use]
    pub fn with_tags(self, tags: Tags) -> Self {
        Self { tags, ..self }
    }

    /// Errors: `NoSecret` when the secret is missing or empty.
    pub async fn get(&self, name: &str) -> Result<Arc<str>, Error> {
        let fresh = |cached: &CachedValue| (self.age(cached.since) < CACHE_TTL).then(|| cached.value.clone());
        if let Some(value) = lock(&self.cache).get(name).and_then(fresh) {
            return Ok(value);
        }
        // Measured before the call, because the value may change during the call.
        let since = (self.clock)();
        let answer = match self.client.get_secret_value().secret_id(name).send().await {
            Ok(answer) => answer,
            Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {
                return Err(Error::NoSecret { name: name.into() });
            }
            Err(error) => return Err(Error::unavailable("read a secret", error)),
        };
        let value: Arc<str> = answer
            .secret_string
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Error::NoSecret { name: name.into() })?
            .into();
        lock(&self.cache).insert(name.to_owned(), CachedValue { since, value: value.clone() });
        Ok(value)
    }

    /// Creates or replaces a value. This instance uses it at once, other instances within a minute.
    /// Idempotent: by the value. The random request token names the version; a token derived from the value could not
    /// restore an earlier value. Errors: `SecretRefused` when the secret is marked for deletion.
    pub async fn put(&self, name: &str, value: &str) -> Result<(), Error> {
        let token = format!("{:032x}", rand::random::<u128>());
        let put = async || {
            let call = self.client.put_secret_value().secret_id(name).secret_string(value);
            call.client_request_token(&token).send().await
        };
        let refused_error = || Error::SecretRefused { name: name.into() };
        let stored = match put().await {
            Err(error) if is_missing_or_denied(&error) => {
                let create = self.client.create_secret().name(name).secret_string(value);
                let create = create.set_kms_key_id(self.kms_key.clone());
                let tag = |(key, value)| Tag::builder().key(key).value(value).build();
                let create = self.tags.iter().map(tag).fold(create, |create, tag| create.tags(tag));
                match create.client_request_token(&token).send().await {
                    Ok(_) => Ok(()),
                    // A concurrent call created the secret, or the first call was denied; the later value wins.
                    Err(error) if error.as_service_error().is_some_and(|e| e.is_resource_exists_exception()) => {
                        put().await.map(drop)
                    }
                    Err(error) if error.as_service_error().is_some_and(|e| e.is_invalid_request_exception()) => {
                        return Err(refused_error());
                    }
                    Err(error) => return Err(Error::unavailable("create a secret", error)),
                }
            }
            other => other.map(drop),
        };
        match stored {
            Ok(()) => {
                lock(&self.cache).remove(name);
                self.forget_versions(name);
                Ok(())
            }
            Err(error) if error.as_service_error().is_some_and(PutSecretValueError::is_invalid_request_exception) => {
                Err(refused_error())
            }
            Err(error) => Err(Error::unavailable("set a secret", error)),
        }
    }

    /// When the current value was set; `None` for a secret without a value.
    /// Errors: `NoSecret` when the secret is missing or marked for deletion.
    pub async fn load_before_deletion(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        let error = match self.client.get_secret_value().secret_id(name).send().await {
            Ok(answer) => {
                let set_at = answer.created_date.and_then(|at| at.to_millis().ok());
                return Ok(set_at.map(Timestamp::from_millis));
            }
            Err(error) => error,
        };
        let kind = error.as_service_error();
        let is_without_value = kind.is_some_and(|error| error.is_resource_not_found_exception());
        if kind.is_some_and(|error| error.is_invalid_request_exception()) {
            return Err(Error::NoSecret { name: name.into() });
        }
        match is_without_value {
            true if self.is_listed(name).await? => Ok(None),
            true => Err(Error::NoSecret { name: name.into() }),
            false => Err(Error::unavailable("read a secret", error)),
        }
    }

    async fn is_listed(&self, name: &str) -> Result<bool, Error> {
        let mut after = None;
        loop {
            let (secrets, next) = self.list(name, after.as_deref()).await?;
            let found = secrets.iter().any(|secret| secret.name == name);
            if found || next.is_none() {
                return Ok(found);
            }
            after = next;
        }
    }

    /// Deletes all versions, so that the name can be set again: on AWS up to a minute later, because it deletes
    /// asynchronously. This instance forgets the value immediately.
    /// Idempotent: Secrets Manager accepts the deletion of a missing secret.
    /// Errors: `NoSecret` while an earlier deletion runs.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let call = self.client.delete_secret().secret_id(name).force_delete_without_recovery(true);
        call.send().await.map_err(|error| match error.as_service_error() {
            Some(kind) if kind.is_invalid_request_exception() => Error::NoSecret { name: name.into() },
            _ => Error::unavailable("delete a secret", error),
        })?;
        lock(&self.cache).remove(name);
        self.forget_versions(name);
        Ok(())
    }

    /// Lists one page of secrets with this prefix, and the next page's cursor. A page before the last may be empty.
    /// Errors: `BadCursor` for a cursor that no page returned.
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<(Vec<SecretSummary>, Option<String>), Error> {
        let by_prefix = Filter::builder().key(FilterNameStringType::Name).values(prefix).build();
        let call = self.client.list_secrets().filters(by_prefix).max_results(100);
        let page = match call.set_next_token(after.map(str::to_owned)).send().await {
            Ok(page) => page,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_invalid_next_token_exception()) => {
                return Err(Error::BadCursor);
            }
            Err(error) => return Err(Error::unavailable("list secrets", error)),
        };
        let secrets = page.secret_list.unwrap_or_default().into_iter().filter_map(|entry| {
            let set_at = entry.last_changed_date.or(entry.created_date).and_then(|at| at.to_millis().ok());
            // AWS's filter ignores case.
            let name = entry.name.filter(|name| name.starts_with(prefix))?;
            Some(SecretSummary { name, set_at: set_at.map(Timestamp::from_millis) })
        });
        Ok((secrets.collect(), page.next_token))
    }

    fn age(&self, since: Duration) -> Duration {
        (self.clock)().saturating_sub(since)
    }
}

/// AWS denies a call for a missing name if the role allows ARNs only, because no ARN has that name. Whether the secret is
/// missing or the role lacks the permission shows at the creation.
fn is_missing_or_denied(error: &SdkError<PutSecretValueError>) -> bool {
    let Some(error) = error.as_service_error() else { return false };
    error.is_resource_not_found_exception() || error.code().is_some_and(is_denial)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
