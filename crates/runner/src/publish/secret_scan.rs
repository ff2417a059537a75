//! Rejects a commit that contains a secret of its job.
//! After a push, every user of the repository can read it, even if the pull request is closed.

use crate::git::patch::{self, Lines};
use crate::git::workspace::disk::run_blocking;
use crate::git::{Git, GitCall};
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use std::path::Path;

/// Searches the lines that a commit adds to its start commit, and the names of the changed files.
/// Errors: `SecretInChange` with the first such file.
pub(crate) async fn scan_commit(
    git: &Git,
    repository: &Path,
    (start, commit): (&str, &str),
    redactor: &Redactor,
) -> Result<(), Stop> {
    let args = ["diff", "--name-only", "-z", "--diff-filter=d", "--no-renames", "--no-ext-diff", "--no-textconv"];
    let args = args.into_iter().chain(["--end-of-options", start, commit, "--"]);
    let names = git.run(GitCall::new(args).repository(repository)).await?;
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    if let Some(name) = names.clone().find(|name| redactor.contains_secret(name)) {
        return Err(secret_failure(name, redactor));
    }
    let adds_one = async |name| contains_new_secret(git, repository, (start, commit), name, redactor).await;
    if !adds_one(None).await? {
        return Ok(());
    }
    for name in names {
        if adds_one(Some(name)).await? {
            return Err(secret_failure(name, redactor));
        }
    }
    Err(secret_failure(b"its files", redactor))
}

fn secret_failure(name: &[u8], redactor: &Redactor) -> Stop {
    Failure::SecretInChange { path: redactor.redact_text(&String::from_utf8_lossy(name)).into_owned() }.into()
}

async fn contains_new_secret(
    git: &Git,
    repository: &Path,
    range: (&str, &str),
    name: Option<&[u8]>,
    redactor: &Redactor,
) -> Result<bool, Stop> {
    let file = repository.join("added.diff");
    patch::write_text(git, repository, range, name, &file).await?;
    let search = redactor.search();
    // The patch may be large. Time limits and orders are handled while it is searched.
    let contains = run_blocking(move || {
        let result = patch::has_secret(&file, Lines::Added, search);
        let _ = std::fs::remove_file(&file);
        result
    });
    Ok(contains.await?)
}
