//! Parses GitHub's deliveries.

use super::{
    event::{
        CommentAction, CommentEvent, Event, EventRepository, InstallationChange, InstallationEvent, PullRequestAction,
        PullRequestEvent, RepositoryChange, RepositoryEvent, ReviewAction, ReviewEvent,
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
        "installation" => parse_installation_event(body)?,
        "installation_repositories" => parse_installation_repositories(body)?,
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
    let hook = body.optional_field("hook_id")?;
    Ok(Event::Ping { hook: hook.map(|hook| hook.id()).transpose()? })
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
        commit: at.optional_field("commit_id")?.map(|commit| commit.text()).transpose()?.map(str::to_owned),
        submitted_at: at.optional_field("submitted_at")?.map(|time| time.time()).transpose()?,
        updated_at: at.optional_field("updated_at")?.map(|time| time.time()).transpose()?,
        url: string_field(&at, "html_url")?,
        author: parse_optional_actor(&at)?,
        author_association: optional_string_field(&at, "author_association")?,
    };
    Ok(Some(Event::Review(Box::new(ReviewEvent {
        action,
        review,
        pull_request: parse_pull_request(&body.field("pull_request")?)?,
        repository: parse_repository(&body.field("repository")?)?,
        sender: parse_actor(&body.field("sender")?)?,
        installation: parse_installation_id(body)?,
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
        "opened" => PullRequestAction::Opened,
        "closed" => PullRequestAction::Closed { merged: pull_request.state == PullRequestState::Merged },
        "reopened" => PullRequestAction::Reopened,
        "synchronize" => PullRequestAction::Synchronize {
            before: Some(string_field(body, "before")?),
            after: string_field(body, "after")?,
        },
        "edited" => PullRequestAction::Edited,
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
        installation: parse_installation_id(body)?,
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
        updated_at: at.field("updated_at")?.time()?,
        url: string_field(&at, "html_url")?,
    };
    Ok(Some(Event::Comment(Box::new(CommentEvent {
        action,
        comment,
        number: issue.field("number")?.id()?,
        is_pull_request: issue.optional_field("pull_request")?.is_some(),
        repository: parse_repository(&body.field("repository")?)?,
        sender: parse_actor(&body.field("sender")?)?,
        installation: parse_installation_id(body)?,
    }))))
}

fn parse_repository_event(body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    shape::check_repository_fields(body)?;
    let repository = parse_repository(&body.field("repository")?)?;
    let change = match body.field("action")?.text()? {
        "renamed" => {
            let name = body.field("changes")?.field("repository")?.field("name")?;
            RepositoryChange::Renamed { from: string_field(&name, "from")? }
        }
        "transferred" => {
            body.field("changes")?.field("owner")?.field("from")?;
            RepositoryChange::Transferred
        }
        "deleted" => RepositoryChange::Deleted,
        _ => return Ok(None),
    };
    let sender = parse_actor(&body.field("sender")?)?;
    Ok(Some(Event::Repository(RepositoryEvent {
        change,
        repository,
        sender,
        installation: parse_installation_id(body)?,
    })))
}

fn parse_installation_event(body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    shape::check_installation_fields(body, "installation", &[])?;
    let change = match body.field("action")?.text()? {
        "created" => InstallationChange::Created { repositories: parse_repositories(body, "repositories")? },
        "deleted" => InstallationChange::Deleted,
        "suspend" => InstallationChange::Suspended,
        "unsuspend" => InstallationChange::Unsuspended,
        "new_permissions_accepted" => InstallationChange::PermissionsAccepted,
        _ => return Ok(None),
    };
    parse_installation(body, change).map(Some)
}

fn parse_installation_repositories(body: &JsonCursor<'_>) -> Result<Option<Event>, ParseError> {
    let lists = ["repositories_added", "repositories_removed"];
    shape::check_installation_fields(body, "installation_repositories", &lists)?;
    let [added, removed] = lists.map(|list| parse_repositories(body, list));
    match body.field("action")?.text()? {
        "added" | "removed" => {}
        _ => return Ok(None),
    }
    parse_installation(body, InstallationChange::Repositories { added: added?, removed: removed? }).map(Some)
}

fn parse_installation(body: &JsonCursor<'_>, change: InstallationChange) -> Result<Event, ParseError> {
    let at = body.field("installation")?;
    // Other events contain a short form without an account.
    at.field("account")?;
    let account = match at.optional_field("account")? {
        // An enterprise has a slug and no login.
        Some(account) if account.optional_field("login")?.is_some() => Some(parse_actor(&account)?),
        _ => None,
    };
    Ok(Event::Installation(InstallationEvent {
        change,
        installation: at.field("id")?.id()?,
        app: at.field("app_id")?.id()?,
        account,
        sender: parse_actor(&body.field("sender")?)?,
    }))
}

fn parse_repositories(body: &JsonCursor<'_>, list: &str) -> Result<Vec<EventRepository>, ParseError> {
    let Some(list) = body.optional_field(list)? else { return Ok(Vec::new()) };
    let mut repositories = Vec::new();
    for repository in list.elements()? {
        // GitHub's schema allows removed repositories without an id.
        if repository.optional_field("id")?.is_some() {
            repositories.push(parse_repository(&repository)?);
        }
    }
    Ok(repositories)
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
        author: parse_optional_actor(at)?,
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

fn parse_installation_id(body: &JsonCursor<'_>) -> Result<Option<u64>, ParseError> {
    body.optional_field("installation")?.map(|installation| installation.field("id")?.id()).transpose()
}
