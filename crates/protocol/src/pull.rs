//! Pull requests: `/v1/pulls`, `/v1/pulls/revise`, `/v1/pulls/link`, `/v1/pulls/why`, and their names.

#[cfg(feature = "schema")]
use crate::limits;
use pullyard_domain::id::{IntegrationId, JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::pull_request::PullRequestState;
use pullyard_domain::time::{Timestamp, rfc3339};
use serde::{Deserialize, Serialize};

/// `POST /v1/pulls/revise`: a person asks for a revision of a pull request.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisePullRequest {
    /// Whose.
    pub project: ProjectId,
    /// Of this connected repository.
    pub repository: RepositoryName,
    /// Its number.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = limits::PULL_REQUEST)))]
    pub number: u64,
    /// On this forge; needed only where several have a repository of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<IntegrationId>,
    /// What is wanted, beside what reviewers wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = pullyard_domain::review::LONGEST_MESSAGE), regex(pattern = limits::SAYS)))]
    pub message: Option<String>,
}

/// `PUT /v1/pulls/link`: the reviews of a pull request start jobs of this ticket.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPullRequest {
    /// Whose.
    pub project: ProjectId,
    /// Of this connected repository.
    pub repository: RepositoryName,
    /// Its number.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = limits::PULL_REQUEST)))]
    pub number: u64,
    /// On this forge; needed only where several have a repository of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<IntegrationId>,
    /// To this ticket.
    pub ticket: TicketKey,
}

/// Query of `GET /v1/pulls/why` and `DELETE /v1/pulls/link`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestQuery {
    /// Project.
    pub project: ProjectId,
    /// Connected repository.
    pub repository: RepositoryName,
    /// Number.
    pub number: u64,
    /// Forge; required only if several have a repository of that name.
    pub integration: Option<IntegrationId>,
}

/// A pull request and what is so with its reviews.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// Whose.
    pub project: ProjectId,
    /// The forge it lives on.
    pub integration: IntegrationId,
    /// Its repository, as the forge spells it.
    pub repository: Option<RepositoryName>,
    /// Its number.
    pub number: u64,
    /// As people name it: `acme/app#7`.
    pub label: String,
    /// Its page; empty for one that nobody told of yet.
    pub url: String,
    /// Its head branch.
    pub branch: String,
    /// Whether it can still change, as far as it was told.
    pub state: PullRequestState,
    /// The ticket it is linked to.
    pub ticket: Option<TicketKey>,
    /// The job that works on it, or did last.
    pub job: Option<JobId>,
    /// When the last job that revises it was made.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub revised: Option<Timestamp>,
    /// Until when reviews wait, if any do.
    #[serde(with = "rfc3339::option")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Timestamp>"))]
    pub held_until: Option<Timestamp>,
    /// What is so, for people.
    pub sentence: String,
    /// What to do about it.
    pub help: String,
}

/// `GET /v1/pulls?project=P&after=CURSOR`: the open pull requests that a project's tickets are linked to.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestPage {
    /// At most 50.
    pub pulls: Vec<PullRequest>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}

/// The answer to `DELETE /v1/pulls/link`.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlinkedPullRequest {
    /// The ticket it was linked to; none if it was linked to none.
    pub ticket: Option<TicketKey>,
}

/// A pull request's name as people type it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequestName {
    /// Host and port, if a URL was typed.
    pub host: Option<String>,
    /// Repository, if typed.
    pub repository: Option<RepositoryName>,
    /// Number.
    pub number: u64,
}

/// Advice for an invalid name.
pub const PULL_REQUEST_NAMES: &str = "write its address, OWNER/NAME#7, or #7";

