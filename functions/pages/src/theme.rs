//! The visitor's theme, stored in a cookie so that the server renders it and no page flashes.

use crate::form::Form;
use crate::frame::{redirect, referrer};
use crate::sign_in::with_cookie;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use pullyard_control::Context;
use pullyard_entry::session;
use serde::Deserialize;

pub(crate) const CHOICES: [(&str, &str); 3] =
    [("system", "System theme"), ("light", "Light theme"), ("dark", "Dark theme")];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThemeForm {
    theme: String,
}

/// Redirects to the page with the menu. Any value except light and dark deletes the choice.
pub(crate) async fn set(State(ctx): State<Context>, headers: HeaderMap, Form(form): Form<ThemeForm>) -> Response {
    let is_choice = ["light", "dark"].contains(&form.theme.as_str());
    let (value, secs) = if is_choice { (form.theme.as_str(), 365 * 24 * 3_600) } else { ("", 0) };
    let secure = if session::requested_url(&ctx, &headers).starts_with("https://") { "; Secure" } else { "" };
    // `Lax`: a link on another site opens the page in its theme.
    let cookie = format!("theme={value}; Path=/; Max-Age={secs}; HttpOnly; SameSite=Lax{secure}");
    with_cookie(redirect(&referrer(&headers)), &cookie)
}
