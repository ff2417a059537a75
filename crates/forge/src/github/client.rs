//! Adds GitHub's headers, pagination and GraphQL to [`call`](crate::call).

use reqwest::{
    Method, StatusCode, Url,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue},
};
use serde::de::DeserializeOwned;

use super::{
    app_key::AppKey,
    credential::{Credential, bearer},
    graphql, pages, refusal,
};
pub(super) use crate::call::Tries;
use crate::{
    Endpoint, Error, Listed, Token,
    call::{self, Caller, Proof, rest, written},
    listed::MAX_PAGES,
};

pub(super) type Client = call::Client<Credential>;

const API_VERSION: HeaderName = HeaderName::from_static("x-github-api-version");

impl Caller for Credential {
    fn proof(&self) -> Result<Proof, Error> {
        Ok(match self.next()? {
            Some(token) => Proof { header: Some(bearer(&token)?), secrets: vec![token] },
            None => Proof::default(),
        })
    }

    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (API_VERSION, HeaderValue::from_static("2022-11-28")),
        ])
    }

    fn message(body: &[u8]) -> String {
        refusal::message(body)
    }

    fn reason(status: StatusCode, body: &[u8]) -> Option<String> {
        (status == StatusCode::UNPROCESSABLE_ENTITY).then(|| refusal::reason(body))
    }
}

impl Client {
    pub(super) fn new(endpoint: &Endpoint, token: Token) -> Result<Self, Error> {
        bearer(&token)?;
        Self::build(endpoint, Credential::Token(token))
    }

    pub(super) fn of_app(endpoint: &Endpoint, issuer: &str, key: &AppKey) -> Result<Self, Error> {
        Self::build(endpoint, Credential::App { issuer: issuer.to_owned(), key: key.clone() })
    }

    pub(super) fn anonymous(endpoint: &Endpoint) -> Result<Self, Error> {
        Self::build(endpoint, Credential::Nobody)
    }

    /// Returns a page of a list and the URL of the next one.
    pub(super) async fn get_page<T: DeserializeOwned>(
        &self,
        address: &Url,
        what: &str,
    ) -> Result<(T, Option<Url>), Error> {
        let answer = self.call(Method::GET, address, None, what, Tries::Three).await?;
        Ok((self.read(&answer)?, pages::next(&answer.headers)))
    }

    pub(super) async fn list<T: DeserializeOwned>(&self, address: Url, what: &str) -> Result<Listed<T>, Error> {
        let mut found = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut address = address.clone();
            address.query_pairs_mut().append_pair("per_page", pages::PER_PAGE).append_pair("page", &page.to_string());
            // Build the URL here; the link only shows that a next page exists.
            let (items, next): (Vec<T>, _) = self.get_page(&address, what).await?;
            found.extend(items);
            if next.is_none() {
                return Ok(Listed { found, more: false });
            }
        }
        Ok(Listed { found, more: true })
    }

    /// GraphQL reports errors with status 200; any error fails the call.
    pub(super) async fn graphql<T: DeserializeOwned>(
        &self,
        query: &str,
        variables: &serde_json::Value,
        what: &str,
        tries: Tries,
    ) -> Result<T, Error> {
        let body = written(&serde_json::json!({ "query": query, "variables": variables }))?;
        let address = graphql::address(&self.api_url);
        let answer = self.call(Method::POST, &address, Some(body), what, tries).await?;
        let said: graphql::Said<T> = self.read(&answer)?;
        said.data_or_fault(what, &self.host, || rest(&answer.headers), |words| answer.redact(words))
    }
}
