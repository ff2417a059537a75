//! Runs functions as Lambda does: in processes that speak the Runtime API.
//! Assigns events to environments, starts an environment if none is free, and replaces dead ones. `environment` owns a
//! process and its end, `api` the wire format. There is no throttling: with all environments busy, an event waits.

mod api;
mod environment;
mod usage;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Semaphore;

use environment::{Environment, RunResult};
use pullyard_emulator::lambda::Function;

pub use environment::EnvironmentInfo;
pub use usage::Usage;

/// Maximum size of an event.
const MAX_EVENT_BYTES: usize = 6_291_456;
/// Maximum size of an answer.
const MAX_ANSWER_BYTES: usize = 6_291_556;
/// Environments that may die in a row before they take an event. AWS has a limit as well.
const MAX_STARTS: u32 = 3;

#[derive(Clone, Debug)]
pub struct FunctionConfig {
    pub name: String,
    pub handler: String,
    /// Program and arguments, which stand for `bootstrap` in the zip.
    pub command: Vec<String>,
    /// The function's variables. It inherits no others from this process.
    pub environment: Vec<(String, String)>,
    pub timeout: Duration,
    /// The memory size that the function is shown. It is not enforced.
    pub memory_mb: u32,
    pub max_environments: usize,
    /// The file to which the function's output is appended.
    pub log: PathBuf,
}

/// A deployed function. Dropping the last clone kills its processes.
#[derive(Clone, Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: FunctionConfig,
    /// One permit per environment that may be busy.
    free: Semaphore,
    idle: Mutex<Vec<Environment>>,
    known_environments: Mutex<Vec<Weak<EnvironmentInfo>>>,
}

#[derive(Debug)]
pub struct InvocationResult {
    pub answer: Result<Value, String>,
    pub environment: Option<Arc<EnvironmentInfo>>,
    pub cold_start: bool,
}

impl Runtime {
    #[must_use]
    pub fn deploy(deployed: FunctionConfig) -> Self {
        let free = Semaphore::new(deployed.max_environments.max(1));
        Self {
            inner: Arc::new(Inner {
                config: deployed,
                free,
                idle: Mutex::default(),
                known_environments: Mutex::default(),
            }),
        }
    }

    #[must_use]
    pub fn config(&self) -> &FunctionConfig {
        &self.inner.config
    }

    #[must_use]
    pub fn function(&self) -> Function {
        let runtime = self.clone();
        Arc::new(move |event| {
            let runtime = runtime.clone();
            Box::pin(async move { runtime.invoke(&event).await.answer })
        })
    }

    /// Runs one event in a free environment, or in a new one.
    ///
    /// An event that no process has taken is retried in another; an event that was taken never runs twice.
    pub async fn invoke(&self, event: &Value) -> InvocationResult {
        let event = Bytes::from(event.to_string());
        if event.len() > MAX_EVENT_BYTES {
            let size = event.len();
            return InvocationResult::from_failure(format!("an event has at most {MAX_EVENT_BYTES} bytes, not {size}"));
        }
        let Ok(_permit) = self.inner.free.acquire().await else {
            return InvocationResult::from_failure("the function is shut down".to_owned());
        };
        for _ in 0..MAX_STARTS {
            let (mut environment, cold) = match self.inner.take_idle() {
                Some(environment) => (environment, false),
                None => match self.inner.start().await {
                    Ok(environment) => (environment, true),
                    Err(fault) => return InvocationResult::from_failure(fault),
                },
            };
            let seen = Arc::clone(environment.info());
            match environment.run(event.clone(), &self.inner.config).await {
                RunResult::Answered(answer) => {
                    lock(&self.inner.idle).push(environment);
                    return InvocationResult { answer, environment: Some(seen), cold_start: cold };
                }
                RunResult::Lost(fault) => {
                    return InvocationResult { answer: Err(fault), environment: Some(seen), cold_start: cold };
                }
                RunResult::NotDelivered => {}
            }
        }
        InvocationResult::from_failure(format!("{MAX_STARTS} processes ended before they took the event"))
    }

    #[must_use]
    pub fn environments(&self) -> Vec<Arc<EnvironmentInfo>> {
        lock(&self.inner.known_environments).iter().filter_map(Weak::upgrade).collect()
    }

    pub async fn shutdown(&self) {
        let most = u32::try_from(self.inner.config.max_environments.max(1)).unwrap_or(u32::MAX);
        // Fails after an earlier shutdown.
        if let Ok(all) = self.inner.free.acquire_many(most).await {
            self.inner.free.close();
            drop(all);
        }
        let idle = std::mem::take(&mut *lock(&self.inner.idle));
        for environment in idle {
            environment.end().await;
        }
    }
}

impl Inner {
    /// The most recently used environment that is alive.
    fn take_idle(&self) -> Option<Environment> {
        let mut idle = lock(&self.idle);
        while let Some(mut environment) = idle.pop() {
            if environment.is_alive() {
                return Some(environment);
            }
        }
        None
    }

    async fn start(&self) -> Result<Environment, String> {
        let environment = Environment::start(&self.config).await?;
        let mut seen = lock(&self.known_environments);
        seen.retain(|seen| seen.strong_count() > 0);
        seen.push(Arc::downgrade(environment.info()));
        Ok(environment)
    }
}

impl InvocationResult {
    fn from_failure(fault: String) -> Self {
        Self { answer: Err(fault), environment: None, cold_start: false }
    }
}

/// Ignores poisoning: every change under these locks is complete.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
