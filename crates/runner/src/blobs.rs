//! Asks git about many blobs at once, and reads what it says of them.

use crate::git::{Call, Fault, Git};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Blobs of this size and below are read together. Units: bytes.
const SMALL: usize = 64 * 1024;
/// So many of them: what git says is in memory.
const TOGETHER: usize = 256;
/// Has git say what `sizes` reads of the blobs that it is told.
pub(crate) const ASK_SIZES: [&str; 2] = ["cat-file", "--batch-check=%(objectname) %(objectsize)"];
/// Has git say what `contents` reads of the blobs that it is told.
pub(crate) const ASK_CONTENTS: [&str; 2] = ["cat-file", "--batch"];

/// What `of` makes of the beginning of each blob that git has, which is no longer than `most`. Units: bytes.
pub(crate) async fn each<T>(
    git: &Git,
    repository: &Path,
    blobs: &BTreeSet<&[u8]>,
    most: usize,
    of: fn(&[u8]) -> T,
) -> Result<BTreeMap<Vec<u8>, T>, Fault> {
    let mut found = BTreeMap::new();
    if blobs.is_empty() {
        return Ok(found);
    }
    let asked = lines(blobs);
    let said = git.run(Call::new(ASK_SIZES).repository(repository).input(&asked)).await?;
    let sizes = sizes(&said);
    let is_small = |blob: &[u8]| sizes.get(blob).is_some_and(|size| *size <= SMALL);
    let (small, large): (Vec<&[u8]>, Vec<&[u8]>) = blobs.iter().copied().partition(|blob| is_small(blob));
    for some in small.chunks(TOGETHER) {
        let asked = lines(&some.iter().copied().collect());
        let read = git.run(Call::new(ASK_CONTENTS).repository(repository).input(&asked)).await?;
        found.extend(contents(&read).into_iter().map(|(blob, content)| (blob.to_vec(), of(beginning(content, most)))));
    }
    for blob in large {
        let args = [OsStr::new("cat-file"), OsStr::new("blob"), OsStr::from_bytes(blob)];
        let read = git.run(Call::new(args).repository(repository).at_most(most as u64)).await?;
        found.insert(blob.to_vec(), of(&read));
    }
    Ok(found)
}

fn beginning(content: &[u8], most: usize) -> &[u8] {
    content.get(..most).unwrap_or(content)
}

/// The blobs as git is told them, each on a line.
pub(crate) fn lines(blobs: &BTreeSet<&[u8]>) -> Vec<u8> {
    blobs.iter().flat_map(|blob| [*blob, b"\n"]).flatten().copied().collect()
}

/// The size of each blob.
pub(crate) fn sizes(said: &[u8]) -> BTreeMap<&[u8], usize> {
    let lines = said.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let mut words = line.split(|byte| *byte == b' ');
            Some((words.next()?, number(words.next()?)?))
        })
        .collect()
}

/// What is in each blob, up to the first that git does not have.
pub(crate) fn contents(mut said: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut found = BTreeMap::new();
    while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
        let (about, rest) = said.split_at(end);
        let mut words = about.split(|byte| *byte == b' ');
        let (Some(blob), Some(size)) = (words.next(), words.nth(1).and_then(number)) else { break };
        let Some((content, rest)) = rest.get(1..).and_then(|rest| rest.split_at_checked(size)) else { break };
        found.insert(blob, content);
        said = rest.get(1..).unwrap_or_default();
    }
    found
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_of_sizes_and_contents_is_read() {
        assert_eq!(sizes(b"aaaa 3\nbbbb missing\ncccc 0\n"), BTreeMap::from([(&b"aaaa"[..], 3), (b"cccc", 0)]));
        let said = b"aaaa blob 4\nx\ny\n\nbbbb blob 0\n\ncccc missing\ndddd blob 1\nz\n";
        assert_eq!(contents(said), BTreeMap::from([(&b"aaaa"[..], &b"x\ny\n"[..]), (b"bbbb", b"")]));
        assert_eq!(contents(b"aaaa blob 400\nversion"), BTreeMap::new());
    }

    #[test]
    fn no_more_of_a_blob_is_looked_at_than_its_beginning() {
        assert_eq!([beginning(b"abc", 2), beginning(b"abc", 3), beginning(b"", 2)], [&b"ab"[..], b"abc", b""]);
    }

    #[test]
    fn each_blob_is_told_on_a_line() {
        assert_eq!(lines(&BTreeSet::from([&b"aaaa"[..], b"bbbb"])), b"aaaa\nbbbb\n");
        assert!(lines(&BTreeSet::new()).is_empty());
    }
}
