//! The purposes and users of secrets, and the format of tokens.

use crate::agent::ModelKey;
use crate::project::{Project, Settings};
use crate::text::id::{EndpointId, HookName, IntegrationId, ProjectId};
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
        let id = || project.id.clone();
        let to_user = |field| match field {
            SecretField::Model(key) => Self::Setting { project: id(), setting: key.setting().into() },
            SecretField::Signing => Self::Setting { project: id(), setting: "commits.signing_secret".into() },
            SecretField::EndpointUrl(endpoint) | SecretField::EndpointSigning(endpoint) => {
                Self::Endpoint { project: id(), endpoint }
            }
        };
        let names = named_secrets(&project.settings).into_iter();
        names.map(|(field, secret)| (secret, to_user(field))).collect()
    }
}

/// A field of a project's settings that names a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretField {
    Model(ModelKey),
    Signing,
    EndpointUrl(EndpointId),
    EndpointSigning(EndpointId),
}

impl SecretField {
    /// The kind of secret that the field accepts.
    pub fn kind(&self) -> SecretKind {
        match self {
            // Runners receive the values.
            Self::Model(_) | Self::Signing => SecretKind::Job,
            Self::EndpointUrl(_) | Self::EndpointSigning(_) => SecretKind::Forge,
        }
    }

    pub fn pointer(&self) -> &'static str {
        match self {
            Self::Model(key) => key.pointer(),
            Self::Signing => "/commits/signing_secret",
            Self::EndpointUrl(_) | Self::EndpointSigning(_) => "/notifications",
        }
    }
}

/// All secrets that settings name.
pub fn named_secrets(settings: &Settings) -> Vec<(SecretField, &str)> {
    let Settings { model_secrets, commits, notifications, .. } = settings;
    let keys = model_secrets.iter().map(|(key, secret)| (SecretField::Model(key), secret));
    let signing = commits.signing_secret.as_deref().map(|secret| (SecretField::Signing, secret));
    let endpoints = notifications.iter().flat_map(|endpoint| {
        let url = endpoint.url_secret.as_deref().map(|secret| (SecretField::EndpointUrl(endpoint.id.clone()), secret));
        let signing = endpoint.secret.as_deref();
        let signing = signing.map(|secret| (SecretField::EndpointSigning(endpoint.id.clone()), secret));
        url.into_iter().chain(signing)
    });
    keys.chain(signing).chain(endpoints).collect()
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
