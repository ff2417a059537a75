//! Reads the beginnings of many blobs from git.

use crate::git::{Git, GitCall, GitError};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Limit for the blobs that one process reads, because its output is in memory. A larger blob is read alone, and only
/// its beginning is stored. Units: bytes.
const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Upper limit for the line before each blob: id, type and size. Units: bytes.
const HEADER_BYTES: usize = 128;
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
    let Batches { batches: together, oversized: alone } = plan_batches(blobs, &parse_sizes(&sizes));
    for some in &together {
        let input = to_id_lines(some);
        let read = git.run(GitCall::new(CONTENTS_COMMAND).repository(repository).input(&input)).await?;
        results.extend(
            parse_contents(&read).into_iter().map(|(blob, content)| (blob.to_vec(), of(prefix(content, max_bytes)))),
        );
    }
    for blob in alone {
        let args = [OsStr::new("cat-file"), OsStr::new("blob"), OsStr::from_bytes(blob)];
        let read = git.run(GitCall::new(args).repository(repository).max_output(max_bytes as u64)).await?;
        results.insert(blob.to_vec(), of(&read));
    }
    Ok(results)
}

struct Batches<'a> {
    batches: Vec<BTreeSet<&'a [u8]>>,
    oversized: Vec<&'a [u8]>,
}

/// A missing blob is in `alone`, so that git reports an error for it.
fn plan_batches<'a>(blobs: &BTreeSet<&'a [u8]>, sizes: &BTreeMap<&[u8], usize>) -> Batches<'a> {
    let (mut together, mut alone, mut group, mut room) = (Vec::new(), Vec::new(), BTreeSet::new(), MAX_BATCH_BYTES);
    for &blob in blobs {
        let size = sizes.get(blob).map_or(usize::MAX, |size| size.saturating_add(HEADER_BYTES));
        if size > MAX_BATCH_BYTES {
            alone.push(blob);
            continue;
        }
        if size > room {
            together.push(std::mem::take(&mut group));
            room = MAX_BATCH_BYTES;
        }
        room = room.saturating_sub(size);
        group.insert(blob);
    }
    if !group.is_empty() {
        together.push(group);
    }
    Batches { batches: together, oversized: alone }
}

fn prefix(content: &[u8], max_bytes: usize) -> &[u8] {
    content.get(..max_bytes).unwrap_or(content)
}

fn to_id_lines(blobs: &BTreeSet<&[u8]>) -> Vec<u8> {
    blobs.iter().flat_map(|blob| [*blob, b"\n"]).flatten().copied().collect()
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
        let said = b"aaaa blob 4\nx\ny\n\nbbbb blob 0\n\ncccc missing\ndddd blob 1\nz\n";
        assert_eq!(parse_contents(said), BTreeMap::from([(&b"aaaa"[..], &b"x\ny\n"[..]), (b"bbbb", b"")]));
        assert_eq!(parse_contents(b"aaaa blob 400\nversion"), BTreeMap::new());
    }

    #[test]
    fn beginning_is_cut_to_the_limit() {
        assert_eq!([prefix(b"abc", 2), prefix(b"abc", 3), prefix(b"", 2)], [&b"ab"[..], b"abc", b""]);
    }

    #[test]
    fn blob_ids_are_written_one_per_line() {
        assert_eq!(to_id_lines(&BTreeSet::from([&b"aaaa"[..], b"bbbb"])), b"aaaa\nbbbb\n");
        assert!(to_id_lines(&BTreeSet::new()).is_empty());
    }

    #[test]
    fn blobs_are_grouped_by_output_size() {
        let names: Vec<Vec<u8>> = (0..1_000u32).map(|n| format!("{n:04}").into_bytes()).collect();
        let blobs: BTreeSet<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let grouped_by = |size: usize| {
            let sizes: BTreeMap<&[u8], usize> = blobs.iter().map(|blob| (*blob, size)).collect();
            let Batches { batches: together, oversized: alone } = plan_batches(&blobs, &sizes);
            let all: usize = together.iter().map(BTreeSet::len).sum();
            assert_eq!(all + alone.len(), blobs.len());
            assert!(
                together
                    .iter()
                    .all(|group| group.len() * (size + HEADER_BYTES) <= MAX_BATCH_BYTES && !group.is_empty())
            );
            (together.len(), alone.len())
        };
        assert_eq!([grouped_by(10), grouped_by(70_000)], [(1, 0), (5, 0)]);
        assert_eq!([grouped_by(MAX_BATCH_BYTES - HEADER_BYTES), grouped_by(MAX_BATCH_BYTES)], [(1_000, 0), (0, 1_000)]);
        assert_eq!(plan_batches(&blobs, &BTreeMap::new()).oversized.len(), 1_000, "git has none of them");
    }

    #[tokio::test]
    async fn beginning_of_each_blob_is_read_at_any_size() {
        let dir = tempfile::tempdir().unwrap();
        let git = Git::new("", "");
        let repository = crate::git::init_bare(&git, dir.path().join("git")).await.unwrap();
        let mut ids = Vec::new();
        for (size, first) in [(0, b'a'), (3, b'b'), (70_000, b'c'), (70_000, b'd'), (MAX_BATCH_BYTES, b'e'), (9, b'f')]
        {
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
