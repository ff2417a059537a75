//! Renders reviews and the review form.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::Redirect,
};
use serde::Deserialize;

use super::{Absent, html::Html};
use crate::{
    access::{self, Actor, Role},
    clock,
    forge::Shared,
    pulls::Pull,
    record::{PullRecord, PullState, ReviewState, Side},
    repositories::Entry,
    reviews::{self, At, NewComment, NewReview, Objection, Verdict},
};

fn state(state: ReviewState) -> &'static str {
    match state {
        ReviewState::Pending => "pending",
        ReviewState::Commented => "commented",
        ReviewState::ChangesRequested => "changes requested",
        ReviewState::Approved => "approved",
        ReviewState::Dismissed => "dismissed",
    }
}

pub(super) async fn show(html: &mut Html, shared: &Shared, entry: &Entry, pull: &Pull) {
    let record = &pull.record;
    let asked: Vec<String> =
        record.requested.iter().filter_map(|id| shared.users.by_id(*id)).map(|member| member.user.login).collect();
    if !asked.is_empty() {
        html.open("p").text(&format!("Review requested from {}", asked.join(", "))).close("p");
    }
    if !record.labels.is_empty() {
        html.open("p").text(&format!("Labels: {}", record.labels.join(", "))).close("p");
    }
    statuses(html, entry, &pull.head_sha).await;

    let public = |review: &&crate::record::ReviewRecord| review.state != ReviewState::Pending;
    if record.reviews.iter().any(|review| public(&review)) {
        html.open("h2").text("Reviews").close("h2");
    }
    for review in record.reviews.iter().filter(public) {
        html.open("p").open("b").text(&review.author.login).close("b").text(&format!(" {}", state(review.state)));
        html.text(" at ").open("code").text(super::short(&review.commit)).close("code");
        let at = review.submitted_at.as_deref().map(clock::second_of).unwrap_or_default();
        html.text(&format!(" · {at}")).close("p");
        if !review.body.is_empty() {
            html.open("pre").text(&super::shown(&review.body)).close("pre");
        }
        for comment in record.comments.iter().filter(|comment| comment.review == review.id) {
            let place = match comment.line {
                Some(line) => format!("{line}"),
                None => format!("{}, outdated", comment.original_line),
            };
            let resolved = if record.resolved.contains_key(&comment.thread()) { ", resolved" } else { "" };
            let answers = if comment.in_reply_to.is_some() { " (answer)" } else { "" };
            html.open("p").open("code").text(&format!("{}:{place}", comment.path)).close("code");
            html.text(&format!("{answers}{resolved}")).close("p");
            html.open("pre").text(&super::shown(&comment.body)).close("pre");
        }
    }
    if !record.notes.is_empty() {
        html.open("h2").text("Comments").close("h2");
    }
    for note in &record.notes {
        html.open("p")
            .open("b")
            .text(&note.author.login)
            .close("b")
            .text(&format!(" · {}", clock::second_of(&note.created_at)))
            .close("p");
        html.open("pre").text(&super::shown(&note.body)).close("pre");
    }
}

async fn statuses(html: &mut Html, entry: &Entry, head: &str) {
    let record = entry.record.lock().await;
    for status in record.newest_statuses(head) {
        let words = status.description.as_deref().unwrap_or_default();
        html.open("p").open("b").text(&status.state).close("b");
        html.text(&format!(" {} {words}", status.context)).close("p");
    }
}

/// Offers accounts that may read. The author is last, because authors can only comment.
pub(super) async fn form(html: &mut Html, shared: &Shared, entry: &Entry, pull: &PullRecord) {
    if pull.state == PullState::Closed {
        return;
    }
    let mut logins = Vec::new();
    for member in shared.users.all() {
        if access::role_of(entry, &member).await >= Role::Read && !member.user.login.ends_with("[bot]") {
            let comes_first = member.user.id != pull.author_id;
            logins.push((!comes_first, member.user.login));
        }
    }
    logins.sort();
    let people: Vec<(&str, &str)> = logins.iter().map(|(_, login)| (login.as_str(), login.as_str())).collect();
    html.open("h2").text("Review").close("h2");
    html.form(&format!("/{}/pull/{}/reviews", entry.full_name(), pull.number));
    html.choice("user", "As", &people);
    let verdicts = [("REQUEST_CHANGES", "Request changes"), ("COMMENT", "Comment"), ("APPROVE", "Approve")];
    html.choice("event", "Verdict", &verdicts);
    html.area("body", "Summary");
    html.field("path", "On a line of the change: file")
        .field("line", "Line, of the new file")
        .area("comment", "Comment");
    html.end_form("Submit review");
}

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
