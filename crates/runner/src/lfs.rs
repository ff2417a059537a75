//! Whether work would put into git what its repository keeps in Git LFS. No filter of a repository is run here, so that
//! such a file stands in the tree as its pointer, and what an agent writes in its place, or adds, would be content in
//! git's history for good.

use crate::git::{Call, Fault, Git};
use crate::redact::Redactor;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Pointers are shorter, by the specification of Git LFS. Units: bytes.
const LONGEST_POINTER: usize = 1_024;
/// How they begin; the second one is that of its first versions.
const POINTERS: [&[u8]; 2] = [b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/"];

/// A file that is there after a change.
#[derive(Debug, PartialEq, Eq)]
struct Changed<'a> {
    path: &'a [u8],
    /// Its blob before, if it was a file.
    before: Option<&'a [u8]>,
    now: &'a [u8],
}

/// Looks at what a tree, which stands in the repository's index, changes of the commit that the work starts from.
///
/// A pointer may be moved, copied or replaced by another one, and what the repository has as content may change, or move
/// as it is.
/// Errors: `LfsContent` with the first file that was a pointer, or was not there, and is content now.
pub(crate) async fn look(
    git: &Git,
    repository: &Path,
    (start, tree): (&str, &str),
    redactor: &Redactor,
) -> Result<(), Stop> {
    match first(git, repository, (start, tree)).await {
        Ok(None) => Ok(()),
        Ok(Some(path)) => {
            let path = redactor.text(&String::from_utf8_lossy(&path)).into_owned();
            Err(Failure::LfsContent { path }.into())
        }
        Err(fault) => Err(fault.of_workspace().into()),
    }
}

async fn first(git: &Git, repository: &Path, (start, tree): (&str, &str)) -> Result<Option<Vec<u8>>, Fault> {
    // What was moved as it is brings nothing new into the history.
    let moved = "--find-renames=100%";
    let args = ["diff-tree", "-r", "-z", "--raw", moved, "--diff-filter=d", "--end-of-options", start, tree, "--"];
    let said = git.run(Call::new(args).repository(repository)).await?;
    let changed = changed(&said);
    if changed.is_empty() {
        return Ok(None);
    }
    let paths = changed.iter().map(|file| file.path).collect::<Vec<_>>().join(&0u8);
    let args = ["check-attr", "-z", "--cached", "--stdin", "filter"];
    let said = git.run(Call::new(args).repository(repository).input(&paths)).await?;
    let in_lfs = in_lfs(&said);
    let changed: Vec<_> = changed.into_iter().filter(|file| in_lfs.contains(file.path)).collect();
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
    Ok(first.map(|file| file.path.to_vec()))
}

/// What `diff-tree --raw -z` says, but for links and submodules.
fn changed(said: &[u8]) -> Vec<Changed<'_>> {
    let mut parts = said.split(|byte| *byte == 0);
    let mut all = Vec::new();
    while let (Some(about), Some(mut path)) = (parts.next(), parts.next()) {
        if about.rsplit(|byte| *byte == b' ').next().is_some_and(|status| status.starts_with(b"R")) {
            let Some(to) = parts.next() else { break };
            path = to;
        }
        let mut words = about.split(|byte| *byte == b' ');
        let (modes, blobs) = ([words.next(), words.next()], [words.next(), words.next()]);
        if let ([Some(mode_before), Some(mode)], [Some(before), Some(now)]) = (modes, blobs)
            && mode.starts_with(b"100")
        {
            all.push(Changed { path, before: mode_before.starts_with(b":100").then_some(before), now });
        }
    }
    all
}

/// The paths that `check-attr -z` gives to LFS.
fn in_lfs(said: &[u8]) -> BTreeSet<&[u8]> {
    let mut parts = said.split(|byte| *byte == 0);
    let mut found = BTreeSet::new();
    while let (Some(path), Some(_), Some(filter)) = (parts.next(), parts.next(), parts.next()) {
        if filter == b"lfs" {
            found.insert(path);
        }
    }
    found
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

    fn file<'a>(path: &'a str, before: Option<&'a str>, now: &'a str) -> Changed<'a> {
        Changed { path: path.as_bytes(), before: before.map(str::as_bytes), now: now.as_bytes() }
    }

    #[test]
    fn files_are_read_with_their_blobs_and_links_and_submodules_are_none() {
        let said = b":000000 100644 0000 aaaa A\0a b.bin\0:120000 100755 bbbb cccc T\0was a link\0\
                     :100644 120000 dddd eeee T\0is a link\0:160000 160000 ffff 1111 M\0sub\0\
                     :100644 100644 4444 4444 R100\0from\0to\0:100644 100644 2222 3333 M\0x\0";
        let expected = [
            file("a b.bin", None, "aaaa"),
            file("was a link", None, "cccc"),
            file("to", Some("4444"), "4444"),
            file("x", Some("2222"), "3333"),
        ];
        assert_eq!(changed(said), expected);
        assert!(changed(b"").is_empty());
    }

    #[test]
    fn what_git_says_of_attributes_sizes_and_contents_is_read() {
        let said = b"a.bin\0filter\0lfs\0b\nc\0filter\0unspecified\0d\0filter\0lfs-not\0";
        assert_eq!(in_lfs(said), BTreeSet::from([&b"a.bin"[..]]));
        assert_eq!(sizes(b"aaaa 3\nbbbb missing\ncccc 0\n"), BTreeMap::from([(&b"aaaa"[..], 3), (b"cccc", 0)]));
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        let said = format!("aaaa blob 4\nx\ny\n\nbbbb blob {}\n{pointer}\ncccc missing\n", pointer.len());
        assert_eq!(pointers(said.as_bytes()), BTreeSet::from([&b"bbbb"[..]]));
        assert_eq!(pointers(b"aaaa blob 400\nversion"), BTreeSet::new());
    }
}
