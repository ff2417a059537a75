//! Parses Bitbucket Cloud's deliveries; ids match those of its API.

use super::{
    event::{
        CommentAction, CommentEvent, Event, EventRepository, PullRequestAction, PullRequestEvent, RepositoryChange,
        RepositoryEvent, ReviewAction, ReviewEvent,
    },
    shape,
    value::{JsonCursor, ParseError, optional_string_field, string_field},
};
use crate::{
    Actor, Comment, PullRequest, PullRequestState, Review, ReviewState,
    bitbucket::{review_id, uuid_to_id},
};

pub(super) fn parse_event(event: &str, body: &JsonCursor<'_>) -> Result<Event, ParseError> {
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
fn parse_review(event: &str, body: &JsonCursor<'_>, action: ReviewAction) -> Result<Event, ParseError> {
    shape::check_bitbucket_subjects(body, event, &["changes_request", "pullrequest"])?;
    let (request, at) = (body.field("changes_request")?, body.field("pullrequest")?);
    let pull_request = parse_pull_request(&at)?;
    let date = request.field("date")?.time()?;
    let uuid = match request.optional_field("user")? {
        Some(user) => parse_uuid(&user)?,
        None => None,
    };
    let state = match action {
        ReviewAction::Submitted if is_change_request_current(&at, uuid)? => ReviewState::ChangesRequested,
        _ => ReviewState::Dismissed,
    };
    let review = Review {
        // A deleted account has a name but no UUID.
        id: review_id(pull_request.number, uuid.unwrap_or_default(), date),
        state,
        body: String::new(),
        parts: Vec::new(),
        submitted_at: Some(date),
        updated_at: None,
        url: pull_request.url.clone(),
        author: parse_optional_actor(&request, "user")?,
    };
    Ok(Event::Review(Box::new(ReviewEvent { action, review, pull_request, repository: parse_repository(body)? })))
}

/// Whether the participants in the same body confirm the request: a withdrawn one differs only in the unsigned event.
fn is_change_request_current(pull_request: &JsonCursor<'_>, uuid: Option<&str>) -> Result<bool, ParseError> {
    let (Some(participants), Some(uuid)) = (pull_request.optional_field("participants")?, uuid) else {
        return Ok(true);
    };
    for person in participants.elements()? {
        let Some(user) = person.optional_field("user")? else { continue };
        if parse_uuid(&user)?.is_some_and(|other| uuid_to_id(other) == uuid_to_id(uuid)) {
            return Ok(optional_string_field(&person, "state")? == "changes_requested");
        }
    }
    Ok(true)
}

/// An edited comment has the same fields and id, so it causes no second decision.
fn parse_comment(event: &str, body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    shape::check_bitbucket_subjects(body, event, &["comment", "pullrequest"])?;
    let (at, pull_request) = (body.field("comment")?, body.field("pullrequest")?);
    if parse_flag(&at, "deleted")? || parse_flag(&at, "pending")? {
        return Ok(None);
    }
    let comment = Comment {
        id: at.field("id")?.id()?,
        body: optional_string_field(&at.field("content")?, "raw")?,
        author: parse_optional_actor(&at, "user")?,
        created_at: at.field("created_on")?.time()?,
    };
    Ok(Some(Event::Comment(Box::new(CommentEvent {
        action: CommentAction::Created,
        comment,
        number: pull_request.field("id")?.id()?,
        is_pull_request: true,
        repository: parse_repository(body)?,
        sender: parse_sender(body)?,
    }))))
}

fn parse_pull_request_event(event: &str, body: &JsonCursor<'_>) -> Result<Event, ParseError> {
    shape::check_bitbucket_subjects(body, event, &["pullrequest"])?;
    let at = body.field("pullrequest")?;
    let pull_request = parse_pull_request(&at)?;
    let action = match (event, pull_request.state) {
        ("pullrequest:fulfilled", PullRequestState::Merged) => PullRequestAction::Closed { merged: true },
        ("pullrequest:rejected", PullRequestState::Closed) => PullRequestAction::Closed { merged: false },
        ("pullrequest:fulfilled" | "pullrequest:rejected", _) => {
            return Err(at.field("state")?.error(format!("it does not match the event {event}")));
        }
        ("pullrequest:push", _) => PullRequestAction::Synchronize,
        _ => PullRequestAction::Other(event.to_owned()),
    };
    Ok(Event::PullRequest(Box::new(PullRequestEvent {
        action,
        pull_request,
        repository: parse_repository(body)?,
        sender: parse_optional_actor(body, "actor")?,
    })))
}

fn parse_repository_event(event: &str, body: &JsonCursor<'_>, change: RepositoryChange) -> Result<Event, ParseError> {
    shape::check_bitbucket_subjects(body, event, &[])?;
    Ok(Event::Repository(RepositoryEvent { change, repository: parse_repository(body)? }))
}

fn parse_rename(event: &str, body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    shape::check_bitbucket_subjects(body, event, &["changes"])?;
    let changes = body.field("changes")?;
    if changes.optional_field("full_name")?.is_none() && changes.optional_field("name")?.is_none() {
        return Ok(None);
    }
    let repository = parse_repository(body)?;
    Ok(Some(Event::Repository(RepositoryEvent { change: RepositoryChange::Renamed, repository })))
}

fn parse_pull_request(at: &JsonCursor<'_>) -> Result<PullRequest, ParseError> {
    let (source, destination, state) = (at.field("source")?, at.field("destination")?, at.field("state")?);
    let commit = source.optional_field("commit")?;
    let repository = source.optional_field("repository")?;
    Ok(PullRequest {
        number: at.field("id")?.id()?,
        url: parse_page_url(at)?,
        head_sha: commit.map(|commit| string_field(&commit, "hash")).transpose()?.unwrap_or_default(),
        head_branch: string_field(&source.field("branch")?, "name")?,
        head_repository: repository.map(|repository| id(&repository)).transpose()?,
        base_branch: string_field(&destination.field("branch")?, "name")?,
        base_repository: None,
        state: match state.text()? {
            "OPEN" => PullRequestState::Open,
            "MERGED" => PullRequestState::Merged,
            "DECLINED" | "SUPERSEDED" => PullRequestState::Closed,
            _ => return Err(state.error("it is not a state of a pull request")),
        },
        draft: parse_flag(at, "draft")?,
        title: string_field(at, "title")?,
        updated_at: at.field("updated_on")?.time()?,
    })
}

fn parse_repository(body: &JsonCursor<'_>) -> Result<EventRepository, ParseError> {
    let at = body.field("repository")?;
    Ok(EventRepository { id: id(&at)?, full_name: string_field(&at, "full_name")? })
}

fn id(at: &JsonCursor<'_>) -> Result<u64, ParseError> {
    Ok(uuid_to_id(at.field("uuid")?.text()?))
}

fn parse_sender(body: &JsonCursor<'_>) -> Result<Actor, ParseError> {
    let at = body.field("actor")?;
    parse_actor(&at, at.field("uuid")?.text()?)
}

fn parse_optional_actor(at: &JsonCursor<'_>, name: &str) -> Result<Option<Actor>, ParseError> {
    let Some(account) = at.optional_field(name)? else { return Ok(None) };
    let Some(uuid) = parse_uuid(&account)? else { return Ok(None) };
    parse_actor(&account, uuid).map(Some)
}

fn parse_uuid<'a>(account: &JsonCursor<'a>) -> Result<Option<&'a str>, ParseError> {
    account.optional_field("uuid")?.map(|uuid| uuid.text()).transpose()
}

fn parse_actor(account: &JsonCursor<'_>, uuid: &str) -> Result<Actor, ParseError> {
    let mut login = uuid.to_owned();
    for name in ["nickname", "display_name"] {
        let word = optional_string_field(account, name)?;
        if !word.trim().is_empty() {
            login = word;
            break;
        }
    }
    Ok(Actor { id: uuid_to_id(uuid), login, is_bot: optional_string_field(account, "type")? == "app_user" })
}

fn parse_page_url(at: &JsonCursor<'_>) -> Result<String, ParseError> {
    let Some(links) = at.optional_field("links")? else { return Ok(String::new()) };
    links.optional_field("html")?.map_or_else(|| Ok(String::new()), |html| string_field(&html, "href"))
}

fn parse_flag(at: &JsonCursor<'_>, name: &str) -> Result<bool, ParseError> {
    at.optional_field(name)?.map_or(Ok(false), |flag| flag.flag())
}
