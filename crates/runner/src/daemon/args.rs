//! Parses the flags of `start`, `check` and `config`, and runs these commands.
//! `setting_names` lists the variables of each flag. Flags hold unchecked text; `settings` validates it, so that a flag
//! and a variable cause the same errors.

use super::call_failure::{FatalExit, INVALID_SETTING_EXIT, TOKEN_REFUSED_EXIT};
use super::config_file;
use super::file_source::FileSource;
use super::launch::Launch;
use super::setting_names::{SettingSources, SettingValue};
use super::settings::{ParsedSettings, Settings};
use super::{agents, check, lifecycle, output};
use crate::agent::environment::Environment;
use crate::args::hide_from_children;
use pullyard_domain::text::id::InstanceId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a runner.
#[derive(Clone, Debug, Default, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Flags {
    /// The control plane's base URL; required. [env: PULLYARD_API_URL, RUNNER_SERVER_URL]
    ///
    /// Without it, `pullyard runner` uses the saved context's.
    #[arg(long, value_name = "URL", visible_alias = "server-url")]
    api_url: Option<String>,
    /// A file with the runner token; required without PULLYARD_RUNNER_TOKEN. [env: PULLYARD_RUNNER_TOKEN_FILE]
    ///
    /// Or set the token itself in PULLYARD_RUNNER_TOKEN or RUNNER_TOKEN; it has no flag.
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
    /// Name of this runner, unique among runners; the token's or the machine's name if not given.
    /// [env: PULLYARD_RUNNER_NAME, RUNNER_NAME]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Number of jobs to run at once, 1 to 12; 1 if not given. [env: PULLYARD_RUNNER_SLOTS, RUNNER_MAX_CONCURRENT_JOBS]
    #[arg(long, value_name = "N")]
    slots: Option<String>,
    /// Labels that jobs may require, separated by commas; no label if not given. [env: PULLYARD_RUNNER_LABELS]
    #[arg(long, value_name = "A,B")]
    labels: Option<String>,
    /// Agents to offer, separated by commas; `command` and the installed agents with a key if not given.
    /// OVERSIGHT_CLI is `claude` or `codex`, each with `command`. [env: PULLYARD_RUNNER_CAPABILITIES, OVERSIGHT_CLI]
    #[arg(long, value_name = "A,B")]
    capabilities: Option<String>,
    /// Folder for mirrors, worktrees, logs and state; `~/.local/state/pullyard-runner`, or
    /// `/var/lib/pullyard-jobs/runner` as root, unless STATE_DIRECTORY or XDG_STATE_HOME is set, if not given.
    /// [env: PULLYARD_WORK_DIR, DOCKER_WORKSPACE_BASE, OVERSIGHT_REPO_DIR, SPAWND_SCRATCH_ROOT]
    #[arg(long, value_name = "DIR")]
    work_dir: Option<String>,
    /// `bubblewrap`, `podman`, `docker` or `landlock` to run agents in a sandbox, `external` if this machine is one,
    /// `none` to run agents as this user; `docker`, else `podman`, with a container image, else `auto`, this system's
    /// sandbox, if not given.
    /// [env: PULLYARD_ISOLATION, SPAWND_RUNTIME_ISOLATION]
    #[arg(long, value_name = "WHAT")]
    isolation: Option<String>,
    /// Poll for jobs less often than the control plane suggests; the control plane's interval if not given.
    /// [env: PULLYARD_POLL_INTERVAL_MS, RUNNER_POLL_INTERVAL_MS]
    #[arg(long, value_name = "MS")]
    poll_interval_ms: Option<String>,
    /// Time limit of one claim, including retries; 20000 if not given.
    /// [env: PULLYARD_POLL_TIMEOUT_MS, RUNNER_POLL_TIMEOUT_MS]
    #[arg(long, value_name = "MS")]
    poll_timeout_ms: Option<String>,
    /// Send heartbeats more often than the control plane suggests; the control plane's interval if not given.
    /// [env: PULLYARD_HEARTBEAT_INTERVAL_MS, RUNNER_HEARTBEAT_INTERVAL_MS]
    #[arg(long, value_name = "MS")]
    heartbeat_interval_ms: Option<String>,
    /// Seconds without a heartbeat after which this runner is Offline and loses its jobs, 90 to 3600; 90 if not given.
    /// [env: PULLYARD_OFFLINE_AFTER_SECS]
    #[arg(long, value_name = "N")]
    offline_after_secs: Option<String>,
    /// Time limit of any other call, including retries; 20000 if not given.
    /// [env: PULLYARD_REQUEST_TIMEOUT_MS, RUNNER_REQUEST_TIMEOUT_MS]
    #[arg(long, value_name = "MS")]
    request_timeout_ms: Option<String>,
    /// Folder for text copies of the jobs' logs, in a subfolder of this runner; no copies if not given.
    /// [env: PULLYARD_LOG_DIR]
    #[arg(long, value_name = "DIR")]
    log_dir: Option<String>,
    /// Number of job logs, and of their copies, to keep; 50 if not given. [env: PULLYARD_KEEP_LOGS]
    #[arg(long, value_name = "N")]
    keep_logs: Option<String>,
    /// Seconds that an agent has to stop before it is killed; 10 if not given. [env: PULLYARD_STOP_GRACE_SECS]
    #[arg(long, value_name = "N")]
    stop_grace_secs: Option<String>,
    /// REST URL of the only forge that gets the token in PULLYARD_FORGE_TOKEN or GITHUB_TOKEN, which has no flag;
    /// https://api.github.com if not given. [env: PULLYARD_FORGE_API_URL]
    #[arg(long, value_name = "URL")]
    forge_api_url: Option<String>,
    /// `host` gives agents a copy of this user's `~/.claude` or `~/.codex`, without sessions and secrets, and needs a
    /// token for one runner and named projects; `job`, no configuration of their own, if not given.
    /// [env: PULLYARD_AGENT_PROFILE]
    #[arg(long, value_name = "job|host")]
    agent_profile: Option<String>,
    /// Newest commits of each branch that the first fetch of a repository loads, 0 for all; 0 if not given.
    /// [env: PULLYARD_CLONE_DEPTH, RUNNER_CLONE_DEPTH]
    #[arg(long, value_name = "N")]
    clone_depth: Option<String>,
    /// Size of a job's folder above which the job fails; 10g if not given. [env: PULLYARD_DISK_LIMIT]
    #[arg(long, value_name = "SIZE")]
    disk_limit: Option<String>,
    /// Memory of each sandboxed process outside of containers, such as 8g, or `unlimited`, which address and thread
    /// sanitizers need; three quarters of the machine's if not given. [env: PULLYARD_PROCESS_MEMORY]
    #[arg(long, value_name = "SIZE")]
    process_memory: Option<String>,
    /// Let administrators of the control plane install signed releases on this runner, none older than the installed
    /// program; false if not given.
    /// [env: PULLYARD_ALLOW_REMOTE_UPDATE]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    allow_remote_update: Option<String>,
    /// Address of the releases for updates; the one of this program's release if not given. [env: PULLYARD_RELEASES]
    #[arg(long, value_name = "URL")]
    releases: Option<String>,
    /// A file with the public keys of releases; those of this program's release if not given.
    /// [env: PULLYARD_RELEASE_KEYS]
    #[arg(long, value_name = "FILE")]
    release_keys: Option<String>,
    /// Image of the containers, on this machine; required with podman and docker.
    /// [env: PULLYARD_CONTAINER_IMAGE, DOCKER_EXECUTOR_IMAGE]
    #[arg(long, value_name = "IMAGE")]
    container_image: Option<String>,
    /// Memory of a container; 8g if not given. [env: PULLYARD_CONTAINER_MEMORY, DOCKER_MEMORY_LIMIT]
    #[arg(long, value_name = "SIZE")]
    container_memory: Option<String>,
    /// CPUs of a container, such as 1.5; all if not given. [env: PULLYARD_CONTAINER_CPUS, DOCKER_CPU_LIMIT]
    #[arg(long, value_name = "N")]
    container_cpus: Option<String>,
    /// Network of the containers; `none` if not given. With `none`, agents reach the runner's proxies only, else every
    /// host. [env: PULLYARD_CONTAINER_NETWORK, DOCKER_NETWORK_MODE]
    #[arg(long, value_name = "NAME")]
    container_network: Option<String>,
    /// Seconds after which a container ends; only the job's limits if not given.
    /// [env: PULLYARD_CONTAINER_LIMIT_SECS, DOCKER_TIMEOUT_SECONDS]
    #[arg(long, value_name = "N")]
    container_limit_secs: Option<String>,
    /// Containers that each job prepares for its next command, 0 to 8; 0 if not given.
    /// [env: PULLYARD_CONTAINER_POOL, DOCKER_POOL_SIZE]
    #[arg(long, value_name = "N")]
    container_pool: Option<String>,
    /// Address of podman or docker; its own default if not given. [env: PULLYARD_CONTAINER_HOST, DOCKER_HOST]
    #[arg(long, value_name = "URL")]
    container_host: Option<String>,
    /// A file of lines NAME=value, each a variable; flags and variables override it. Without this flag, `runner.env` in
    /// `~/.config/pullyard-runner`, else in `/etc/pullyard-runner`, if there is one; `none` reads no file.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    #[arg(skip)]
    #[serde(skip)]
    pub(crate) saved_api_url: Option<SettingValue>,
}

