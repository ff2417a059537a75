//! What an attempt proves itself with to its forge: the token that it is given, a newer one before its work
//! is published where tokens end, and taking back what it was given when it is over.

use crate::attempt::Attempt;
use crate::git::Git;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::project::ForgeKind;
use pullyard_forge::{Bitbucket, Endpoint, Forge, GitHub, Token, revoke_installation_token};
use pullyard_protocol::attempt::{AssignedRepository, ModelCredential};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long taking tokens back may hold up the end. Whatever is left ends by itself.
const GIVE_BACK_LIMIT: Duration = Duration::from_secs(3);

/// The ways to the forge, with one token.
pub(crate) struct Access {
    pub(crate) git: Git,
    pub(crate) forge: Forge,
    /// The token ends some time, and a newer one is to be had.
    pub(crate) ends: bool,
    pub(crate) model: Vec<ModelCredential>,
}

/// Asks for a token, and makes the ways to the forge of it.
pub(crate) async fn ask(this: &Attempt<'_>) -> Result<Access, Stop> {
    let credentials = this.credentials().await?;
    let repository = &this.assignment.repository;
    let denied = |_| Failure::SourceDenied { forge: repository.forge_name(), repo: repository.name.clone() };
    let token = credentials.forge_token;
    let forge = match repository.forge {
        ForgeKind::GitHub => {
            Forge::GitHub(GitHub::new(endpoint(repository), Token::new(token.as_str())).map_err(denied)?)
        }
        ForgeKind::Bitbucket => {
            Forge::Bitbucket(Bitbucket::new(endpoint(repository), Token::new(token.as_str())).map_err(denied)?)
        }
    };
    Ok(Access {
        git: Git::new(&repository.clone_url, &token)
            .at(repository.forge)
            .committing(this.assignment.author.clone(), credentials.signing_key)
            .without_secrets(&this.redactor),
        forge,
        ends: credentials.expires_in_secs.is_some(),
        model: credentials.model,
    })
}

fn endpoint(repository: &AssignedRepository) -> Endpoint {
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
