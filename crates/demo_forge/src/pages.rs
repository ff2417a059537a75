//! HTML pages without password or script: the list, and each pull request with a review form.

mod html;
mod review;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};

use crate::{
    Error,
    forge::Shared,
    pulls::{self, Pull},
    record::{PullRecord, PullState},
    repositories::Entry,
};
use html::{Html, Page};
pub use review::is_own;

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

async fn index(State(shared): State<Arc<Shared>>) -> Result<Page, Absent> {
    let mut html = Html::new();
    html.open("h1").text("Demo forge").close("h1");
    for entry in shared.repositories.all().await {
        html.open("h2").link(&format!("/{}", entry.full_name()), &entry.full_name()).close("h2");
        list(&mut html, &shared, &entry).await?;
    }
    Ok(html.page("Demo forge"))
}

async fn repository(
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Page, Absent> {
    let entry = shared.repositories.find(&owner, &name).await.ok_or(Absent::NotFound)?;
    let full_name = entry.full_name();
    let mut html = Html::new();
    html.open("h1").text(&full_name).close("h1");
    html.open("p").text("Clone: ").open("code").text(&shared.describe(&entry).clone_url);
    html.close("code").close("p");
    list(&mut html, &shared, &entry).await?;
    html.open("h2").text("Branches").close("h2").open("ul");
    for (branch, sha) in shared.git.branches(&entry.git_dir()).await? {
        html.open("li").text(&branch).text(" ").open("code").text(short(&sha));
        html.close("code").close("li");
    }
    html.close("ul");
    Ok(html.page(&full_name))
}

async fn list(html: &mut Html, shared: &Shared, entry: &Entry) -> Result<(), Absent> {
    let pulls = pulls::list(shared, entry).await?;
    if pulls.is_empty() {
        html.open("p").text("No pull requests.").close("p");
        return Ok(());
    }
    html.open("ul");
    for Pull { record, .. } in &pulls {
        let address = format!("/{}/pull/{}", entry.full_name(), record.number);
        html.open("li").link(&address, &format!("#{} {}", record.number, record.title));
        html.text(&format!(" ({})", state(record))).close("li");
    }
    html.close("ul");
    Ok(())
}

/// A number with the suffix `.diff` returns the diff as plain text.
pub async fn pull_request(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Path<(String, String, String)>,
) -> Result<Response, Absent> {
    let (number, plain) = match number.strip_suffix(".diff") {
        Some(number) => (number.to_owned(), true),
        None => (number, false),
    };
    let number = number.parse().map_err(|_| Absent::NotFound)?;
    let entry = shared.repositories.find(&owner, &name).await.ok_or(Absent::NotFound)?;
    let pull = pulls::find(&shared, &entry, number).await?.ok_or(Absent::NotFound)?;
    if plain {
        plain_diff(&shared, &entry, &pull).await
    } else {
        Ok(page(&shared, &entry, &pull).await?.into_response())
    }
}

async fn plain_diff(shared: &Shared, entry: &Entry, pull: &Pull) -> Result<Response, Absent> {
    let (base, head) = (&pull.base_sha, &pull.head_sha);
    let diff = shared.git.diff(&entry.git_dir(), base, head, MAX_PLAIN_DIFF_BYTES).await?;
    if diff.truncated {
        // A truncated diff must not appear complete.
        return Err(Absent::TooLarge);
    }
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, diff.stdout).into_response())
}

/// Hides HTML comments that fill a line; GitHub shows none.
fn shown(words: &str) -> String {
    words.split_inclusive('\n').filter(|line| !is_comment(line)).collect()
}

fn is_comment(line: &str) -> bool {
    line.starts_with("<!--") && line.trim_end().ends_with("-->")
}

async fn page(shared: &Shared, entry: &Entry, pull: &Pull) -> Result<Page, Absent> {
    let Pull { record, head_sha, base_sha } = pull;
    let title = format!("{} #{}", record.title, record.number);
    let mut html = Html::new();
    html.open("p").link(&format!("/{}", entry.full_name()), &entry.full_name()).close("p");
    html.open("h1").text(&title).close("h1");
    html.open("p").open("b").text(state(record));
    html.text(if record.draft { ", draft" } else { "" }).close("b");
    html.text(&format!(" · {} wants to merge ", record.author)).open("code").text(&record.head);
    html.close("code").text(" into ").open("code").text(&record.base).close("code");
    html.text(&format!(" · {}", record.created_at)).close("p");
    if let Some(body) = &record.body {
        html.open("pre").text(&shown(body)).close("pre");
    }

    review::show(&mut html, shared, entry, pull).await;

    html.open("h2").text("Commits").close("h2").open("ul");
    let commits = shared.git.commits(&entry.git_dir(), base_sha, head_sha, MAX_COMMITS).await?;
    for [id, author, subject] in &commits {
        html.open("li").open("code").text(id).close("code");
        html.text(&format!(" {subject} ({author})")).close("li");
    }
    html.close("ul");

    let diff = shared.git.diff(&entry.git_dir(), base_sha, head_sha, MAX_PAGE_DIFF_BYTES).await?;
    let address = format!("/{}/pull/{}.diff", entry.full_name(), record.number);
    html.open("h2").text("Change ").link(&address, "plain").close("h2");
    html.open("pre").diff(&diff.text()).close("pre");
    if diff.truncated {
        html.open("p").text("The change goes on; the plain one has all of it.").close("p");
    }
    review::form(&mut html, shared, entry, record).await;
    Ok(html.page(&title))
}

fn state(pull: &PullRecord) -> &'static str {
    match pull.state {
        PullState::Open => "open",
        PullState::Closed if pull.merged.is_some() => "merged",
        PullState::Closed => "closed",
    }
}

fn short(sha: &str) -> &str {
    sha.get(..10).unwrap_or(sha)
}

pub enum Absent {
    NotFound,
    Foreign,
    Refused(String),
    TooLarge,
    Failed,
}

impl From<Error> for Absent {
    fn from(error: Error) -> Self {
        tracing::warn!(error = %error, "the demo forge has no page: failed to {error}");
        Self::Failed
    }
}

impl IntoResponse for Absent {
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::Foreign => (StatusCode::FORBIDDEN, "This form was sent from elsewhere.\n"),
            Self::Refused(words) => return (StatusCode::UNPROCESSABLE_ENTITY, words).into_response(),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found.\n"),
            Self::TooLarge => (StatusCode::NOT_ACCEPTABLE, "The change is too large to show.\n"),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "git failed.\n"),
        };
        (status, words).into_response()
    }
}
