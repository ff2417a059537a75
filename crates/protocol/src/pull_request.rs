//! Pull requests: `/v1/pulls`, `/v1/pulls/revise`, `/v1/pulls/link`, `/v1/pulls/why`, and their names.

use crate::limits;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::id::{IntegrationId, JobId, ProjectId, RepositoryName, TicketKey};
use pullyard_domain::text::time::{OptionalWireTime, Timestamp, WireTime};
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/pulls/revise`: requests a revision of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevisePullRequest {
    /// Project.
    pub project: ProjectId,
    /// Connected repository.
    pub repository: RepositoryName,
    /// Number.
    #[schemars(range(min = 1, max = limits::PULL_REQUEST))]
    pub number: u64,
    /// Forge; required only if several have a repository of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<IntegrationId>,
    /// Instructions, in addition to the reviews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = pullyard_domain::review::MAX_MESSAGE_CHARS), regex(pattern = limits::NON_BLANK))]
    pub message: Option<String>,
}

/// Body of `POST /v1/pulls/review` and `/v1/pulls/resolve`: requests a review of a pull request by an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewPullRequest {
    /// Project.
    pub project: ProjectId,
    /// Connected repository.
    pub repository: RepositoryName,
    /// Number.
    #[schemars(range(min = 1, max = limits::PULL_REQUEST))]
    pub number: u64,
    /// Forge; required only if several have a repository of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<IntegrationId>,
    /// What to look at, in addition to the usual instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = pullyard_domain::review::MAX_MESSAGE_CHARS), regex(pattern = limits::NON_BLANK))]
    pub message: Option<String>,
    /// Review the newest commit again, although it was reviewed. A resolve job always does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// Agent; absent: the repository's, or the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Model of the agent; absent: the one configured with that agent, or the agent's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Body of `POST /v1/pulls/raise`: raises the limits of a pull request's ticket, or of a pull request without one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RaisePullRequest {
    /// Project.
    pub project: ProjectId,
    /// Connected repository.
    pub repository: RepositoryName,
    /// Number.
    #[schemars(range(min = 1, max = limits::PULL_REQUEST))]
    pub number: u64,
    /// Forge; required only if several have a repository of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<IntegrationId>,
    /// Money in addition to `limits.ticket_usd`. Units: millionths of a US dollar.
    #[serde(default)]
    pub usd_micros: u64,
    /// Jobs in addition to `limits.ticket_jobs`.
    #[serde(default)]
    pub jobs: u32,
    /// Time until the raise ends, at most 30 days (default: 7 days). Units: seconds.
    #[serde(default = "crate::ticket::default_raise_secs")]
    pub for_secs: u64,
}

/// Body of `PUT /v1/pulls/link`. Reviews of the pull request then start jobs of the ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPullRequest {
    /// Project.
    pub project: ProjectId,
    /// Connected repository.
    pub repository: RepositoryName,
    /// Number.
    #[schemars(range(min = 1, max = limits::PULL_REQUEST))]
    pub number: u64,
    /// Forge; required only if several have a repository of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<IntegrationId>,
    /// Ticket.
    pub ticket: TicketKey,
}

/// Query of `GET /v1/pulls/why` and `DELETE /v1/pulls/link`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct PullRequestQuery {
    /// Project.
    pub project: ProjectId,
    /// Connected repository.
    pub repository: RepositoryName,
    /// Number.
    #[schemars(range(min = 1, max = limits::PULL_REQUEST))]
    pub number: u64,
    /// Forge; required only if several have a repository of that name.
    pub integration: Option<IntegrationId>,
}

/// A pull request and the state of its reviews.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PullRequest {
    /// Project.
    pub project: ProjectId,
    /// Forge.
    pub integration: IntegrationId,
    /// Repository, as the forge spells it.
    pub repository: Option<RepositoryName>,
    /// Number.
    pub number: u64,
    /// Readable name: `acme/app#7`.
    pub label: String,
    /// Page of the pull request; empty while Pullyard has received no event about it.
    pub url: String,
    /// Head branch.
    pub branch: String,
    /// Last known state.
    pub state: PullRequestState,
    /// Linked ticket.
    pub ticket: Option<TicketKey>,
    /// Job that works on it, or the last job that did.
    pub job: Option<JobId>,
    /// Creation time of its last revise job.
    #[serde(with = "OptionalWireTime")]
    pub revised: Option<Timestamp>,
    /// Until when reviews are deferred, if any are.
    #[serde(with = "OptionalWireTime")]
    pub held_until: Option<Timestamp>,
    /// Reviews by agents.
    pub reviews: AgentReviews,
    /// State of the reviews as a sentence.
    pub sentence: String,
    /// Advice.
    pub help: String,
}

/// The reviews of a pull request by agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentReviews {
    /// Job that reviews it now.
    pub active_job: Option<JobId>,
    /// When the review starts that the project's setting wants; a further commit may delay it.
    #[serde(default, with = "OptionalWireTime")]
    pub next_at: Option<Timestamp>,
    /// Number of ended reviews.
    pub count: u32,
    /// Cost of all ended reviews. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
    /// The newest ended reviews first, at most 10.
    pub ended: Vec<AgentReview>,
}

