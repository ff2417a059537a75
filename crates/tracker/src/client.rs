//! Sends requests to a tool, and parses the parts of answers that all tools share.

use std::time::Duration;

use pullyard_domain::text::time::Timestamp;
use pullyard_outbound::{Client, HeaderMap, HeaderValue, MAX_READ, Method, Request, Response, Url};
use serde_json::Value;

use crate::{Actor, Applied, Change, Error, Snapshot};

const DEFAULT_PAUSE: Duration = Duration::from_secs(60);
const MAX_PAUSE: Duration = Duration::from_secs(3600);
/// Longest text of a tool, except descriptions. Units: characters.
const MAX_TEXT: usize = 300;
/// The limits of an event. Units: characters of a status or a label; bytes of a description.
const MAX_STATUS: usize = 64;
const MAX_LABEL: usize = 100;
const MAX_LABELS: usize = 50;
pub(crate) const MAX_BODY: usize = 200 * 1024;
/// Ends a list that repeats its pages.
pub(crate) const MAX_PAGES: usize = 50;

pub(crate) const JSON: &str = "application/json";

pub(crate) async fn send(
    http: &Client,
    method: Method,
    url: Url,
    authorization: Option<&HeaderValue>,
    (kind, body): (&'static str, String),
) -> Result<Response, Error> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static(JSON));
    headers.insert("content-type", HeaderValue::from_static(kind));
    if let Some(authorization) = authorization {
        headers.insert("authorization", authorization.clone());
    }
    let request = Request { method, url, headers, body: body.into(), max_response_bytes: MAX_READ };
    Ok(http.send(request).await?)
}

pub(crate) fn unreachable(error: impl ToString) -> Error {
    Error::Unreachable { reason: error.to_string() }
}

pub(crate) fn unexpected(error: impl ToString) -> Error {
    Error::Unexpected { reason: error.to_string() }
}

/// `reason` is the tool's message.
pub(crate) fn check_status(response: &Response, reason: String) -> Result<(), Error> {
    let status = response.status.as_u16();
    Err(match status {
        200..300 => return Ok(()),
        300..=399 => unexpected(format!("status {status}, a redirect to {}; connect that address", location(response))),
        401 | 403 => Error::Refused { status, reason },
        429 => resting(response.retry_after()),
        503 if response.retry_after().is_some() => resting(response.retry_after()),
        // Jira executes another transition of the ticket.
        409 => Error::TicketBusy { reason: "the tool is changing it" },
        // 404 without a message of the tool: a suspended site.
        404 | 408 | 425 | 500.. => unreachable(format!("status {status}")),
        _ => unexpected(format!("status {status}: {reason}")),
    })
}

fn location(response: &Response) -> String {
    let url = response.headers.get("location").and_then(|url| url.to_str().ok()?.parse::<Url>().ok());
    url.and_then(|url| url.host_str().map(cut)).unwrap_or_else(|| "another path".to_owned())
}

pub(crate) fn resting(after: Option<Duration>) -> Error {
    Error::Resting { after: after.unwrap_or(DEFAULT_PAUSE).min(MAX_PAUSE) }
}

/// A header with a credential, which is never printed.
pub(crate) fn authorization(text: &str) -> Result<HeaderValue, Error> {
    let reason = "the credential contains a character that a header cannot have".to_owned();
    let mut header = HeaderValue::from_str(text).map_err(|_| Error::Refused { status: 401, reason })?;
    header.set_sensitive(true);
    Ok(header)
}

pub(crate) fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

pub(crate) fn cut_body(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_BODY));
    text
}

/// Cut, because errors and texts of tickets are stored.
pub(crate) fn text(value: &Value, pointer: &str) -> Result<String, Error> {
    let text = value.pointer(pointer).and_then(Value::as_str).map(cut);
    text.ok_or_else(|| unexpected(format!("{pointer} is missing")))
}

