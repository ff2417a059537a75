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
    http_client::{self, Authorization, ForgeApi, to_json},
    page::MAX_PAGES,
};

pub(super) type Client = http_client::Client<Credential>;

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
        let answer = self.call(Method::GET, address, None, resource, RetryPolicy::Retry).await?;
        Ok((self.parse(&answer)?, pages::has_next_page(&answer.headers)))
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
        let answer = self.call(Method::POST, &address, Some(body), resource, policy).await?;
        let response: graphql::GraphQlResponse<T> = self.parse(&answer)?;
        response.into_data(resource, &self.host, &answer)
    }
}
