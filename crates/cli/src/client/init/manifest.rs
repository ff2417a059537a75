//! Builds the manifest of an App, and GitHub's URLs for Apps.

use crate::client::fault::CliError;
use pullyard_forge::features::{APP_EVENTS, WorkflowPolicy, app_permissions};
use serde_json::json;

const MAX_NAME_CHARS: usize = 34;
/// GitHub requires a webhook address even for an inactive webhook.
const PLACEHOLDER_URL: &str = "https://example.com/webhook-is-off";

pub(super) struct GitHubSite(String);

impl GitHubSite {
    pub(super) fn parse(forge: &str) -> Result<Self, CliError> {
        let url = forge.trim_end_matches('/');
        let safe = url.starts_with("https://") || url.starts_with("http://127.0.0.1:");
        let host = url.split_once("://").map(|(_, host)| host).unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if !safe || host.is_empty() || !host.chars().all(plain) {
            return Err(
                CliError::usage(format!("{forge} is not a URL of GitHub")).with_help("write it as https://HOST")
            );
        }
        if host == "bitbucket.org" {
            return Err(CliError::usage("Bitbucket has no Apps of this kind").with_help(
                "connect it by a token: pullyard integrations add ID --kind bitbucket --token-secret NAME",
            ));
        }
        Ok(Self(url.to_owned()))
    }

    fn is_github_com(&self) -> bool {
        self.0 == "https://github.com"
    }

    pub(super) fn api_url(&self) -> String {
        if self.is_github_com() { "https://api.github.com".into() } else { format!("{}/api/v3", self.0) }
    }

    pub(super) fn new_app_url(&self, org: Option<&str>, state: &str) -> String {
        format!("{}/new?state={state}", self.apps_url(org))
    }

    pub(super) fn apps_url(&self, org: Option<&str>) -> String {
        match org {
            Some(org) => format!("{}/organizations/{org}/settings/apps", self.0),
            None => format!("{}/settings/apps", self.0),
        }
    }

    pub(super) fn install_url(&self, slug: &str) -> String {
        let apps = if self.is_github_com() { "apps" } else { "github-apps" };
        format!("{}/{apps}/{slug}/installations/new", self.0)
    }
}

pub(super) struct Manifest {
    pub(super) name: String,
    pub(super) home: String,
    pub(super) hook: Option<String>,
    pub(super) redirect: String,
    pub(super) workflows: WorkflowPolicy,
}

impl Manifest {
    pub(super) fn json(&self) -> String {
        let hook = self.hook.as_deref();
        json!({
            "name": self.name,
            "description": "Turns tickets into pull requests, and reviews into new commits.",
            "url": self.home,
            "redirect_url": self.redirect,
            "hook_attributes": { "url": hook.unwrap_or(PLACEHOLDER_URL), "active": hook.is_some() },
            "public": false,
            "default_permissions": app_permissions(self.workflows),
            "default_events": APP_EVENTS,
        })
        .to_string()
    }
}

pub(super) fn parse_account(text: &str) -> Result<String, String> {
    let good = !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if good { Ok(text.to_owned()) } else { Err("use the name as in GitHub's URLs".into()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(forge: &str, org: Option<&str>, expected: [&str; 3]) {
        let site = GitHubSite::parse(forge).unwrap_or_else(|_| panic!("{forge}"));
        assert_eq!([site.api_url(), site.new_app_url(org, "s1"), site.install_url("pullyard-1")], expected);
    }

    #[test]
    fn each_kind_of_github_has_its_addresses() {
        check(
            "https://github.com/",
            None,
            [
                "https://api.github.com",
                "https://github.com/settings/apps/new?state=s1",
                "https://github.com/apps/pullyard-1/installations/new",
            ],
        );
        check(
            "https://git.acme.example",
            Some("acme"),
            [
                "https://git.acme.example/api/v3",
                "https://git.acme.example/organizations/acme/settings/apps/new?state=s1",
                "https://git.acme.example/github-apps/pullyard-1/installations/new",
            ],
        );
        for bad in ["github.com", "http://github.com", "https://", "https://a/b", "https://a@b", "https://a\"b"] {
            assert!(GitHubSite::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unreachable_webhook_is_inactive() {
        let manifest = |hook: Option<&str>| {
            let manifest = Manifest {
                name: "Pullyard".into(),
                home: "http://127.0.0.1:7878".into(),
                hook: hook.map(str::to_owned),
                redirect: "http://127.0.0.1:5/done".into(),
                workflows: WorkflowPolicy::Forbid,
            };
            serde_json::from_str::<serde_json::Value>(&manifest.json()).unwrap()
        };
        assert_eq!(manifest(None)["hook_attributes"]["active"], false);
        let on = manifest(Some("https://p.example/webhooks/github/gh1"));
        assert_eq!(on["hook_attributes"], json!({ "url": "https://p.example/webhooks/github/gh1", "active": true }));
        assert_eq!(on["default_permissions"]["contents"], "write");
        assert!(on["default_permissions"].get("workflows").is_none() && on["public"] == false);
    }
}
