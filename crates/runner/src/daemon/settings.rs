//! Parses and checks the settings. Returns each value with its source, and all errors at once.

use super::setting_names::{SettingSources, SettingValue, how_to_set, unused_variables, variables};
use super::state_folder::host_name;
use crate::Isolation;
use crate::agent::host_profile::AgentProfile;
use crate::options::{DEFAULT_DISK_LIMIT, check_disk_limit, check_process_memory};
use crate::process::program::find_program;
use crate::process::root_folder::{self, ROOT_FOLDERS};
use clap::ValueEnum;
use pullyard_domain::agent::runner::{MAX_SLOTS, OFFLINE_AFTER, OFFLINE_AFTER_SECS, validate_name};
use pullyard_domain::agent::{COMMAND, ChoiceLevel, choices};
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::labels::FORGE_TOKEN_LABEL;
use pullyard_sandbox::Containers;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

const AUTO: &str = "auto";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingRow {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) source: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingError {
    pub(crate) message: String,
    pub(crate) is_token_error: bool,
}

pub(crate) struct ParsedSettings {
    pub(crate) settings: Settings,
    pub(crate) rows: Vec<SettingRow>,
    pub(crate) errors: Vec<SettingError>,
    pub(crate) unused_variables: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct UpdateSettings {
    pub(crate) is_allowed: bool,
    pub(crate) address: Option<String>,
    /// A file with release keys, in place of the compiled ones.
    pub(crate) keys: Option<PathBuf>,
}

#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) api_url: String,
    pub(crate) token: String,
    pub(crate) name: String,
    /// Whether the operator chose the name. Otherwise the token may.
    pub(crate) has_explicit_name: bool,
    pub(crate) slots: u32,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) capabilities: BTreeSet<String>,
    /// Whether the operator named the capabilities. Otherwise the installed agents decide.
    pub(crate) has_explicit_capabilities: bool,
    pub(crate) work_dir: PathBuf,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) containers: Option<Containers>,
    /// Never shorter than the control plane's interval.
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) poll_timeout: Duration,
    /// Never longer than the control plane's interval.
    pub(crate) heartbeat_interval: Option<Duration>,
    /// `None` for the usual time, so that an older control plane accepts the registration.
    pub(crate) offline_after_secs: Option<u64>,
    pub(crate) request_timeout: Duration,
    pub(crate) log_dir: Option<PathBuf>,
    pub(crate) keep_logs: usize,
    pub(crate) stop_grace: Duration,
    pub(crate) clone_depth: Option<u32>,
    pub(crate) forge_token: Option<String>,
    pub(crate) forge_api_url: String,
    pub(crate) agent_profile: AgentProfile,
    pub(crate) disk_limit: Option<String>,
    pub(crate) process_memory: Option<String>,
    pub(crate) updates: UpdateSettings,
}

impl Settings {
    /// Whether only named projects may send jobs, because their agents have something of the runner's user.
    pub(super) fn needs_limited_token(&self) -> bool {
        self.agent_profile == AgentProfile::Host || self.forge_token.is_some()
    }

    pub(crate) fn parse(sources: &SettingSources<'_>) -> ParsedSettings {
        let mut parser = SettingsParser { sources, rows: Vec::new(), errors: Vec::new() };
        let mut settings = Self {
            api_url: parser.parse_api_url(),
            token: parser.parse_token(),
            name: parser.parse_name(),
            has_explicit_name: sources.find("name").is_some(),
            slots: parser.parse_number("slots", "1", 1..=MAX_SLOTS).unwrap_or(1),
            labels: parser.parse_words("labels", ""),
            capabilities: parser.parse_capabilities(),
            has_explicit_capabilities: sources.find("capabilities").is_some(),
            work_dir: parser.parse_work_dir(),
            isolation: parser.parse_isolation(),
            containers: None,
            poll_interval: parser.parse_millis("poll-interval-ms", "set by the server"),
            poll_timeout: parser.parse_millis("poll-timeout-ms", "20000").unwrap_or(Duration::from_secs(20)),
            heartbeat_interval: parser.parse_millis("heartbeat-interval-ms", "set by the server"),
            offline_after_secs: parser
                .parse_number("offline-after-secs", "90", OFFLINE_AFTER_SECS)
                .filter(|secs| *secs != OFFLINE_AFTER.as_secs()),
            request_timeout: parser.parse_millis("request-timeout-ms", "20000").unwrap_or(Duration::from_secs(20)),
            log_dir: parser.parse_setting("log-dir", "", parse_folder),
            keep_logs: parser.parse_number("keep-logs", "50", 1..=100_000).unwrap_or(50),
            stop_grace: Duration::from_secs(parser.parse_number("stop-grace-secs", "10", 0..=3_600).unwrap_or(10)),
            forge_token: parser.parse_forge_token(),
            forge_api_url: parser.parse_forge_api_url(),
            agent_profile: parser.parse_setting("agent-profile", "job", parse_profile).unwrap_or_default(),
            clone_depth: parser.parse_number("clone-depth", "0", 0..=1_000_000),
            disk_limit: parser.parse_setting("disk-limit", DEFAULT_DISK_LIMIT, check_disk_limit),
            process_memory: parser.parse_setting("process-memory", "3/4 of the machine's", check_process_memory),
            updates: parser.parse_updates(),
        };
        if settings.agent_profile == AgentProfile::Host && settings.isolation == Some(Isolation::None) {
            parser.add_error("`--agent-profile host` needs a sandbox, in which hooks and skills run.".into());
        }
        settings.containers = parser.parse_containers(settings.isolation);
        let mut unused_variables = unused_variables(sources.environment, settings.containers.is_some());
        if settings.labels.remove(FORGE_TOKEN_LABEL) && settings.forge_token.is_none() {
            unused_variables.push((FORGE_TOKEN_LABEL, "this label needs a token in PULLYARD_FORGE_TOKEN"));
        }
        settings.labels.extend(settings.forge_token.iter().map(|_| FORGE_TOKEN_LABEL.to_owned()));
        let SettingsParser { rows, errors, .. } = parser;
        ParsedSettings { settings, rows, errors, unused_variables }
    }

