//! Reads secrets with a cache of one minute; sets and deletes the users' secrets.

#[cfg(test)]
mod tests;
mod versions;

pub use versions::{Version, Versions};

use crate::lazy::Lazy;
use crate::signed::is_denial;
use crate::{Error, Tags};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError;
use aws_sdk_secretsmanager::types::Tag;
use pullyard_domain::text::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

type MonotonicClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Other instances of a function use a new value after this time at the latest.
const CACHE_TTL: Duration = Duration::from_secs(60);

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
            Err(error) if is_missing(&error) => return Err(Error::NoSecret { name: name.into() }),
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
            Err(error) if is_missing(&error) => {
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

    /// When the current value was set; `None` if AWS does not state it.
    /// Errors: `NoSecret` when the secret or its value is missing, or when it is marked for deletion.
    pub async fn load_before_deletion(&self, name: &str) -> Result<Option<Timestamp>, Error> {
        match self.client.get_secret_value().secret_id(name).send().await {
            Ok(answer) => {
                let set_at = answer.created_date.and_then(|at| at.to_millis().ok());
                Ok(set_at.map(Timestamp::from_millis))
            }
            Err(error) if is_missing(&error) || is_deleted(&error) => Err(Error::NoSecret { name: name.into() }),
            Err(error) => Err(Error::unavailable("read a secret", error)),
        }
    }

    /// Deletes all versions, so that the name can be set again: on AWS up to a minute later, because it deletes
    /// asynchronously. This instance forgets the value immediately.
    /// Idempotent: Secrets Manager accepts the deletion of a missing secret.
    /// Errors: `NoSecret` while an earlier deletion runs; `Unavailable` for a denial, although AWS also denies a missing
    /// name, because the value may remain.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let call = self.client.delete_secret().secret_id(name).force_delete_without_recovery(true);
        call.send().await.map_err(|error| match is_deleted(&error) {
            true => Error::NoSecret { name: name.into() },
            false => Error::unavailable("delete a secret", error),
        })?;
        lock(&self.cache).remove(name);
        self.forget_versions(name);
        Ok(())
    }

    fn age(&self, since: Duration) -> Duration {
        (self.clock)().saturating_sub(since)
    }
}

/// Whether a secret is missing. AWS denies a call for a missing name if the role allows ARNs only, because no ARN has that
/// name. The tests compare the roles with these calls, so a denial has no other cause, except for that of a key.
fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let Some(error) = error.as_service_error() else { return false };
    let is_of_key = error.message().is_some_and(|message| message.contains("KMS"));
    error.code().is_some_and(|code| code == "ResourceNotFoundException" || (is_denial(code) && !is_of_key))
}

/// Whether a secret is marked for deletion, or an earlier deletion still runs.
fn is_deleted<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.as_service_error().is_some_and(|error| error.code() == Some("InvalidRequestException"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
