//! Lists the variables of each setting, and finds its value with the source. `settings` checks the value.

use super::file_source::FileSource;
use crate::agent::drivers::DRIVERS;
use pullyard_domain::agent::COMMAND;
use std::collections::BTreeMap;

/// The variables of each setting, by precedence. Each setting but the tokens has a flag of its name.
pub(crate) const VARIABLES: &[(&str, &[&str])] = &[
    ("api-url", &["PULLYARD_API_URL", "RUNNER_SERVER_URL"]),
    // Without a flag, because every user of a machine can read argument lists.
    ("token", &["PULLYARD_RUNNER_TOKEN", "RUNNER_TOKEN"]),
    ("token-file", &["PULLYARD_RUNNER_TOKEN_FILE"]),
    ("name", &["PULLYARD_RUNNER_NAME", "RUNNER_NAME"]),
    ("slots", &["PULLYARD_RUNNER_SLOTS", "RUNNER_MAX_CONCURRENT_JOBS"]),
    ("labels", &["PULLYARD_RUNNER_LABELS"]),
    ("capabilities", &["PULLYARD_RUNNER_CAPABILITIES", OVERSIGHT_CLI]),
    ("work-dir", &["PULLYARD_WORK_DIR", "DOCKER_WORKSPACE_BASE", "OVERSIGHT_REPO_DIR", "SPAWND_SCRATCH_ROOT"]),
    ("isolation", &["PULLYARD_ISOLATION", "SPAWND_RUNTIME_ISOLATION"]),
    ("poll-interval-ms", &["PULLYARD_POLL_INTERVAL_MS", "RUNNER_POLL_INTERVAL_MS"]),
    ("poll-timeout-ms", &["PULLYARD_POLL_TIMEOUT_MS", "RUNNER_POLL_TIMEOUT_MS"]),
    ("heartbeat-interval-ms", &["PULLYARD_HEARTBEAT_INTERVAL_MS", "RUNNER_HEARTBEAT_INTERVAL_MS"]),
    ("offline-after-secs", &["PULLYARD_OFFLINE_AFTER_SECS"]),
    ("request-timeout-ms", &["PULLYARD_REQUEST_TIMEOUT_MS", "RUNNER_REQUEST_TIMEOUT_MS"]),
    ("log-dir", &["PULLYARD_LOG_DIR"]),
    ("keep-logs", &["PULLYARD_KEEP_LOGS"]),
    ("stop-grace-secs", &["PULLYARD_STOP_GRACE_SECS"]),
    ("clone-depth", &["PULLYARD_CLONE_DEPTH", "RUNNER_CLONE_DEPTH"]),
    ("forge-token", &["PULLYARD_FORGE_TOKEN", SHARED_TOKEN]),
    ("forge-api-url", &["PULLYARD_FORGE_API_URL"]),
    ("agent-profile", &["PULLYARD_AGENT_PROFILE"]),
    ("disk-limit", &["PULLYARD_DISK_LIMIT"]),
    ("process-memory", &["PULLYARD_PROCESS_MEMORY"]),
    ("allow-remote-update", &["PULLYARD_ALLOW_REMOTE_UPDATE"]),
    ("releases", &["PULLYARD_RELEASES"]),
    ("release-keys", &["PULLYARD_RELEASE_KEYS"]),
    ("container-image", &["PULLYARD_CONTAINER_IMAGE", "DOCKER_EXECUTOR_IMAGE"]),
    ("container-memory", &["PULLYARD_CONTAINER_MEMORY", "DOCKER_MEMORY_LIMIT"]),
    ("container-cpus", &["PULLYARD_CONTAINER_CPUS", "DOCKER_CPU_LIMIT"]),
    ("container-network", &["PULLYARD_CONTAINER_NETWORK", "DOCKER_NETWORK_MODE"]),
    ("container-limit-secs", &["PULLYARD_CONTAINER_LIMIT_SECS", "DOCKER_TIMEOUT_SECONDS"]),
    ("container-pool", &["PULLYARD_CONTAINER_POOL", "DOCKER_POOL_SIZE"]),
    ("container-host", &["PULLYARD_CONTAINER_HOST", "DOCKER_HOST"]),
];

/// Other programs use it too, so it counts only with the address of its forge.
pub(crate) const SHARED_TOKEN: &str = "GITHUB_TOKEN";

/// Chooses an agent by the name of its command.
const OVERSIGHT_CLI: &str = "OVERSIGHT_CLI";

