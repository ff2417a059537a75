//! Requests an attempt's credentials, and configures git and the forge client with them.

use crate::api::calls::Calls;
use crate::git::Git;
use crate::stop::Stop;
use pullyard_domain::text::Quoted;
use pullyard_domain::text::failure::Failure;
use pullyard_forge::{Endpoint, Error, Forge, Token, git_login};
use pullyard_protocol::attempt::ModelCredential;
use tokio::time::Instant;

pub(crate) struct ForgeAccess {
    pub(crate) git: Git,
    pub(crate) forge: Forge,
    /// The token expires, and a newer one can be requested.
    pub(crate) expires: bool,
    pub(crate) requested_at: Instant,
    pub(crate) model_credentials: Vec<ModelCredential>,
}

pub(crate) async fn request_access(attempt: &Calls<'_>) -> Result<ForgeAccess, Stop> {
    let requested_at = Instant::now();
    let credentials = attempt.get_credentials().await?;
    let repository = &attempt.assignment.repository;
    let to_failure = |error: Error| {
        let reason = Quoted(Some(error.to_string()));
        Failure::SourceDenied { forge: repository.forge_name(), repo: repository.name.clone(), reason }
    };
    let (endpoint, token) = (Endpoint::new(repository.api_url.clone()), credentials.forge_token);
    let forge = Forge::connect(repository.forge, endpoint, Token::new(token.as_str()));
    Ok(ForgeAccess {
        git: Git::with_login(&repository.clone_url, git_login(repository.forge, &token))
            .with_author(attempt.assignment.author.clone(), credentials.signing_key)
            .with_redactor(&attempt.redactor),
        forge: forge.map_err(to_failure)?,
        expires: credentials.expires_in_secs.is_some(),
        requested_at,
        model_credentials: credentials.model,
    })
}
