//! The contract for a user's own ticket tool: one signed message for each version of the wanted state.

pub(crate) mod check;

use crate::client::{check_status, unexpected};
use crate::{Applied, Desired, Error, Link};
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::is_line;
use pullyard_domain::text::time::{Timestamp, WireTime};
use pullyard_outbound::standard_webhooks::{SigningSecret, signed_headers};
use pullyard_outbound::{Client, HeaderMap, HeaderValue, MAX_ANSWER, Method, Request, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};

const WANTED: &str = "ticket.wanted";
const TEST: &str = "test";

const MAX_STATUS: usize = 64;

/// A ticket, and the job that changed its wanted state.
#[derive(Clone, Debug)]
pub struct Subject {
    pub project: String,
    pub ticket: String,
    pub job: Option<String>,
    /// The page of the job.
    pub url: Option<String>,
}

#[derive(Clone, Debug)]
pub struct OwnTool {
    http: Client,
    url: Url,
    secrets: Vec<SigningSecret>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(with = "WireTime")]
    timestamp: Timestamp,
    data: Data<'a>,
}

#[derive(Clone, Debug, Serialize)]
struct Data<'a> {
    project: &'a str,
    ticket: &'a str,
    version: u32,
    status: Option<&'a str>,
    expected_status: Option<&'a str>,
    badge: Option<&'a str>,
    comment: Option<&'a str>,
    pull_request: Option<PullRequest<'a>>,
    job: Option<&'a str>,
    url: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct PullRequest<'a> {
    url: &'a str,
    title: &'a str,
    state: Option<PullRequestState>,
}

#[derive(Deserialize)]
struct Conflict {
    status: String,
}

impl OwnTool {
    /// Each message has a signature with each secret.
    /// Errors: `Unexpected` for an address or a secret that cannot be used.
    pub fn new<'a>(http: Client, url: &str, secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let url = http.parse_url(url).map_err(unexpected)?;
        let secrets = secrets.into_iter().map(|secret| secret.parse().map_err(unexpected)).collect::<Result<_, _>>()?;
        Ok(Self { http, url, secrets })
    }

    /// Idempotent: a receiver ignores a version that it has.
    pub async fn apply(&self, subject: &Subject, desired: &Desired, now: Timestamp) -> Result<Applied, Error> {
        let body = to_json(&Message::new(WANTED, subject, desired, now))?;
        let response = self.send(&desired.message, body, now).await?;
        if response.status != StatusCode::CONFLICT {
            return check_answer(&response).map(|()| Applied::Shown);
        }
        match serde_json::from_slice(&response.body) {
            Ok(Conflict { status }) if is_line(&status, MAX_STATUS) => Ok(Applied::Moved { status }),
            _ => Err(unexpected("it answered 409 without the ticket's status in 1 to 64 printable characters")),
        }
    }

    /// Sends a message that changes nothing.
    pub async fn test(&self, project: &str, now: Timestamp) -> Result<(), Error> {
        let (ticket, job, url) = ("TEST".to_owned(), None, None);
        let subject = Subject { project: project.to_owned(), ticket, job, url };
        let id = format!("msg_test_{}", now.millis());
        let response = self.send(&id, to_json(&Message::new(TEST, &subject, &Desired::default(), now))?, now).await?;
        check_answer(&response)
    }

    async fn send(&self, id: &str, body: Vec<u8>, now: Timestamp) -> Result<Response, Error> {
        let headers = signed_headers(&self.secrets, id, now.millis() / 1_000, &body);
        Ok(self.http.send(to_request(&self.url, headers, body)).await?)
    }
}

impl<'a> Message<'a> {
    fn new(kind: &'static str, subject: &'a Subject, desired: &'a Desired, timestamp: Timestamp) -> Self {
        let Subject { project, ticket, job, url } = subject;
        let to_pull_request = |link: &'a Link| PullRequest { url: &link.url, title: &link.title, state: link.state };
        let data = Data {
            project,
            ticket,
            version: desired.version,
            status: desired.step.as_ref().map(|step| step.to.as_str()),
            expected_status: desired.step.as_ref().map(|step| step.expected.as_str()),
            badge: desired.badge.as_deref(),
            comment: desired.comment.as_deref(),
            pull_request: desired.link.as_ref().map(to_pull_request),
            job: job.as_deref(),
            url: url.as_deref(),
        };
        Self { kind, timestamp, data }
    }
}

fn to_json(message: &Message<'_>) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(message).map_err(unexpected)
}

fn to_request(url: &Url, mut headers: HeaderMap, body: Vec<u8>) -> Request {
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    Request { method: Method::POST, url: url.clone(), headers, body, max_response_bytes: MAX_ANSWER }
}

fn check_answer(response: &Response) -> Result<(), Error> {
    check_status(response, "its answer to a signed message".to_owned())
}
