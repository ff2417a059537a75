//! Jira Cloud, by its REST API v3.

mod adf;
mod apply;
mod hook;
mod read;

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use pullyard_domain::text::time::Timestamp;
use pullyard_outbound::{Client, HeaderValue, Method, Url};
use serde_json::Value;

use crate::client::{
    JSON, MAX_PAGES, authorization, check_status, cut, list, optional_list, send, status_id, text, too_many_pages,
    unexpected,
};
use crate::{Account, Changed, Connection, Error, LIMIT, Scope, ToolStatus};

const PAGE: usize = 100;
/// The e-mail address of an account whose tokens are no part of a Basic header.
const SERVICE_ACCOUNT: &str = "@serviceaccount.atlassian.com";

#[derive(Clone, Debug)]
pub struct Jira {
    http: Client,
    /// For links that users open.
    site: Url,
    api: Url,
    authorization: HeaderValue,
    limit: Duration,
}

impl Jira {
    /// Makes no call.
    pub fn new(http: Client, connection: Connection) -> Result<Self, Error> {
        let site = http.parse_url(&connection.base_url)?;
        let header = header(connection.credential.reveal(), connection.cloud_id.is_some())?;
        let scoped = connection.cloud_id.map(|id| format!("https://api.atlassian.com/ex/jira/{id}"));
        let api = http.parse_url(scoped.as_deref().unwrap_or(&connection.base_url))?;
        Ok(Self { http, site, api, authorization: authorization(&header)?, limit: LIMIT })
    }

    /// Limits the time for all calls of one `read` or `apply`.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Sends once: after a failure it is unknown whether a write arrived.
    async fn call(&self, method: Method, path: &[&str], query: &[(&str, &str)], body: &str) -> Result<Value, Error> {
        let url = join(&self.api, path, query);
        let response = send(&self.http, method, url, Some(&self.authorization), (JSON, body.to_owned())).await?;
        // An expired token makes the caller anonymous: lists are empty, and tickets are missing.
        let login = response.headers.get("x-seraph-loginreason");
        if login.is_some_and(|reason| reason.as_bytes().starts_with(b"AUTHENTICAT")) {
            return Err(Error::Refused { status: 401, reason: "the API token is invalid or expired".to_owned() });
        }
        if !response.status.is_success() {
            let body = serde_json::from_slice::<Value>(&response.body).unwrap_or_default();
            match response.status.as_u16() {
                // A screen, a condition or a validator of the workflow. Apps answer in forms of their own.
                400 if path.ends_with(&["transitions"]) => {
                    let reason = Some(message(&body)).filter(|reason| !reason.is_empty());
                    return Err(Error::TransitionRefused {
                        reason: reason.unwrap_or_else(|| "it gave no reason".into()),
                    });
                }
                // A suspended site answers with 404, too, but without this list.
                404 if body["errorMessages"].is_array() => return Err(Error::NotFound),
                _ => check_status(&response, message(&body))?,
            }
        }
        serde_json::from_slice(if response.body.is_empty() { b"null" } else { &response.body }).map_err(unexpected)
    }

    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, Error> {
        self.call(Method::GET, &[&["rest", "api", "3"], path].concat(), query, "").await
    }

    /// Source: `GET /rest/api/3/myself`
    pub async fn account(&self) -> Result<Account, Error> {
        let user = self.get(&["myself"], &[]).await?;
        let is_person = user["accountType"] == "atlassian";
        Ok(Account { ids: vec![text(&user, "/accountId")?], name: text(&user, "/displayName")?, is_person })
    }

    /// Source: `GET /rest/api/3/project/search`
    pub async fn list_scopes(&self) -> Result<Vec<Scope>, Error> {
        let mut scopes = Vec::new();
        for _ in 0..MAX_PAGES {
            let (start, size) = (scopes.len().to_string(), PAGE.to_string());
            let query = [("startAt", start.as_str()), ("maxResults", &size), ("orderBy", "key")];
            let page = self.get(&["project", "search"], &query).await?;
            for project in list(&page, "/values")? {
                scopes.push(Scope { id: text(project, "/key")?, name: text(project, "/name")? });
            }
            if page["isLast"] != false {
                return Ok(scopes);
            }
        }
        Err(too_many_pages())
    }

