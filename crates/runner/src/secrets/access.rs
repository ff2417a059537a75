//! Requests an attempt's credentials, and configures git and the forge client with them.

use crate::agent::environment::Environment;
use crate::api::calls::Calls;
use crate::git::Git;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::forge::{ForgeKind, is_same_forge_host};
use pullyard_domain::text::Quoted;
use pullyard_forge::{Endpoint, Error, Forge, Token, git_login};
use pullyard_protocol::attempt::{AssignedRepository, ModelCredential};
use std::time::Duration;
use tokio::time::{Instant, timeout};

const CHECK_LIMIT: Duration = Duration::from_secs(15);

/// The token of the runner's owner, and the REST URL of its forge.
const OWN_TOKEN: &str = "PULLYARD_FORGE_TOKEN";
const OWN_API_URL: &str = "PULLYARD_FORGE_API_URL";

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

/// The token of the runner's owner. Only for the owner's forge, even if the control plane names another address.
pub(crate) fn own_forge_token(repository: &AssignedRepository, environment: &Environment<'_>) -> Option<String> {
    let variable = |name: &str| environment.get(name)?.into_string().ok();
    let api_url = variable(OWN_API_URL)?;
    let is_own_forge =
        repository.api_url.trim_end_matches('/') == api_url && is_same_forge_host(&api_url, &repository.clone_url);
    variable(OWN_TOKEN).filter(|_| is_own_forge)
}

/// The account of the runner's own token.
pub(crate) async fn check_own_token(token: Option<&str>, url: &str) -> Result<String, Error> {
    let Some(token) = token else {
        return Ok("none: PULLYARD_FORGE_TOKEN serves repositories with `--credentials runner`".into());
    };
    let kind = ForgeKind::ALL.into_iter().find(|kind| kind.spec().api_url == url).unwrap_or(ForgeKind::DEFAULT);
    let account = async { Forge::connect(kind, Endpoint::new(url), Token::new(token))?.account().await };
    match timeout(CHECK_LIMIT, account).await {
        Ok(Ok(account)) => Ok(format!("{url} accepts it as {}", account.login)),
        Ok(Err(Error::Forbidden { .. })) => Ok(format!("{url} accepts it and hides its account")),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            let reason = format!("no answer within {} s", CHECK_LIMIT.as_secs());
            Err(Error::Unreachable { host: url.to_owned(), reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_token_goes_to_its_own_forge_only() {
        let token = |api_url: &str, clone_url: &str| {
            let assignment = crate::git::test_world::assignment();
            let (api_url, clone_url) = (api_url.to_owned(), clone_url.to_owned());
            let repository = AssignedRepository { api_url, clone_url, ..assignment.repository };
            let read = |name: &str| match name {
                OWN_TOKEN => Some("planted".into()),
                _ => Some("https://api.github.com".into()),
            };
            own_forge_token(&repository, &Environment::from_fn(&read))
        };
        let own = ["https://api.github.com/", "https://github.com/acme/app.git"];
        assert_eq!(token(own[0], own[1]).as_deref(), Some("planted"));
        for [api_url, clone_url] in [
            ["https://api.github.com.evil.example", own[1]],
            [own[0], "https://evil.example/acme/app.git"],
            [own[0], "https://github.com@evil.example/acme/app.git"],
            [own[0], "http://github.com/acme/app.git"],
            ["https://evil.example", "https://evil.example/acme/app.git"],
        ] {
            assert_eq!(token(api_url, clone_url), None, "{api_url} {clone_url}");
        }
    }
}
