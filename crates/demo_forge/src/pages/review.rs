//! Receives the review form.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::Redirect,
};
use serde::Deserialize;

use super::PageError;
use crate::{
    access::{self, Actor},
    forge_state::Shared,
    record::Side,
    reviews::{self, CommentPosition, NewComment, NewReview, Rejection, Verdict},
    role::Role,
};

#[derive(Deserialize)]
pub(super) struct ReviewForm {
    user: String,
    event: String,
    body: String,
    path: String,
    line: String,
    comment: String,
}

/// CSRF protection: browsers send the origin of the form's page.
pub fn is_same_origin(shared: &Shared, headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN);
    let Some(origin) = origin else { return true };
    let port = shared.url.rsplit(':').next().unwrap_or_default();
    let names = [shared.url.clone(), format!("http://localhost:{port}"), format!("http://127.0.0.1:{port}")];
    names.iter().any(|name| origin.as_bytes() == name.as_bytes())
}

pub(super) async fn submit(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Path<(String, String, String)>,
    headers: HeaderMap,
    Form(filled): Form<ReviewForm>,
) -> Result<Redirect, PageError> {
    if !is_same_origin(&shared, &headers) {
        return Err(PageError::CrossOrigin);
    }
    let number = number.parse().map_err(|_| PageError::NotFound)?;
    let entry = shared.repositories.find(&owner, &name).await.ok_or(PageError::NotFound)?;
    let member = shared.users.by_login(&filled.user).ok_or(PageError::NotFound)?;
    if access::role_of(&entry, &member).await < Role::Read {
        return Err(PageError::NotFound);
    }
    let verdict = Verdict::parse(&filled.event).ok_or(PageError::NotFound)?;
    let mut comments = Vec::new();
    if !filled.path.trim().is_empty() || !filled.comment.trim().is_empty() {
        let line = filled.line.trim().parse();
        let line = line.map_err(|_| PageError::Refused("A comment on a line needs the line's number.\n".to_owned()))?;
        let (path, body) = (filled.path.trim().to_owned(), normalize_newlines(&filled.comment));
        comments.push(NewComment { path, body, position: CommentPosition::Line(Side::Right, line), start_line: None });
    }
    let new = NewReview { verdict: Some(verdict), body: normalize_newlines(&filled.body), commit: None, comments };
    let outcome = reviews::create_review(&shared, &entry, &Actor::from_member(&member), number, new).await;
    outcome.map_err(|objection| match objection {
        Rejection::Unprocessable(message) => PageError::Refused(format!("{message}\n")),
        Rejection::Forbidden(message) => PageError::Refused(format!("{message}\n")),
        Rejection::NotFound => PageError::NotFound,
        Rejection::Internal(error) => error.into(),
    })?;
    Ok(Redirect::to(&format!("/{}/pull/{number}", entry.full_name())))
}

/// Removes the carriage returns that browsers send.
fn normalize_newlines(text: &str) -> String {
    text.trim().replace("\r\n", "\n")
}
