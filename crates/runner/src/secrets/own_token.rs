//! The forge token of the runner's owner.

use crate::agent::environment::Environment;
use pullyard_domain::project::forge::{ForgeKind, is_same_forge_host};
use pullyard_forge::{Endpoint, Error, Forge, Token};
use pullyard_protocol::attempt::AssignedRepository;
use std::time::Duration;
use tokio::time::timeout;

const CHECK_LIMIT: Duration = Duration::from_secs(15);

/// The token of the runner's owner, and the REST URL of its forge.
const OWN_TOKEN: &str = "PULLYARD_FORGE_TOKEN";
const OWN_API_URL: &str = "PULLYARD_FORGE_API_URL";

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
