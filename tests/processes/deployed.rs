//! Functions in processes of their own, run as Lambda runs them, instead of libraries in the test's process.

use pullyard_local::Deploy;
use pullyard_testkit::lambda::{Deployed, Runtime, Seen};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// As in `infra`.
const MEMORY_MB: u32 = 256;

/// How long each function may run, as in `infra`. Those behind a gateway end before it stops waiting.
/// Units: seconds.
pub(crate) const FUNCTION_TIMEOUTS: [(&str, u64); 8] = [
    ("api", 28),
    ("dispatcher", 30),
    ("effects", 60),
    ("pages", 28),
    ("sweeper", 120),
    ("tasks", 30),
    ("tickets", 28),
    ("webhook", 28),
];
/// The shortest, for a function that is not listed.
const SHORTEST: u64 = 28;

fn timeout_of(function: &str) -> Duration {
    let listed = FUNCTION_TIMEOUTS.iter().find(|(name, _)| *name == function);
    Duration::from_secs(listed.map_or(SHORTEST, |(_, secs)| *secs))
}

/// The most processes of one function. An event source brings two batches at once, a gateway what comes.
const MOST: usize = 8;

/// How the functions run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Functions {
    /// As libraries in this process.
    #[default]
    Libraries,
    /// Each as processes of a program that reads its name from `_HANDLER`. They have the real time, which no test
    /// advances.
    Processes {
        /// Program and arguments.
        command: Vec<String>,
        /// Variables besides the configuration.
        environment: Vec<(String, String)>,
    },
}

/// The functions that run as processes, by name. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    how: Functions,
    logs: PathBuf,
    running: Arc<Mutex<BTreeMap<&'static str, Runtime>>>,
}

impl Processes {
    /// Their output goes into the folder `logs`.
    pub(crate) fn new(how: Functions, logs: PathBuf) -> Self {
        Self { how, logs, running: Arc::default() }
    }

    /// How the local system starts the functions; none for libraries.
    pub(crate) fn deploy(&self) -> Option<Deploy> {
        let own = self.clone();
        let Functions::Processes { command, environment } = self.how.clone() else { return None };
        std::fs::create_dir_all(&self.logs).unwrap();
        Some(Deploy::new(move |name, config| {
            // The function's name in its User-Agent, as the template has it.
            let app = vec![("AWS_SDK_UA_APP_ID".to_owned(), name.to_owned())];
            let runtime = Runtime::deploy(Deployed {
                name: format!("pullyard-{name}"),
                handler: name.into(),
                command: command.clone(),
                environment: [config.environment(), app, environment.clone()].concat(),
                timeout: timeout_of(name),
                memory_mb: MEMORY_MB,
                most: MOST,
                log: own.logs.join(format!("{name}.log")),
            });
            let function = runtime.function();
            own.running.lock().unwrap().insert(name, runtime);
            Some(function)
        }))
    }

    /// The processes of a function.
    pub(crate) fn of(&self, name: &str) -> Vec<Arc<Seen>> {
        self.running.lock().unwrap().get(name).map(Runtime::environments).unwrap_or_default()
    }

    /// A function itself, without its trigger.
    pub(crate) fn runtime(&self, name: &str) -> Runtime {
        self.running.lock().unwrap()[name].clone()
    }

    /// Ends all of them, once their events are done.
    pub(crate) async fn shutdown(&self) {
        let running = std::mem::take(&mut *self.running.lock().unwrap());
        for runtime in running.values() {
            runtime.shutdown().await;
        }
    }
}
