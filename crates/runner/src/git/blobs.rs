//! Reads the beginnings of many blobs from git.

use crate::git::{Git, GitCall, GitError};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How many blobs one process reads, because its output is in memory.
const BATCH_SIZE: usize = 16;
const SIZES_COMMAND: [&str; 2] = ["cat-file", "--batch-check=%(objectname) %(objectsize)"];
const CONTENTS_COMMAND: [&str; 2] = ["cat-file", "--batch"];

/// Applies `of` to the beginning of each existing blob. Reads at most `max_bytes` of each. Units: bytes.
pub(crate) async fn map_blobs<T>(
    git: &Git,
    repository: &Path,
    blobs: &BTreeSet<&[u8]>,
    max_bytes: usize,
    of: fn(&[u8]) -> T,
) -> Result<BTreeMap<Vec<u8>, T>, GitError> {
    let mut results = BTreeMap::new();
    if blobs.is_empty() {
        return Ok(results);
    }
    let input = to_id_lines(blobs);
    let sizes = git.run(GitCall::new(SIZES_COMMAND).repository(repository).input(&input)).await?;
    let sizes = parse_sizes(&sizes);
    let is_small = |blob: &&[u8]| sizes.get(blob).is_some_and(|size| *size <= max_bytes);
    // A missing blob is among the others, so that git reports an error for it.
    let (small, others): (BTreeSet<&[u8]>, BTreeSet<&[u8]>) = blobs.iter().partition(|blob| is_small(blob));
    for batch in Vec::from_iter(small).chunks(BATCH_SIZE) {
        let input = to_id_lines(batch);
        let read = git.run(GitCall::new(CONTENTS_COMMAND).repository(repository).input(&input)).await?;
        results.extend(parse_contents(&read).into_iter().map(|(blob, content)| (blob.to_vec(), of(content))));
    }
    for blob in others {
        let args = [OsStr::new("cat-file"), OsStr::new("blob"), OsStr::from_bytes(blob)];
        let read = git.run(GitCall::new(args).repository(repository).max_output(max_bytes as u64)).await?;
        results.insert(blob.to_vec(), of(&read));
    }
    Ok(results)
}

fn to_id_lines<'a>(blobs: impl IntoIterator<Item = &'a &'a [u8]>) -> Vec<u8> {
    blobs.into_iter().flat_map(|blob| [*blob, b"\n"]).flatten().copied().collect()
}

fn parse_sizes(output: &[u8]) -> BTreeMap<&[u8], usize> {
    let lines = output.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            Some((fields.next()?, parse_number(fields.next()?)?))
        })
        .collect()
}

/// The content of each blob, up to the first missing blob.
fn parse_contents(mut output: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut contents = BTreeMap::new();
    while let Some(end) = output.iter().position(|byte| *byte == b'\n') {
        let (about, rest) = output.split_at(end);
        let mut fields = about.split(|byte| *byte == b' ');
        let (Some(blob), Some(size)) = (fields.next(), fields.nth(1).and_then(parse_number)) else { break };
        let Some((content, rest)) = rest.get(1..).and_then(|rest| rest.split_at_checked(size)) else { break };
        contents.insert(blob, content);
        output = rest.get(1..).unwrap_or_default();
    }
    contents
}

fn parse_number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_contents_are_parsed() {
        assert_eq!(parse_sizes(b"aaaa 3\nbbbb missing\ncccc 0\n"), BTreeMap::from([(&b"aaaa"[..], 3), (b"cccc", 0)]));
        let output = b"aaaa blob 4\nx\ny\n\nbbbb blob 0\n\ncccc missing\ndddd blob 1\nz\n";
        assert_eq!(parse_contents(output), BTreeMap::from([(&b"aaaa"[..], &b"x\ny\n"[..]), (b"bbbb", b"")]));
        assert_eq!(parse_contents(b"aaaa blob 400\nversion"), BTreeMap::new());
    }

    #[tokio::test]
    async fn beginning_of_each_blob_is_read_at_any_size() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::new("", "");
        let repository = crate::git::init_bare(&git, dir.path().join("git")).await.unwrap();
        let mut ids = Vec::new();
        for (size, first) in [(0, b'a'), (3, b'b'), (70_000, b'c'), (70_000, b'd'), (16 << 20, b'e'), (9, b'f')] {
            let content = vec![first; size];
            let call = GitCall::new(["hash-object", "-w", "--stdin"]).repository(&repository).input(&content);
            ids.push((git.run_for_line(call).await.unwrap().into_bytes(), size, first));
        }
        let blobs: BTreeSet<&[u8]> = ids.iter().map(|(id, ..)| id.as_slice()).collect();
        let read = map_blobs(&git, &repository, &blobs, 4, |content| content.to_vec()).await.unwrap();
        assert_eq!(read.len(), ids.len());
        for (id, size, first) in &ids {
            assert_eq!(read.get(id), Some(&vec![*first; (*size).min(4)]), "{size}");
        }
    }
}
