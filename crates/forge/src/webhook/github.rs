//! Parses GitHub's deliveries.

use super::{
    event::{
        CommentAction, CommentEvent, Event, InstallationChange, InstallationEvent, PullRequestAction, PullRequestEvent,
        RepositoryChange, RepositoryEvent, RepositoryName, ReviewAction, ReviewEvent,
    },
    language::Language,
    shape,
    value::{At, Unreadable, owned, text_or_nothing},
};
use crate::{Actor, Comment, PullRequest, PullRequestState, Review, ReviewState};

pub(super) fn said(event: &str, body: &At<'_>) -> Result<Event, Unreadable> {
    let action = match body.maybe("action")? {
        Some(action) => Some(action.text()?),
        None => None,
    };
    let said = match event {
        "ping" => Some(ping(body)?),
        "pull_request_review" => review(body)?,
        "pull_request" => pull_request(body)?,
        "issue_comment" => comment(body)?,
        "repository" => repository(body)?,
        "installation" => installation(body)?,
        "installation_repositories" => installation_repositories(body)?,
        _ => None,
    };
    Ok(said.unwrap_or_else(|| Event::Ignored {
        event: event.to_owned(),
        action: action.filter(|action| is_name(action)).map(str::to_owned),
    }))
}

fn is_name(word: &str) -> bool {
    Language::GitHub.has(word)
}

fn ping(body: &At<'_>) -> Result<Event, Unreadable> {
    body.field("zen")?;
    let hook = body.maybe("hook_id")?;
    Ok(Event::Ping { hook: hook.map(|hook| hook.id()).transpose()? })
}

fn review(body: &At<'_>) -> Result<Option<Event>, Unreadable> {
    shape::about(body, "pull_request_review", &["review", "pull_request"])?;
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
        body: text_or_nothing(&at, "body")?,
        parts: Vec::new(),
        commit: at.maybe("commit_id")?.map(|commit| commit.text()).transpose()?.map(str::to_owned),
        submitted_at: at.maybe("submitted_at")?.map(|time| time.time()).transpose()?,
        updated_at: at.maybe("updated_at")?.map(|time| time.time()).transpose()?,
        url: owned(&at, "html_url")?,
        author: actor_if_any(&at)?,
        author_association: text_or_nothing(&at, "author_association")?,
    };
    Ok(Some(Event::Review(Box::new(ReviewEvent {
        action,
        review,
        pull_request: the_pull_request(&body.field("pull_request")?)?,
        repository: the_repository(&body.field("repository")?)?,
        sender: the_actor(&body.field("sender")?)?,
        installation: the_installation(body)?,
    }))))
}

fn pull_request(body: &At<'_>) -> Result<Option<Event>, Unreadable> {
    shape::about(body, "pull_request", &["pull_request"])?;
    let pull_request = the_pull_request(&body.field("pull_request")?)?;
    let number = body.field("number")?;
    if number.id()? != pull_request.number {
        return Err(number.fault("it is not the pull request's number"));
    }
    let action = match body.field("action")?.text()? {
        "opened" => PullRequestAction::Opened,
        "closed" => PullRequestAction::Closed { merged: pull_request.state == PullRequestState::Merged },
        "reopened" => PullRequestAction::Reopened,
        "synchronize" => {
            PullRequestAction::Synchronize { before: Some(owned(body, "before")?), after: owned(body, "after")? }
        }
        "edited" => PullRequestAction::Edited,
        // GitHub's schema allows a missing label.
        "labeled" if body.maybe("label")?.is_some() => {
            PullRequestAction::Labeled { label: owned(&body.field("label")?, "name")? }
        }
        word if is_name(word) => PullRequestAction::Other(word.to_owned()),
        _ => return Err(body.field("action")?.fault("it is not an action")),
    };
    Ok(Some(Event::PullRequest(Box::new(PullRequestEvent {
        action,
        pull_request,
        repository: the_repository(&body.field("repository")?)?,
        sender: body.maybe("sender")?.map(|sender| the_actor(&sender)).transpose()?,
        installation: the_installation(body)?,
    }))))
}

fn comment(body: &At<'_>) -> Result<Option<Event>, Unreadable> {
    shape::about(body, "issue_comment", &["issue", "comment"])?;
    let action = match body.field("action")?.text()? {
        "created" => CommentAction::Created,
        "edited" => CommentAction::Edited,
        "deleted" => CommentAction::Deleted,
        _ => return Ok(None),
    };
    let (issue, at) = (body.field("issue")?, body.field("comment")?);
    let comment = Comment {
        id: at.field("id")?.id()?,
        body: text_or_nothing(&at, "body")?,
        author: actor_if_any(&at)?,
        created_at: at.field("created_at")?.time()?,
        updated_at: at.field("updated_at")?.time()?,
        url: owned(&at, "html_url")?,
    };
    Ok(Some(Event::Comment(Box::new(CommentEvent {
        action,
        comment,
        number: issue.field("number")?.id()?,
        is_pull_request: issue.maybe("pull_request")?.is_some(),
        repository: the_repository(&body.field("repository")?)?,
        sender: the_actor(&body.field("sender")?)?,
        installation: the_installation(body)?,
    }))))
}

