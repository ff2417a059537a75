//! Adds GitHub's headers, pagination and GraphQL to the HTTP client.

use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue},
};
use serde::de::DeserializeOwned;

use super::{
    app_key::AppKey,
    credential::{Credential, bearer},
    error_body, graphql, pages,
};
pub(super) use crate::http_client::RetryPolicy;
use crate::{
    Endpoint, Error, Listing, Token,
    http_client::{self, Authorization, ForgeApi, RawResponse, to_json},
    page::MAX_PAGES,
};

pub(super) type Client = http_client::Client<Credential>;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const API_VERSION: HeaderName = HeaderName::from_static("x-github-api-version");

impl ForgeApi for Credential {
    fn authorization(&self) -> Result<Authorization, Error> {
        Ok(match self.next_token()? {
            Some(token) => Authorization { header: Some(bearer(&token)?), secrets: vec![token] },
            None => Authorization::default(),
        })
    }

    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (API_VERSION, HeaderValue::from_static("2022-11-28")),
        ])
    }

    fn parse_message(body: &[u8]) -> String {
        error_body::parse_message(body)
    }

    fn parse_reason(status: StatusCode, body: &[u8]) -> Option<String> {
        (status == StatusCode::UNPROCESSABLE_ENTITY).then(|| error_body::parse_reason(body))
    }

    fn is_error_body(_: StatusCode, body: &[u8]) -> bool {
        error_body::is_error(body)
    }
}

/// A credential for calls with one more header, or with another value of one.
#[derive(Clone)]
pub(super) struct WithHeader {
    credential: Credential,
    name: HeaderName,
    value: HeaderValue,
}

impl ForgeApi for WithHeader {
    fn authorization(&self) -> Result<Authorization, Error> {
        self.credential.authorization()
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.credential.headers();
        headers.insert(&self.name, self.value.clone());
        headers
    }

    fn parse_message(body: &[u8]) -> String {
        Credential::parse_message(body)
    }

    fn parse_reason(status: StatusCode, body: &[u8]) -> Option<String> {
        Credential::parse_reason(status, body)
    }

    fn is_error_body(status: StatusCode, body: &[u8]) -> bool {
        Credential::is_error_body(status, body)
    }
}

impl Client {
    pub(super) fn new(endpoint: &Endpoint, token: Token) -> Result<Self, Error> {
        bearer(&token)?;
        Self::build(endpoint, Credential::Token(token))
    }

    pub(super) fn for_app(endpoint: &Endpoint, issuer: &str, key: &AppKey) -> Result<Self, Error> {
        Self::build(endpoint, Credential::App { issuer: issuer.to_owned(), key: key.clone() })
    }

    pub(super) fn anonymous(endpoint: &Endpoint) -> Result<Self, Error> {
        Self::build(endpoint, Credential::Anonymous)
    }

    pub(super) async fn get_page<T: DeserializeOwned>(
        &self,
        address: &Url,
        resource: &str,
    ) -> Result<(T, bool), Error> {
        let read = |answer: RawResponse| Ok((self.parse(&answer)?, pages::has_next_page(&answer.headers)));
        self.call(Method::GET, address, None, resource, RetryPolicy::Retry, read).await
    }

    pub(super) async fn list<T: DeserializeOwned>(&self, address: Url, resource: &str) -> Result<Listing<T>, Error> {
        let mut all = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut address = address.clone();
            address.query_pairs_mut().append_pair("per_page", pages::PER_PAGE).append_pair("page", &page.to_string());
            let (items, has_next): (Vec<T>, _) = self.get_page(&address, resource).await?;
            all.extend(items);
            if !has_next {
                return Ok(Listing { items: all, truncated: false });
            }
        }
        Ok(Listing { items: all, truncated: true })
    }

    fn with_header(&self, name: HeaderName, value: HeaderValue) -> http_client::Client<WithHeader> {
        self.clone().map_api(|credential| WithHeader { credential, name, value })
    }

    /// A client whose calls with one key create one object at the local forge. Errors: `Settings` for a malformed key.
    pub(super) fn with_key(&self, key: &str) -> Result<http_client::Client<WithHeader>, Error> {
        let malformed = |_| Error::Settings { reason: "the key is no header value".to_owned() };
        Ok(self.with_header(IDEMPOTENCY_KEY, HeaderValue::from_str(key).map_err(malformed)?))
    }

    /// Returns another representation than JSON.
    pub(super) async fn get_text(&self, address: Url, subject: &str, media: &'static str) -> Result<String, Error> {
        let client = self.with_header(ACCEPT, HeaderValue::from_static(media));
        let read = |answer: RawResponse| Ok(answer.text());
        client.call(Method::GET, &address, None, subject, RetryPolicy::Retry, read).await
    }

    /// GraphQL reports errors with status 200; any error fails the call.
    pub(super) async fn graphql<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: &serde_json::Value,
        resource: &str,
        policy: RetryPolicy,
    ) -> Result<T, Error> {
        let body = to_json(&serde_json::json!({ "query": query, "variables": variables }))?;
        let address = graphql::graphql_url(&self.api_url);
        let read = |answer: RawResponse| {
            let response: graphql::GraphQlResponse<T> = self.parse(&answer)?;
            response.into_data(resource, &self.host, &answer)
        };
        self.call(Method::POST, &address, Some(body), resource, policy, read).await
    }
}
