//! Runs the functions as separate processes, as Lambda does, instead of as libraries.

use crate::Error;
use pullyard_emulator::lambda::Function;
use pullyard_emulator::lambda::runtime::{Deployed, Runtime, Seen};
use pullyard_entry::Config;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The same as in `infra`.
const MEMORY_MB: u32 = 256;

/// As in `infra`; functions behind the gateway end before its timeout. Units: seconds.
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
const SHORTEST: u64 = 28;

fn timeout_of(function: &str) -> Duration {
    let listed = FUNCTION_TIMEOUTS.iter().find(|(name, _)| *name == function);
    Duration::from_secs(listed.map_or(SHORTEST, |(_, secs)| *secs))
}

/// Processes per function. An event source sends two batches at once, the gateway any number.
const MOST: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Functions {
    #[default]
    Libraries,
    /// Processes of this program; `_HANDLER` selects the function. They use the real time, not a test's clock.
    Processes { command: Vec<String>, environment: Vec<(String, String)> },
}

#[derive(Debug)]
pub(crate) struct Processes {
    how: Functions,
    logs: PathBuf,
    running: BTreeMap<&'static str, Runtime>,
}

impl Processes {
    pub(crate) fn new(how: Functions, logs: PathBuf) -> Result<Self, Error> {
        if how != Functions::Libraries {
            std::fs::create_dir_all(&logs).map_err(crate::folder::broken(&logs))?;
        }
        Ok(Self { how, logs, running: BTreeMap::new() })
    }

    pub(crate) async fn or(
        &mut self,
        name: &'static str,
        config: &Config,
        library: impl Future<Output = Function>,
    ) -> Function {
        let Functions::Processes { command, environment } = &self.how else { return library.await };
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

    pub(crate) fn of(&self, name: &str) -> Vec<Arc<Seen>> {
        self.running.get(name).map(Runtime::environments).unwrap_or_default()
    }

    /// The function itself, without event sources or gateway.
    pub(crate) fn runtime(&self, name: &str) -> Option<Runtime> {
        self.running.get(name).cloned()
    }

    /// Ends all processes after their events.
    pub(crate) async fn shutdown(&self) {
        for runtime in self.running.values() {
            runtime.shutdown().await;
        }
    }
}
