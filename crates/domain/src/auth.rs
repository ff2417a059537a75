//! How Pullyard proves to a forge who it is. It holds names of secrets, never a secret.

use serde::{Deserialize, Serialize};

/// How Pullyard proves to a forge who it is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Auth {
    /// By a token that somebody made.
    Token {
        /// The name of the secret that holds it.
        secret: String,
    },
    /// As a GitHub App: by tokens that are made for one repository each and live for an hour.
    App {
        /// The forge's id of it.
        app_id: u64,
        /// What its JWTs name it by, where the forge has such a thing.
        client_id: Option<String>,
        /// Its name in addresses.
        slug: String,
        /// The name of the secret that holds its private key.
        key_secret: String,
        /// The name of the secret that it signs its deliveries with.
        webhook_secret: String,
    },
}

impl Auth {
    /// The names of the secrets it needs.
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Token { secret } => vec![secret],
            Self::App { key_secret, webhook_secret, .. } => vec![key_secret, webhook_secret],
        }
    }

    /// What an App's JWTs name it by.
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
    fn an_app_needs_two_secrets_and_is_named_by_its_client_id_where_it_has_one() {
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
