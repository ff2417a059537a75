//! Parses the arguments that become part of an App's manifest.

use crate::client::fault::CliError;
use pullyard_forge::{GitHubSite, is_account_name};

const MAX_NAME_CHARS: usize = 34;

pub(super) fn parse_site(forge: &str) -> Result<GitHubSite, CliError> {
    if forge.trim_end_matches('/') == super::BITBUCKET_URL {
        return Err(CliError::usage("Bitbucket has no Apps of this kind")
            .with_help("connect it by a token: pullyard integrations add ID --kind bitbucket --token-secret NAME"));
    }
    GitHubSite::parse(forge)
        .ok_or_else(|| CliError::usage(format!("{forge} is not a URL of GitHub")).with_help("write it as https://HOST"))
}

pub(super) fn parse_account(text: &str) -> Result<String, String> {
    if is_account_name(text) { Ok(text.to_owned()) } else { Err("use the name as in GitHub's URLs".into()) }
}

pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let good = !text.trim().is_empty() && text.chars().count() <= MAX_NAME_CHARS && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err(format!("use 1 to {MAX_NAME_CHARS} printable characters")) }
}

pub(super) fn parse_public_url(base: &str) -> Result<String, CliError> {
    let base = base.trim_end_matches('/');
    let good = base.strip_prefix("https://").is_some_and(|host| !host.is_empty() && !host.starts_with('/'));
    if good && !base.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '#' | '?')) {
        return Ok(base.to_owned());
    }
    Err(CliError::usage(format!("GitHub can't send to {base}")).with_help("write it as https://HOST"))
}