impl PullRequestName {
    /// Parses `https://HOST/o/r/pull/7` or Bitbucket's `https://HOST/o/r/pull-requests/7` with any suffix, `o/r#7`,
    /// `#7` or `7`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(address) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
            return Self::of_address(address);
        }
        let (repository, number) = match text.split_once('#') {
            Some(("", number)) => (None, number),
            Some((name, number)) => (Some(RepositoryName::new(name).ok()?), number),
            None => (None, text),
        };
        Some(Self { host: None, repository, number: number_of(number)? })
    }

    fn of_address(address: &str) -> Option<Self> {
        let path = address.split(['?', '#']).next()?;
        let mut parts = path.split('/');
        let host = parts.next().filter(|host| !host.is_empty() && !host.contains('@'))?;
        let (owner, name, kind, number) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if !matches!(kind, "pull" | "pull-requests") {
            return None;
        }
        Some(Self {
            host: Some(host.to_lowercase()),
            repository: Some(RepositoryName::new(format!("{owner}/{name}")).ok()?),
            number: number_of(number)?,
        })
    }

    /// Whether the text has a form that only pull requests have.
    pub fn is_plain(text: &str) -> bool {
        let text = text.trim();
        (text.contains("://") || text.contains('#')) && Self::parse(text).is_some()
    }

    /// Whether a URL has the same host and port; the scheme is ignored.
    pub fn is_of(&self, address: &str) -> bool {
        let Some(host) = &self.host else { return true };
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        authority.eq_ignore_ascii_case(host)
    }
}

fn number_of(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: Option<&str>, repository: Option<&str>, number: u64) -> PullRequestName {
        let repository = repository.map(|name| RepositoryName::new(name).unwrap());
        PullRequestName { host: host.map(str::to_owned), repository, number }
    }

    #[test]
    fn a_pull_request_is_named_in_every_way_that_people_write() {
        let whole = name(Some("github.com"), Some("acme/app"), 7);
        for text in [
            "https://github.com/acme/app/pull/7",
            "http://GitHub.com/acme/app/pull/7/",
            "https://github.com/acme/app/pull/7/files",
            " https://github.com/acme/app/pull/7#discussion_r12 ",
            "https://github.com/acme/app/pull/7?diff=split#x",
        ] {
            assert_eq!(PullRequestName::parse(text), Some(whole.clone()), "{text}");
            assert!(PullRequestName::is_plain(text));
        }
        let bucket = name(Some("bitbucket.org"), Some("acme/app"), 7);
        for text in [
            "https://bitbucket.org/acme/app/pull-requests/7",
            "https://bitbucket.org/acme/app/pull-requests/7/add-a-door/diff#comment-12",
        ] {
            assert_eq!(PullRequestName::parse(text), Some(bucket.clone()), "{text}");
        }
        let local = PullRequestName::parse("http://127.0.0.1:4002/acme/app/pull/12").unwrap();
        assert_eq!(local, name(Some("127.0.0.1:4002"), Some("acme/app"), 12));
        assert_eq!(PullRequestName::parse("acme/app#7"), Some(name(None, Some("acme/app"), 7)));
        assert_eq!(PullRequestName::parse("#7"), Some(name(None, None, 7)));
        assert_eq!(PullRequestName::parse("7"), Some(name(None, None, 7)));
        assert!(PullRequestName::is_plain("#7") && PullRequestName::is_plain("acme/app#7"));
        assert!(!PullRequestName::is_plain("7"), "a ticket may be called so");
    }

    #[test]
    fn what_names_no_pull_request_is_none() {
        for text in [
            "",
            "#",
            "#0",
            "#-1",
            "#7a",
            "#+7",
            "acme#7",
            "a/b/c#7",
            "acme/app/7",
            "https://github.com/acme/app",
            "https://github.com/acme/app/issues/7",
            "https://github.com/acme/app/pull/",
            "https://github.com/acme/app/pull/x",
            "https://bitbucket.org/acme/app/pull-requests",
            "https://bitbucket.org/acme/app/pull-requests/new",
            "https:///acme/app/pull/7",
            "https://ana@github.com/acme/app/pull/7",
            "ftp://github.com/acme/app/pull/7",
            "#99999999999999999999",
        ] {
            assert_eq!(PullRequestName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_address_is_of_its_own_forge_only() {
        let of = |text: &str| PullRequestName::parse(text).unwrap();
        let hub = of("https://github.com/acme/app/pull/7");
        assert!(hub.is_of("https://GitHub.com/acme/app.git") && hub.is_of("ssh://git@github.com/acme/app.git"));
        assert!(!hub.is_of("https://github.example/acme/app.git") && !hub.is_of("https://github.com:8443/acme/app"));
        assert!(of("acme/app#7").is_of("https://anywhere.example/x"));
    }
}
