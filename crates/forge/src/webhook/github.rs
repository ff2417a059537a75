//! Parses GitHub's deliveries.

use super::{
    event::{
        CommentAction, CommentEvent, Event, EventRepository, PullRequestAction, PullRequestEvent, RepositoryChange,
        RepositoryEvent, ReviewAction, ReviewEvent,
    },
    shape,
    source::WebhookSource,
    value::{JsonCursor, ParseError, optional_string_field, string_field},
};
use crate::{Actor, Comment, PullRequest, PullRequestState, Review, ReviewState};

pub(super) fn parse_event(event: &str, body: &JsonCursor<'_>) -> Result<Event, ParseError> {
    let action = match body.optional_field("action")? {
        Some(action) => Some(action.text()?),
        None => None,
    };
    let outcome = match event {
        "ping" => Some(parse_ping(body)?),
        "pull_request_review" => parse_review_event(body)?,
        "pull_request" => parse_pull_request_event(body)?,
        "issue_comment" => parse_comment_event(body)?,
        "repository" => parse_repository_event(body)?,
        _ => None,
    };
    Ok(outcome.unwrap_or_else(|| Event::Ignored {
        event: event.to_owned(),
        action: action.filter(|action| is_valid_action(action)).map(str::to_owned),
    }))
}

fn is_valid_action(word: &str) -> bool {
    WebhookSource::GitHub.is_valid_name(word)
}

fn parse_ping(body: &JsonCursor<'_>) -> Result<Event, ParseError> {
    body.field("zen")?;
    Ok(Event::Ping)
}

fn parse_review_event(body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    shape::check_github_subjects(body, "pull_request_review", &["review", "pull_request"])?;
    let action = match body.field("action")?.text()? {
        "submitted" => ReviewAction::Submitted,
        "edited" => ReviewAction::Edited,
        "dismissed" => ReviewAction::Dismissed,
        _ => return Ok(None),
    };
    let at = body.field("review")?;
    // GitHub's schema allows any text; ignore unknown verdicts.
    let Some(state) = ReviewState::parse(at.field("state")?.text()?) else { return Ok(None) };
    let review = Review {
        id: at.field("id")?.id()?,
        state,
        body: optional_string_field(&at, "body")?,
        parts: Vec::new(),
        submitted_at: at.optional_field("submitted_at")?.map(|time| time.time()).transpose()?,
        updated_at: at.optional_field("updated_at")?.map(|time| time.time()).transpose()?,
        url: string_field(&at, "html_url")?,
        author: parse_optional_actor(&at)?,
    };
    Ok(Some(Event::Review(Box::new(ReviewEvent {
        action,
        review,
        pull_request: parse_pull_request(&body.field("pull_request")?)?,
        repository: parse_repository(&body.field("repository")?)?,
    }))))
}

fn parse_pull_request_event(body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    shape::check_github_subjects(body, "pull_request", &["pull_request"])?;
    let pull_request = parse_pull_request(&body.field("pull_request")?)?;
    let number = body.field("number")?;
    if number.id()? != pull_request.number {
        return Err(number.error("it is not the pull request's number"));
    }
    let action = match body.field("action")?.text()? {
        "closed" => PullRequestAction::Closed { merged: pull_request.state == PullRequestState::Merged },
        "reopened" => PullRequestAction::Reopened,
        "synchronize" => PullRequestAction::Synchronize,
        // GitHub's schema allows a missing label.
        "labeled" if body.optional_field("label")?.is_some() => {
            PullRequestAction::Labeled { label: string_field(&body.field("label")?, "name")? }
        }
        word if is_valid_action(word) => PullRequestAction::Other(word.to_owned()),
        _ => return Err(body.field("action")?.error("it is not an action")),
    };
    Ok(Some(Event::PullRequest(Box::new(PullRequestEvent {
        action,
        pull_request,
        repository: parse_repository(&body.field("repository")?)?,
        sender: body.optional_field("sender")?.map(|sender| parse_actor(&sender)).transpose()?,
    }))))
}

fn parse_comment_event(body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    shape::check_github_subjects(body, "issue_comment", &["issue", "comment"])?;
    let action = match body.field("action")?.text()? {
        "created" => CommentAction::Created,
        "edited" => CommentAction::Edited,
        "deleted" => CommentAction::Deleted,
        _ => return Ok(None),
    };
    let (issue, at) = (body.field("issue")?, body.field("comment")?);
    let comment = Comment {
        id: at.field("id")?.id()?,
        body: optional_string_field(&at, "body")?,
        author: parse_optional_actor(&at)?,
        created_at: at.field("created_at")?.time()?,
    };
    Ok(Some(Event::Comment(Box::new(CommentEvent {
        action,
        comment,
        number: issue.field("number")?.id()?,
        is_pull_request: issue.optional_field("pull_request")?.is_some(),
        repository: parse_repository(&body.field("repository")?)?,
        sender: parse_actor(&body.field("sender")?)?,
    }))))
}

fn parse_repository_event(body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    shape::check_repository_fields(body)?;
    let repository = parse_repository(&body.field("repository")?)?;
    let change = match body.field("action")?.text()? {
        "renamed" => {
            body.field("changes")?.field("repository")?.field("name")?;
            RepositoryChange::Renamed
        }
        "transferred" => {
            body.field("changes")?.field("owner")?.field("from")?;
            RepositoryChange::Transferred
        }
        "deleted" => RepositoryChange::Deleted,
        _ => return Ok(None),
    };
    Ok(Some(Event::Repository(RepositoryEvent { change, repository })))
}

fn parse_pull_request(at: &JsonCursor<'_>) -> Result<PullRequest, ParseError> {
    let (head, base, state) = (at.field("head")?, at.field("base")?, at.field("state")?);
    // `pull_request_review` events lack `merged`.
    let merged = at.optional_field("merged_at")?.is_some()
        || at.optional_field("merged")?.map_or(Ok(false), |merged| merged.flag())?;
    Ok(PullRequest {
        number: at.field("number")?.id()?,
        url: string_field(at, "html_url")?,
        head_sha: string_field(&head, "sha")?,
        head_branch: string_field(&head, "ref")?,
        head_repository: head.optional_field("repo")?.map(|repository| repository.field("id")?.id()).transpose()?,
        base_branch: string_field(&base, "ref")?,
        base_repository: None,
        state: match state.text()? {
            "open" => PullRequestState::Open,
            "closed" if merged => PullRequestState::Merged,
            "closed" => PullRequestState::Closed,
            _ => return Err(state.error("it is neither open nor closed")),
        },
        draft: at.optional_field("draft")?.map_or(Ok(false), |draft| draft.flag())?,
        title: string_field(at, "title")?,
        updated_at: at.field("updated_at")?.time()?,
    })
}

fn parse_repository(at: &JsonCursor<'_>) -> Result<EventRepository, ParseError> {
    Ok(EventRepository { id: at.field("id")?.id()?, full_name: string_field(at, "full_name")? })
}

fn parse_actor(at: &JsonCursor<'_>) -> Result<Actor, ParseError> {
    let is_bot = at.optional_field("type")?.map_or(Ok(""), |kind| kind.text())? == "Bot";
    Ok(Actor { id: at.field("id")?.id()?, login: string_field(at, "login")?, is_bot })
}

fn parse_optional_actor(at: &JsonCursor<'_>) -> Result<Option<Actor>, ParseError> {
    at.optional_field("user")?.map(|user| parse_actor(&user)).transpose()
}
