//! The flags of `run-job`, each with an environment name. Its only secret comes from the environment.

use crate::agent::restart_pauses::{RestartPauses, parse_pauses};
use crate::options::{Isolation, Options, ProcessNamespace, WorktreeCleanup};
use crate::secrets::redact::{is_secret_name, parse_url_credentials};
use crate::{Error, Exit};
use pullyard_domain::id::{ClaimId, InstanceId, JobId};
use pullyard_sandbox::Containers;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The variable with the bootstrap token. Never a flag, because every user of a machine can read argument lists.
const BOOTSTRAP_VARIABLE: &str = "PULLYARD_BOOTSTRAP";

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
    #[arg(long, env = "PULLYARD_WORK_DIR", value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// How the agent is isolated from this machine; required, else the job is refused.
    #[arg(long, env = "PULLYARD_ISOLATION", value_enum)]
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
    /// The ECS container metadata endpoint, set by ECS.
    #[arg(long, env = "ECS_CONTAINER_METADATA_URI_V4", value_name = "URL", hide = true)]
    pub metadata_uri: Option<String>,
    /// Seconds that the agent has to stop before it is killed.
    #[arg(long, env = "PULLYARD_STOP_GRACE_SECS", value_name = "N", default_value_t = 10)]
    pub stop_grace_secs: u64,
    /// Run the agent in a process namespace, so that its processes end with it.
    #[arg(long, env = "PULLYARD_PROCESS_NAMESPACE", value_name = "WHEN", value_enum, default_value_t)]
    pub process_namespace: ProcessNamespace,
    /// Seconds to wait before each restart of an agent that could not reach its model.
    #[arg(long, env = "PULLYARD_AGENT_RETRY_SECS", value_name = "A,B,…", default_value = "30,60,90", value_parser = parse_pauses)]
    pub agent_retry_secs: RestartPauses,
    /// Seconds to retry an unreachable bucket for a checkpoint.
    #[arg(long, env = "PULLYARD_BUCKET_AWAY_SECS", value_name = "N", default_value_t = 60, hide = true)]
    pub bucket_away_secs: u64,
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
    /// Errors: the bootstrap token is missing, or any error of [`run_job`](crate::run_job).
    pub async fn run(self) -> Result<Exit, Error> {
        hide_from_children();
        crate::process::orphans::adopt_orphans();
        let folder = self.parent.zip(self.parent_folder.clone());
        let exit = crate::run_job(self.options()?).await;
        if let Some((parent, folder)) = folder {
            crate::process::parent::remove_folder_of_dead_parent(parent, &folder);
        }
        exit
    }

    fn options(self) -> Result<Options, Error> {
        let bootstrap =
            std::env::var(BOOTSTRAP_VARIABLE).ok().filter(|token| !token.is_empty()).ok_or(Error::BootstrapMissing)?;
        Ok(Options {
            api_url: self.api_url,
            job: self.job,
            attempt: self.attempt,
            bootstrap,
            claim: self.claim,
            instance: self.instance,
            work_dir: self.work_dir.unwrap_or_else(|| std::env::temp_dir().join("pullyard-runner")),
            isolation: self.isolation,
            isolation_check: self.isolation_check,
            containers: self.containers,
            sandbox_paths: self.sandbox_paths.into_iter().filter(|path| path.is_absolute()).collect(),
            sandbox_helper: "/proc/self/exe".into(),
            metadata_uri: self.metadata_uri.filter(|uri| !uri.is_empty()),
            process_namespace: self.process_namespace,
            secrets: collect_secrets(std::env::vars_os()),
            stop_grace: Duration::from_secs(self.stop_grace_secs),
            agent_waits: self.agent_retry_secs,
            bucket_away: Duration::from_secs(self.bucket_away_secs),
            raw_capture: self.raw_capture,
            trace: self.trace_id.and_then(|trace| trace.parse().ok()),
            parent: self.parent,
            worktree: if self.keep_worktree { WorktreeCleanup::Keep } else { WorktreeCleanup::Remove },
        })
    }
}

fn parse_containers(text: &str) -> Result<Containers, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Values of secret variables, and credentials in all addresses: a proxy's address is no secret, but its password is.
fn collect_secrets(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let texts = variables.filter_map(|(name, value)| Some((name, value.into_string().ok()?)));
    let secrets = texts.flat_map(|(name, value)| {
        let mut secrets = parse_url_credentials(&value);
        if name.to_str().is_some_and(is_secret_name) {
            secrets.push(value);
        }
        secrets
    });
    secrets.collect()
}

/// Prevents children from reading the bootstrap token and the lease. Children get an environment without the token. But
/// on Linux, a child of the same user could read both in `/proc` of a dumpable parent. Root can always read them.
pub(crate) fn hide_from_children() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(error = %error, "cannot hide the runner's memory from its children: {error}");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        run_job: super::RunJob,
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
    fn credentials_in_environment_urls_are_secrets() {
        let variables = [
            ("HTTPS_PROXY", "http://me:planted-pw@proxy.example:3128"),
            ("SOME_KEY", "planted-key"),
            ("OPENAI_BASE_URL", "https://model.example/v1"),
            ("HOME", "/home/me"),
        ];
        let mut secrets =
            super::collect_secrets(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        secrets.sort_unstable();
        secrets.dedup();
        assert_eq!(secrets, ["me:planted-pw", "planted-key", "planted-pw"]);
    }

    #[test]
    fn invalid_isolation_is_rejected() {
        let job = format!("--job=job_{}", "a".repeat(26));
        let line = |isolation| ["x", "--api-url=http://x", &job, "--attempt=1", isolation].map(String::from);
        assert!(TestCli::try_parse_from(line("--isolation=maybe")).is_err());
        let parsed = TestCli::try_parse_from(line("--isolation=external")).map(|line| line.run_job.isolation);
        assert!(matches!(parsed, Ok(Some(super::Isolation::External))));
    }
}