    pub(crate) fn containers_of(&self, label: &str, work_dir: &Path) -> Option<Containers> {
        let containers = self.containers.clone()?;
        Some(Containers { label: label.to_owned(), folder: work_dir.join("containers").join(label), ..containers })
    }
}

pub(super) struct SettingsParser<'a> {
    sources: &'a SettingSources<'a>,
    rows: Vec<SettingRow>,
    errors: Vec<SettingError>,
}

impl SettingsParser<'_> {
    pub(super) fn find(&mut self, name: &'static str, default: &str) -> Option<SettingValue> {
        let setting = self.sources.find(name);
        let (value, from) = match &setting {
            Some(setting) => (setting.value.clone(), setting.source.clone()),
            None => (default.to_owned(), "default".to_owned()),
        };
        self.add_row(name, value, from);
        setting
    }

    pub(super) fn has_variable(&self, name: &str) -> bool {
        (self.sources.environment)(name).is_some()
    }

    fn add_row(&mut self, name: &'static str, value: String, from: String) {
        self.rows.push(SettingRow { name, value, source: from });
    }

    pub(super) fn add_error(&mut self, message: String) {
        self.errors.push(SettingError { message, is_token_error: false });
    }

    fn add_token_error(&mut self, message: String) {
        self.errors.push(SettingError { message, is_token_error: true });
    }

    fn parse_api_url(&mut self) -> String {
        let Some(setting) = self.find("api-url", "") else {
            self.add_error(format!("The control plane's URL is missing. Set {}.", how_to_set("api-url")));
            return String::new();
        };
        let url = setting.value.trim_end_matches('/').to_owned();
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || url.contains(char::is_whitespace)) {
            self.add_error(format!("`{url}` ({}) is not a URL. Write it as https://HOST.", setting.source));
        }
        url
    }

    fn parse_token(&mut self) -> String {
        let file = self.find("token-file", "");
        let (value, source) = match (self.sources.find("token"), file) {
            (Some(SettingValue { value, source }), _) => (value, source),
            (None, Some(SettingValue { value: path, source })) => {
                let source = format!("{source} {path}");
                match std::fs::read_to_string(&path) {
                    Ok(text) => (text.trim_start_matches('\u{feff}').trim().to_owned(), source),
                    Err(error) => {
                        self.add_token_error(format!("Cannot read the token file {path}: {error}."));
                        self.add_row("token", String::new(), source);
                        return String::new();
                    }
                }
            }
            (None, None) => {
                let names = variables("token").join(" or ");
                self.add_token_error(format!("The runner token is missing. Set {names} or --token-file."));
                self.add_row("token", String::new(), "default".into());
                return String::new();
            }
        };
        if !value.starts_with("rnt_") || !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.add_token_error(format!(
                "The value of {source} is not a runner token. Runner tokens begin with rnt_."
            ));
        }
        self.add_row("token", mask_secret(&value), source);
        value
    }

    fn parse_forge_token(&mut self) -> Option<String> {
        let token = self.find("forge-token", "")?.value;
        if let Some(row) = self.rows.last_mut() {
            row.value = mask_secret(&token);
        }
        Some(token)
    }

    fn parse_forge_api_url(&mut self) -> String {
        let default = ForgeKind::DEFAULT.spec().api_url;
        let setting = self.find("forge-api-url", default);
        let url = setting.as_ref().map_or(default, |setting| setting.value.trim_end_matches('/')).to_owned();
        if !(url.starts_with("https://") || url.starts_with("http://127.0.0.1:")) || url.contains(['@', '?', '#']) {
            let how = how_to_set("forge-api-url");
            self.add_error(format!("`{url}` ({how}) is refused. Use https, without `@`, `?` and `#`."));
        }
        url
    }

    fn parse_name(&mut self) -> String {
        let host = to_runner_name(&host_name().unwrap_or_default());
        let setting = self.find("name", &host);
        let name = setting.map_or(host, |setting| setting.value);
        if validate_name(&name).is_err() {
            self.add_error(format!(
                "`{name}` is not a valid runner name. Use 1 to 64 letters, digits, dashes, underscores and dots ({}).",
                how_to_set("name")
            ));
        }
        name
    }

    pub(super) fn parse_number<T>(&mut self, name: &'static str, default: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: Display + FromStr + PartialOrd,
    {
        let SettingValue { value, source } = self.find(name, default)?;
        let number = value.parse::<T>().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (min, max) = range.into_inner();
            self.add_error(format!("{source} is {value}. Use a whole number from {min} to {max}."));
        }
        number
    }

    fn parse_millis(&mut self, name: &'static str, default: &str) -> Option<Duration> {
        self.parse_number(name, default, 1..=3_600_000).map(Duration::from_millis)
    }

    fn parse_words(&mut self, name: &'static str, default: &str) -> BTreeSet<String> {
        let setting = self.find(name, default);
        let (text, source) = setting.map_or((default.to_owned(), String::new()), |set| (set.value, set.source));
        let words: BTreeSet<String> =
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        for word in &words {
            if word.chars().count() > 64 || word.chars().any(|c| c.is_control() || c.is_whitespace()) {
                self.add_error(format!("`{word}` ({source}) is invalid. Use at most 64 characters without spaces."));
            }
        }
        words
    }

    fn parse_capabilities(&mut self) -> BTreeSet<String> {
        let words = self.parse_words("capabilities", COMMAND);
        let source = self.sources.find("capabilities").map(|setting| setting.source).unwrap_or_default();
        let mut supported = choices(ChoiceLevel::Job);
        supported.sort_unstable();
        for capability in words.iter().filter(|capability| !supported.contains(&capability.as_str())) {
            let supported = supported.join(", ");
            self.add_error(format!("{source}: unknown agent `{capability}`; use {supported}."));
        }
        words
    }

    fn parse_work_dir(&mut self) -> PathBuf {
        let default = default_work_dir(self.sources.environment, root_folder::is_root());
        let setting = self.find("work-dir", &default.display().to_string());
        setting.map_or(default, |setting| PathBuf::from(setting.value))
    }

    /// A container image without an isolation asks for containers: `docker`, or `podman` where only that is installed.
    fn default_isolation(&self) -> &'static str {
        let path = (self.sources.environment)("PATH").unwrap_or_default();
        let has = |program| find_program(program, Path::new("/"), Some(path.as_ref())).is_ok();
        match self.sources.find("container-image") {
            Some(_) if !has("docker") && has("podman") => "podman",
            Some(_) => "docker",
            None => AUTO,
        }
    }

    fn parse_isolation(&mut self) -> Option<Isolation> {
        let default = self.default_isolation();
        let setting = self.find("isolation", default);
        let (level, source) = setting.map_or((default.to_owned(), "The default isolation".to_owned()), |setting| {
            (setting.value, setting.source)
        });
        level.parse().map_err(|error: pullyard_sandbox::Error| self.add_error(format!("{source}: {error}."))).ok()
    }
}