impl Flags {
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        let values = serde_json::to_value(self).and_then(serde_json::from_value::<BTreeMap<String, Option<String>>>);
        let values = values.unwrap_or_default().into_iter();
        values.filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// Parses the settings, with those of the configuration file. Prints why that is refused; `None` then.
    fn load(&self) -> Option<ParsedSettings> {
        let source = config_file::enter(self.config.as_deref(), &self.values());
        source.map_err(|message| print_error(&message)).ok().map(|file| {
            file.log();
            self.parse(file)
        })
    }

    fn parse(&self, file: FileSource) -> ParsedSettings {
        Settings::parse(&SettingSources {
            flags: self.values(),
            file,
            environment: &|name| std::env::var(name).ok(),
            saved_api_url: self.saved_api_url.clone(),
        })
    }
}

/// Take jobs and run them until stopped.
///
/// On SIGTERM or SIGINT, takes no more jobs, waits for the running ones and exits with 0. A second signal stops
/// the running jobs; the exit code is then 143 or 130. Other exit codes: 2 invalid setting, 3 refused, 4 invalid token,
/// 5 runner deleted.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  RUNNER_TOKEN=rnt_… pullyard-runner start --api-url https://pullyard.example
  pullyard-runner start --token-file /etc/pullyard/token --slots 3 --labels gpu,eu
  pullyard-runner start --once            run one job if one is waiting, then exit")]
