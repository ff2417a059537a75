//! Browser pages that create an App from a manifest and install it, with one button each.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::HeaderMap,
    response::{Html, Redirect},
    routing::{get, post},
};
use pullyard_demo_forge::{
    pages::{Absent, is_own},
    shared::Shared,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    installations::{self, Objection},
    records,
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/settings/apps/new", post(propose))
        .route("/organizations/{org}/settings/apps/new", post(propose))
        .route("/settings/apps/confirm", post(confirm))
        .route("/apps/{slug}", get(app))
        .route("/apps/{slug}/installations/new", get(app))
        .route("/apps/{slug}/installations", post(install))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn form(heading: &str, action: &str, fields: &str, button: &str) -> Html<String> {
    let [heading, action, button] = [heading, action, button].map(escaped);
    Html(format!(
        "<!doctype html><h1>{heading}</h1><form method=\"post\" action=\"{action}\">{fields}<button>{button}</button></form>"
    ))
}

#[derive(Deserialize)]
struct Asked {
    state: Option<String>,
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

/// Any site may send a manifest here; only the button creates the App.
async fn propose(
    State(shared): State<Arc<Shared>>,
    organization: Option<Path<String>>,
    Query(asked): Query<Asked>,
    Form(proposed): Form<Proposed>,
) -> Result<Html<String>, Absent> {
    let known = manifest(&proposed.manifest)?;
    let name = known.get("name").and_then(Value::as_str).unwrap_or("an App");
    let first = shared.users.all().into_iter().next().map(|member| member.user.login);
    let owner = organization.map(|Path(name)| name).or(first).unwrap_or_default();
    let state = asked.state.as_deref().unwrap_or(&proposed.state);
    let hidden =
        |(name, value): (&str, &str)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escaped(value));
    let fields = [("manifest", proposed.manifest.as_str()), ("state", state), ("owner", &owner)].map(hidden).concat();
    let button = format!("Create GitHub App for {owner}");
    Ok(form(&format!("Create {name}"), "/settings/apps/confirm", &fields, &button))
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

async fn app(State(shared): State<Arc<Shared>>, Path(slug): Path<String>) -> Result<Html<String>, Absent> {
    let app = records(&shared).await?.read(|state| state.apps.iter().find(|app| app.slug == slug).cloned()).await;
    let app = app.ok_or(Absent::NotFound)?;
    let mut owners: Vec<String> = shared.repositories.all().await.iter().map(|entry| entry.owner()).collect();
    owners.sort();
    owners.dedup();
    let options: String = owners.iter().map(|owner| format!("<option>{}</option>", escaped(owner))).collect();
    let fields = format!("<select name=\"owner\">{options}</select>");
    Ok(form(&app.name, &format!("/apps/{slug}/installations"), &fields, "Install"))
}

#[derive(Deserialize)]
struct Chosen {
    owner: String,
}

async fn install(
    State(shared): State<Arc<Shared>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Result<Html<String>, Absent> {
    if !is_own(&shared, &headers) {
        return Err(Absent::Foreign);
    }
    let installed = installations::install(&shared, &slug, &chosen.owner, None).await;
    installed.map_err(|objection| match objection {
        Objection::NotFound => Absent::NotFound,
        Objection::Unprocessable(words) => Absent::Refused(words),
        Objection::Broken(error) => error.into(),
    })?;
    Ok(Html(format!("<!doctype html><p>Installed for {}.</p>", escaped(&chosen.owner))))
}
