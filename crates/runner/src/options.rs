//! The flags of `run-job`, each with an environment name. Its only secret comes from the environment.

use crate::agent::host_profile::AgentProfile;
use crate::agent::{RestartPauses, parse_pauses};
use crate::process::pid_namespace::ProcessNamespace;
use pullyard_domain::text::id::{ClaimId, InstanceId, JobId};
use pullyard_domain::text::trace::TraceId;
use pullyard_sandbox::{Containers, Level as Isolation};
use std::num::ParseIntError;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const DEFAULT_DISK_LIMIT: &str = "10g";
const GIB: u64 = 1 << 30;
const MIN_SIZE_BYTES: u64 = 64 << 20;

/// The choices where no sandbox starts.
pub const OTHER_ISOLATIONS: &str = "without a sandbox: `--isolation none`; in a container or virtual machine only for Pullyard: `--isolation external`";

/// Run one job, then exit.
/// Exits with 0 if the control plane has the result or the job belongs to another attempt, with 143 after a signal,
/// and with another code if the runner itself failed. Set the bootstrap token in PULLYARD_BOOTSTRAP.
#[derive(Clone, Debug, clap::Args)]
#[command(name = "run-job")]
pub struct RunJob {
    /// The control plane's base URL.
    #[arg(long, env = "PULLYARD_API_URL", value_name = "URL")]
    pub api_url: String,
    /// Id of the job.
    #[arg(long, env = "PULLYARD_JOB", value_name = "ID")]
    pub job: JobId,
    /// Number of the attempt.
    #[arg(long, env = "PULLYARD_ATTEMPT", value_name = "N")]
    pub attempt: u32,
    /// Claim of the self-hosted runner for this attempt; a new one if not given.
    #[arg(long, env = "PULLYARD_CLAIM", value_name = "ID", hide = true)]
    pub claim: Option<ClaimId>,
    /// Process of the self-hosted runner that made the claim.
    #[arg(long, env = "PULLYARD_INSTANCE", value_name = "ID", hide = true)]
    pub instance: Option<InstanceId>,
    /// Folder for mirrors, worktrees and undelivered results; a folder in the temporary folder if not given.
    #[arg(long, env = "PULLYARD_WORK_DIR", value_name = "DIR", default_value_os_t = temporary_work_dir(), hide_default_value = true)]
    pub work_dir: PathBuf,
    /// How the agent is isolated from this machine: `bubblewrap`, `podman`, `docker`, `landlock`, `seatbelt`, `external`
    /// or `none`; required, else the job is refused.
    #[arg(long, env = "PULLYARD_ISOLATION", value_name = "ISOLATION")]
    pub isolation: Option<Isolation>,
    /// Result of the check of the isolation, set by `start` and `up`.
    #[arg(long, env = "PULLYARD_ISOLATION_CHECK", value_name = "TEXT", hide = true)]
    pub isolation_check: Option<String>,
    /// Image and limits of containers, as JSON, set by `start`.
    #[arg(long, env = "PULLYARD_CONTAINERS", value_name = "JSON", value_parser = parse_containers, hide = true)]
    pub containers: Option<Containers>,
    /// Folders with toolchains and caches that sandboxed commands may read, separated by colons; no folder if not given.
    #[arg(long, env = "PULLYARD_SANDBOX_PATHS", value_name = "A:B", value_delimiter = ':')]
    pub sandbox_paths: Vec<PathBuf>,
    /// Newest commits of each branch that the first fetch of a repository loads; 0 for all.
    #[arg(long, env = "PULLYARD_CLONE_DEPTH", value_name = "N", default_value = "0")]
    pub clone_depth: u32,
    /// Whose configuration agents have: none of their own (`job`), or that of this user (`host`).
    #[arg(long, env = "PULLYARD_AGENT_PROFILE", value_enum, default_value_t)]
    pub agent_profile: AgentProfile,
    /// Size of a job's folder, such as 10g, above which the job fails.
    #[arg(long, env = "PULLYARD_DISK_LIMIT", value_name = "SIZE", default_value = DEFAULT_DISK_LIMIT, value_parser = parse_size)]
    pub disk_limit: u64,
    /// Memory of each sandboxed process outside of containers, such as 8g, or `unlimited`, which address and thread
    /// sanitizers need; three quarters of the machine's if not given.
    #[arg(long, env = "PULLYARD_PROCESS_MEMORY", value_name = "SIZE", value_parser = parse_process_memory)]
    pub process_memory: Option<u64>,
    /// File for a copy of the job's log, set by `start`.
    #[arg(long, env = "PULLYARD_LOG_COPY", value_name = "FILE", hide = true)]
    pub log_copy: Option<PathBuf>,
    /// The ECS container metadata endpoint, set by ECS.
    #[arg(long, env = "ECS_CONTAINER_METADATA_URI_V4", value_name = "URL", hide = true)]
    pub metadata_uri: Option<String>,
    /// Seconds that the agent has to stop before it is killed.
    #[arg(long = "stop-grace-secs", env = "PULLYARD_STOP_GRACE_SECS", value_name = "N", default_value = "10", value_parser = parse_secs)]
    pub stop_grace: Duration,
    /// Run the agent in a process namespace, so that its processes end with it.
    #[arg(long, env = "PULLYARD_PROCESS_NAMESPACE", value_name = "WHEN", value_enum, default_value_t)]
    pub process_namespace: ProcessNamespace,
    /// Seconds to wait before each restart of an agent that could not reach its model.
    #[arg(long = "agent-retry-secs", env = "PULLYARD_AGENT_RETRY_SECS", value_name = "A,B,…", default_value = "30,60,90", value_parser = parse_pauses)]
    pub agent_waits: RestartPauses,
    /// Seconds to retry an unreachable bucket for a checkpoint.
    #[arg(long = "bucket-away-secs", env = "PULLYARD_BUCKET_AWAY_SECS", value_name = "N", default_value = "60", value_parser = parse_secs, hide = true)]
    pub bucket_away: Duration,
    /// Seconds to wait for an unavailable forge, before the agent starts and after it has worked.
    #[arg(long = "forge-away-secs", env = "PULLYARD_FORGE_AWAY_SECS", value_name = "N", default_value = "3600", value_parser = parse_secs, hide = true)]
    pub forge_away: Duration,
    /// Keep the worktree after the job, until the next run on this machine.
    #[arg(long, env = "PULLYARD_KEEP_WORKTREE")]
    pub keep_worktree: bool,
    /// Store the agent's raw output, without secrets, as an artifact of the job.
    #[arg(long, env = "PULLYARD_RAW_CAPTURE")]
    pub raw_capture: bool,
    /// Trace id for logs; an invalid one is ignored.
    #[arg(long, env = "PULLYARD_TRACE_ID", value_name = "ID", hide = true)]
    pub trace_id: Option<String>,
    /// Stop as on SIGTERM when the process with this id, which started this one, has exited.
    #[arg(long, env = "PULLYARD_PARENT", value_name = "PID", hide = true)]
    pub parent: Option<u32>,
    /// Folder to remove when that process has exited.
    #[arg(long, env = "PULLYARD_PARENT_FOLDER", value_name = "DIR", hide = true, requires = "parent")]
    pub parent_folder: Option<PathBuf>,
}

