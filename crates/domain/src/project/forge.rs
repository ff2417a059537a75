//! Forges that can be connected, and how Pullyard authenticates there.

mod bitbucket;
mod github;
pub mod marker_syntax;

use crate::project::hook::Ingress;
use crate::text::code::coded_enum;
use crate::text::id::{IntegrationId, ProjectId};
use marker_syntax::MarkerSyntax;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

coded_enum! {
    /// The kinds of forge that can be connected.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum ForgeKind {
        /// github.com or GitHub Enterprise Server.
        GitHub = "github", "GitHub";
        /// Bitbucket Cloud. Bitbucket Data Center has another API and is not supported.
        Bitbucket = "bitbucket", "Bitbucket";
    }
}

/// The facts in which kinds of forge differ. Each kind has its own module.
#[derive(Debug)]
pub struct ForgeSpec {
    /// URL of the site that the vendor runs, with a slash at its end.
    pub site_url: &'static str,
    /// REST URL of the forge that the vendor runs.
    pub api_url: &'static str,
    /// Products with the same API that run on a user's server.
    pub own_servers: &'static [OwnServer],
    /// The part of a pull request's URL before its number.
    pub pull_request_path: &'static str,
    /// Whether a user has at most one request for changes per pull request. A further request means that the user or a
    /// push withdrew the earlier one. It repeats the content of the earlier one.
    pub one_request_per_user: bool,
    /// Whether a token may be unable to read its own account.
    pub hides_accounts: bool,
    /// Whether being a reviewer of a pull request counts where a token cannot read permissions.
    pub permission_per_pull_request: bool,
    /// Whether Markdown may contain HTML. Otherwise HTML is displayed as text.
    pub renders_html: bool,
    /// Whether a block `suggestion` in a comment on lines can be applied to them.
    pub suggestion_blocks: bool,
    /// Whether a review names the commit of its lines. Otherwise they are lines of the newest commit.
    pub review_names_commit: bool,
    /// Whether repositories have issues that analyses can read.
    pub has_issues: bool,
    /// Longest text of a review. Units: characters.
    pub review_text_chars: usize,
    /// The marker that the forge does not display.
    pub marker: MarkerSyntax,
    pub hook: HookSpec,
    pub polling: PollSpec,
    /// How a new connection first receives events.
    pub first_ingress: Ingress,
    pub token: TokenTexts,
}

#[derive(Debug)]
pub struct OwnServer {
    pub name: &'static str,
    /// The form of its REST URL.
    pub api_url: &'static str,
}

/// The texts about connecting a forge by a token, in the CLI and on the pages.
#[derive(Debug)]
pub struct TokenTexts {
    /// The name of this choice, and what it needs.
    pub choice: &'static str,
    pub needs: &'static str,
    pub description: &'static str,
    /// The text of a prompt, which the REST URL follows.
    pub prompt: &'static str,
    pub hint: &'static str,
    /// A hint for the token of a first repository.
    pub first_hint: &'static str,
    pub permissions: &'static str,
    /// An example of a repository's name.
    pub example: &'static str,
}

/// A forge's webhooks.
#[derive(Debug)]
pub struct HookSpec {
    /// The events that a webhook subscribes to.
    pub events: &'static [&'static str],
    /// The events that may start templates.
    pub start_events: &'static [&'static str],
    /// Names of the headers of a delivery, in lower case.
    pub event_header: &'static str,
    pub delivery_header: &'static str,
    pub signature_header: &'static str,
    /// Whether the header names both the event and the action: `pullrequest:rejected`.
    pub event_header_has_action: bool,
    /// Longest secret. `usize::MAX`: every stored secret fits. Units: characters.
    pub max_secret_chars: usize,
    /// Whether the forge has Apps, whose webhook serves all their installations.
    pub has_apps: bool,
    /// Whether the forge lists its deliveries and can repeat a failed one.
    pub lists_deliveries: bool,
    /// The fields of the forge's form for a webhook, but for URL and secret.
    pub form: fn() -> String,
}

