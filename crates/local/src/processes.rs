//! The functions as processes of their own, run as Lambda runs them: the second way, beside libraries in
//! this process.

use crate::Error;
use pullyard_emulator::lambda::Function;
use pullyard_emulator::lambda::runtime::{Deployed, Runtime, Seen};
use pullyard_entry::Config;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the functions are given in `infra`, too.
const MEMORY_MB: u32 = 256;

/// How long each function may run, as `infra` has it. Those that answer a gateway end before it stops waiting.
/// Units: seconds.
pub const FUNCTION_TIMEOUTS: [(&str, u64); 8] = [
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
pub enum Functions {
    /// As libraries in this process.
    #[default]
    Libraries,
    /// Each as processes of this program, which is told by `_HANDLER` which one it is. They have the real
    /// time: a clock that is advanced is not theirs.
    Processes {
        /// Program and arguments.
        command: Vec<String>,
        /// What all of them are told besides their configuration.
        environment: Vec<(String, String)>,
    },
}

/// The functions that run as processes, by name.
#[derive(Debug)]
pub(crate) struct Processes {
    how: Functions,
    logs: PathBuf,
    running: BTreeMap<&'static str, Runtime>,
}

impl Processes {
    /// None yet; what they print goes into the folder `logs`.
    pub(crate) fn new(how: Functions, logs: PathBuf) -> Result<Self, Error> {
        if how != Functions::Libraries {
            std::fs::create_dir_all(&logs).map_err(crate::folder::broken(&logs))?;
        }
        Ok(Self { how, logs, running: BTreeMap::new() })
    }

    /// The function of this name: the library, or its processes.
    pub(crate) async fn or(
        &mut self,
        name: &'static str,
        config: &Config,
        library: impl Future<Output = Function>,
    ) -> Function {
        let Functions::Processes { command, environment } = &self.how else { return library.await };
        // Its calls say whose they are, as the template has it.
        let own = vec![("AWS_SDK_UA_APP_ID".to_owned(), name.to_owned())];
        let runtime = Runtime::deploy(Deployed {
            name: format!("pullyard-{name}"),
            handler: name.into(),
            command: command.clone(),
            environment: [config.environment(), own, environment.clone()].concat(),
            timeout: timeout_of(name),
            memory_mb: MEMORY_MB,
            most: MOST,
            log: self.logs.join(format!("{name}.log")),
        });
        let function = runtime.function();
        self.running.insert(name, runtime);
        function
    }

    /// The processes of a function.
    pub(crate) fn of(&self, name: &str) -> Vec<Arc<Seen>> {
        self.running.get(name).map(Runtime::environments).unwrap_or_default()
    }

    /// A function itself, past everything that calls it.
    pub(crate) fn runtime(&self, name: &str) -> Option<Runtime> {
        self.running.get(name).cloned()
    }

    /// Ends all of them, once their events are done.
    pub(crate) async fn shutdown(&self) {
        for runtime in self.running.values() {
            runtime.shutdown().await;
        }
    }
}
