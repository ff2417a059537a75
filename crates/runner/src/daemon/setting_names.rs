//! The flag and the environment names of every setting, and the source of its value. `settings` checks the value.

use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct SettingName {
    pub(crate) flag: &'static str,
    pub(crate) environment: &'static [&'static str],
}

const fn setting(flag: &'static str, environment: &'static [&'static str]) -> SettingName {
    SettingName { flag, environment }
}

pub(crate) const API_URL: SettingName = setting("--api-url", &["PULLYARD_API_URL", "RUNNER_SERVER_URL"]);
/// Without a flag, because every user of a machine can read argument lists.
pub(crate) const TOKEN: SettingName = setting("", &["PULLYARD_RUNNER_TOKEN", "RUNNER_TOKEN"]);
pub(crate) const TOKEN_FILE: SettingName = setting("--token-file", &["PULLYARD_RUNNER_TOKEN_FILE"]);
pub(crate) const NAME: SettingName = setting("--name", &["PULLYARD_RUNNER_NAME", "RUNNER_NAME"]);
pub(crate) const SLOTS: SettingName = setting("--slots", &["PULLYARD_RUNNER_SLOTS", "RUNNER_MAX_CONCURRENT_JOBS"]);
pub(crate) const LABELS: SettingName = setting("--labels", &["PULLYARD_RUNNER_LABELS"]);
pub(crate) const CAPABILITIES: SettingName = setting("--capabilities", &["PULLYARD_RUNNER_CAPABILITIES"]);
pub(crate) const WORK_DIR: SettingName =
    setting("--work-dir", &["PULLYARD_WORK_DIR", "DOCKER_WORKSPACE_BASE", "OVERSIGHT_REPO_DIR", "SPAWND_SCRATCH_ROOT"]);
pub(crate) const ISOLATION: SettingName = setting("--isolation", &["PULLYARD_ISOLATION", "SPAWND_RUNTIME_ISOLATION"]);
pub(crate) const POLL_INTERVAL: SettingName =
    setting("--poll-interval-ms", &["PULLYARD_POLL_INTERVAL_MS", "RUNNER_POLL_INTERVAL_MS"]);
pub(crate) const POLL_TIMEOUT: SettingName =
    setting("--poll-timeout-ms", &["PULLYARD_POLL_TIMEOUT_MS", "RUNNER_POLL_TIMEOUT_MS"]);
pub(crate) const HEARTBEAT_INTERVAL: SettingName =
    setting("--heartbeat-interval-ms", &["PULLYARD_HEARTBEAT_INTERVAL_MS", "RUNNER_HEARTBEAT_INTERVAL_MS"]);
pub(crate) const REQUEST_TIMEOUT: SettingName =
    setting("--request-timeout-ms", &["PULLYARD_REQUEST_TIMEOUT_MS", "RUNNER_REQUEST_TIMEOUT_MS"]);
pub(crate) const KEEP_LOGS: SettingName = setting("--keep-logs", &["PULLYARD_KEEP_LOGS"]);
pub(crate) const STOP_GRACE: SettingName = setting("--stop-grace-secs", &["PULLYARD_STOP_GRACE_SECS"]);

pub(crate) const CONTAINER_IMAGE: SettingName =
    setting("--container-image", &["PULLYARD_CONTAINER_IMAGE", "DOCKER_EXECUTOR_IMAGE"]);
pub(crate) const CONTAINER_MEMORY: SettingName =
    setting("--container-memory", &["PULLYARD_CONTAINER_MEMORY", "DOCKER_MEMORY_LIMIT"]);
pub(crate) const CONTAINER_CPUS: SettingName =
    setting("--container-cpus", &["PULLYARD_CONTAINER_CPUS", "DOCKER_CPU_LIMIT"]);
pub(crate) const CONTAINER_NETWORK: SettingName =
    setting("--container-network", &["PULLYARD_CONTAINER_NETWORK", "DOCKER_NETWORK_MODE"]);
pub(crate) const CONTAINER_LIMIT: SettingName =
    setting("--container-limit-secs", &["PULLYARD_CONTAINER_LIMIT_SECS", "DOCKER_TIMEOUT_SECONDS"]);
pub(crate) const CONTAINER_POOL: SettingName =
    setting("--container-pool", &["PULLYARD_CONTAINER_POOL", "DOCKER_POOL_SIZE"]);
pub(crate) const CONTAINER_HOST: SettingName = setting("--container-host", &["PULLYARD_CONTAINER_HOST", "DOCKER_HOST"]);

pub(crate) const ALL: &[SettingName] = &[
    API_URL,
    TOKEN,
    TOKEN_FILE,
    NAME,
    SLOTS,
    LABELS,
    CAPABILITIES,
    WORK_DIR,
    ISOLATION,
    POLL_INTERVAL,
    POLL_TIMEOUT,
    HEARTBEAT_INTERVAL,
    REQUEST_TIMEOUT,
    KEEP_LOGS,
    STOP_GRACE,
    CONTAINER_IMAGE,
    CONTAINER_MEMORY,
    CONTAINER_CPUS,
    CONTAINER_NETWORK,
    CONTAINER_LIMIT,
    CONTAINER_POOL,
    CONTAINER_HOST,
];

/// Settings of other runners that change nothing here, each with the reason.
pub(crate) const UNUSED: &[(&str, &str)] = &[
    ("RUNNER_CLONE_DEPTH", "the runner keeps a mirror of each repository"),
    ("RUNNER_USER_ID", "the runner token decides which jobs it may take"),
    ("OVERSIGHT_CLI", "the repository's settings choose the agent"),
    ("SPAWND_SOURCE_CACHE_ROOT", "mirrors are in the work folder"),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingValue {
    pub(crate) value: String,
    pub(crate) source: String,
}

pub(crate) struct SettingSources<'a> {
    pub(crate) flags: BTreeMap<String, String>,
    pub(crate) environment: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) saved_api_url: Option<SettingValue>,
}

impl SettingSources<'_> {
    pub(crate) fn find(&self, named: &SettingName) -> Option<SettingValue> {
        let flag = self
            .flags
            .get(named.flag)
            .map(|value| SettingValue { value: value.clone(), source: named.flag.to_owned() });
        let is_set = |value: &String| !value.trim().is_empty();
        let variable = || {
            named.environment.iter().find_map(|name| {
                let value = (self.environment)(name).filter(is_set)?;
                Some(SettingValue { value: value.trim().to_owned(), source: (*name).to_owned() })
            })
        };
        let saved = || self.saved_api_url.clone().filter(|_| named.flag == API_URL.flag);
        flag.filter(|found| is_set(&found.value)).or_else(variable).or_else(saved)
    }

    pub(crate) fn unused_variables(&self) -> Vec<(&'static str, &'static str)> {
        UNUSED.iter().copied().filter(|(name, _)| (self.environment)(name).is_some()).collect()
    }
}

impl SettingName {
    pub(crate) fn how_to_set(&self) -> String {
        let name = self.environment.first().copied().unwrap_or_default();
        if self.flag.is_empty() { name.to_owned() } else { format!("{} or {name}", self.flag) }
    }
}