pub struct Start {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Poll once, run the job if there is one, then exit.
    #[arg(long)]
    once: bool,
    /// The program and arguments that run one job, for tests; this program if not given.
    #[arg(long, value_name = "ARG", hide = true)]
    run_job: Vec<OsString>,
    /// Limit of an update's check and of its confirmation, for tests.
    #[arg(long, value_name = "N", hide = true)]
    update_limit_secs: Option<u64>,
}

impl Start {
    /// Runs the daemon and returns the exit code.
    ///
    /// `job_arguments` start the same program as `run-job`: `runner run-job` for `pullyard`, `run-job` for
    /// `pullyard-runner`.
    pub async fn run(self, job_arguments: &[&str]) -> u8 {
        // The environment of this process may hold the runner token, which an agent of the same user could read.
        hide_from_children();
        let Some(parsed) = self.flags.load() else { return INVALID_SETTING_EXIT };
        let ParsedSettings { mut settings, rows, errors, unused_variables } = parsed;
        for (name, reason) in unused_variables {
            tracing::warn!("{name} is ignored: {reason}");
        }
        if let Some(row) = rows.iter().find(|row| row.name == "forge-token" && settings.forge_token.is_some()) {
            tracing::info!("repositories with `--credentials runner` use {} at {}", row.source, settings.forge_api_url);
        }
        for error in &errors {
            print_error(&error.message);
        }
        if !errors.is_empty() {
            return if errors.iter().all(|error| error.is_token_error) {
                TOKEN_REFUSED_EXIT
            } else {
                INVALID_SETTING_EXIT
            };
        }
        if settings.updates.is_allowed && job_arguments.len() > 1 {
            print_error("Only the program pullyard-runner can be updated: start it instead of `pullyard runner`.");
            return INVALID_SETTING_EXIT;
        }
        if !settings.has_explicit_capabilities {
            settings.capabilities = agents::capabilities(&agents::detect_agents(&Environment::from_process()).await);
        }
        let run_job = match self.command(job_arguments) {
            Ok(run_job) => run_job,
            Err(error) => {
                print_error(&format!("Cannot find the path of this program: {error}."));
                return 1;
            }
        };
        let update_limit = self.update_limit_secs.map(Duration::from_secs);
        let launch = Launch { run_job, check: self.check_args(job_arguments), update_limit };
        match Box::pin(lifecycle::run(settings, self.once, launch)).await {
            Ok(code) => code,
            Err(FatalExit { code, message }) => {
                print_error(&message);
                code
            }
        }
    }

