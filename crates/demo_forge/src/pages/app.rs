//! Making an App from a manifest and installing it, as a person does it in a browser: one button each.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Redirect,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Absent,
    html::{Html, Page},
    review::is_own,
};
use crate::{
    forge::Shared,
    installations::{self, Objection},
};

#[derive(Deserialize)]
pub(super) struct Asked {
    state: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Proposed {
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

/// Any page may lead here with a manifest; nothing is made before the button is pressed.
pub(super) async fn propose(
    State(shared): State<Arc<Shared>>,
    organization: Option<Path<String>>,
    Query(asked): Query<Asked>,
    Form(proposed): Form<Proposed>,
) -> Result<Page, Absent> {
    let known = manifest(&proposed.manifest)?;
    let name = known.get("name").and_then(Value::as_str).unwrap_or("an App");
    let mut html = Html::new();
    html.open("h1").text(&format!("Create {name}")).close("h1");
    html.open("p").text("It asks for:").close("p").open("pre");
    let wanted = known.get("default_permissions").cloned().unwrap_or_default();
    html.text(&serde_json::to_string_pretty(&wanted).unwrap_or_default()).close("pre");
    let first = shared.users.all().into_iter().next().map(|member| member.user.login);
    let owner = organization.map(|Path(name)| name).or(first).unwrap_or_default();
    html.form("/settings/apps/confirm").hidden("manifest", &proposed.manifest);
    html.hidden("state", asked.state.as_deref().unwrap_or(&proposed.state)).hidden("owner", &owner);
    html.end_form(&format!("Create GitHub App for {owner}"));
    Ok(html.page("Create an App"))
}

pub(super) async fn confirm(
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

pub(super) async fn app(State(shared): State<Arc<Shared>>, Path(slug): Path<String>) -> Result<Page, Absent> {
    let app = shared.state.read(|state| state.apps.iter().find(|app| app.slug == slug).cloned()).await;
    let app = app.ok_or(Absent::NotFound)?;
    let mut owners: Vec<String> = shared.repositories.all().await.iter().map(|entry| entry.owner()).collect();
    owners.sort();
    owners.dedup();
    let owners: Vec<(&str, &str)> = owners.iter().map(|owner| (owner.as_str(), owner.as_str())).collect();
    let mut html = Html::new();
    html.open("h1").text(&app.name).close("h1");
    html.form(&format!("/apps/{slug}/installations"));
    html.choice("owner", "For all repositories of", &owners).end_form("Install");
    Ok(html.page(&app.name))
}

#[derive(Deserialize)]
pub(super) struct Chosen {
    owner: String,
}

pub(super) async fn install(
    State(shared): State<Arc<Shared>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    Form(chosen): Form<Chosen>,
) -> Result<Page, Absent> {
    if !is_own(&shared, &headers) {
        return Err(Absent::Foreign);
    }
    let installed = installations::install(&shared, &slug, &chosen.owner, None).await;
    installed.map_err(|objection| match objection {
        Objection::NotFound => Absent::NotFound,
        Objection::Unprocessable(words) => Absent::Refused(words),
        Objection::Broken(error) => error.into(),
    })?;
    let mut html = Html::new();
    html.open("p").text(&format!("Installed for {}.", chosen.owner)).close("p");
    Ok(html.page("Installed"))
}