/// A variable of the engine's own, which may be set for other programs than the runner.
const SHARED: &str = "DOCKER_HOST";

/// Settings of other runners that change nothing here, each with the reason.
pub(crate) const UNUSED: &[(&str, &str)] = &[
    ("RUNNER_USER_ID", "the runner token decides which jobs it may take"),
    ("SPAWND_SOURCE_CACHE_ROOT", "mirrors are in the work folder"),
    ("SPAWND_CODEX_AUTH_DIR", "name its file auth.json in PULLYARD_CODEX_AUTH"),
    ("SPAWND_GITHUB_TOKEN", "use an integration, or PULLYARD_FORGE_TOKEN"),
    ("SPAWND_GIT_ASKPASS", "use an integration, or PULLYARD_FORGE_TOKEN"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingValue {
    pub(crate) value: String,
    pub(crate) source: String,
}

pub(crate) struct SettingSources<'a> {
    pub(crate) flags: BTreeMap<String, String>,
    pub(crate) file: FileSource,
    pub(crate) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) saved_api_url: Option<SettingValue>,
}

impl<'a> SettingSources<'a> {
    pub(crate) fn of_environment(environment: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { flags: BTreeMap::new(), file: FileSource::default(), environment, saved_api_url: None }
    }

    pub(crate) fn find(&self, name: &str) -> Option<SettingValue> {
        let is_set = |value: &String| !value.trim().is_empty();
        let flag = self.flags.get(name).filter(|value| is_set(value));
        let flag = flag.map(|value| SettingValue { value: value.clone(), source: format!("--{name}") });
        let variable = || {
            variables(name).iter().find_map(|variable| {
                let value = (self.environment)(variable).filter(is_set)?.trim().to_owned();
                let value = if *variable == OVERSIGHT_CLI { capabilities_of_command(&value)? } else { value };
                Some(SettingValue { value, source: self.file.describe(variable) })
            })
        };
        let saved = || self.saved_api_url.clone().filter(|_| name == "api-url");
        let is_used = |found: &SettingValue| found.source != SHARED_TOKEN || self.find("forge-api-url").is_some();
        flag.or_else(variable).or_else(saved).filter(is_used)
    }
}

/// Whether this value of a variable sets something.
pub(super) fn sets_something(name: &str, value: &str) -> bool {
    !value.is_empty() && (name != OVERSIGHT_CLI || capabilities_of_command(value).is_some())
}

/// The agent with this command, and commands. `None` for other text, which the variable may have for another program.
fn capabilities_of_command(command: &str) -> Option<String> {
    let driver = DRIVERS.into_iter().find(|driver| driver.program.command == command)?;
    Some(format!("{},{COMMAND}", driver.spec.code))
}

/// Variables that are set but have no effect, each with the reason.
pub(crate) fn unused_variables(
    environment: &dyn Fn(&str) -> Option<String>,
    uses_containers: bool,
) -> Vec<(&'static str, &'static str)> {
    let settings = VARIABLES.iter().filter(|(setting, _)| !uses_containers && setting.starts_with("container-"));
    let names = settings.flat_map(|(_, variables)| variables.iter().copied()).filter(|name| *name != SHARED);
    let container_variables = names.map(|name| (name, "only --isolation podman and docker use it"));
    let command = environment(OVERSIGHT_CLI).filter(|command| capabilities_of_command(command.trim()).is_none());
    let command = command.map(|_| (OVERSIGHT_CLI, "use `claude`, `codex` or --capabilities"));
    let unused = UNUSED.iter().copied().chain(container_variables).filter(|(name, _)| environment(name).is_some());
    unused.chain(command).collect()
}

pub(crate) fn variables(name: &str) -> &'static [&'static str] {
    let setting = VARIABLES.iter().find(|(setting, _)| *setting == name);
    setting.map(|(_, variables)| *variables).unwrap_or_default()
}

/// The setting of a variable. Token and file of the token are two settings for one value.
pub(crate) fn same_setting(name: &str) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let setting = VARIABLES.iter().find(|(_, variables)| variables.contains(&name)).map(|(setting, _)| *setting);
    let is_same = move |other: &str| {
        setting.is_some_and(|one| one == other || (one.starts_with("token") && other.starts_with("token")))
    };
    VARIABLES.iter().copied().filter(move |(other, _)| is_same(other))
}

/// By its flag and first variable, or by a variable without a flag.
pub(crate) fn how_to_set(name: &str) -> String {
    variables(name).first().map_or_else(|| name.to_owned(), |variable| format!("--{name} or {variable}"))
}
