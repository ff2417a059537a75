//! HTML pages without password or script: the list, and each pull request with a review form.

mod absent;
mod review;

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use crate::{
    access,
    forge_state::Shared,
    pulls,
    record::{Pull, PullRecord, ReviewRecord, ReviewState, StatusRecord},
    repositories::RepositoryEntry,
    role::Role,
};
pub use absent::PageError;
pub use review::is_same_origin;

const MAX_COMMITS: usize = 250;
const MAX_PAGE_DIFF_BYTES: u64 = 1024 * 1024;
const MAX_PLAIN_DIFF_BYTES: u64 = 32 * 1024 * 1024;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(index))
        .route("/{owner}/{name}", get(repository))
        .route("/{owner}/{name}/pull/{number}", get(pull_request))
        .route("/{owner}/{name}/pull/{number}/reviews", post(review::submit))
}

struct RepositoryRow {
    full_name: String,
    pulls: Vec<Pull>,
}

impl RepositoryRow {
    async fn load(shared: &Shared, entry: &RepositoryEntry) -> Result<Self, PageError> {
        Ok(Self { full_name: entry.full_name(), pulls: pulls::list(shared, entry).await? })
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
        repositories.push(RepositoryRow::load(&shared, &entry).await?);
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
        repository: RepositoryRow::load(&shared, &entry).await?,
        clone_url: shared.describe(&entry).clone_url,
        branches: shared.git.branches(&entry.git_dir()).await?.into_iter().collect(),
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
    let number = number.parse().map_err(|_| PageError::NotFound)?;
    let entry = shared.repositories.find(&owner, &name).await.ok_or(PageError::NotFound)?;
    let pull = pulls::find(&shared, &entry, number).await?.ok_or(PageError::NotFound)?;
    if plain { plain_diff(&shared, &entry, &pull).await } else { page(&shared, &entry, &pull).await }
}

async fn plain_diff(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Result<Response, PageError> {
    let (base, head) = (&pull.base_sha, &pull.head_sha);
    let diff = shared.git.diff(&entry.git_dir(), base, head, MAX_PLAIN_DIFF_BYTES).await?;
    if diff.truncated {
        // A truncated diff must not appear complete.
        return Err(PageError::TooLarge);
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, diff.stdout).into_response())
}

/// Hides HTML comments that fill a line; GitHub shows none.
fn without_comments(text: &str) -> String {
    let is_comment = |line: &str| line.starts_with("<!--") && line.trim_end().ends_with("-->");
    text.split_inclusive('\n').filter(|line| !is_comment(line)).collect()
}

#[derive(Template)]
#[template(path = "pull_request.html")]
struct PullRequestPage<'a> {
    full_name: String,
    pull: &'a PullRecord,
    requested: Vec<String>,
    statuses: Vec<StatusRecord>,
    /// Without pending ones.
    reviews: Vec<&'a ReviewRecord>,
    commits: Vec<[String; 3]>,
    diff: String,
    truncated: bool,
    reviewers: Vec<String>,
}

async fn page(shared: &Shared, entry: &RepositoryEntry, pull: &Pull) -> Result<Response, PageError> {
    let Pull { record, head_sha, base_sha } = pull;
    let diff = shared.git.diff(&entry.git_dir(), base_sha, head_sha, MAX_PAGE_DIFF_BYTES).await?;
    let statuses = entry.record.lock().await.newest_statuses(head_sha).into_iter().cloned().collect();
    let requested = record.requested.iter().filter_map(|id| shared.users.by_id(*id));
    render(&PullRequestPage {
        full_name: entry.full_name(),
        pull: record,
        requested: requested.map(|member| member.user.login).collect(),
        statuses,
        reviews: record.reviews.iter().filter(|review| review.state != ReviewState::Pending).collect(),
        commits: shared.git.commit_summaries(&entry.git_dir(), base_sha, head_sha, MAX_COMMITS).await?,
        diff: diff.text(),
        truncated: diff.truncated,
        reviewers: reviewers(shared, entry, record).await,
    })
}

/// Accounts that may read. The author is last, because authors can only comment.
async fn reviewers(shared: &Shared, entry: &RepositoryEntry, pull: &PullRecord) -> Vec<String> {
    let mut logins = Vec::new();
    for member in shared.users.list() {
        if access::role_of(entry, &member).await >= Role::Read && !member.user.login.ends_with("[bot]") {
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
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        // A second defence in case an escape is missing.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, html).into_response())
}
