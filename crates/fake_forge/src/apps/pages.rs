//! The form with which a browser creates an App from a manifest.

use std::sync::Arc;

use axum::{Form, Router, extract::State, http::StatusCode, response::Redirect, routing::post};
use pullyard_local_forge::forge_state::Shared;
use serde::Deserialize;
use serde_json::Value;

use super::installations;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/settings/apps/confirm", post(confirm))
}

#[derive(Deserialize)]
struct ManifestForm {
    manifest: String,
    owner: String,
}

async fn confirm(
    State(shared): State<Arc<Shared>>,
    Form(proposed): Form<ManifestForm>,
) -> Result<Redirect, StatusCode> {
    let manifest: Value = serde_json::from_str(&proposed.manifest).unwrap_or_default();
    let back = manifest.get("redirect_url").and_then(Value::as_str).unwrap_or_default();
    let mut back = reqwest::Url::parse(back).map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)?;
    let code = installations::store_manifest(&shared, manifest, &proposed.owner).await;
    let code = code.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    back.query_pairs_mut().append_pair("code", &code);
    Ok(Redirect::to(back.as_str()))
}