/// A review of a pull request by an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentReview {
    /// Its job.
    pub job: JobId,
    /// When the job ended.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// Its end.
    pub status: JobStatus,
    /// Its cost. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
    /// Reviewed commit; absent if the job did not complete.
    pub head: Option<String>,
    /// What it posted, as a sentence; absent if the job did not complete.
    pub posted: Option<String>,
}

/// Answer to `GET /v1/pulls?project=P&after=CURSOR`: open pull requests with a ticket or a review by an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PullRequestPage {
    /// At most 50.
    pub pulls: Vec<PullRequest>,
    /// Cursor of the next page; null on the last page.
    pub next: Option<String>,
}

/// Answer to `DELETE /v1/pulls/link`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UnlinkedPullRequest {
    /// Ticket that was linked; null if there was no link.
    pub ticket: Option<TicketKey>,
}

/// The name of a pull request as users type it.
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
pub const PULL_REQUEST_NAME_HELP: &str = "write its address, OWNER/NAME#7, or #7";

impl PullRequestName {
    /// Parses the URL of a pull request, such as `https://HOST/o/r/pull/7`, with any suffix, `o/r#7`, `#7` or `7`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(address) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) {
            return Self::parse_url(address);
        }
        let (repository, number) = match text.split_once('#') {
            Some(("", number)) => (None, number),
            Some((name, number)) => (Some(RepositoryName::new(name).ok()?), number),
            None => (None, text),
        };
        Some(Self { host: None, repository, number: parse_number(number)? })
    }

    fn parse_url(address: &str) -> Option<Self> {
        let path = address.split(['?', '#']).next()?;
        let mut parts = path.split('/');
        let host = parts.next().filter(|host| !host.is_empty() && !host.contains('@'))?;
        let (owner, name, kind, number) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if !ForgeKind::ALL.into_iter().any(|forge| forge.spec().pull_request_path == kind) {
            return None;
        }
        Some(Self {
            host: Some(host.to_lowercase()),
            repository: Some(RepositoryName::new(format!("{owner}/{name}")).ok()?),
            number: parse_number(number)?,
        })
    }

    /// Whether the text has a form that only pull requests have.
    pub fn is_unambiguous(text: &str) -> bool {
        let text = text.trim();
        (text.contains("://") || text.contains('#')) && Self::parse(text).is_some()
    }

    /// Whether a URL has the same host and port. Ignores the scheme; true for a name without a host.
    pub fn has_host_of(&self, address: &str) -> bool {
        let Some(host) = &self.host else { return true };
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        authority.eq_ignore_ascii_case(host)
    }
}

fn parse_number(text: &str) -> Option<u64> {
    let is_decimal = !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_decimal.then(|| text.parse().ok()).flatten().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull_request_name(host: Option<&str>, repository: Option<&str>, number: u64) -> PullRequestName {
        let repository = repository.map(|name| RepositoryName::new(name).unwrap());
        PullRequestName { host: host.map(str::to_owned), repository, number }
    }

    #[test]
    fn pull_request_is_parsed_from_every_notation() {
        let expected = pull_request_name(Some("github.com"), Some("acme/app"), 7);
        for text in [
            "https://github.com/acme/app/pull/7",
            "http://GitHub.com/acme/app/pull/7/",
            "https://github.com/acme/app/pull/7/files",
            " https://github.com/acme/app/pull/7#discussion_r12 ",
            "https://github.com/acme/app/pull/7?diff=split#x",
        ] {
            assert_eq!(PullRequestName::parse(text), Some(expected.clone()), "{text}");
            assert!(PullRequestName::is_unambiguous(text));
        }
        let bucket = pull_request_name(Some("bitbucket.org"), Some("acme/app"), 7);
        for text in [
            "https://bitbucket.org/acme/app/pull-requests/7",
            "https://bitbucket.org/acme/app/pull-requests/7/add-a-door/diff#comment-12",
        ] {
            assert_eq!(PullRequestName::parse(text), Some(bucket.clone()), "{text}");
        }
        let local = PullRequestName::parse("http://127.0.0.1:4002/acme/app/pull/12").unwrap();
        assert_eq!(local, pull_request_name(Some("127.0.0.1:4002"), Some("acme/app"), 12));
        assert_eq!(PullRequestName::parse("acme/app#7"), Some(pull_request_name(None, Some("acme/app"), 7)));
        assert_eq!(PullRequestName::parse("#7"), Some(pull_request_name(None, None, 7)));
        assert_eq!(PullRequestName::parse("7"), Some(pull_request_name(None, None, 7)));
        assert!(PullRequestName::is_unambiguous("#7") && PullRequestName::is_unambiguous("acme/app#7"));
        assert!(!PullRequestName::is_unambiguous("7"), "it may be a ticket key");
    }

    #[test]
    fn text_that_names_no_pull_request_is_rejected() {
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
    fn url_matches_only_its_own_forge() {
        let of = |text: &str| PullRequestName::parse(text).unwrap();
        let hub = of("https://github.com/acme/app/pull/7");
        assert!(
            hub.has_host_of("https://GitHub.com/acme/app.git") && hub.has_host_of("ssh://git@github.com/acme/app.git")
        );
        assert!(
            !hub.has_host_of("https://github.example/acme/app.git")
                && !hub.has_host_of("https://github.com:8443/acme/app")
        );
        assert!(of("acme/app#7").has_host_of("https://anywhere.example/x"));
    }
}
