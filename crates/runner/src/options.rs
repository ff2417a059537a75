//! What a run is told from outside, checked.

use crate::agent::waits::Waits;
use pullyard_domain::id::{ClaimId, InstanceId, JobId};
use pullyard_domain::trace::TraceId;
use std::path::PathBuf;
use std::time::Duration;

/// What stands between the agent and the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Isolation {
    /// Nothing, and the operator said so.
    None,
    /// The machine itself: a container, a jail or a virtual machine that runs only this.
    External,
}

impl Isolation {
    /// As it is written on a command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::External => "external",
        }
    }
}

/// Whether agents run in a process namespace of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProcessNamespace {
    /// Where the machine makes one.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Everything a run needs to know.
#[derive(Clone)]
pub struct Options {
    /// The control plane's base URL.
    pub api_url: String,
    /// The job.
    pub job: JobId,
    /// The number of the attempt.
    pub attempt: u32,
    /// Exchanged for the lease at the start. A secret.
    pub bootstrap: String,
    /// The claim that the runner made for this attempt; a new one without a runner.
    pub claim: Option<ClaimId>,
    /// The runner's process that claimed it; a new one without a runner.
    pub instance: Option<InstanceId>,
    /// Mirrors, worktrees and the outbox; may be kept from run to run and shared between runs.
    pub work_dir: PathBuf,
    /// Without one, a job that writes is refused.
    pub isolation: Option<Isolation>,
    /// The ECS container metadata endpoint.
    pub metadata_uri: Option<String>,
    /// Whether the agent gets a process namespace.
    pub process_namespace: ProcessNamespace,
    /// What the environment of this process calls secrets: the agent may find them, and nobody is told.
    pub secrets: Vec<String>,
    /// How long the agent may take to stop by itself before it is killed.
    pub stop_grace: Duration,
    /// How long is waited before an agent that could not reach its model is started again.
    pub agent_waits: Waits,
    /// How long a bucket that is away is tried again with what an attempt leaves for the next one.
    pub bucket_away: Duration,
    /// What becomes of the worktree afterwards.
    pub worktree: Afterwards,
    /// Lines are kept as the agent printed them.
    pub raw_capture: bool,
    /// What the start was part of.
    pub trace: Option<TraceId>,
    /// The number of the process that this run ends with; it outlives whoever started it without.
    pub parent: Option<u32>,
}

/// What becomes of a worktree when its attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It is removed.
    Removed,
    /// It stays until the next run on this machine, to be looked at.
    Kept,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bootstrap token never reaches a log.
        f.debug_struct("Options")
            .field("api_url", &self.api_url)
            .field("job", &self.job)
            .field("attempt", &self.attempt)
            .field("work_dir", &self.work_dir)
            .field("isolation", &self.isolation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_of_a_run_stands_in_what_is_printed_of_it() {
        let options = Options {
            api_url: "http://x".into(),
            job: JobId::new(format!("job_{}", "a".repeat(26))).unwrap(),
            attempt: 1,
            bootstrap: "planted-bootstrap".into(),
            claim: None,
            instance: None,
            work_dir: "/work".into(),
            isolation: Some(Isolation::External),
            metadata_uri: Some("http://planted".into()),
            process_namespace: ProcessNamespace::Auto,
            secrets: vec!["planted-key".into()],
            stop_grace: Duration::ZERO,
            agent_waits: Waits::default(),
            bucket_away: Duration::ZERO,
            worktree: Afterwards::Removed,
            raw_capture: false,
            trace: None,
            parent: None,
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("External") && !shown.contains("planted"), "{shown}");
    }
}
