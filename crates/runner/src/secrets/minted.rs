//! Tokens that were made for one attempt.

use pullyard_forge::{Endpoint, Token, revoke_installation_token};
use pullyard_protocol::attempt::AssignedRepository;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long taking tokens back may hold up the end. Whatever is left ends by itself.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(3);

pub(crate) fn endpoint(repository: &AssignedRepository) -> Endpoint {
    Endpoint::new(repository.api_url.clone())
}

/// The tokens that were made for this attempt alone: only GitHub makes such, for an App.
#[derive(Default)]
pub(crate) struct Minted(Mutex<Vec<String>>);

impl Minted {
    pub(crate) fn note(&self, token: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An answer that was lost, and its repeat, may be the same.
        if !all.iter().any(|known| known == token) {
            all.push(token.to_owned());
        }
    }

    /// Takes them back at the forge, best effort: nobody needs them any more.
    pub(crate) async fn give_back(&self, repository: &AssignedRepository) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let endpoint = endpoint(repository);
        let each = async {
            for token in all {
                if let Err(error) = revoke_installation_token(&endpoint, Token::new(token)).await {
                    tracing::info!(error = %error, "a forge token was not taken back; it ends by itself: {error}");
                }
            }
        };
        if timeout(GIVE_BACK_LIMIT, each).await.is_err() {
            tracing::info!("the forge did not take tokens back in time; they end by themselves");
        }
    }
}