    /// `check` with the flags of this `start`, in place of `run-job`.
    fn check_args(&self, job_arguments: &[&str]) -> Vec<OsString> {
        let program = job_arguments.iter().take(job_arguments.len().saturating_sub(1)).map(|arg| (*arg).to_owned());
        let flags = self.flags.values().into_iter().map(|(name, value)| format!("--{name}={value}"));
        let config = self.flags.config.iter().map(|path| format!("--config={}", path.display()));
        program.chain(["check".to_owned()]).chain(flags).chain(config).map(OsString::from).collect()
    }

    fn command(&self, job_arguments: &[&str]) -> std::io::Result<Vec<OsString>> {
        if !self.run_job.is_empty() {
            return Ok(self.run_job.clone());
        }
        let program = std::env::current_exe()?.into_os_string();
        Ok(std::iter::once(program).chain(job_arguments.iter().map(OsString::from)).collect())
    }
}

/// Check whether this machine can be a runner, without registering it.
#[derive(Clone, Debug, clap::Args)]
pub struct Check {
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Check also that `start` continues as the runner with this instance: a restart from afar tries its program.
    #[arg(long, value_name = "INSTANCE", hide = true)]
    instance: Option<InstanceId>,
}

impl Check {
    /// Prints all checks. Returns the exit code: 1 if one fails, 2 if the configuration file is refused.
    pub async fn run(self) -> u8 {
        // As in `start`; a restart from afar runs this command while agents work.
        hide_from_children();
        let Some(parsed) = self.flags.load() else { return INVALID_SETTING_EXIT };
        check::run(&parsed, self.instance.as_ref()).await
    }
}

/// Show every setting with its value and source.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    #[command(flatten)]
    pub(crate) flags: Flags,
}

impl Config {
    /// Prints all settings. Returns the exit code: 2 if one is invalid.
    pub async fn run(self) -> u8 {
        hide_from_children();
        let Some(parsed) = self.flags.load() else { return INVALID_SETTING_EXIT };
        output::print_config(&parsed, &agents::detect_agents(&Environment::from_process()).await);
        if parsed.errors.is_empty() { 0 } else { INVALID_SETTING_EXIT }
    }
}

fn print_error(message: &str) {
    eprintln!("error: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::setting_names::VARIABLES;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        start: Start,
    }

    #[test]
    fn flags_name_their_variables_and_exclude_the_token() {
        let command = TestCli::command();
        command.clone().debug_assert();
        assert!(command.get_arguments().all(|arg| !arg.get_long().unwrap_or_default().ends_with("token")));
        for (name, variables) in VARIABLES.iter().filter(|(name, _)| !name.ends_with("token")) {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(*name));
            let help = arg.and_then(|arg| arg.get_help()).map(ToString::to_string).unwrap_or_default();
            assert!(help.ends_with(&format!("[env: {}]", variables.join(", "))), "{name}: {help}");
        }
    }

    #[test]
    fn every_flag_reaches_the_settings() {
        let value = |name: &str| match name {
            "isolation" => "none",
            "releases" => "http://releases",
            "allow-remote-update" => "true",
            "capabilities" => "command",
            "api-url" => "http://flag",
            "log-dir" => "/logs",
            "agent-profile" => "host",
            _ => "7",
        };
        let names = || VARIABLES.iter().map(|(name, _)| *name).filter(|name| !name.ends_with("token"));
        let line = names().map(|name| format!("--{name}={}", value(name)));
        let cli = TestCli::try_parse_from(std::iter::once("x".to_owned()).chain(line));
        let parsed = cli.unwrap_or_else(|error| panic!("{error}")).start.flags.parse(FileSource::default());
        for name in names() {
            let row = parsed.rows.iter().find(|row| row.name == name).unwrap();
            assert_eq!((row.value.as_str(), row.source.clone()), (value(name), format!("--{name}")));
        }
    }
}