impl RunJob {
    /// The trace that the start belongs to; an invalid one is ignored.
    pub(crate) fn trace(&self) -> Option<TraceId> {
        self.trace_id.as_ref()?.parse().ok()
    }
}

fn temporary_work_dir() -> PathBuf {
    std::env::temp_dir().join("pullyard-runner")
}

fn parse_secs(text: &str) -> Result<Duration, ParseIntError> {
    text.parse().map(Duration::from_secs)
}

fn parse_containers(text: &str) -> Result<Containers, serde_json::Error> {
    serde_json::from_str(text)
}

/// Checks `--disk-limit` for a program that passes it to `run-job`.
pub fn check_disk_limit(text: &str) -> Result<String, &'static str> {
    parse_size(text).map(|_| text.to_owned())
}

/// Checks `--process-memory` for a program that passes it to `run-job`.
pub fn check_process_memory(text: &str) -> Result<String, &'static str> {
    parse_process_memory(text).map(|_| text.to_owned())
}

/// Parses a size as container engines write it. Units: bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, &'static str> {
    const HELP: &str = "Use a size of at least 64m, such as 512m or 2g.";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "ki" | "kib" => 1 << 10,
        "m" | "mb" | "mi" | "mib" => 1 << 20,
        "g" | "gb" | "gi" | "gib" => GIB,
        _ => return Err(HELP),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.filter(|bytes| (MIN_SIZE_BYTES..=GIB << 14).contains(bytes)).ok_or(HELP)
}

/// Units: bytes; `u64::MAX` for no limit.
fn parse_process_memory(text: &str) -> Result<u64, &'static str> {
    if text == "unlimited" { Ok(u64::MAX) } else { parse_size(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        run_job: RunJob,
    }

    #[test]
    fn flags_have_environment_names_and_exclude_the_token() {
        let command = <TestCli as clap::CommandFactory>::command();
        command.clone().debug_assert();
        assert!(command.get_arguments().all(|arg| !arg.get_id().as_str().contains("bootstrap")));
        for arg in command.get_arguments() {
            assert!(arg.get_env().is_some(), "{} has no environment name", arg.get_id());
        }
    }

    #[test]
    fn sizes_are_parsed_as_container_engines_write_them() {
        for (text, bytes) in [("2g", 2 * GIB), ("512M", 512 << 20), ("4Gi", 4 * GIB), ("1073741824", GIB)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert!(["", "2x", "-1g", "1m", "99999999g", "unlimited"].iter().all(|text| parse_size(text).is_err()));
        assert_eq!(parse_process_memory("unlimited"), Ok(u64::MAX));
    }

    #[test]
    fn invalid_isolation_is_rejected() {
        let job = format!("--job=job_{}", "a".repeat(26));
        let line = |isolation| ["x", "--api-url=http://x", &job, "--attempt=1", isolation].map(String::from);
        assert!(TestCli::try_parse_from(line("--isolation=maybe")).is_err());
        let parsed = TestCli::try_parse_from(line("--isolation=external")).map(|line| line.run_job.isolation);
        assert!(matches!(parsed, Ok(Some(Isolation::External))));
    }
}
