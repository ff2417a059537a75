//! Secrets by name, kept for five minutes.

use crate::Error;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a value is used before it is fetched again.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// Reads secrets. Values never appear in an error, a log or a `Debug`.
#[derive(Clone)]
pub struct Secrets {
    client: aws_sdk_secretsmanager::Client,
    cache: Arc<Mutex<HashMap<String, Kept>>>,
}

/// A value and when it was fetched.
struct Kept {
    since: Instant,
    value: Arc<str>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets { .. }")
    }
}

impl Secrets {
    /// Reached as `config` says; `endpoint` replaces AWS's own address.
    pub fn new(config: &aws_config::SdkConfig, endpoint: Option<&str>) -> Self {
        let mut builder = aws_sdk_secretsmanager::config::Builder::from(config);
        builder.set_endpoint_url(endpoint.map(str::to_owned));
        Self { client: aws_sdk_secretsmanager::Client::from_conf(builder.build()), cache: Arc::default() }
    }

    /// The value of a secret.
    ///
    /// Errors: `NoSecret` when there is none of that name or it is empty.
    pub async fn get(&self, name: &str) -> Result<Arc<str>, Error> {
        let fresh = |kept: &Kept| (kept.since.elapsed() < KEPT_FOR).then(|| kept.value.clone());
        if let Some(value) = self.lock().get(name).and_then(fresh) {
            return Ok(value);
        }
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
        self.lock().insert(name.to_owned(), Kept { since: Instant::now(), value: value.clone() });
        Ok(value)
    }

    /// The cache holds whole values only, so a panic elsewhere can't have left half of one.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kept>> {
        self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
