//! The checked options of a run.

use crate::agent::restart_pauses::RestartPauses;
use pullyard_domain::id::{ClaimId, InstanceId, JobId};
use pullyard_domain::trace::TraceId;
use pullyard_sandbox::{Containers, Level};
use std::path::PathBuf;
use std::time::Duration;

/// How the agent is isolated from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Isolation {
    /// Agents run as this user.
    None,
    /// The machine is a sandbox: a container, jail or virtual machine only for this runner. The runner adds what it can:
    /// a user for agents, limits of system calls, files and ports, and the proxies.
    External,
    /// Agents and commands run without namespaces; Landlock limits their files and ports.
    Landlock,
    /// Agents and commands run in macOS's own sandbox. Untested.
    Seatbelt,
    /// Agents and commands run in namespaces of their own, without a network but the proxies.
    #[value(alias = "auto")]
    Bubblewrap,
    /// The same in a container of podman.
    Podman,
    /// The same in a container of docker.
    Docker,
}

/// The choices where no sandbox starts.
pub const OTHER_ISOLATIONS: &str = "without a sandbox: `--isolation none`; in a container or virtual machine only for Pullyard: `--isolation external`";

impl Isolation {
    /// `None` if commands start without a sandbox.
    pub(crate) fn level(self) -> Option<Level> {
        match self {
            Self::None => None,
            Self::External => Some(Level::External),
            Self::Landlock => Some(Level::Landlock),
            Self::Seatbelt => Some(Level::Seatbelt),
            Self::Bubblewrap => Some(Level::Bubblewrap),
            Self::Podman => Some(Level::Podman),
            Self::Docker => Some(Level::Docker),
        }
    }

    /// Parses a level. `auto` is this system's sandbox, and an error if there is none.
    pub fn parse(word: &str) -> Result<Self, String> {
        match word {
            "none" => Ok(Self::None),
            "auto" if !cfg!(target_os = "linux") => {
                Err(format!("This system has no sandbox that Pullyard can start; {OTHER_ISOLATIONS}."))
            }
            "auto" | "bubblewrap" => Ok(Self::Bubblewrap),
            "landlock" => Ok(Self::Landlock),
            "podman" => Ok(Self::Podman),
            "docker" => Ok(Self::Docker),
            "seatbelt" => Ok(Self::Seatbelt),
            // Other runners name the kind of boundary. Each name is the operator's promise that there is a boundary.
            "external" | "container" | "jail" | "vm" => Ok(Self::External),
            _ => {
                Err("Use `auto`, `bubblewrap`, `podman`, `docker`, `landlock`, `seatbelt`, `external` or `none`."
                    .into())
            }
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::External => "external",
            Self::Landlock => "landlock",
            Self::Seatbelt => "seatbelt",
            Self::Bubblewrap => "bubblewrap",
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }

    pub(crate) fn is_container(self) -> bool {
        self.level().is_some_and(Level::is_container)
    }
}

/// Whether agents run in a process namespace of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProcessNamespace {
    /// If this machine supports it.
    #[default]
    Auto,
    /// Never.
    Off,
}

#[derive(Clone)]
pub struct Options {
    pub api_url: String,
    pub job: JobId,
    pub attempt: u32,
    /// Exchanged for the lease at the start. A secret.
    pub bootstrap: String,
    /// The daemon's claim for this attempt; created if there is no daemon.
    pub claim: Option<ClaimId>,
    /// The daemon process that made the claim; created if there is no daemon.
    pub instance: Option<InstanceId>,
    /// Mirrors, worktrees and the outbox. Runs can share it and use it again.
    pub work_dir: PathBuf,
    /// Without isolation, a job that writes is refused.
    pub isolation: Option<Isolation>,
    /// The result of an earlier check of the isolation on this machine. Without it, the job checks.
    pub isolation_check: Option<String>,
    /// The image and limits, for the isolations with containers.
    pub containers: Option<Containers>,
    /// Toolchains and caches outside of the system's folders that sandboxed commands may read.
    pub sandbox_paths: Vec<PathBuf>,
    /// The program that starts sandboxed commands: this one, except in tests.
    pub sandbox_helper: PathBuf,
    pub metadata_uri: Option<String>,
    pub process_namespace: ProcessNamespace,
    /// Secrets of this process's environment. The agent may find them, so they are redacted everywhere.
    pub secrets: Vec<String>,
    pub stop_grace: Duration,
    /// Pauses before an agent that could not reach its model is started again.
    pub agent_waits: RestartPauses,
    /// How long an unreachable bucket is retried for a checkpoint.
    pub bucket_away: Duration,
    pub worktree: WorktreeCleanup,
    pub raw_capture: bool,
    /// The trace that the start belongs to.
    pub trace: Option<TraceId>,
    pub parent: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorktreeCleanup {
    Remove,
    /// For inspection, until the next run on this machine.
    Keep,
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
    fn debug_output_of_options_has_no_secret() {
        let options = Options {
            api_url: "http://x".into(),
            job: JobId::new(format!("job_{}", "a".repeat(26))).unwrap(),
            attempt: 1,
            bootstrap: "planted-bootstrap".into(),
            claim: None,
            instance: None,
            work_dir: "/work".into(),
            isolation: Some(Isolation::External),
            isolation_check: None,
            containers: None,
            sandbox_paths: Vec::new(),
            sandbox_helper: PathBuf::new(),
            metadata_uri: Some("http://planted".into()),
            process_namespace: ProcessNamespace::Auto,
            secrets: vec!["planted-key".into()],
            stop_grace: Duration::ZERO,
            agent_waits: RestartPauses::default(),
            bucket_away: Duration::ZERO,
            worktree: WorktreeCleanup::Remove,
            raw_capture: false,
            trace: None,
            parent: None,
        };
        let shown = format!("{options:?}");
        assert!(shown.contains("External") && !shown.contains("planted"), "{shown}");
    }
}
