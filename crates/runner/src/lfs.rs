//! Whether work would put into git what its repository keeps in Git LFS. No filter of a repository is run here, so that
//! such a file stands in the tree as its pointer, and what an agent writes in its place, or adds, would be content in
//! git's history for good.

use crate::blobs;
use crate::filters::Changed;
use crate::git::{Call, Fault, Git};
use std::collections::BTreeSet;
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
    let blobs = blobs::lines(&blobs);
    let said = git.run(Call::new(blobs::ASK_SIZES).repository(repository).input(&blobs)).await?;
    let sizes = blobs::sizes(&said);
    let small = sizes.iter().filter(|(_, size)| (1..LONGEST_POINTER).contains(*size)).map(|(blob, _)| *blob);
    let small = blobs::lines(&small.collect());
    let read = match small.is_empty() {
        true => Vec::new(),
        false => git.run(Call::new(blobs::ASK_CONTENTS).repository(repository).input(&small)).await?,
    };
    let contents = blobs::contents(&read);
    // An empty file has no pointer: LFS keeps it as it is.
    let is_kept =
        |blob: &[u8]| sizes.get(blob) == Some(&0) || contents.get(blob).is_some_and(|content| is_pointer(content));
    let first = changed.iter().find(|file| !is_kept(file.now) && file.before.is_none_or(is_kept));
    Ok(first.map(|file| file.path))
}

/// Whether a blob is a pointer, by what is in it.
fn is_pointer(content: &[u8]) -> bool {
    POINTERS.iter().any(|beginning| content.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_known_by_its_beginning() {
        assert!(is_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"));
        assert!(is_pointer(b"version https://hawser.github.com/spec/v1\n"));
        assert!(!is_pointer(b"x\nversion https://git-lfs.github.com/spec/v1\n") && !is_pointer(b""));
    }
}
