//! Tests a key of a model provider with one free request.

use std::time::Duration;

use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use pullyard_domain::agent::Provider;

use crate::{
    Endpoint, Error, Token,
    http_client::{Authorization, Client, ForgeApi, RetryPolicy, is_web_page},
};

/// OpenAI answers a restricted key as it answers a wrong one, with 401. Only the message differs.
const MISSING_SCOPE: &str = "the key may not list models";

const PAUSE: Duration = Duration::from_millis(250);

#[derive(Clone)]
struct Caller {
    provider: Provider,
    key: Token,
}

impl ForgeApi for Caller {
    fn authorization(&self) -> Result<Authorization, Error> {
        let header = match self.provider {
            Provider::Anthropic => None,
            Provider::OpenAi => self.key.bearer(),
        };
        Ok(Authorization { header, secrets: vec![self.key.clone()] })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.provider == Provider::Anthropic
            && let Ok(mut key) = HeaderValue::from_str(self.key.reveal())
        {
            key.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-api-key"), key);
            headers.insert(HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));
        }
        headers
    }

    /// Drops the provider's message, because OpenAI repeats a part of a wrong key.
    fn parse_message(body: &[u8]) -> String {
        let is_scope_missing = String::from_utf8_lossy(body).contains("Missing scopes");
        if is_scope_missing { MISSING_SCOPE.to_owned() } else { String::new() }
    }

    fn parse_reason(_: StatusCode, _: &[u8]) -> Option<String> {
        None
    }

    /// Gateways before a model have their own forms.
    fn is_error_body(_: StatusCode, body: &[u8]) -> bool {
        !is_web_page(body)
    }
}

/// Lists the models, which is free. `endpoint` has the base URL that the agent would get. Takes at most seven seconds.
/// Source: Anthropic's and OpenAI's `GET /v1/models`.
/// Errors: `Denied`: unknown key; `Forbidden`: no permission; `RateLimited`; `Unreachable`, after a second try.
pub async fn check_model_key(endpoint: &Endpoint, provider: Provider, key: Token) -> Result<(), Error> {
    let client = Client::build(endpoint, Caller { provider, key })?;
    // OpenAI's base URL contains the version.
    let address = match provider {
        Provider::Anthropic => client.url(&["v1", "models"]),
        Provider::OpenAi => client.url(&["models"]),
    };
    let call = async || client.call(Method::GET, &address, None, "the models", RetryPolicy::Short, |_| Ok(())).await;
    let first = call().await;
    let result = match &first {
        Err(error) if error.is_transient() && error.retry_after().is_none() => {
            client.pause(PAUSE).await;
            call().await
        }
        _ => first,
    };
    match result {
        Err(Error::Denied { message, .. }) if message == MISSING_SCOPE => {
            Err(Error::Forbidden { resource: "the models".to_owned(), message })
        }
        result => result,
    }
}
