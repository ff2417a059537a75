//! Collects the variables that `setup` writes, from flags, environment, present file and answers.

use crate::agent::agent_variables;
use crate::daemon::config_file::{self, Values, check_value};
use crate::daemon::setting_names::{SettingSources, SettingValue, VARIABLES, variables};
use crate::daemon::settings::{ParsedSettings, Settings};
use crate::git::NETWORK_ENVIRONMENT;
use crate::secrets::redact::{is_secret_name, parse_url_credentials};
use std::collections::{BTreeMap, BTreeSet};

/// Further variables of this terminal that the service needs.
const CARRIED: &[&str] = &[
    "PATH",
    "HTTP_PROXY",
    "PULLYARD_SANDBOX_PATHS",
    "PULLYARD_PROCESS_NAMESPACE",
    "PULLYARD_KEEP_WORKTREE",
    "PULLYARD_RAW_CAPTURE",
];

#[derive(Default)]
pub(super) struct Answers {
    pub(super) values: Values,
    /// Names whose value comes from a flag or the environment, so that no question is necessary.
    presets: BTreeSet<&'static str>,
}

impl Answers {
    /// Stores each setting under the first of its names. A flag or the environment overrides the file.
    pub(super) fn collect(
        flags: BTreeMap<String, String>,
        saved_api_url: Option<SettingValue>,
        file: &Values,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let in_file = |name: &str| file.get(name).cloned();
        let new = SettingSources { flags, ..SettingSources::of_environment(environment) };
        let old = SettingSources { saved_api_url, ..SettingSources::of_environment(&in_file) };
        // Programs differ in whether they read `http_proxy` or `HTTP_PROXY`, so a new value replaces both.
        let is_replaced = |name: &str| {
            let is_set = |one: &str| environment(one).is_some_and(|value| !value.is_empty());
            NETWORK_ENVIRONMENT.iter().any(|one| one.eq_ignore_ascii_case(name) && is_set(one))
        };
        let others = file.iter().filter(|(name, _)| !is_setting(name) && !is_replaced(name));
        let mut answers = Self {
            values: others.map(|(name, value)| (name.clone(), value.clone())).collect(),
            presets: BTreeSet::new(),
        };
        for (setting, _) in VARIABLES {
            let new = new.find(setting);
            if new.is_some() {
                answers.presets.insert(setting);
            }
            if let Some(SettingValue { value, .. }) = new.or_else(|| old.find(setting)) {
                answers.set(setting, &value);
            }
        }
        // The `PATH` of another terminal may lack the agents.
        let is_kept = |name: &&str| *name == "PATH" && file.contains_key(*name);
        let names = agent_variables().chain(NETWORK_ENVIRONMENT.iter().chain(CARRIED).copied());
        for name in names.filter(|name| !is_kept(name)) {
            if let Some(value) = environment(name).filter(|value| !value.is_empty()) {
                answers.presets.insert(name);
                answers.set(name, &value);
            }
        }
        answers
    }

    pub(super) fn find(&self, name: &str) -> Option<String> {
        self.values.get(variable(name)).cloned()
    }

    pub(super) fn preset(&self, name: &str) -> Option<String> {
        self.find(name).filter(|_| self.presets.contains(name))
    }

    /// An empty value removes the variable.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match value.trim() {
            "" => self.values.remove(variable(name)),
            value => self.values.insert(variable(name).to_owned(), value.to_owned()),
        };
    }

    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut changed = Self { values: self.values.clone(), ..Self::default() };
        changed.set(name, value);
        changed
    }

    pub(super) fn parse(&self) -> ParsedSettings {
        let environment = |name: &str| {
            // Settings come from the answers alone, other variables also from the process.
            let others = || config_file::variable(name).filter(|_| !is_setting(name));
            self.values.get(name).cloned().or_else(others)
        };
        Settings::parse(&SettingSources::of_environment(&environment))
    }

    /// Checks a new value with the rules of `start`. Errors: the reason.
    pub(super) fn check(&self, name: &str, value: &str) -> Result<(), String> {
        check_value(value).map_err(|reason| format!("The answer {reason}"))?;
        let before = self.with(name, "").parse().errors;
        let error = self.with(name, value).parse().errors.into_iter().find(|error| !before.contains(error));
        error.map_or(Ok(()), |error| Err(error.message))
    }

    /// Formats the lines of the file.
    pub(super) fn format(&self) -> String {
        self.values.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }
}

fn is_setting(name: &str) -> bool {
    VARIABLES.iter().any(|(_, variables)| variables.contains(&name))
}

fn variable(name: &str) -> &str {
    variables(name).first().copied().unwrap_or(name)
}

/// Replaces the secrets in a line of the file.
pub(super) fn mask(line: &str) -> String {
    let (name, value) = line.split_once('=').unwrap_or((line, ""));
    // Only settings whose names end in `token` are secrets. The path of the release keys has the name of a secret.
    let is_plain = VARIABLES.iter().any(|(setting, names)| !setting.ends_with("token") && names.contains(&name));
    if is_secret_name(name) && !is_plain && !value.is_empty() {
        return format!("{name}=…");
    }
    parse_url_credentials(value).iter().fold(line.to_owned(), |line, secret| line.replace(secret.as_str(), "…"))
}
