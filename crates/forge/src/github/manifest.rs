//! The manifest from which GitHub creates an App, and the addresses of GitHub's pages for Apps.
//! Source: https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest

use serde_json::json;

use super::app_permissions::{APP_EVENTS, app_permissions};
use crate::features::WorkflowPolicy;

/// GitHub requires a webhook address even for an inactive webhook.
const PLACEHOLDER_URL: &str = "https://example.com/webhook-is-off";

const GITHUB_COM: &str = "https://github.com";

/// The address of github.com or of a GitHub Enterprise Server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubSite(String);

impl GitHubSite {
    /// Parses `https://HOST`; `None` for another address, and for Bitbucket, which has no Apps of this kind.
    pub fn parse(address: &str) -> Option<Self> {
        let url = address.trim_end_matches('/');
        let has_safe_scheme = url.starts_with("https://") || url.starts_with("http://127.0.0.1:");
        let host = url.split_once("://").map(|(_, host)| host).unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        let is_valid = has_safe_scheme && !host.is_empty() && host != "bitbucket.org" && host.chars().all(is_plain);
        is_valid.then(|| Self(url.to_owned()))
    }

    pub fn from_api_url(api_url: &str) -> Self {
        Self(api_url.strip_suffix("/api/v3").unwrap_or(GITHUB_COM).to_owned())
    }

    pub fn url(&self) -> &str {
        &self.0
    }

    fn is_github_com(&self) -> bool {
        self.0 == GITHUB_COM
    }

    pub fn api_url(&self) -> String {
        if self.is_github_com() { "https://api.github.com".into() } else { format!("{}/api/v3", self.0) }
    }

    /// The form's target for a manifest. `owner` is an organization; `None` is the user who signs in there.
    pub fn new_app_url(&self, owner: Option<&str>, state: &str) -> String {
        format!("{}/new?state={state}", self.apps_url(owner))
    }

    pub fn apps_url(&self, owner: Option<&str>) -> String {
        match owner {
            Some(owner) => format!("{}/organizations/{owner}/settings/apps", self.0),
            None => format!("{}/settings/apps", self.0),
        }
    }

    pub fn install_url(&self, slug: &str) -> String {
        let apps = if self.is_github_com() { "apps" } else { "github-apps" };
        format!("{}/{apps}/{slug}/installations/new", self.0)
    }
}

#[derive(Clone, Debug)]
pub struct AppManifest {
    /// Unique at GitHub. The user may change it there.
    pub name: String,
    pub home: String,
    /// `None` if GitHub cannot reach us. The webhook is then inactive.
    pub hook: Option<String>,
    pub redirect: String,
    pub workflows: WorkflowPolicy,
}

impl AppManifest {
    pub fn random_name() -> String {
        format!("Pullyard {:04x}", rand::random::<u16>())
    }

    pub fn json(&self) -> String {
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

pub fn is_account_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(forge: &str, org: Option<&str>, expected: [&str; 3]) {
        let site = GitHubSite::parse(forge).unwrap();
        assert_eq!([site.api_url(), site.new_app_url(org, "s1"), site.install_url("pullyard-1")], expected);
        assert_eq!(GitHubSite::from_api_url(&site.api_url()), site);
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
        for bad in [
            "github.com",
            "http://github.com",
            "https://",
            "https://a/b",
            "https://a@b",
            "https://a\"b",
            "https://a b",
            "https://a;b",
            "https://bitbucket.org",
        ] {
            assert!(GitHubSite::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn unreachable_webhook_is_inactive() {
        let manifest = |hook: Option<&str>| {
            let manifest = AppManifest {
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
