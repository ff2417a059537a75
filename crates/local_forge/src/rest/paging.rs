//! Paginates lists with the `Link` header.

use axum::{
    Json,
    extract::{FromRequestParts, OriginalUri},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use crate::forge_state::Shared;

const DEFAULT_PER_PAGE: usize = 30;
const MAX_PER_PAGE: usize = 100;

pub struct Paging {
    per_page: usize,
    page: usize,
    path: String,
    other_params: Vec<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let mut paging =
            Self { per_page: DEFAULT_PER_PAGE, page: 1, path: uri.path().to_owned(), other_params: Vec::new() };
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "per_page" => paging.per_page = value.parse().unwrap_or(DEFAULT_PER_PAGE).clamp(1, MAX_PER_PAGE),
                "page" => paging.page = value.parse().unwrap_or(1).max(1),
                _ => paging.other_params.push(pair.to_owned()),
            }
        }
        Ok(paging)
    }
}

impl Paging {
    pub fn respond(&self, shared: &Shared, all: Vec<Value>) -> Response {
        let last = all.len().div_ceil(self.per_page).max(1);
        let mut links = Vec::new();
        if self.page > 1 {
            links.extend([("prev", self.page.min(last + 1) - 1), ("first", 1)]);
        }
        if self.page < last {
            links.extend([("next", self.page + 1), ("last", last)]);
        }
        let link = |(rel, page): (&str, usize)| {
            let mut query = self.other_params.clone();
            query.extend([format!("per_page={}", self.per_page), format!("page={page}")]);
            format!("<{}{}?{}>; rel=\"{rel}\"", shared.url, self.path, query.join("&"))
        };
        let links: Vec<String> = links.into_iter().map(link).collect();
        let mut headers = HeaderMap::new();
        if !links.is_empty()
            && let Ok(value) = links.join(", ").parse()
        {
            headers.insert(header::LINK, value);
        }
        let skipped = (self.page - 1).saturating_mul(self.per_page);
        let items: Vec<Value> = all.into_iter().skip(skipped).take(self.per_page).collect();
        (headers, Json(items)).into_response()
    }
}
