//! Pages of a list with the absolute address of the next page, as on Bitbucket.

use axum::Json;
use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::request::Parts;
use serde_json::{Value, json};

use super::refusal::Refusal;
use pullyard_local_forge::forge_state::Shared;

const DEFAULT_LENGTH: usize = 10;
const MAX_LENGTH: usize = 100;

pub(crate) struct Paging {
    length: usize,
    page: usize,
    path: String,
    other_parameters: Vec<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let mut paging =
            Self { length: DEFAULT_LENGTH, page: 1, path: uri.path().to_owned(), other_parameters: Vec::new() };
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || value.parse().ok().filter(|number: &usize| *number > 0);
            match name {
                "pagelen" => paging.length = number().ok_or_else(|| Refusal::bad_request("Invalid pagelen"))?,
                "page" => paging.page = number().ok_or_else(|| Refusal::bad_request("Invalid page"))?,
                _ => paging.other_parameters.push(pair.to_owned()),
            }
        }
        paging.check_length(MAX_LENGTH)?;
        Ok(paging)
    }
}

impl Paging {
    /// Rejects longer pages; some lists have a lower limit than `MAX_LENGTH`.
    pub(super) fn check_length(&self, length: usize) -> Result<(), Refusal> {
        if self.length > length { Err(Refusal::bad_request("Invalid pagelen")) } else { Ok(()) }
    }

    pub(super) fn answer(&self, shared: &Shared, all: Vec<Value>) -> Json<Value> {
        let size = all.len();
        let skipped = (self.page - 1).saturating_mul(self.length);
        let values: Vec<Value> = all.into_iter().skip(skipped).take(self.length).collect();
        let mut answer = json!({ "size": size, "page": self.page, "pagelen": self.length, "values": values });
        if skipped.saturating_add(self.length) < size {
            answer["next"] = json!(self.address(shared, self.page + 1));
        }
        Json(answer)
    }

    fn address(&self, shared: &Shared, page: usize) -> String {
        let mut query = self.other_parameters.clone();
        query.extend([format!("pagelen={}", self.length), format!("page={page}")]);
        format!("{}{}?{}", shared.url, self.path, query.join("&"))
    }
}