fn parse_profile(text: &str) -> Result<AgentProfile, &'static str> {
    AgentProfile::from_str(text, false).map_err(|_| "Use `job` or `host`.")
}

fn parse_folder(text: &str) -> Result<PathBuf, &'static str> {
    Some(PathBuf::from(text)).filter(|folder| folder.is_absolute()).ok_or("Use an absolute path.")
}

/// The part of a secret that other commands show as well.
fn mask_secret(secret: &str) -> String {
    match secret.get(..8) {
        Some(prefix) if secret.starts_with("rnt_") && secret.len() >= 32 => format!("{prefix}…"),
        _ => "…".into(),
    }
}

fn default_work_dir(environment: &dyn Fn(&str) -> Option<String>, is_root: bool) -> PathBuf {
    let folder = |name: &str| environment(name).filter(|dir| dir.starts_with('/')).map(PathBuf::from);
    folder("STATE_DIRECTORY")
        .or_else(|| is_root.then(|| Path::new(ROOT_FOLDERS).join("runner")))
        .or_else(|| Some(folder("XDG_STATE_HOME")?.join("pullyard-runner")))
        .or_else(|| Some(folder("HOME")?.join(".local/state/pullyard-runner")))
        .unwrap_or_else(|| std::env::temp_dir().join("pullyard-runner"))
}

fn to_runner_name(host: &str) -> String {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = host.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(64).collect();
    if name.is_empty() { "runner".into() } else { name }
}

#[cfg(test)]
mod tests;
