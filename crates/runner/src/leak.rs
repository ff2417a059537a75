//! Whether a commit would publish a secret of its own job: a key that the agent wrote into a file is everybody's
//! once it is pushed, whatever becomes of the pull request.

use crate::git::{Call, Fault, Git};
use crate::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use std::path::Path;

/// Looks at what a commit adds to the one it starts from.
///
/// Errors: `SecretInChange` with the first such file.
pub(crate) async fn look(
    git: &Git,
    repository: &Path,
    (start, commit): (&str, &str),
    redactor: &Redactor,
) -> Result<(), Stop> {
    let failed = |fault: Fault| Stop::Failed(fault.of_workspace());
    let diff = async |how: &[&str]| {
        let fixed = ["diff", "--no-renames", "--no-ext-diff", "--no-textconv"];
        let range = ["--end-of-options", start, commit, "--"];
        let args = fixed.iter().chain(how).chain(&range);
        git.run(Call::new(args).repository(repository)).await.map_err(failed)
    };
    let names = diff(&["--name-only", "-z", "--diff-filter=d"]).await?;
    if let Some(name) = names.split(|byte| *byte == 0).find(|name| redactor.knows_one_in(name)) {
        return Err(of(name, redactor));
    }
    // Binary files as text, or what is in them would not be seen.
    let all = diff(&["--text", "--unified=0"]).await?;
    let looks = redactor.clone();
    // It may be a lot, and limits and orders count meanwhile.
    let has_one = tokio::task::spawn_blocking(move || looks.knows_one_in(&added(all))).await;
    if !has_one.map_err(|error| Failure::WorkspaceFailed { reason: error.to_string() })? {
        return Ok(());
    }
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let spec = format!("{commit}:{}", String::from_utf8_lossy(name));
        let content = git.run(Call::new(["cat-file", "blob", &spec]).repository(repository)).await;
        // A submodule has no content.
        if content.is_ok_and(|content| redactor.knows_one_in(&content)) {
            return Err(of(name, redactor));
        }
    }
    Err(of(b"its files", redactor))
}

fn of(name: &[u8], redactor: &Redactor) -> Stop {
    Failure::SecretInChange { path: redactor.text(&String::from_utf8_lossy(name)).into_owned() }.into()
}

/// The lines that a diff adds, as one text: a secret in base64 goes on over several. A header of a file that begins
/// alike has no secret in it that its name hasn't.
fn added(mut diff: Vec<u8>) -> Vec<u8> {
    let (mut adds, mut begins) = (false, true);
    diff.retain(|byte| {
        let is_sign = begins;
        if begins {
            adds = *byte == b'+';
        }
        begins = *byte == b'\n';
        adds && !is_sign
    });
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_one_text() {
        let diff =
            b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n-old\n+one\n+\n++two\n-\n\\ No newline\n+end";
        assert_eq!(added(diff.to_vec()), b"++ b/x\none\n\n+two\nend");
    }
}
