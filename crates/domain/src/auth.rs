//! How Pullyard authenticates at a forge. Contains the names of secrets, never a secret.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Auth {
    /// With a token that a user created.
    Token { secret: String },
    /// As a GitHub App, with tokens that are valid for one repository and one hour.
    App {
        app_id: u64,
        /// The App's client id, if the forge has one. It is the issuer of the App's JWTs.
        client_id: Option<String>,
        /// The App's name in URLs.
        slug: String,
        key_secret: String,
        /// The name of the secret that signs the App's deliveries.
        webhook_secret: String,
    },
}

impl Auth {
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Token { secret } => vec![secret],
            Self::App { key_secret, webhook_secret, .. } => vec![key_secret, webhook_secret],
        }
    }

    /// The issuer of an App's JWTs: the client id, else the App id.
    pub fn issuer(&self) -> Option<String> {
        match self {
            Self::Token { .. } => None,
            Self::App { app_id, client_id, .. } => Some(client_id.clone().unwrap_or_else(|| app_id.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_has_two_secrets_and_prefers_its_client_id() {
        let app = |client_id: Option<&str>| Auth::App {
            app_id: 7,
            client_id: client_id.map(str::to_owned),
            slug: "pullyard-acme".into(),
            key_secret: "k".into(),
            webhook_secret: "w".into(),
        };
        let token = Auth::Token { secret: "t".into() };
        assert_eq!((token.secrets(), app(None).secrets()), (vec!["t"], vec!["k", "w"]));
        assert_eq!(token.issuer(), None);
        assert_eq!(app(None).issuer().as_deref(), Some("7"));
        assert_eq!(app(Some("Iv23")).issuer().as_deref(), Some("Iv23"));
    }
}
