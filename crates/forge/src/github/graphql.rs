//! GraphQL addresses and error mapping.

use reqwest::Url;
use serde::Deserialize;

use crate::{
    Error,
    http_client::RawResponse,
    message::to_sentence_part,
    rate_limit::{is_content_limit, retry_after},
};

/// `/graphql` on github.com, `/api/graphql` on GitHub Enterprise Server.
pub(super) fn graphql_url(api_url: &Url) -> Url {
    let mut address = api_url.clone();
    let path = api_url.path().trim_end_matches('/');
    let path = path.strip_suffix("/v3").unwrap_or(path);
    address.set_path(&format!("{path}/graphql"));
    address
}

#[derive(Deserialize)]
pub(super) struct GraphQlResponse<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<GraphQlError>,
}

#[derive(Deserialize)]
struct GraphQlError {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    message: String,
}

impl<T> GraphQlResponse<T> {
    pub(super) fn into_data(self, resource: &str, host: &str, answer: &RawResponse) -> Result<T, Error> {
        let Some(fault) = self.errors.first() else {
            return self
                .data
                .ok_or_else(|| Error::Unreadable { status: 200, reason: "it has no data and no errors".to_owned() });
        };
        let (resource, message) = (resource.to_owned(), answer.redact(&to_sentence_part(&fault.message)));
        let rate_limited = || Error::RateLimited { host: host.to_owned(), retry_after: retry_after(&answer.headers) };
        Err(match fault.kind.as_deref() {
            Some("NOT_FOUND") => Error::NotFound { resource, message },
            Some("FORBIDDEN" | "INSUFFICIENT_SCOPES") => Error::Forbidden { resource, message },
            Some("RATE_LIMITED" | "RATE_LIMIT") => rate_limited(),
            // GitHub's internal errors also have status 200.
            Some("INTERNAL" | "SERVICE_UNAVAILABLE") => Error::Unexpected { status: 503, message },
            _ if is_content_limit(&message) => rate_limited(),
            _ => Error::Refused { reason: message },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphql_address_is_derived_from_the_rest_address() {
        for (api, expected) in [
            ("https://api.github.com", "https://api.github.com/graphql"),
            ("https://api.github.com/", "https://api.github.com/graphql"),
            ("https://forge.example/api/v3", "https://forge.example/api/graphql"),
            ("https://forge.example/api/v3/", "https://forge.example/api/graphql"),
        ] {
            assert_eq!(graphql_url(&api.parse().unwrap()).as_str(), expected);
        }
    }
}
