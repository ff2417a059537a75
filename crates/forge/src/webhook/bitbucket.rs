//! Parses Bitbucket Cloud's deliveries; ids match those of its API.

use super::{
    event::{
        CommentAction, CommentEvent, Event, PullRequestAction, PullRequestEvent, RepositoryChange, RepositoryEvent,
        RepositoryName, ReviewAction, ReviewEvent,
    },
    shape,
    value::{At, Unreadable, owned, text_or_nothing},
};
use crate::{
    Actor, Comment, PullRequest, PullRequestState, Review, ReviewState,
    bitbucket::{id_of, review_id},
};

pub(super) fn said(event: &str, body: &At<'_>) -> Result<Event, Unreadable> {
    let said = match event {
        "pullrequest:changes_request_created" => Some(review(event, body, ReviewAction::Submitted)?),
        "pullrequest:changes_request_removed" => Some(review(event, body, ReviewAction::Dismissed)?),
        "pullrequest:comment_created" => comment(event, body)?,
        "pullrequest:created"
        | "pullrequest:fulfilled"
        | "pullrequest:push"
        | "pullrequest:rejected"
        | "pullrequest:updated" => Some(pull_request(event, body)?),
        "repo:deleted" => Some(repository(event, body, RepositoryChange::PerhapsDeleted)?),
        "repo:transfer" => Some(repository(event, body, RepositoryChange::Transferred)?),
        "repo:updated" => updated(event, body)?,
        _ => None,
    };
    Ok(said.unwrap_or_else(|| Event::Ignored { event: event.to_owned(), action: None }))
}

/// The verdict has no text: its comments arrive as separate events.
fn review(event: &str, body: &At<'_>, action: ReviewAction) -> Result<Event, Unreadable> {
    shape::about_at_bitbucket(body, event, &["changes_request", "pullrequest"])?;
    let (request, at) = (body.field("changes_request")?, body.field("pullrequest")?);
    let pull_request = the_pull_request(&at)?;
    let date = request.field("date")?.time()?;
    let uuid = match request.maybe("user")? {
        Some(user) => uuid_of(&user)?,
        None => None,
    };
    let state = match action {
        ReviewAction::Submitted if still_asks(&at, uuid)? => ReviewState::ChangesRequested,
        _ => ReviewState::Dismissed,
    };
    let review = Review {
        // A deleted account has a name but no UUID.
        id: review_id(pull_request.number, uuid.unwrap_or_default(), date),
        state,
        body: String::new(),
        parts: Vec::new(),
        commit: None,
        submitted_at: Some(date),
        updated_at: None,
        url: pull_request.url.clone(),
        author: actor_if_any(&request, "user")?,
        author_association: String::new(),
    };
    Ok(Event::Review(Box::new(ReviewEvent {
        action,
        review,
        pull_request,
        repository: the_repository(body)?,
        sender: sender(body)?,
        installation: None,
    })))
}

/// Whether the participants in the same body confirm the request. A withdrawn request differs only in the event's name,
/// which is not signed.
fn still_asks(pull_request: &At<'_>, uuid: Option<&str>) -> Result<bool, Unreadable> {
    let (Some(people), Some(uuid)) = (pull_request.maybe("participants")?, uuid) else { return Ok(true) };
    for person in people.each()? {
        let Some(user) = person.maybe("user")? else { continue };
        if uuid_of(&user)?.is_some_and(|other| id_of(other) == id_of(uuid)) {
            return Ok(text_or_nothing(&person, "state")? == "changes_requested");
        }
    }
    Ok(true)
}

/// An edited comment has the same fields and id, so it causes no second decision.
fn comment(event: &str, body: &At<'_>) -> Result<Option<Event>, Unreadable> {
    shape::about_at_bitbucket(body, event, &["comment", "pullrequest"])?;
    let (at, pull_request) = (body.field("comment")?, body.field("pullrequest")?);
    if flag(&at, "deleted")? || flag(&at, "pending")? {
        return Ok(None);
    }
    let comment = Comment {
        id: at.field("id")?.id()?,
        body: text_or_nothing(&at.field("content")?, "raw")?,
        author: actor_if_any(&at, "user")?,
        created_at: at.field("created_on")?.time()?,
        updated_at: at.field("updated_on")?.time()?,
        url: page(&at)?,
    };
    Ok(Some(Event::Comment(Box::new(CommentEvent {
        action: CommentAction::Created,
        comment,
        number: pull_request.field("id")?.id()?,
        is_pull_request: true,
        repository: the_repository(body)?,
        sender: sender(body)?,
        installation: None,
    }))))
}

