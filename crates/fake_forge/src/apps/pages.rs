//! The form with which a browser creates an App from a manifest.

use std::sync::Arc;

use axum::{Form, Router, extract::State, http::HeaderMap, response::Redirect, routing::post};
use pullyard_demo_forge::{
    pages::{Absent, is_own},
    shared::Shared,
};
use serde::Deserialize;
use serde_json::Value;

use super::installations;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/settings/apps/confirm", post(confirm))
}

#[derive(Deserialize)]
struct Proposed {
    manifest: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    owner: String,
}

fn manifest(text: &str) -> Result<Value, Absent> {
    let manifest: Value =
        serde_json::from_str(text).map_err(|_| Absent::Refused("The manifest is not JSON.\n".to_owned()))?;
    for needed in ["url", "redirect_url"] {
        if manifest.get(needed).and_then(Value::as_str).is_none() {
            return Err(Absent::Refused(format!("The manifest has no {needed}.\n")));
        }
    }
    Ok(manifest)
}

async fn confirm(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(proposed): Form<Proposed>,
) -> Result<Redirect, Absent> {
    if !is_own(&shared, &headers) {
        return Err(Absent::Foreign);
    }
    let known = manifest(&proposed.manifest)?;
    let back = known.get("redirect_url").and_then(Value::as_str).unwrap_or_default();
    let mut back =
        reqwest::Url::parse(back).map_err(|_| Absent::Refused("redirect_url is no address.\n".to_owned()))?;
    if !matches!(back.scheme(), "http" | "https") {
        return Err(Absent::Refused("redirect_url is neither http nor https.\n".to_owned()));
    }
    let code = installations::propose(&shared, known, &proposed.owner).await?;
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &proposed.state);
    Ok(Redirect::to(back.as_str()))
}
