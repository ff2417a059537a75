//! Functions in processes of their own, as Lambda runs them: environments that speak the Runtime API.
//!
//! Owns which environment gets an event, starting one when none is free, and starting another when one
//! has died. A process and its end are in `environment`, the wire in `api`. Throttling is deliberately
//! not here: beyond its most environments, an event waits.

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

use environment::{Environment, Ran};
use pullyard_emulator::lambda::Function;

pub use environment::Seen;
pub use usage::Usage;

/// The largest event, and the largest answer.
const MAX_BYTES: usize = 6_291_556;
/// How many environments may die one after the other before they take an event; AWS, too, gives up.
const STARTS: u32 = 3;

/// A function as it is deployed.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its name.
    pub name: String,
    /// The handler: what the process finds in `_HANDLER`.
    pub handler: String,
    /// Program and arguments: what `bootstrap` is in the zip.
    pub command: Vec<String>,
    /// The function's variables. Nothing else of this process's environment is handed on.
    pub environment: Vec<(String, String)>,
    /// How long one event may take.
    pub timeout: Duration,
    /// What the function is told that it may use; nothing limits it.
    pub memory_mb: u32,
    /// The most environments at once.
    pub most: usize,
    /// The file that everything it prints is appended to.
    pub log: PathBuf,
}

/// A deployed function. The last clone that goes kills its processes.
#[derive(Clone, Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    deployed: Deployed,
    /// As many permits as there may be environments that work.
    free: Semaphore,
    idle: Mutex<Vec<Environment>>,
    seen: Mutex<Vec<Weak<Seen>>>,
}

/// An event that was run.
#[derive(Debug)]
pub struct Invoked {
    /// What came of it.
    pub answer: Result<Value, String>,
    /// Who ran it, if anybody.
    pub environment: Option<Arc<Seen>>,
    /// It was the environment's first.
    pub cold: bool,
}

impl Runtime {
    /// Deploys a function; its first process starts with its first event.
    #[must_use]
    pub fn deploy(deployed: Deployed) -> Self {
        let free = Semaphore::new(deployed.most.max(1));
        Self { inner: Arc::new(Inner { deployed, free, idle: Mutex::default(), seen: Mutex::default() }) }
    }

    /// How it is deployed, for whoever runs it by other means.
    #[must_use]
    pub fn deployed(&self) -> &Deployed {
        &self.inner.deployed
    }

    /// The function for triggers.
    #[must_use]
    pub fn function(&self) -> Function {
        let runtime = self.clone();
        Arc::new(move |event| {
            let runtime = runtime.clone();
            Box::pin(async move { runtime.invoke(&event).await.answer })
        })
    }

    /// Runs one event in an environment that is free, or in a new one.
    ///
    /// An event that no process has taken is given to another; one that was taken is never run twice here.
    pub async fn invoke(&self, event: &Value) -> Invoked {
        let event = Bytes::from(event.to_string());
        if event.len() > MAX_BYTES {
            let size = event.len();
            return Invoked::nowhere(format!("an event has at most {MAX_BYTES} bytes, not {size}"));
        }
        let Ok(_permit) = self.inner.free.acquire().await else {
            return Invoked::nowhere("the function is shut down".to_owned());
        };
        for _ in 0..STARTS {
            let (mut environment, cold) = match self.inner.take() {
                Some(environment) => (environment, false),
                None => match self.inner.start().await {
                    Ok(environment) => (environment, true),
                    Err(fault) => return Invoked::nowhere(fault),
                },
            };
            let seen = Arc::clone(environment.seen());
            match environment.run(event.clone(), &self.inner.deployed).await {
                Ran::Answered(answer) => {
                    lock(&self.inner.idle).push(environment);
                    return Invoked { answer, environment: Some(seen), cold };
                }
                Ran::Lost(fault) => return Invoked { answer: Err(fault), environment: Some(seen), cold },
                Ran::NotTaken => {}
            }
        }
        Invoked::nowhere(format!("{STARTS} processes ended before they took the event"))
    }

    /// The environments there are, oldest first.
    #[must_use]
    pub fn environments(&self) -> Vec<Arc<Seen>> {
        lock(&self.inner.seen).iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes no event any more, waits for those that run, and kills the processes.
    pub async fn shutdown(&self) {
        let most = u32::try_from(self.inner.deployed.most.max(1)).unwrap_or(u32::MAX);
        // Fails when it is shut down already.
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
    /// The environment that was used last and lives.
    fn take(&self) -> Option<Environment> {
        let mut idle = lock(&self.idle);
        while let Some(mut environment) = idle.pop() {
            if environment.lives() {
                return Some(environment);
            }
        }
        None
    }

    async fn start(&self) -> Result<Environment, String> {
        let environment = Environment::start(&self.deployed).await?;
        let mut seen = lock(&self.seen);
        seen.retain(|seen| seen.strong_count() > 0);
        seen.push(Arc::downgrade(environment.seen()));
        Ok(environment)
    }
}

impl Invoked {
    fn nowhere(fault: String) -> Self {
        Self { answer: Err(fault), environment: None, cold: false }
    }
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
