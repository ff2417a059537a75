//! Credentials for the models of agents, one row for each, and the providers of the models.

use serde::{Deserialize, Serialize};

/// A company whose API serves the models of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    Anthropic,
    OpenAi,
}

#[derive(Debug)]
pub struct ProviderSpec {
    pub code: &'static str,
    pub name: &'static str,
    /// The base URL in the form of the agent's own setting.
    pub url: &'static str,
    /// The variable with another base URL.
    pub url_variable: &'static str,
}

impl Provider {
    pub const ALL: [Self; 2] = [Self::Anthropic, Self::OpenAi];

    pub const fn spec(self) -> &'static ProviderSpec {
        match self {
            Self::Anthropic => &ProviderSpec {
                code: "anthropic",
                name: "Anthropic",
                url: "https://api.anthropic.com",
                url_variable: "ANTHROPIC_BASE_URL",
            },
            Self::OpenAi => &ProviderSpec {
                code: "openai",
                name: "OpenAI",
                url: "https://api.openai.com/v1",
                url_variable: "OPENAI_BASE_URL",
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// One line of visible characters, in the variable.
    Line,
    /// The content of a file, whose path is in the variable.
    File,
}

#[derive(Debug)]
pub struct KeySpec {
    pub label: &'static str,
    /// The variable with which the agent's driver gets the key.
    pub variable: &'static str,
    pub form: KeyForm,
    pub provider: Provider,
    /// Whether a free request can test the key. A subscription's credential has none.
    pub is_testable: bool,
}

/// Generates `ModelKey` and `ModelSecrets`, which has a field for each key.
macro_rules! model_keys {
    ($($(#[$key_doc:meta])* $Key:ident: $(#[$secret_doc:meta])* $secret:ident = $spec:expr;)*) => {
        /// The kind of credential that an agent uses for its model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ModelKey {
            $($(#[$key_doc])* $Key,)*
        }

        /// Names of the secrets with a project's model credentials.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct ModelSecrets {
            $($(#[$secret_doc])* pub $secret: Option<String>,)*
        }

        impl ModelKey {
            pub const ALL: [Self; [$(stringify!($secret)),*].len()] = [$(Self::$Key),*];

            pub const fn spec(self) -> &'static KeySpec {
                match self { $(Self::$Key => &$spec,)* }
            }

            /// The name in settings and forms.
            pub fn code(self) -> &'static str {
                match self { $(Self::$Key => stringify!($secret),)* }
            }

            pub fn setting(self) -> &'static str {
                match self { $(Self::$Key => concat!("model_secrets.", stringify!($secret)),)* }
            }

            /// The JSON pointer of the setting.
            pub fn pointer(self) -> &'static str {
                match self { $(Self::$Key => concat!("/model_secrets/", stringify!($secret)),)* }
            }
        }

        impl ModelSecrets {
            pub fn secret(&self, key: ModelKey) -> Option<&str> {
                match key { $(ModelKey::$Key => self.$secret.as_deref(),)* }
            }

            pub fn secret_mut(&mut self, key: ModelKey) -> &mut Option<String> {
                match key { $(ModelKey::$Key => &mut self.$secret,)* }
            }
        }
    };
}

model_keys! {
    /// A key of Anthropic's API, for Claude Code.
    AnthropicApiKey: anthropic_api_key = KeySpec {
        label: "Anthropic API key",
        variable: "ANTHROPIC_API_KEY",
        form: KeyForm::Line,
        provider: Provider::Anthropic,
        is_testable: true,
    };
    /// The token of a Claude subscription, as printed by `claude setup-token`.
    ClaudeToken:
    /// The secret with the token of a Claude subscription.
    claude_token = KeySpec {
        label: "Claude subscription token",
        variable: "CLAUDE_CODE_OAUTH_TOKEN",
        form: KeyForm::Line,
        provider: Provider::Anthropic,
        is_testable: false,
    };
    /// A key of OpenAI's API, for Codex.
    OpenaiApiKey: openai_api_key = KeySpec {
        label: "OpenAI API key",
        variable: "OPENAI_API_KEY",
        form: KeyForm::Line,
        provider: Provider::OpenAi,
        is_testable: true,
    };
    /// The complete `auth.json` of a Codex that is signed in to a subscription.
    CodexAuth:
    /// The secret with the `auth.json` of a Codex that is signed in.
    codex_auth = KeySpec {
        label: "Codex login (auth.json)",
        variable: "PULLYARD_CODEX_AUTH",
        form: KeyForm::File,
        provider: Provider::OpenAi,
        is_testable: false,
    };
}

impl ModelKey {
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.code() == code)
    }

    /// Whether an agent of this capability uses the credential. `auto` may use any.
    pub fn supports_capability(self, capability: &str) -> bool {
        let mut agents = super::AGENTS.into_iter().filter(|agent| agent.keys.contains(&self));
        agents.any(|agent| capability == agent.code || capability == super::AUTO)
    }
}

impl ModelSecrets {
    pub fn iter(&self) -> impl Iterator<Item = (ModelKey, &str)> {
        ModelKey::ALL.into_iter().filter_map(|key| Some((key, self.secret(key)?)))
    }
}