fn repository(body: &At<'_>) -> Result<Option<Event>, Unreadable> {
    shape::about_a_repository(body)?;
    let repository = the_repository(&body.field("repository")?)?;
    let change = match body.field("action")?.text()? {
        "renamed" => {
            let name = body.field("changes")?.field("repository")?.field("name")?;
            RepositoryChange::Renamed { from: owned(&name, "from")? }
        }
        "transferred" => {
            body.field("changes")?.field("owner")?.field("from")?;
            RepositoryChange::Transferred
        }
        "deleted" => RepositoryChange::Deleted,
        _ => return Ok(None),
    };
    let sender = the_actor(&body.field("sender")?)?;
    Ok(Some(Event::Repository(RepositoryEvent { change, repository, sender, installation: the_installation(body)? })))
}

fn installation(body: &At<'_>) -> Result<Option<Event>, Unreadable> {
    shape::about_an_installation(body, "installation", &[])?;
    let change = match body.field("action")?.text()? {
        "created" => InstallationChange::Created { repositories: repositories(body, "repositories")? },
        "deleted" => InstallationChange::Deleted,
        "suspend" => InstallationChange::Suspended,
        "unsuspend" => InstallationChange::Unsuspended,
        "new_permissions_accepted" => InstallationChange::PermissionsAccepted,
        _ => return Ok(None),
    };
    whole_installation(body, change).map(Some)
}

fn installation_repositories(body: &At<'_>) -> Result<Option<Event>, Unreadable> {
    let lists = ["repositories_added", "repositories_removed"];
    shape::about_an_installation(body, "installation_repositories", &lists)?;
    let [added, removed] = lists.map(|list| repositories(body, list));
    match body.field("action")?.text()? {
        "added" | "removed" => {}
        _ => return Ok(None),
    }
    whole_installation(body, InstallationChange::Repositories { added: added?, removed: removed? }).map(Some)
}

fn whole_installation(body: &At<'_>, change: InstallationChange) -> Result<Event, Unreadable> {
    let at = body.field("installation")?;
    // Other events contain a short form without an account.
    at.field("account")?;
    let account = match at.maybe("account")? {
        // An enterprise has a slug and no login.
        Some(account) if account.maybe("login")?.is_some() => Some(the_actor(&account)?),
        _ => None,
    };
    Ok(Event::Installation(InstallationEvent {
        change,
        installation: at.field("id")?.id()?,
        app: at.field("app_id")?.id()?,
        account,
        sender: the_actor(&body.field("sender")?)?,
    }))
}

fn repositories(body: &At<'_>, list: &str) -> Result<Vec<RepositoryName>, Unreadable> {
    let Some(list) = body.maybe(list)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for repository in list.each()? {
        // GitHub's schema allows removed repositories without an id.
        if repository.maybe("id")?.is_some() {
            found.push(the_repository(&repository)?);
        }
    }
    Ok(found)
}

fn the_pull_request(at: &At<'_>) -> Result<PullRequest, Unreadable> {
    let (head, base, state) = (at.field("head")?, at.field("base")?, at.field("state")?);
    // `pull_request_review` events lack `merged`.
    let merged = at.maybe("merged_at")?.is_some() || at.maybe("merged")?.map_or(Ok(false), |merged| merged.flag())?;
    Ok(PullRequest {
        number: at.field("number")?.id()?,
        url: owned(at, "html_url")?,
        head_sha: owned(&head, "sha")?,
        head_branch: owned(&head, "ref")?,
        head_repository: head.maybe("repo")?.map(|repository| repository.field("id")?.id()).transpose()?,
        base_branch: owned(&base, "ref")?,
        base_repository: None,
        state: match state.text()? {
            "open" => PullRequestState::Open,
            "closed" if merged => PullRequestState::Merged,
            "closed" => PullRequestState::Closed,
            _ => return Err(state.fault("it is neither open nor closed")),
        },
        draft: at.maybe("draft")?.map_or(Ok(false), |draft| draft.flag())?,
        title: owned(at, "title")?,
        author: actor_if_any(at)?,
        updated_at: at.field("updated_at")?.time()?,
    })
}

fn the_repository(at: &At<'_>) -> Result<RepositoryName, Unreadable> {
    Ok(RepositoryName { id: at.field("id")?.id()?, full_name: owned(at, "full_name")? })
}

fn the_actor(at: &At<'_>) -> Result<Actor, Unreadable> {
    let is_bot = at.maybe("type")?.map_or(Ok(""), |kind| kind.text())? == "Bot";
    Ok(Actor { id: at.field("id")?.id()?, login: owned(at, "login")?, is_bot })
}

fn actor_if_any(at: &At<'_>) -> Result<Option<Actor>, Unreadable> {
    at.maybe("user")?.map(|user| the_actor(&user)).transpose()
}

fn the_installation(body: &At<'_>) -> Result<Option<u64>, Unreadable> {
    body.maybe("installation")?.map(|installation| installation.field("id")?.id()).transpose()
}
