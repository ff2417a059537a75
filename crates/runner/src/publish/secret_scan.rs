//! Rejects a change that contains a secret of its job.
//! After a push, every user of the repository can read it, even if the pull request is closed.

use crate::git::patch::{self, Lines};
use crate::git::{Git, GitCall};
use crate::secrets::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::text::failure::Failure;
use std::path::Path;

/// Searches these lines of the change between two commits, and the names of the changed files.
/// Errors: `SecretInChange` with the first such file.
pub(crate) async fn scan_change(
    git: &Git,
    repository: &Path,
    (start, end): (&str, &str),
    lines: Lines,
    redactor: &Redactor,
) -> Result<(), Stop> {
    let args = ["diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv"].into_iter();
    let args = args.chain((lines == Lines::Added).then_some("--diff-filter=d"));
    let args = args.chain(["--end-of-options", start, end, "--"]);
    let names = git.run(GitCall::new(args).repository(repository)).await?;
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    if let Some(name) = names.clone().find(|name| redactor.contains_secret(name)) {
        return Err(secret_failure(name, redactor));
    }
    let contains_secret =
        async |name| patch::contains_secret(git, repository, (start, end), (lines, name), redactor.search()).await;
    if !contains_secret(None).await? {
        return Ok(());
    }
    for name in names {
        if contains_secret(Some(name)).await? {
            return Err(secret_failure(name, redactor));
        }
    }
    Err(secret_failure(b"its files", redactor))
}

fn secret_failure(name: &[u8], redactor: &Redactor) -> Stop {
    Failure::SecretInChange { path: redactor.redact_text(&String::from_utf8_lossy(name)).into_owned() }.into()
}
