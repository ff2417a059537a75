//! Stores the tokens that were created for one attempt, and revokes them.

use pullyard_forge::{Endpoint, Token, revoke_installation_token};
use pullyard_protocol::attempt::AssignedRepository;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// Time limit for revoking tokens at the end. The remaining tokens expire.
const REVOKE_LIMIT: Duration = Duration::from_secs(3);

/// Tokens that were created for this attempt only. Only GitHub has such tokens, for an App.
#[derive(Default)]
pub(crate) struct ForgeTokens(Mutex<Vec<String>>);

impl ForgeTokens {
    pub(crate) fn add(&self, token: &str) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A request was repeated after a lost answer: both answers may contain the same token.
        if !tokens.iter().any(|existing| existing == token) {
            tokens.push(token.to_owned());
        }
    }

    pub(crate) async fn revoke_all(&self, repository: &AssignedRepository) {
        let tokens = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let endpoint = Endpoint::new(repository.api_url.clone());
        let revoke_each = async {
            for token in tokens {
                if let Err(error) = revoke_installation_token(&endpoint, Token::new(token)).await {
                    tracing::info!(error = %error, "forge token not revoked; it will expire: {error}");
                }
            }
        };
        if timeout(REVOKE_LIMIT, revoke_each).await.is_err() {
            tracing::info!("revoking forge tokens timed out; they will expire");
        }
    }
}
