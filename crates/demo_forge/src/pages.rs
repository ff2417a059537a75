//! HTML pages without password or script: the list, and each pull request with forms to review and to merge it.

mod error;
mod guard;
mod review;
mod state;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    http::header,
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};

use crate::{
    access::{self, AccessDecision, Actor, Requirement},
    branches::read_branches,
    forge_state::Shared,
    pulls,
    record::{Pull, PullRecord, StatusRecord},
    repositories::RepositoryEntry,
    role::Role,
};
pub use error::PageError;
pub use guard::protect;
use review::ReviewForm;

const MAX_COMMITS: usize = 250;
const MAX_PAGE_DIFF_BYTES: u64 = 1024 * 1024;
const MAX_PLAIN_DIFF_BYTES: u64 = 32 * 1024 * 1024;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let routes = Router::new()
        .route("/", get(index))
        .route("/forge.css", get(stylesheet))
        .route("/{owner}/{name}", get(repository))
        .route("/{owner}/{name}/pull/{number}", get(pull_request))
        .route("/{owner}/{name}/pull/{number}/reviews", post(review::submit))
        .route("/{owner}/{name}/pull/{number}/state", post(state::submit));
    protect(routes)
}

async fn stylesheet() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../assets/forge.css")).into_response()
}

struct RepositoryRow {
    full_name: String,
    pulls: Vec<Pull>,
}

impl RepositoryRow {
    async fn load(entry: &RepositoryEntry) -> Result<Self, PageError> {
        Ok(Self { full_name: entry.full_name(), pulls: pulls::list(entry).await? })
    }
}

#[derive(Template)]
#[template(path = "index.html")]
struct IndexPage {
    repositories: Vec<RepositoryRow>,
}

async fn index(State(shared): State<Arc<Shared>>) -> Result<Response, PageError> {
    let mut repositories = Vec::new();
    for entry in shared.repositories.list().await {
        repositories.push(RepositoryRow::load(&entry).await?);
    }
    render(&IndexPage { repositories })
}

#[derive(Template)]
#[template(path = "repository.html")]
struct RepositoryPage {
    repository: RepositoryRow,
    clone_url: String,
    branches: Vec<(String, String)>,
}

async fn repository(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let entry = shared.repositories.find(&owner, &name).await.ok_or(PageError::NotFound)?;
    render(&RepositoryPage {
        repository: RepositoryRow::load(&entry).await?,
        clone_url: shared.describe(&entry).clone_url,
        branches: read_branches(&entry.git_dir).await?.into_iter().collect(),
    })
}

/// A number with the suffix `.diff` returns the diff as plain text.
pub async fn pull_request(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Path<(String, String, String)>,
) -> Result<Response, PageError> {
    let (number, plain) = match number.strip_suffix(".diff") {
        Some(number) => (number.to_owned(), true),
        None => (number, false),
    };
    let (entry, pull) = find(&shared, &owner, &name, &number).await?;
    if plain {
        return plain_diff(&shared, &entry, &pull).await;
    }
    page(&shared, &entry, &pull, FailedForm::default()).await
}

async fn find(
    shared: &Shared,
    owner: &str,
    name: &str,
    number: &str,
) -> Result<(Arc<RepositoryEntry>, Pull), PageError> {
    let number = number.parse().map_err(|_| PageError::NotFound)?;
    let entry = shared.repositories.find(owner, name).await.ok_or(PageError::NotFound)?;
    let pull = pulls::find(&entry, number).await?.ok_or(PageError::NotFound)?;
    Ok((entry, pull))
}

/// The account that a form names. The forms offer only accounts with the required role.
async fn actor(shared: &Shared, entry: &RepositoryEntry, login: &str, need: Requirement) -> Result<Actor, PageError> {
    let actor = Actor::from_member(&shared.users.by_login(login).ok_or(PageError::NotFound)?);
    match actor.check(entry, need).await {
        AccessDecision::Yes => Ok(actor),
        AccessDecision::No | AccessDecision::Hidden => Err(PageError::NotFound),
    }
}

async fn plain_diff(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Result<Response, PageError> {
    let (base, head) = (&pull.base_sha, &pull.head_sha);
    let diff = shared.git.diff(&entry.git_dir, base, head, MAX_PLAIN_DIFF_BYTES).await?;
    if diff.truncated {
        // A truncated diff must not appear complete.
        return Err(PageError::TooLarge);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], diff.stdout).into_response())
}

/// Hides HTML comments that fill a line; GitHub shows none.
fn without_comments(text: &str) -> String {
    let is_comment = |line: &str| line.starts_with("<!--") && line.trim_end().ends_with("-->");
    text.split_inclusive('\n').filter(|line| !is_comment(line)).collect()
}

/// The error sentences of the page's forms, and the user's input.
#[derive(Default)]
struct FailedForm {
    state: Option<String>,
    review: Option<String>,
    filled: ReviewForm,
}

#[derive(Template)]
#[template(path = "pull_request.html")]
struct PullRequestPage<'a> {
    full_name: String,
    pull: &'a PullRecord,
    head_sha: &'a str,
    requested: Vec<String>,
    statuses: Vec<StatusRecord>,
    commits: Vec<[String; 3]>,
    diff: String,
    truncated: bool,
    mergers: Vec<String>,
    reviewers: Vec<String>,
    failed: FailedForm,
}

async fn page(
    shared: &Shared,
    entry: &RepositoryEntry,
    pull: &Pull,
    failed: FailedForm,
) -> Result<Response, PageError> {
    let Pull { record, head_sha, base_sha } = pull;
    let diff = shared.git.diff(&entry.git_dir, base_sha, head_sha, MAX_PAGE_DIFF_BYTES).await?;
    let statuses = entry.record.lock().await.newest_statuses(head_sha).into_iter().cloned().collect();
    let requested = record.requested.iter().filter_map(|id| shared.users.by_id(*id));
    render(&PullRequestPage {
        full_name: entry.full_name(),
        pull: record,
        head_sha,
        requested: requested.map(|member| member.user.login).collect(),
        statuses,
        commits: shared.git.commit_summaries(&entry.git_dir, base_sha, head_sha, MAX_COMMITS).await?,
        diff: diff.text(),
        truncated: diff.truncated,
        mergers: accounts(shared, entry, record, Role::Write).await,
        reviewers: accounts(shared, entry, record, Role::Read).await,
        failed,
    })
}

/// Accounts with at least this role. The author is last, because authors can only comment in a review.
async fn accounts(shared: &Shared, entry: &RepositoryEntry, pull: &PullRecord, minimum: Role) -> Vec<String> {
    let mut logins = Vec::new();
    for member in shared.users.list() {
        if access::role_of(entry, &member).await >= minimum && !member.user.login.ends_with("[bot]") {
            logins.push((member.user.id == pull.author_id, member.user.login));
        }
    }
    logins.sort();
    logins.into_iter().map(|(_, login)| login).collect()
}

fn short_sha(sha: &str) -> &str {
    sha.get(..10).unwrap_or(sha)
}

fn render(page: &impl Template) -> Result<Response, PageError> {
    let html = page.render().map_err(|error| {
        tracing::error!(error = %error, "demo forge page not rendered");
        PageError::Failed
    })?;
    Ok(Html(html).into_response())
}
