//! Receives the review form.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::Redirect,
};
use serde::Deserialize;

use super::Absent;
use crate::{
    access::{self, Actor},
    record::Side,
    reviews::{self, At, NewComment, NewReview, Objection, Verdict},
    role::Role,
    shared::Shared,
};

#[derive(Deserialize)]
pub(super) struct Filled {
    user: String,
    event: String,
    body: String,
    path: String,
    line: String,
    comment: String,
}

/// CSRF protection: browsers send the origin of the form's page.
pub fn is_own(shared: &Shared, headers: &HeaderMap) -> bool {
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
    Form(filled): Form<Filled>,
) -> Result<Redirect, Absent> {
    if !is_own(&shared, &headers) {
        return Err(Absent::Foreign);
    }
    let number = number.parse().map_err(|_| Absent::NotFound)?;
    let entry = shared.repositories.find(&owner, &name).await.ok_or(Absent::NotFound)?;
    let member = shared.users.by_login(&filled.user).ok_or(Absent::NotFound)?;
    if access::role_of(&entry, &member).await < Role::Read {
        return Err(Absent::NotFound);
    }
    let verdict = Verdict::parse(&filled.event).ok_or(Absent::NotFound)?;
    let mut comments = Vec::new();
    if !filled.path.trim().is_empty() || !filled.comment.trim().is_empty() {
        let line = filled.line.trim().parse();
        let line = line.map_err(|_| Absent::Refused("A comment on a line needs the line's number.\n".to_owned()))?;
        let (path, body) = (filled.path.trim().to_owned(), unix(&filled.comment));
        comments.push(NewComment { path, body, at: At::Line(Side::Right, line), start_line: None });
    }
    let new = NewReview { verdict: Some(verdict), body: unix(&filled.body), commit: None, comments };
    let given = reviews::give(&shared, &entry, &Actor::of(&member), number, new).await;
    given.map_err(|objection| match objection {
        Objection::Unprocessable(words) => Absent::Refused(format!("{words}\n")),
        Objection::Forbidden(words) => Absent::Refused(format!("{words}\n")),
        Objection::NotFound => Absent::NotFound,
        Objection::Broken(error) => error.into(),
    })?;
    Ok(Redirect::to(&format!("/{}/pull/{number}", entry.full_name())))
}

/// Removes the carriage returns that browsers send.
fn unix(text: &str) -> String {
    text.trim().replace("\r\n", "\n")
}
