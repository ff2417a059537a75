//! Writes the changes between two commits to a patch file, because they may not fit into memory.

use crate::git::workspace::disk::run_blocking;
use crate::git::workspace::remove_entry;
use crate::git::{Git, GitCall, GitError};
use crate::secrets::redact::{RedactionStream, SecretSearch};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binaries {
    Full,
    Omitted,
}

pub(crate) async fn write(
    git: &Git,
    repository: &Path,
    range: (&str, &str),
    binaries: Binaries,
    file: &Path,
) -> Result<(), GitError> {
    let options: &[&str] = match binaries {
        Binaries::Full => &["--binary", "--full-index"],
        Binaries::Omitted => &["--full-index"],
    };
    diff(git, repository, range, (options, &[]), file).await
}

/// The text changes of these files, with renames as the forges show them. Without `names`, of all files.
pub(crate) async fn write_text(
    git: &Git,
    repository: &Path,
    range: (&str, &str),
    names: &[&[u8]],
    file: &Path,
) -> Result<(), GitError> {
    diff(git, repository, range, (&["--full-index", "--find-renames"], names), file).await
}

/// Whether a change contains a secret of the job, also in binary files. With `name`, searches only this file's change.
pub(crate) async fn contains_secret(
    git: &Git,
    repository: &Path,
    range: (&str, &str),
    (lines, name): (Lines, Option<&[u8]>),
    search: SecretSearch,
) -> Result<bool, GitError> {
    let file = repository.join("searched.diff");
    diff(git, repository, range, (&["--text"], name.as_slice()), &file).await?;
    // The patch may be large, so the search must not block time limits and orders.
    let contains = run_blocking(move || {
        let result = has_secret(&file, lines, search);
        let _ = fs::remove_file(&file);
        result
    });
    Ok(contains.await?)
}

async fn diff(
    git: &Git,
    repository: &Path,
    (start, commit): (&str, &str),
    (options, names): (&[&str], &[&[u8]]),
    file: &Path,
) -> Result<(), GitError> {
    // An existing entry could be a link to another place.
    remove_entry(file)?;
    let mut output = OsString::from("--output=");
    output.push(file);
    let base_options = ["diff", "--no-renames", "--no-color", "--no-ext-diff", "--no-textconv"];
    let mut args: Vec<OsString> = base_options.iter().chain(options).map(OsString::from).collect();
    args.extend([output, "--end-of-options".into(), start.into(), commit.into(), "--".into()]);
    args.extend(names.iter().map(|name| {
        let mut pathspec = OsString::from(":(literal)");
        pathspec.push(OsStr::from_bytes(name));
        pathspec
    }));
    git.run(GitCall::new(args).repository(repository)).await.map(drop)
}

/// Copies a patch and redacts the secrets in all lines, also removed ones. A redacted part no longer applies.
pub(crate) fn redact_patch(patch: &Path, to: &Path, mut stream: RedactionStream) -> io::Result<()> {
    let (mut from, mut to) = (File::open(patch)?, File::create(to)?);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return to.write_all(&stream.finish());
        }
        to.write_all(&stream.push(chunk.get(..read).unwrap_or_default()))?;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Also the removed lines, and those around a change.
    All,
    /// The added lines, joined into one text, because a secret in base64 may span several lines. The header of a file
    /// also starts with `+`, but only contains its name.
    Added,
}

fn has_secret(patch: &Path, lines: Lines, mut search: SecretSearch) -> io::Result<bool> {
    let mut from = File::open(patch)?;
    let (mut chunk, mut added) = (vec![0; CHUNK_BYTES], AddedLines::default());
    loop {
        let read = from.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(false) };
        let contains = match lines {
            Lines::All => search.push(bytes),
            Lines::Added => search.push(&added.extract(bytes)),
        };
        if contains {
            return Ok(true);
        }
    }
}

#[derive(Default)]
struct AddedLines {
    is_added: bool,
    is_inside: bool,
}

impl AddedLines {
    fn extract(&mut self, chunk: &[u8]) -> Vec<u8> {
        let mut bytes = chunk.to_vec();
        bytes.retain(|byte| {
            let is_sign = !self.is_inside;
            if is_sign {
                self.is_added = *byte == b'+';
            }
            self.is_inside = *byte != b'\n';
            self.is_added && !is_sign
        });
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::redact::Redactor;

    #[test]
    fn added_lines_are_independent_of_pieces() {
        let diff =
            b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n-old\n+one\n+\n++two\n-\n\\ No newline\n+end";
        for size in 1..diff.len() {
            let mut added = AddedLines::default();
            let lines: Vec<u8> = diff.chunks(size).flat_map(|chunk| added.extract(chunk)).collect();
            assert_eq!(lines, b"++ b/x\none\n\n+two\nend", "in pieces of {size}");
        }
    }

    #[test]
    fn patch_is_redacted_only_if_it_has_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let redactor = Redactor::new(["the-secret".to_owned()]);
        let redact_text = |text: &str| {
            let [patch, to] = ["patch", "to"].map(|name| dir.path().join(name));
            std::fs::write(&patch, text).unwrap();
            redact_patch(&patch, &to, redactor.stream()).unwrap();
            (
                std::fs::read_to_string(to).unwrap(),
                [Lines::All, Lines::Added].map(|lines| has_secret(&patch, lines, redactor.search()).unwrap()),
            )
        };
        let long = format!("@@ -1 +1 @@\n-old\n+{}\n", "x".repeat(CHUNK_BYTES));
        assert_eq!(redact_text(&long), (long.clone(), [false, false]));
        for sign in ["-", "+", " "] {
            let text = format!("{}\n{sign}the-secret\n", "x".repeat(CHUNK_BYTES - 5));
            assert_eq!(redact_text(&text), (text.replace("the-secret", "[redacted]"), [true, sign == "+"]));
        }
        let token = "-ghp_0123456789abcdefghijABCDEFGHIJ012345\n";
        assert_eq!(redact_text(token), ("-[redacted]\n".into(), [false, false]), "a shape alone may be an example");
    }
}
