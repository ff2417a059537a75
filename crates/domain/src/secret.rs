//! The purposes and users of secrets, and the format of tokens.

use crate::id::{EndpointId, HookName, IntegrationId, ProjectId};
use crate::project::{Project, Settings};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The token of the embedded forge, which `pullyard up` sets at each start. Its full name.
pub const LOCAL_FORGE_SECRET: &str = "pullyard/user/demo-forge-token";

/// The token with which pages act for their user at the embedded forge. The account of the integration opens the pull
/// requests, so it cannot review them.
pub const LOCAL_PERSON_SECRET: &str = "pullyard/user/demo-forge-person";

/// The purpose of a secret. It determines which roles may read the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// For calls to a forge and its webhooks: tokens, keys of Apps, secrets of webhooks.
    #[default]
    Forge,
    /// For jobs only: keys of models, and keys that sign commits.
    Job,
}

impl SecretKind {
    pub const ALL: [Self; 2] = [Self::Forge, Self::Job];

    /// The part of a secret's full name between the deployment's prefix and its own name. IAM policies refer to it.
    pub fn path_prefix(self) -> &'static str {
        match self {
            Self::Forge => "user/",
            Self::Job => "job/",
        }
    }
}

/// A reference to a secret, which blocks its deletion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum SecretUser {
    Integration {
        id: IntegrationId,
    },
    Hook {
        name: HookName,
    },
    Setting {
        project: ProjectId,
        /// For example, `model_secrets.anthropic_api_key`.
        setting: String,
    },
    /// An endpoint of notices.
    Endpoint {
        project: ProjectId,
        endpoint: EndpointId,
    },
    Tracker {
        id: IntegrationId,
    },
    /// The embedded forge of `pullyard up`, whose token Pullyard made itself.
    LocalForge {},
}

impl fmt::Display for SecretUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integration { id } => write!(f, "integration {id}"),
            Self::Hook { name } => write!(f, "webhook {name}"),
            Self::Setting { project, setting } => write!(f, "{setting} of {project}"),
            Self::Endpoint { project, endpoint } => write!(f, "endpoint {endpoint} of {project}"),
            Self::Tracker { id } => write!(f, "ticket tool {id}"),
            Self::LocalForge {} => f.write_str("Pullyard’s own forge"),
        }
    }
}

impl SecretUser {
    /// The secrets that a project's settings name.
    pub fn in_settings(project: &Project) -> Vec<(&str, Self)> {
        let Settings { model_secrets, commits, notifications, .. } = &project.settings;
        let keys = model_secrets.iter().map(|(key, secret)| (key.setting(), secret));
        let signing = commits.signing_secret.as_deref().map(|secret| ("commits.signing_secret", secret));
        let user = |setting: &str| Self::Setting { project: project.id.clone(), setting: setting.into() };
        let endpoints = notifications.iter().flat_map(|endpoint| {
            let user = Self::Endpoint { project: project.id.clone(), endpoint: endpoint.id.clone() };
            endpoint.secrets().map(move |secret| (secret, user.clone()))
        });
        keys.chain(signing).map(|(setting, secret)| (secret, user(setting))).chain(endpoints).collect()
    }
}

/// Why a value cannot be a token or a model key, which consist of visible ASCII characters; `None` if it can.
/// The message follows the name of the value in a sentence. It does not contain the value.
pub fn token_fault(value: &str) -> Option<&'static str> {
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return Some("is empty");
    }
    match trimmed.chars().find(|c| !c.is_ascii_graphic()) {
        Some('\n' | '\r') => Some("contains a line break"),
        Some(c) if c.is_whitespace() => Some("contains a space"),
        Some(c) if c.is_control() => Some("contains a control character"),
        Some(_) => Some("contains a character outside ASCII"),
        None if value.ends_with(['\n', '\r']) => Some("ends with a line break"),
        None if trimmed.len() < value.len() => Some("begins or ends with a space"),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::token_fault;

    #[test]
    fn token_flaws_are_named_without_the_value() {
        for good in ["ghp_a-b.c", "ann@acme.example:ATATT3x-a=1F", "x"] {
            assert_eq!(token_fault(good), None, "{good}");
        }
        for (value, flaw) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("gh p", "contains a space"),
            ("gh\tp", "contains a space"),
            ("gh\u{a0}p", "contains a space"),
            ("gh p\n", "contains a space"),
            ("gh\np", "contains a line break"),
            ("gh\r\np", "contains a line break"),
            ("gh\u{7f}p", "contains a control character"),
            ("ghü", "contains a character outside ASCII"),
            // Some editors write a byte order mark first.
            ("\u{feff}ghp", "contains a character outside ASCII"),
            ("ghp\n", "ends with a line break"),
            ("ghp\r\n", "ends with a line break"),
            ("ghp ", "begins or ends with a space"),
            (" ghp", "begins or ends with a space"),
            ("\nghp", "begins or ends with a space"),
        ] {
            assert_eq!(token_fault(value), Some(flaw), "{value:?}");
        }
    }
}
