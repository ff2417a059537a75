//! Parses Bitbucket Cloud's deliveries, whose ids match the ids of its API.

use serde::Deserialize;
use serde_json::Value;

use super::{AccountResponse, CommentResponse, ParticipantsResponse, PullRequestResponse, review_id, uuid_to_id};
use crate::webhook::{
    event::{
        CommentAction, CommentEvent, Event, EventRepository, PullRequestAction, PullRequestEvent, RepositoryChange,
        RepositoryEvent, ReviewAction, ReviewEvent,
    },
    parser, shape,
    value::{ParseError, field, optional_field},
};
use crate::{PullRequest, PullRequestState, Review, ReviewState, Time};

/// Subjects of events. `changes` is included because two events differ in no other field.
const SUBJECTS: [&str; 9] =
    ["approval", "changes", "changes_request", "comment", "commit_status", "fork", "issue", "pullrequest", "push"];

pub(super) fn is_event_name(name: &str) -> bool {
    parser::is_event_name(name, b"_-.:")
}

pub(super) fn parse_event(event: &str, body: &Value) -> Result<Event, ParseError> {
    let outcome = match event {
        "pullrequest:changes_request_created" => Some(parse_review(event, body, ReviewAction::Submitted)?),
        "pullrequest:changes_request_removed" => Some(parse_review(event, body, ReviewAction::Dismissed)?),
        "pullrequest:comment_created" => parse_comment(event, body)?,
        "pullrequest:created"
        | "pullrequest:fulfilled"
        | "pullrequest:push"
        | "pullrequest:rejected"
        | "pullrequest:updated" => Some(parse_pull_request_event(event, body)?),
        "repo:deleted" => Some(parse_repository_event(event, body, RepositoryChange::MaybeDeleted)?),
        "repo:transfer" => Some(parse_repository_event(event, body, RepositoryChange::Transferred)?),
        "repo:updated" => parse_rename(event, body)?,
        _ => None,
    };
    Ok(outcome.unwrap_or_else(|| Event::Ignored { event: event.to_owned(), action: None }))
}

/// The verdict has no text: its comments arrive as separate events.
fn parse_review(event: &str, body: &Value, action: ReviewAction) -> Result<Event, ParseError> {
    #[derive(Deserialize)]
    struct ChangeRequest {
        date: Time,
        user: Option<AccountResponse>,
    }
    shape::check_subjects(&SUBJECTS, body, event, &["changes_request", "pullrequest"])?;
    let ChangeRequest { date, user } = field(body, "changes_request")?;
    let pull_request: PullRequest = field::<PullRequestResponse>(body, "pullrequest")?.into();
    // Only the unsigned event distinguishes a withdrawn request, so the participants must not contradict it.
    let participants: ParticipantsResponse = field(body, "pullrequest")?;
    let account = user.as_ref().and_then(AccountResponse::id);
    let withdrawn = account.is_some_and(|account| participants.lacks_change_request_of(account));
    let review = Review {
        // A deleted account has a name but no UUID.
        id: review_id(
            pull_request.number,
            user.as_ref().and_then(|user| user.uuid.as_deref()).unwrap_or_default(),
            date,
        ),
        state: match action {
            ReviewAction::Submitted if !withdrawn => ReviewState::ChangesRequested,
            _ => ReviewState::Dismissed,
        },
        body: String::new(),
        parts: Vec::new(),
        submitted_at: Some(date),
        updated_at: None,
        url: pull_request.url.clone(),
        author: user.and_then(|user| user.actor()),
    };
    Ok(Event::Review(Box::new(ReviewEvent { action, review, pull_request, repository: parse_repository(body)? })))
}

/// An edited comment has the same fields and id, so it causes no second decision.
fn parse_comment(event: &str, body: &Value) -> Result<Option<Event>, ParseError> {
    #[derive(Deserialize)]
    struct PullRequestNumber {
        id: u64,
    }
    shape::check_subjects(&SUBJECTS, body, event, &["comment", "pullrequest"])?;
    let comment: CommentResponse = field(body, "comment")?;
    if !comment.is_visible() {
        return Ok(None);
    }
    let sender = field::<AccountResponse>(body, "actor")?.actor();
    Ok(Some(Event::Comment(Box::new(CommentEvent {
        action: CommentAction::Created,
        comment: comment.into(),
        number: field::<PullRequestNumber>(body, "pullrequest")?.id,
        is_pull_request: true,
        repository: parse_repository(body)?,
        sender: sender.ok_or_else(|| ParseError::missing("/actor/uuid"))?,
    }))))
}

fn parse_pull_request_event(event: &str, body: &Value) -> Result<Event, ParseError> {
    shape::check_subjects(&SUBJECTS, body, event, &["pullrequest"])?;
    let pull_request: PullRequest = field::<PullRequestResponse>(body, "pullrequest")?.into();
    let action = match (event, pull_request.state) {
        ("pullrequest:fulfilled", PullRequestState::Merged) => PullRequestAction::Closed { merged: true },
        ("pullrequest:rejected", PullRequestState::Closed) => PullRequestAction::Closed { merged: false },
        ("pullrequest:fulfilled" | "pullrequest:rejected", _) => {
            return Err(ParseError::new("/pullrequest/state", format!("it does not match the event {event}")));
        }
        ("pullrequest:created", _) => PullRequestAction::Opened,
        ("pullrequest:push", _) => PullRequestAction::Synchronize,
        _ => PullRequestAction::Other(event.to_owned()),
    };
    Ok(Event::PullRequest(Box::new(PullRequestEvent {
        action,
        pull_request,
        repository: parse_repository(body)?,
        sender: optional_field::<AccountResponse>(body, "actor")?.and_then(|actor| actor.actor()),
    })))
}

fn parse_repository_event(event: &str, body: &Value, change: RepositoryChange) -> Result<Event, ParseError> {
    shape::check_subjects(&SUBJECTS, body, event, &[])?;
    Ok(Event::Repository(RepositoryEvent { change, repository: parse_repository(body)? }))
}

fn parse_rename(event: &str, body: &Value) -> Result<Option<Event>, ParseError> {
    shape::check_subjects(&SUBJECTS, body, event, &["changes"])?;
    let is_changed = |name: &str| body["changes"].get(name).is_some_and(|change| !change.is_null());
    if !is_changed("full_name") && !is_changed("name") {
        return Ok(None);
    }
    let repository = parse_repository(body)?;
    Ok(Some(Event::Repository(RepositoryEvent { change: RepositoryChange::Renamed, repository })))
}

fn parse_repository(body: &Value) -> Result<EventRepository, ParseError> {
    #[derive(Deserialize)]
    struct Repository {
        uuid: String,
        full_name: String,
    }
    let Repository { uuid, full_name } = field(body, "repository")?;
    Ok(EventRepository { id: uuid_to_id(&uuid), full_name })
}
