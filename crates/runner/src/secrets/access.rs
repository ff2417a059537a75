//! Requests an attempt's credentials, and configures git and the forge client with them.

use crate::api::attempt::Attempt;
use crate::git::Git;
use crate::secrets::minted::endpoint;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::project::ForgeKind;
use pullyard_forge::{Bitbucket, Forge, GitHub, Token};
use pullyard_protocol::attempt::ModelCredential;

/// Git and the client of the forge, with one token.
pub(crate) struct Access {
    pub(crate) git: Git,
    pub(crate) forge: Forge,
    /// The token expires, and a newer one can be requested.
    pub(crate) ends: bool,
    pub(crate) model: Vec<ModelCredential>,
}

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