fn pull_request(event: &str, body: &At<'_>) -> Result<Event, Unreadable> {
    shape::about_at_bitbucket(body, event, &["pullrequest"])?;
    let at = body.field("pullrequest")?;
    let pull_request = the_pull_request(&at)?;
    let action = match (event, pull_request.state) {
        ("pullrequest:fulfilled", PullRequestState::Merged) => PullRequestAction::Closed { merged: true },
        ("pullrequest:rejected", PullRequestState::Closed) => PullRequestAction::Closed { merged: false },
        ("pullrequest:fulfilled" | "pullrequest:rejected", _) => {
            return Err(at.field("state")?.fault(format!("it does not match the event {event}")));
        }
        ("pullrequest:created", _) => PullRequestAction::Opened,
        ("pullrequest:push", _) => {
            PullRequestAction::Synchronize { before: None, after: pull_request.head_sha.clone() }
        }
        _ => PullRequestAction::Edited,
    };
    Ok(Event::PullRequest(Box::new(PullRequestEvent {
        action,
        pull_request,
        repository: the_repository(body)?,
        sender: actor_if_any(body, "actor")?,
        installation: None,
    })))
}

fn repository(event: &str, body: &At<'_>, change: RepositoryChange) -> Result<Event, Unreadable> {
    shape::about_at_bitbucket(body, event, &[])?;
    Ok(Event::Repository(RepositoryEvent {
        change,
        repository: the_repository(body)?,
        sender: sender(body)?,
        installation: None,
    }))
}

fn updated(event: &str, body: &At<'_>) -> Result<Option<Event>, Unreadable> {
    shape::about_at_bitbucket(body, event, &["changes"])?;
    let changes = body.field("changes")?;
    let old = |name: &str| changes.maybe(name)?.map(|change| owned(&change, "old")).transpose();
    let from = match old("full_name")? {
        Some(whole) => Some(whole.rsplit('/').next().unwrap_or_default().to_owned()),
        None => old("name")?,
    };
    let Some(from) = from else { return Ok(None) };
    Ok(Some(Event::Repository(RepositoryEvent {
        change: RepositoryChange::Renamed { from },
        repository: the_repository(body)?,
        sender: sender(body)?,
        installation: None,
    })))
}

fn the_pull_request(at: &At<'_>) -> Result<PullRequest, Unreadable> {
    let (source, destination, state) = (at.field("source")?, at.field("destination")?, at.field("state")?);
    let commit = source.maybe("commit")?;
    let repository = source.maybe("repository")?;
    Ok(PullRequest {
        number: at.field("id")?.id()?,
        url: page(at)?,
        head_sha: commit.map(|commit| owned(&commit, "hash")).transpose()?.unwrap_or_default(),
        head_branch: owned(&source.field("branch")?, "name")?,
        head_repository: repository.map(|repository| id(&repository)).transpose()?,
        base_branch: owned(&destination.field("branch")?, "name")?,
        base_repository: None,
        state: match state.text()? {
            "OPEN" => PullRequestState::Open,
            "MERGED" => PullRequestState::Merged,
            "DECLINED" | "SUPERSEDED" => PullRequestState::Closed,
            _ => return Err(state.fault("it is not a state of a pull request")),
        },
        draft: flag(at, "draft")?,
        title: owned(at, "title")?,
        author: actor_if_any(at, "author")?,
        updated_at: at.field("updated_on")?.time()?,
    })
}

fn the_repository(body: &At<'_>) -> Result<RepositoryName, Unreadable> {
    let at = body.field("repository")?;
    Ok(RepositoryName { id: id(&at)?, full_name: owned(&at, "full_name")? })
}

fn id(at: &At<'_>) -> Result<u64, Unreadable> {
    Ok(id_of(at.field("uuid")?.text()?))
}

fn sender(body: &At<'_>) -> Result<Actor, Unreadable> {
    let at = body.field("actor")?;
    the_actor(&at, at.field("uuid")?.text()?)
}

fn actor_if_any(at: &At<'_>, name: &str) -> Result<Option<Actor>, Unreadable> {
    let Some(account) = at.maybe(name)? else { return Ok(None) };
    let Some(uuid) = uuid_of(&account)? else { return Ok(None) };
    the_actor(&account, uuid).map(Some)
}

fn uuid_of<'a>(account: &At<'a>) -> Result<Option<&'a str>, Unreadable> {
    account.maybe("uuid")?.map(|uuid| uuid.text()).transpose()
}

fn the_actor(account: &At<'_>, uuid: &str) -> Result<Actor, Unreadable> {
    let mut login = uuid.to_owned();
    for name in ["nickname", "display_name"] {
        let word = text_or_nothing(account, name)?;
        if !word.trim().is_empty() {
            login = word;
            break;
        }
    }
    Ok(Actor { id: id_of(uuid), login, is_bot: text_or_nothing(account, "type")? == "app_user" })
}

fn page(at: &At<'_>) -> Result<String, Unreadable> {
    let Some(links) = at.maybe("links")? else { return Ok(String::new()) };
    links.maybe("html")?.map_or_else(|| Ok(String::new()), |html| owned(&html, "href"))
}

fn flag(at: &At<'_>, name: &str) -> Result<bool, Unreadable> {
    at.maybe(name)?.map_or(Ok(false), |flag| flag.flag())
}
