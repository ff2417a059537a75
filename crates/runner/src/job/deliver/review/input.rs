//! Writes the files that the agent of a review receives.

use super::threads::{self, OpenThread};
use crate::api::forge_wait::ForgeWait;
use crate::attempt::Attempt;
use crate::git::patch;
use crate::git::target::{self, unreachable};
use crate::git::workspace::disk::run_blocking;
use crate::git::{Git, GitCall, GitError};
use crate::job::preparation::Preparation;
use crate::output;
use crate::stop::Stop;
use pullyard_domain::review::published::short_commit;
use pullyard_domain::text::untrusted::{remove_hidden, to_single_line};
use pullyard_protocol::attempt::Phase;
use std::fs;
use std::path::Path;

/// The agent gets a list of files instead of a larger patch, and the findings are posted in the review's text.
const MAX_PATCH_BYTES: u64 = 4 * 1024 * 1024;
/// Limit for file names as arguments of git. If they are longer, a review of the new commits also has the changes of a
/// merged base branch.
const MAX_NAMES_BYTES: usize = 100_000;
const MAX_LIST_BYTES: usize = 256 * 1024;
const MAX_TITLE_CHARS: usize = 500;
const MAX_DESCRIPTION_BYTES: usize = 64 * 1024;

#[derive(Default)]
pub(super) struct ReviewInput {
    /// The whole change of the pull request, to find the lines of findings; empty if it is too large.
    pub(super) patch: String,
    /// The commit after which the review begins; `None` for the whole change.
    pub(super) since: Option<String>,
    /// The open findings of earlier reviews.
    pub(super) threads: Vec<OpenThread>,
}

/// Writes `diff.patch`, `pull_request.md` and, if there are earlier findings, `threads.json`.
pub(super) async fn write_input(attempt: &Attempt<'_>, preparation: &Preparation<'_>) -> Result<ReviewInput, Stop> {
    let (git, workspace, target) = (&preparation.access.git, preparation.workspace, &preparation.target);
    let repository = workspace.repository();
    let (base, head) = (target.base_commit.as_str(), target.start_commit.as_str());
    let merge_base = GitCall::new(["merge-base", base, head]).repository(&repository);
    let start = git.run_for_line(merge_base).await?;
    let whole = read_patch(git, workspace.root(), &repository, (&start, head), &[]).await?;
    let wanted = attempt.assignment.revises.as_ref().and_then(|revises| revises.since.as_ref());
    let since = match wanted {
        // After a force push the commit is gone. Without a new commit, the request concerns the whole change.
        Some(since) if *since != head && is_ancestor(git, &repository, since, head).await => Some(since.clone()),
        Some(_) | None => None,
    };
    let shown = match &since {
        None => whole.clone(),
        Some(since) => {
            let list =
                GitCall::new(["diff", "--no-renames", "--name-only", "-z", "--end-of-options", &start, head, "--"]);
            let listed = git.run(list.repository(&repository)).await?;
            let names: Vec<&[u8]> = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
            match names.as_slice() {
                // The pull request has no changes any more.
                [] => Some(String::new()),
                _ if listed.len() > MAX_NAMES_BYTES => {
                    read_patch(git, workspace.root(), &repository, (since, head), &[]).await?
                }
                names => read_patch(git, workspace.root(), &repository, (since, head), names).await?,
            }
        }
    };
    let shown = match shown {
        Some(patch) => patch,
        None => list_files(git, &repository, (since.as_deref().unwrap_or(&start), head)).await?,
    };
    output::add_input(workspace, "diff.patch", shown.as_bytes())?;
    let threads = threads::load(attempt, preparation).await?;
    if !threads.is_empty() {
        let json = serde_json::to_vec(&threads).map_err(std::io::Error::from)?;
        output::add_input(workspace, "threads.json", &json)?;
    }
    let description = load_description(attempt, preparation, since.as_deref()).await?;
    output::add_input(workspace, "pull_request.md", description.as_bytes())?;
    Ok(ReviewInput { patch: whole.unwrap_or_default(), since, threads })
}

async fn is_ancestor(git: &Git, repository: &Path, since: &str, head: &str) -> bool {
    let call = GitCall::new(["merge-base", "--is-ancestor", since, head]).repository(repository);
    git.run(call).await.is_ok()
}

/// `None` if it is too large.
async fn read_patch(
    git: &Git,
    root: &Path,
    repository: &Path,
    range: (&str, &str),
    names: &[&[u8]],
) -> Result<Option<String>, GitError> {
    let file = root.join("reviewed.patch");
    patch::write_text(git, repository, range, names, &file).await?;
    let read = run_blocking(move || match fs::metadata(&file)?.len() {
        0..=MAX_PATCH_BYTES => fs::read(&file).map(Some),
        _ => Ok(None),
    });
    Ok(read.await?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

async fn list_files(git: &Git, repository: &Path, (start, head): (&str, &str)) -> Result<String, GitError> {
    let list = GitCall::new(["diff", "--no-renames", "--numstat", "--end-of-options", start, head, "--"]);
    let mut list = git.run(list.repository(repository)).await?;
    list.truncate(MAX_LIST_BYTES);
    let list = String::from_utf8_lossy(&list);
    Ok(format!("The patch is too large for this file. Read the files: added lines, removed lines, name.\n\n{list}"))
}

async fn load_description(
    attempt: &Attempt<'_>,
    preparation: &Preparation<'_>,
    since: Option<&str>,
) -> Result<String, Stop> {
    let repository = &attempt.assignment.repository;
    let Some(pull) = &preparation.target.pull_request else { return Ok(String::new()) };
    let mut forge_wait = ForgeWait::new(attempt, Phase::Preparing, attempt.forge_away);
    let load = async || {
        let text = preparation.access.forge.pull_request_text(repository.name.as_str(), pull.number).await;
        text.map_err(|error| target::to_source_fault(&error, repository))
    };
    let text = remove_hidden(&forge_wait.retry(unreachable(repository), load).await?);
    let text = text.get(..text.floor_char_boundary(MAX_DESCRIPTION_BYTES)).unwrap_or_default();
    let title = to_single_line(&pull.title, MAX_TITLE_CHARS);
    let scope = match since {
        Some(since) => {
            format!("An earlier review reached commit {}. Review only the changes since then.", short_commit(since))
        }
        None => "Review the whole change.".to_owned(),
    };
    let (from, into) = (&pull.head_branch, &pull.base_branch);
    Ok(format!("{scope}\n\n# {title}\n\nFrom `{from}` into `{into}`.\n\n{text}\n"))
}