pub(crate) fn status_id(value: &Value, pointer: &str) -> Result<String, Error> {
    let id = text(value, pointer)?;
    if id.len() > MAX_STATUS { Err(unexpected("the id of a status is too long")) } else { Ok(id) }
}

pub(crate) fn list<'a>(value: &'a Value, pointer: &str) -> Result<&'a [Value], Error> {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| unexpected(format!("the list {pointer} is missing")))
}

/// A missing list is empty.
pub(crate) fn optional_list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    list(value, pointer).unwrap_or_default()
}

pub(crate) fn too_many_pages() -> Error {
    unexpected(format!("a list has more than {MAX_PAGES} pages"))
}

pub(crate) fn is_url(word: &str) -> bool {
    word.starts_with("https://") || word.starts_with("http://")
}

pub(crate) fn actor(user: &Value, id: &str, name: &str) -> Option<Actor> {
    let name = cut(user[name].as_str().unwrap_or_default());
    Some(Actor { id: cut(user[id].as_str()?), name })
}

/// How long the history of a ticket may be behind its status.
const MAX_DELAY: Duration = Duration::from_secs(300);

/// The change of a ticket whose history does not end in its status, because the tool lost the entry. `last` is the id of
/// the newest entry. The id of the change stays the same while the ticket is edited.
pub(crate) fn change_without_history(
    last: &str,
    status: &str,
    (created, updated): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Change, Error> {
    if now.since(updated) < MAX_DELAY {
        return Err(Error::TicketBusy { reason: "its history does not end in its status" });
    }
    Ok(Change { id: format!("{last}-to-{status}"), at: updated, earliest: created, actor: None, from: None })
}

/// A ticket in another project or team has another key, and the tool still finds it by the requested one.
pub(crate) fn check_key(found: &str, key: &str) -> Result<(), Error> {
    if found.eq_ignore_ascii_case(key) { Ok(()) } else { Err(Error::NotFound) }
}

pub(crate) fn check_snapshot(mut snapshot: Snapshot, key: &str) -> Result<Snapshot, Error> {
    check_key(&snapshot.key, key)?;
    snapshot.body = cut_body(snapshot.body);
    snapshot.labels.truncate(MAX_LABELS);
    snapshot.labels.iter_mut().for_each(|label| *label = label.chars().take(MAX_LABEL).collect());
    Ok(snapshot)
}

/// The first failure of independent steps.
#[derive(Default)]
pub(crate) struct Steps(Option<Error>);

impl Steps {
    /// A refusal is about this step, because the ticket was read before.
    /// Errors: a rate limit, because further calls would extend it.
    pub(crate) fn add<T>(&mut self, step: &str, result: Result<T, Error>) -> Result<Option<T>, Error> {
        let refused = |reason| Error::WriteRefused { reason };
        let error = match result {
            Ok(value) => return Ok(Some(value)),
            Err(error @ Error::Resting { .. }) => return Err(error),
            Err(Error::NotFound) => refused(format!("{step}: the tool does not find it")),
            Err(Error::Refused { status, reason }) => refused(format!("{step}: status {status}: {reason}")),
            Err(Error::Unexpected { reason }) => refused(format!("{step}: {reason}")),
            Err(error) => error,
        };
        self.0.get_or_insert(error);
        Ok(None)
    }

    /// Only the first read of a ticket decides that it is missing. `applied`: the change of status, after that read.
    pub(crate) fn end(self, applied: Result<Applied, Error>) -> Result<Applied, Error> {
        match (self.0, applied) {
            (Some(error), _) => Err(error),
            (None, Err(Error::NotFound)) => {
                Err(Error::TicketBusy { reason: "the tool does not find the ticket that it returned before" })
            }
            (None, Err(Error::Unexpected { reason })) => Err(Error::WriteRefused { reason }),
            (None, applied) => applied,
        }
    }
}

/// Whether a webhook has this URL, also with a query behind it.
pub(crate) fn has_url(hook: &Value, url: &str) -> bool {
    let rest = hook["url"].as_str().and_then(|known| known.strip_prefix(url));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('?'))
}