    /// The statuses of all issue types, in Jira's order.
    /// Source: `GET /rest/api/3/project/{projectIdOrKey}/statuses`
    pub async fn list_statuses(&self, scope: &str) -> Result<Vec<ToolStatus>, Error> {
        // Jira finds a project by its id, too, but tickets and deliveries name the key.
        if !scope.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(Error::NotFound);
        }
        let types = self.get(&["project", scope, "statuses"], &[]).await?;
        let mut found: Vec<ToolStatus> = Vec::new();
        for status in list(&types, "")?.iter().flat_map(|issue_type| optional_list(issue_type, "/statuses")) {
            let (id, closes) = (status_id(status, "/id")?, status["statusCategory"]["key"] == "done");
            if !found.iter().any(|other| other.id == id) {
                found.push(ToolStatus { id, name: text(status, "/name")?, closes });
            }
        }
        Ok(found)
    }

    /// In the order of their changes, oldest first.
    /// Source: `GET /rest/api/3/search/jql`
    pub async fn list_changed(
        &self,
        scope: &str,
        since: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Changed>, Error> {
        // A date in JQL is in the time zone of the account, so the time is relative.
        let minutes = now.since(since).as_secs() / 60 + 1;
        let jql = format!("{} AND updated >= -{minutes}m ORDER BY updated ASC", in_project(scope));
        let size = PAGE.min(limit).to_string();
        let (mut changed, mut token) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let mut query = vec![("jql", jql.as_str()), ("fields", "updated"), ("maxResults", &size)];
            query.extend(token.as_deref().map(|token| ("nextPageToken", token)));
            let page = self.get(&["search", "jql"], &query).await?;
            let issues = list(&page, "/issues")?;
            for issue in issues {
                let at = read::parse_time(&text(issue, "/fields/updated")?)?;
                // JQL rounds to minutes; a minute with more than `limit` changes would be listed for ever.
                if at >= since {
                    changed.push(Changed { key: text(issue, "/key")?, at });
                }
            }
            token = page["nextPageToken"].as_str().map(str::to_owned);
            if token.is_none() || issues.is_empty() || changed.len() >= limit {
                changed.truncate(limit);
                return Ok(changed);
            }
        }
        Err(too_many_pages())
    }
}

/// The token of a service account is always scoped.
fn header(credential: &str, is_scoped: bool) -> Result<String, Error> {
    match credential.split_once(':') {
        Some((account, _)) if account.ends_with(SERVICE_ACCOUNT) && !is_scoped => {
            let reason = "the site rejects the token of a service account; set --cloud-id".to_owned();
            Err(Error::Refused { status: 401, reason })
        }
        Some((account, token)) if account.ends_with(SERVICE_ACCOUNT) => Ok(format!("Bearer {token}")),
        _ => Ok(format!("Basic {}", BASE64_STANDARD.encode(credential))),
    }
}

fn in_project(key: &str) -> String {
    format!("project = \"{}\"", key.replace(['\\', '"'], ""))
}

fn join(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    // Never fails: http and https URLs have paths.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

fn message(body: &Value) -> String {
    let fields = body["errors"].as_object().into_iter().flatten();
    let fields = fields.map(|(field, text)| text.as_str().unwrap_or(field));
    let messages = optional_list(body, "/errorMessages").iter().filter_map(Value::as_str);
    // Our sentences have a full stop of their own.
    cut(messages.chain(fields).collect::<Vec<_>>().join(" ").trim().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_account_needs_a_cloud_id() {
        let account = "bot@serviceaccount.atlassian.com:scoped";
        assert_eq!(header(account, true), Ok("Bearer scoped".to_owned()));
        assert!(header(account, false).unwrap_err().to_string().contains("--cloud-id"));
        assert_eq!(header("a:b", true), Ok("Basic YTpi".to_owned()));
    }
}
