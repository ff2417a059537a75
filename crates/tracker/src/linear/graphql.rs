//! Sends GraphQL documents, and maps Linear's error codes.

use std::time::Duration;

use pullyard_domain::text::time::Timestamp;
use pullyard_outbound::{HeaderValue, Method, Response};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Linear;
use crate::Error;
use crate::client::{
    JSON, MAX_PAGES, authorization, check_status, cut, list, resting, send, too_many_pages, unexpected, unreachable,
};

pub(super) enum Failure {
    /// Linear rejects an argument or the whole query. `reason` is its text for users.
    Input {
        message: String,
        reason: String,
    },
    Other(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Input { reason, .. } => Self::Unexpected { reason },
            Failure::Other(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Linear {
    pub(super) async fn query(&self, document: &str, variables: Value) -> Result<Value, Error> {
        Ok(self.try_query(document, variables).await?)
    }

    /// Queries one ticket. Linear still returns a deleted ticket from its trash.
    pub(super) async fn find(&self, document: &str, variables: Value) -> Result<Value, Error> {
        match self.try_query(document, variables).await {
            Ok(data) if data["issue"]["trashed"] == true => Err(Error::NotFound),
            Err(Failure::Input { message, .. }) if message.starts_with("Entity not found") => Err(Error::NotFound),
            answer => Ok(answer?),
        }
    }

    /// The nodes of the document's only connection, page by page.
    pub(super) async fn list(&self, document: &str, mut variables: Value, limit: usize) -> Result<Vec<Value>, Error> {
        let mut nodes = Vec::new();
        for _ in 0..MAX_PAGES {
            let data = self.query(document, variables.clone()).await?;
            let connection = data.as_object().and_then(|data| data.values().next()).unwrap_or(&Value::Null);
            nodes.extend_from_slice(list(connection, "/nodes")?);
            if nodes.len() >= limit || connection["pageInfo"]["hasNextPage"] != true {
                nodes.truncate(limit);
                return Ok(nodes);
            }
            variables["after"] = connection["pageInfo"]["endCursor"].clone();
        }
        Err(too_many_pages())
    }

    pub(super) async fn try_query(&self, document: &str, variables: Value) -> Result<Value, Failure> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let (authorization, is_stored) = self.authorize().await?;
        match self.post(body.clone(), &authorization).await {
            // The token is revoked or has expired.
            Err(Failure::Other(Error::Refused { status: 401, .. })) if is_stored => {
                *self.app_token.lock().await = None;
                self.post(body, &self.authorize().await?.0).await
            }
            answer => answer,
        }
    }

    async fn post(&self, body: String, authorization: &HeaderValue) -> Result<Value, Failure> {
        let url = self.base.join("graphql").map_err(unreachable)?;
        let response = send(&self.http, Method::POST, url, Some(authorization), (JSON, body)).await?;
        let mut answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        // The status of a failure is mostly 200, and sometimes the status of its code.
        match answer["errors"].get(0) {
            Some(fault) => return Err(failure(&response, fault)),
            None => check_status(&response, "no GraphQL".to_owned())?,
        }
        if answer["data"].is_null() {
            return Err(unexpected("neither data nor errors").into());
        }
        let data = answer["data"].take();
        // Only mutations have the field.
        match data.as_object().into_iter().flatten().find(|(_, result)| result["success"] == false) {
            Some((mutation, _)) => Err(unexpected(format!("{mutation} did nothing, and gave no reason")).into()),
            None => Ok(data),
        }
    }

    /// Returns the header, and whether its token is from an earlier call. A personal key is sent without `Bearer`.
    async fn authorize(&self) -> Result<(HeaderValue, bool), Error> {
        let Some((client, secret)) = self.app() else {
            return Ok((authorization(self.credential.reveal())?, false));
        };
        let mut stored = self.app_token.lock().await;
        if let Some(token) = &*stored {
            return Ok((token.clone(), true));
        }
        let token = self.request_token(client, secret).await?;
        *stored = Some(token.clone());
        Ok((token, false))
    }

    /// A token of an app is valid for weeks.
    async fn request_token(&self, client: &str, secret: &str) -> Result<HeaderValue, Error> {
        let mut url = self.base.join("oauth/token").map_err(unreachable)?;
        // Always the same scopes: other ones revoke the app's tokens.
        let form = [("grant_type", "client_credentials"), ("scope", "read,write"), ("client_id", client)];
        // A form is encoded like a query.
        url.query_pairs_mut().extend_pairs(form).append_pair("client_secret", secret);
        let body = url.query().unwrap_or_default().to_owned();
        url.set_query(None);
        let response = send(&self.http, Method::POST, url, None, ("application/x-www-form-urlencoded", body)).await?;
        let reason = "check the secret of the app, and enable client credentials for it".to_owned();
        if [400, 401].contains(&response.status.as_u16()) {
            return Err(Error::Refused { status: 401, reason });
        }
        check_status(&response, reason)?;
        let granted: Value = serde_json::from_slice(&response.body).map_err(unexpected)?;
        let token = granted["access_token"].as_str().ok_or_else(|| unexpected("the answer has no access token"))?;
        authorization(&format!("Bearer {token}"))
    }
}

fn failure(response: &Response, fault: &Value) -> Failure {
    let extensions = &fault["extensions"];
    let message = fault["message"].as_str().unwrap_or_default();
    let reason = cut(extensions["userPresentableMessage"].as_str().unwrap_or(message));
    Failure::Other(match extensions["code"].as_str().unwrap_or_default() {
        // Its status is 400.
        "RATELIMITED" => resting(response.retry_after().or_else(|| until_reset(response))),
        "AUTHENTICATION_ERROR" => Error::Refused { status: 401, reason },
        "FORBIDDEN" => Error::Refused { status: 403, reason },
        "INPUT_ERROR" => return Failure::Input { message: cut(message), reason },
        "INTERNAL_SERVER_ERROR" => Error::Unreachable { reason },
        _ => check_status(response, reason.clone()).err().unwrap_or(Error::Unexpected { reason }),
    })
}

/// Until all limits that are used up are reset, by Linear's clock. Units of the headers: milliseconds since 1970.
fn until_reset(response: &Response) -> Option<Duration> {
    let number = |limit: &str, field: &str| {
        let value = response.headers.get(format!("x-ratelimit-{limit}-{field}"))?;
        value.to_str().ok()?.trim().parse::<i64>().ok()
    };
    let limits = ["requests", "complexity", "endpoint-requests"].into_iter();
    let used_up = limits.filter(|limit| number(limit, "remaining").is_some_and(|left| left <= 0));
    let reset = used_up.filter_map(|limit| number(limit, "reset")).max()?;
    let now = OffsetDateTime::parse(response.headers.get("date")?.to_str().ok()?, &Rfc2822).ok()?;
    Some(Timestamp::from_millis(reset).since(Timestamp::from_millis(now.unix_timestamp() * 1000)))
}