/// How a repository is polled.
#[derive(Debug)]
pub struct PollSpec {
    /// How often a repository is polled that has no webhook, or both.
    pub interval: Duration,
    /// How often every open pull request is compared, and not only those in the forge's list of changes. Zero: by each
    /// poll.
    pub full_comparison: Duration,
    /// Most pull requests compared per poll.
    pub max_compared: u16,
}

impl ForgeKind {
    /// The kind of a command that names none.
    pub const DEFAULT: Self = Self::GitHub;

    pub const fn spec(self) -> &'static ForgeSpec {
        match self {
            Self::GitHub => &github::SPEC,
            Self::Bitbucket => &bitbucket::SPEC,
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == code)
    }

    /// The display name of the forge with this API URL. A forge on this machine, such as the demo's, only imitates it.
    pub fn display_name_at(self, api_url: &str) -> String {
        let host = host_of(api_url);
        let is_ours = |host: &str| host.starts_with("127.") && host.chars().all(|c| c == '.' || c.is_ascii_digit());
        match host {
            "localhost" | "::1" => "The local forge".into(),
            host if is_ours(host) => "The local forge".into(),
            host if host == host_of(self.spec().api_url) => self.label().into(),
            host => format!("{} at {host}", self.label()),
        }
    }
}

/// Git sends the forge's token to the clone URL. It must have the forge's own host and the scheme of its API.
pub fn is_same_forge_host(api_url: &str, clone_url: &str) -> bool {
    match (scheme_and_host(api_url), scheme_and_host(clone_url)) {
        (Some((api_scheme, api_host)), Some((scheme, host))) => {
            scheme == api_scheme && (host == api_host || format!("api.{host}") == api_host)
        }
        _ => false,
    }
}

pub fn scheme_and_host(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    Some((scheme, rest.split('/').next()?))
}

fn host_of(url: &str) -> &str {
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let authority = address.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// A connected forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Integration {
    /// Short name.
    pub id: IntegrationId,
    /// Kind of forge.
    pub kind: ForgeKind,
    /// REST base.
    pub api_url: String,
    /// Authentication: names of secrets, never a secret.
    pub auth: Auth,
    /// Account of the token, or the App's bot. Its reviews never start a job.
    pub account: Account,
    /// The projects that may use it. Absent: tokens for all projects decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projects: Option<BTreeSet<ProjectId>>,
}

/// The account of a token at its forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Account {
    /// The forge's id; may exceed 2^53. Derived from the UUID on Bitbucket.
    pub id: u64,
    pub login: String,
}

impl Account {
    /// An unknown account. Bitbucket accepts access tokens without revealing their account.
    pub fn unknown() -> Self {
        Self { id: 0, login: "access token".into() }
    }

    /// Whether both can be the same account. An unknown account can be any.
    pub fn may_equal(&self, other: &Self) -> bool {
        let is_unknown = |account: &Self| account.id == 0;
        self.id == other.id || is_unknown(self) || is_unknown(other)
    }

    pub fn may_be_author(&self, author: u64) -> bool {
        self.may_equal(&Self { id: author, login: String::new() })
    }
}

// Contains the names of secrets, never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Auth {
    /// With a token that a user created.
    Token { secret: String },
    /// As a GitHub App, with tokens that are valid for one repository and one hour.
    App {
        app_id: u64,
        /// The App's client id, if the forge has one. It is the issuer of the App's JWTs.
        client_id: Option<String>,
        /// The App's name in URLs.
        slug: String,
        key_secret: String,
        /// The name of the secret that signs the App's deliveries.
        webhook_secret: String,
    },
}

impl Auth {
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Token { secret } => vec![secret],
            Self::App { key_secret, webhook_secret, .. } => vec![key_secret, webhook_secret],
        }
    }

    /// The issuer of an App's JWTs: the client id, else the App id.
    pub fn issuer(&self) -> Option<String> {
        match self {
            Self::Token { .. } => None,
            Self::App { app_id, client_id, .. } => Some(client_id.clone().unwrap_or_else(|| app_id.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
