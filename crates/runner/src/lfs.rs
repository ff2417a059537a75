//! Whether work would put into git what its repository keeps in Git LFS. No filter of a repository is run here, so that
//! such a file stands in the tree as its pointer, and what an agent writes in its place, or adds, would be content in
//! git's history for good.

use crate::filters::Changed;
use crate::git::{Call, Fault, Git};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Pointers are shorter, by the specification of Git LFS. Units: bytes.
const LONGEST_POINTER: usize = 1_024;
/// How they begin; the second one is that of its first versions.
const POINTERS: [&[u8]; 2] = [b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"];

/// Looks at files that LFS keeps, after a change. The first that was a pointer, or was not there, and is content now.
///
/// A pointer may be moved, copied or replaced by another one, and what the repository has as content may change, or move
/// as it is.
pub(crate) async fn first<'a>(
    git: &Git,
    repository: &Path,
    changed: &[&Changed<'a>],
) -> Result<Option<&'a [u8]>, Fault> {
    if changed.is_empty() {
        return Ok(None);
    }
    let blobs: BTreeSet<&[u8]> = changed.iter().flat_map(|file| [Some(file.now), file.before]).flatten().collect();
    let blobs = lines(blobs);
    let args = ["cat-file", "--batch-check=%(objectname) %(objectsize)"];
    let said = git.run(Call::new(args).repository(repository).input(&blobs)).await?;
    let sizes = sizes(&said);
    let small = sizes.iter().filter(|(_, size)| (1..LONGEST_POINTER).contains(*size)).map(|(blob, _)| *blob);
    let small = lines(small.collect());
    let read = match small.is_empty() {
        true => Vec::new(),
        false => git.run(Call::new(["cat-file", "--batch"]).repository(repository).input(&small)).await?,
    };
    let pointers = pointers(&read);
    // An empty file has no pointer: LFS keeps it as it is.
    let is_kept = |blob: &[u8]| sizes.get(blob) == Some(&0) || pointers.contains(blob);
    let first = changed.iter().find(|file| !is_kept(file.now) && file.before.is_none_or(is_kept));
    Ok(first.map(|file| file.path))
}

/// The size of each blob, as `cat-file --batch-check` says it.
fn sizes(said: &[u8]) -> BTreeMap<&[u8], usize> {
    let lines = said.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let mut words = line.split(|byte| *byte == b' ');
            Some((words.next()?, number(words.next()?)?))
        })
        .collect()
}

/// The blobs of `cat-file --batch` that are pointers.
fn pointers(mut said: &[u8]) -> BTreeSet<&[u8]> {
    let mut found = BTreeSet::new();
    while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
        let (about, rest) = said.split_at(end);
        let mut words = about.split(|byte| *byte == b' ');
        let (Some(blob), Some(size)) = (words.next(), words.nth(1).and_then(number)) else { break };
        let Some((content, rest)) = rest.get(1..).and_then(|rest| rest.split_at_checked(size)) else { break };
        if POINTERS.iter().any(|beginning| content.starts_with(beginning)) {
            found.insert(blob);
        }
        said = rest.get(1..).unwrap_or_default();
    }
    found
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn lines(blobs: BTreeSet<&[u8]>) -> Vec<u8> {
    blobs.into_iter().flat_map(|blob| [blob, b"\n"]).flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_of_sizes_and_contents_is_read() {
        assert_eq!(sizes(b"aaaa 3\nbbbb missing\ncccc 0\n"), BTreeMap::from([(&b"aaaa"[..], 3), (b"cccc", 0)]));
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        let said = format!("aaaa blob 4\nx\ny\n\nbbbb blob {}\n{pointer}\ncccc missing\n", pointer.len());
        assert_eq!(pointers(said.as_bytes()), BTreeSet::from([&b"bbbb"[..]]));
        assert_eq!(pointers(b"aaaa blob 400\nversion"), BTreeSet::new());
    }
}
