//! Parses GitHub's deliveries.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{PullRequestResponse, ReviewResponse};
use crate::webhook::{
    event::{
        CommentAction, CommentEvent, Event, EventRepository, PullRequestAction, PullRequestEvent, RepositoryChange,
        RepositoryEvent, ReviewAction, ReviewEvent,
    },
    parser, shape,
    value::{ParseError, field, optional_field},
};
use crate::{PullRequest, PullRequestState};

pub(super) fn parse_event(event: &str, body: &Value) -> Result<Event, ParseError> {
    let action: Option<String> = optional_field(body, "action")?;
    let action_name = || action.as_deref().ok_or_else(|| ParseError::missing("/action"));
    let outcome = match event {
        "ping" => {
            field::<IgnoredAny>(body, "zen")?;
            Some(Event::Ping)
        }
        "pull_request_review" => parse_review_event(action_name()?, body)?,
        "pull_request" => Some(parse_pull_request_event(action_name()?, body)?),
        "issue_comment" => parse_comment_event(action_name()?, body)?,
        "issues" => Some(parse_issue_event(body)?),
        "repository" => parse_repository_event(action_name()?, body)?,
        _ => None,
    };
    Ok(outcome.unwrap_or_else(|| Event::Ignored {
        event: event.to_owned(),
        action: action.filter(|action| is_event_name(action)),
    }))
}

/// Subjects of events that share a field with an event we parse.
pub(super) const SUBJECTS: [&str; 12] = [
    "alert",
    "commit",
    "comment",
    "discussion",
    "hook",
    "issue",
    "pull_request",
    "ref",
    "release",
    "review",
    "thread",
    "zen",
];

pub(super) fn is_event_name(name: &str) -> bool {
    parser::is_event_name(name, b"_-.")
}

fn parse_review_event(action: &str, body: &Value) -> Result<Option<Event>, ParseError> {
    shape::check_subjects(&SUBJECTS, body, "pull_request_review", &["review", "pull_request"])?;
    let action = match action {
        "submitted" => ReviewAction::Submitted,
        "edited" => ReviewAction::Edited,
        "dismissed" => ReviewAction::Dismissed,
        _ => return Ok(None),
    };
    let Some(review) = field::<ReviewResponse>(body, "review")?.into_review() else { return Ok(None) };
    Ok(Some(Event::Review(Box::new(ReviewEvent {
        action,
        review,
        pull_request: field::<PullRequestResponse>(body, "pull_request")?.into(),
        repository: field(body, "repository")?,
    }))))
}

fn parse_pull_request_event(action: &str, body: &Value) -> Result<Event, ParseError> {
    #[derive(Deserialize)]
    struct Label {
        name: String,
    }
    shape::check_subjects(&SUBJECTS, body, "pull_request", &["pull_request"])?;
    let pull_request: PullRequest = field::<PullRequestResponse>(body, "pull_request")?.into();
    if field::<u64>(body, "number")? != pull_request.number {
        return Err(ParseError::new("/number", "it is not the pull request's number"));
    }
    // GitHub's schema allows a missing label.
    let label: Option<Label> = optional_field(body, "label")?;
    let action = match (action, label) {
        ("closed", _) => PullRequestAction::Closed { merged: pull_request.state == PullRequestState::Merged },
        ("opened", _) => PullRequestAction::Opened,
        ("ready_for_review", _) => PullRequestAction::ReadyForReview,
        ("reopened", _) => PullRequestAction::Reopened,
        ("synchronize", _) => PullRequestAction::Synchronize,
        ("labeled", Some(Label { name })) => PullRequestAction::Labeled { label: name },
        (name, _) if is_event_name(name) => PullRequestAction::Other(name.to_owned()),
        _ => return Err(ParseError::new("/action", "it is not an action")),
    };
    Ok(Event::PullRequest(Box::new(PullRequestEvent {
        action,
        pull_request,
        repository: field(body, "repository")?,
        sender: optional_field(body, "sender")?,
    })))
}

fn parse_comment_event(action: &str, body: &Value) -> Result<Option<Event>, ParseError> {
    #[derive(Deserialize)]
    struct Issue {
        number: u64,
        pull_request: Option<IgnoredAny>,
    }
    shape::check_subjects(&SUBJECTS, body, "issue_comment", &["issue", "comment"])?;
    let action = match action {
        "created" => CommentAction::Created,
        "edited" => CommentAction::Edited,
        "deleted" => CommentAction::Deleted,
        _ => return Ok(None),
    };
    let issue: Issue = field(body, "issue")?;
    Ok(Some(Event::Comment(Box::new(CommentEvent {
        action,
        comment: field(body, "comment")?,
        number: issue.number,
        is_pull_request: issue.pull_request.is_some(),
        repository: field(body, "repository")?,
        sender: field(body, "sender")?,
    }))))
}

fn parse_issue_event(body: &Value) -> Result<Event, ParseError> {
    #[derive(Deserialize)]
    struct Issue {
        number: u64,
    }
    shape::check_subjects(&SUBJECTS, body, "issues", &["issue"])?;
    let Issue { number } = field(body, "issue")?;
    Ok(Event::Issue { repository: field(body, "repository")?, number })
}

fn parse_repository_event(action: &str, body: &Value) -> Result<Option<Event>, ParseError> {
    shape::check_repository_fields(body)?;
    let repository: EventRepository = field(body, "repository")?;
    let require = |pointer: &str| body.pointer(pointer).map(|_| ()).ok_or_else(|| ParseError::missing(pointer));
    let change = match action {
        "renamed" => {
            require("/changes/repository/name")?;
            RepositoryChange::Renamed
        }
        "transferred" => {
            require("/changes/owner/from")?;
            RepositoryChange::Transferred
        }
        "deleted" => RepositoryChange::Deleted,
        _ => return Ok(None),
    };
    Ok(Some(Event::Repository(RepositoryEvent { change, repository })))
}
