//! Whether work would put into git what a filter of its repository should have changed on the way. No filter of a
//! repository is run here: it is a program that the repository names. What `git-crypt` encrypts would be readable in
//! git's history, for good. What LFS keeps is in `lfs`, what was encrypted without a filter in `seals`.

use crate::attempt::Attempt;
use crate::blobs;
use crate::git::{self, Call, Fault, Git};
use crate::lfs;
use crate::said::Said;
use crate::seals;
use crate::stop::Stop;
use crate::workspace::Workspace;
use pullyard_domain::failure::Failure;
use pullyard_domain::prompt::untrusted::{code, visible};
use pullyard_protocol::event::EventKind;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The filter that `lfs` looks after.
const LFS: &[u8] = b"lfs";
/// Of so many files git is asked at once: what it says of them is in memory.
const AT_ONCE: usize = 4_096;
/// So many are named to people; the rest is counted.
const NAMED: usize = 64;
/// So much of a path is said there. Units: characters.
const LONGEST_PATH: usize = 200;
/// As much of a file says what it is. Units: bytes.
const HEAD: usize = 8_000;
/// What the names of filters that encrypt have in them: git-crypt with its keys, transcrypt, git-agecrypt, and what
/// people call their own.
const ENCRYPT: [&str; 10] =
    ["crypt", "cipher", "secret", "gpg", "sops", "vault", "openssl", "strongbox", "blackbox", "keyringer"];

/// A file that is there after a change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed<'a> {
    pub(crate) path: &'a [u8],
    /// Its blob before, if it was a file.
    pub(crate) before: Option<&'a [u8]>,
    pub(crate) now: &'a [u8],
}

/// What must not be committed as it stands.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A file that LFS keeps, as its content.
    Lfs(Vec<u8>),
    /// Files that a filter would have changed, each with that.
    Readable(Readable),
    /// Files that were encrypted where the work starts, each with what had encrypted it.
    Decrypted(Readable),
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Readable {
    /// The first ones, each with what would have it unreadable.
    files: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many others there are.
    others: usize,
}

impl Readable {
    fn add(&mut self, path: &[u8], by: &[u8]) {
        if self.files.len() < NAMED {
            self.files.push((path.to_vec(), by.to_vec()));
        } else {
            self.others += 1;
        }
    }
}

/// Looks at what a tree, which stands in the repository's index and in the worktree, changes of the commit that the work
/// starts from.
///
/// Errors: `LfsContent` with the first file that was a pointer, or was not there, and is content now; `FilteredContent`
/// with the first that would be readable; `DecryptedContent` with the first that was encrypted, by whatever program, and
/// is readable.
pub(crate) async fn look(
    this: &Attempt<'_>,
    git: &Git,
    workspace: &Workspace,
    range: (&str, &str),
) -> Result<(), Stop> {
    // A secret is taken out while it is whole.
    let said = |name: &[u8]| this.redactor.text(&visible(&String::from_utf8_lossy(name))).into_owned();
    let (readable, what, is_filtered) =
        match found(git, workspace, range).await.map_err(|fault| fault.of_workspace())? {
            Found::Nothing => return Ok(()),
            Found::Lfs(path) => return Err(Failure::LfsContent { path: said(&path) }.into()),
            Found::Readable(readable) => (readable, "that a filter should change on their way into git", true),
            Found::Decrypted(readable) => (readable, "that were encrypted and are readable now", false),
        };
    let named = |path: &[u8]| code(&said(path), LONGEST_PATH);
    let names: Vec<_> = readable.files.iter().map(|(path, _)| named(path)).collect();
    let others = if readable.others > 0 { format!(" and {} more", readable.others) } else { String::new() };
    let words = format!("Files {what}: {}{others}.", names.join(", "));
    this.events.add(Said::words(EventKind::Log, words));
    let (path, by) = readable.files.into_iter().next().unwrap_or_default();
    let (path, by) = (said(&path), said(&by));
    let failure = match is_filtered {
        true => Failure::FilteredContent { path, filter: by },
        false => Failure::DecryptedContent { path, by },
    };
    Err(failure.into())
}

async fn found(git: &Git, workspace: &Workspace, (start, tree): (&str, &str)) -> Result<Found, Fault> {
    let (repository, files) = (workspace.repository(), workspace.tree());
    // What was moved as it is brings nothing new into the history.
    let args = ["diff-tree", "-r", "-z", "--raw", "--find-renames=100%", "--end-of-options", start, tree, "--"];
    let said = git.run(Call::new(args).repository(&repository)).await?;
    let changed = changed(&said);
    if changed.is_empty() {
        return Ok(Found::Nothing);
    }
    // Whoever takes the pattern away with the cipher would have it readable all the same.
    let index_before = repository.join("index-of-start");
    let asks_before = names_attributes(&said);
    if asks_before {
        git::remove(&index_before).await.map_err(Fault::Disk)?;
        git.run(Call::new(["read-tree", start]).repository(&repository).index(&index_before)).await?;
    }
    let mut readable = Readable::default();
    for some in changed.chunks(AT_ONCE) {
        let paths = some.iter().map(|file| file.path).collect::<Vec<_>>().join(&0u8);
        let ask = ["check-attr", "-z", "--stdin", "filter"];
        let ask_index = ["check-attr", "-z", "--cached", "--stdin", "filter"];
        let of_commit = git.run(Call::new(ask_index).repository(&repository).input(&paths)).await?;
        let of_files = git.run(Call::new(ask).repository(&repository).tree(&files).input(&paths)).await?;
        let of_start = if asks_before {
            let call = Call::new(ask_index).repository(&repository).index(&index_before);
            git.run(call.input(&paths)).await?
        } else {
            Vec::new()
        };
        let of_commit = filters(&of_commit);
        let in_lfs: Vec<_> = some.iter().filter(|file| of_commit.get(file.path) == Some(&LFS)).collect();
        if let Some(path) = lfs::first(git, &repository, &in_lfs).await? {
            return Ok(Found::Lfs(path.to_vec()));
        }
        let said = [of_commit, filters(&of_files), filters(&of_start)];
        let mut in_filters: Vec<(&Changed<'_>, &[u8])> = Vec::new();
        for file in some.iter().filter(|file| file.before != Some(file.now)) {
            let named = said.iter().filter_map(|said| said.get(file.path).copied());
            let named: Vec<&[u8]> = named.filter(|filter| *filter != LFS).collect();
            let encrypting = named.iter().copied().find(|filter| encrypts(filter));
            in_filters.extend(encrypting.or(named.first().copied()).map(|filter| (file, filter)));
        }
        let kinds = kinds(git, &repository, &in_filters).await?;
        for (file, filter) in in_filters {
            if is_readable(file, filter, &kinds) {
                readable.add(file.path, filter);
            }
        }
    }
    if asks_before {
        git::remove(&index_before).await.map_err(Fault::Disk)?;
    }
    if !readable.files.is_empty() {
        return Ok(Found::Readable(readable));
    }
    // Without a filter a program encrypts files where they stand.
    let mut decrypted = Readable::default();
    for some in changed.chunks(AT_ONCE) {
        let opened = seals::opened(git, &repository, some).await?;
        opened.into_iter().for_each(|(path, by)| decrypted.add(path, by.as_bytes()));
    }
    Ok(if decrypted.files.is_empty() { Found::Nothing } else { Found::Decrypted(decrypted) })
}

/// Whether a file is readable now that its filter would have encrypted. Of a filter whose name says nothing the file
/// itself has to: it was encrypted, or no text, and is a text now.
fn is_readable(file: &Changed<'_>, filter: &[u8], kinds: &BTreeMap<Vec<u8>, Kind>) -> bool {
    // What git does not have is not known to be encrypted.
    let kind = |blob: &[u8]| kinds.get(blob).copied().unwrap_or(Kind::Text);
    let is_plain = |kind: Kind| matches!(kind, Kind::Text | Kind::Binary);
    if encrypts(filter) {
        return is_plain(kind(file.now));
    }
    match file.before.map(kind) {
        None | Some(Kind::Empty | Kind::Text) => false,
        Some(Kind::Binary) => kind(file.now) == Kind::Text,
        Some(Kind::Sealed) => is_plain(kind(file.now)),
    }
}

/// What a file is, by its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Filters leave it so.
    Empty,
    /// It begins as what is encrypted does.
    Sealed,
    Binary,
    Text,
}

/// What each file is, and was.
async fn kinds(
    git: &Git,
    repository: &Path,
    files: &[(&Changed<'_>, &[u8])],
) -> Result<BTreeMap<Vec<u8>, Kind>, Fault> {
    let blobs: BTreeSet<&[u8]> = files.iter().flat_map(|(file, _)| [Some(file.now), file.before]).flatten().collect();
    blobs::each(git, repository, &blobs, HEAD, kind_of).await
}

fn kind_of(head: &[u8]) -> Kind {
    if head.is_empty() {
        return Kind::Empty;
    }
    if seals::of_beginning(head).is_some() {
        return Kind::Sealed;
    }
    // The last letter may have been cut.
    let is_text = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    if is_text && !head.contains(&0) { Kind::Text } else { Kind::Binary }
}

fn encrypts(filter: &[u8]) -> bool {
    let name = String::from_utf8_lossy(filter).to_ascii_lowercase();
    // Too short to be a part of a word.
    let is_age = name.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word == "age");
    is_age || ENCRYPT.iter().any(|part| name.contains(part))
}

/// What `diff-tree --raw -z` says, but for what is gone, links and submodules.
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

/// Whether a file of attributes is among what `diff-tree -z` names.
fn names_attributes(said: &[u8]) -> bool {
    let file = b".gitattributes";
    said.split(|byte| *byte == 0).any(|part| part == file || part.ends_with(b"/.gitattributes"))
}

/// The filter of each path that has one, as `check-attr -z` says it.
fn filters(said: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut parts = said.split(|byte| *byte == 0);
    let mut found = BTreeMap::new();
    while let (Some(path), Some(_), Some(filter)) = (parts.next(), parts.next(), parts.next()) {
        if ![&b""[..], b"unspecified", b"unset", b"set"].contains(&filter) {
            found.insert(path, filter);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file<'a>(path: &'a str, before: Option<&'a str>, now: &'a str) -> Changed<'a> {
        Changed { path: path.as_bytes(), before: before.map(str::as_bytes), now: now.as_bytes() }
    }

    #[test]
    fn files_are_read_with_their_blobs_and_what_is_gone_links_and_submodules_are_none() {
        let said = b":000000 100644 0000 aaaa A\0a b.bin\0:120000 100755 bbbb cccc T\0was a link\0\
                     :100644 120000 dddd eeee T\0is a link\0:160000 160000 ffff 1111 M\0sub\0\
                     :100644 000000 5555 0000 D\0gone\0\
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
    fn a_change_of_attributes_is_seen_wherever_they_stand_and_whatever_became_of_them() {
        for said in [
            &b":100644 000000 5555 0000 D\0.gitattributes\0"[..],
            b":100644 100644 5555 6666 M\0a/b/.gitattributes\0",
            b":100644 100644 4444 4444 R100\0a/.gitattributes\0a/attributes\0",
        ] {
            assert!(names_attributes(said), "{}", String::from_utf8_lossy(said));
        }
        assert!(!names_attributes(b":100644 100644 5555 6666 M\0x.gitattributes\0"));
    }

    #[test]
    fn a_filter_is_a_name_and_neither_set_nor_unset() {
        let said = b"a.bin\0filter\0lfs\0b\nc\0filter\0unspecified\0d\0filter\0unset\0e\0filter\0set\0\
                     f\0filter\0git-crypt\0";
        let expected = BTreeMap::from([(&b"a.bin"[..], &b"lfs"[..]), (b"f", b"git-crypt")]);
        assert_eq!(filters(said), expected);
    }

    #[test]
    fn a_filter_that_encrypts_is_known_by_its_name() {
        for name in ["git-crypt", "git-crypt-team", "crypt", "crypt-ctx", "transcrypt", "git-agecrypt", "age", "my_age"]
        {
            assert!(encrypts(name.as_bytes()), "{name}");
        }
        for name in ["GPG", "sops", "ansible-vault", "secrets", "openssl", "strongbox", "blackbox", "keyringer"] {
            assert!(encrypts(name.as_bytes()), "{name}");
        }
        for part in
            ["crypt", "cipher", "secret", "gpg", "sops", "vault", "openssl", "strongbox", "blackbox", "keyringer"]
        {
            assert!(encrypts(format!("My-{part}s").as_bytes()), "{part}");
        }
        for name in ["nbstripout", "lfs", "tabspace", "image", "ident", "jupyter", "clean-paths"] {
            assert!(!encrypts(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_first_64_files_are_named_and_the_others_counted() {
        let mut readable = Readable::default();
        (0..66).for_each(|number| readable.add(number.to_string().as_bytes(), b"git-crypt"));
        let named: Vec<_> = readable.files.iter().map(|(path, _)| path.as_slice()).collect();
        assert_eq!((named.len(), named.first(), named.last()), (64, Some(&&b"0"[..]), Some(&&b"63"[..])));
        assert_eq!(readable.others, 2);
    }

    #[test]
    fn a_file_is_readable_by_its_filter_or_by_what_it_was() {
        let all = [("e", Kind::Empty), ("s", Kind::Sealed), ("b", Kind::Binary), ("t", Kind::Text)];
        let kinds = all.map(|(blob, kind)| (blob.as_bytes().to_vec(), kind)).into();
        for (filter, before, now) in [
            ("git-crypt", None, "tb?"),
            ("git-crypt", Some("s"), "tb?"),
            ("git-crypt", Some("t"), "tb?"),
            ("own", None, ""),
            ("own", Some("e"), ""),
            ("own", Some("t"), ""),
            ("own", Some("?"), ""),
            ("own", Some("b"), "t?"),
            ("own", Some("s"), "tb?"),
        ] {
            for blob in ["e", "s", "b", "t", "?"] {
                let found = is_readable(&file("x", before, blob), filter.as_bytes(), &kinds);
                assert_eq!(found, now.contains(blob), "{filter}: {before:?} to {blob}");
            }
        }
    }

    #[test]
    fn what_is_encrypted_is_known_by_its_beginning_and_a_text_by_all_of_it() {
        assert_eq!(kind_of(b""), Kind::Empty);
        for sealed in [&b"\0GITCRYPT\0\x01\x02"[..], b"U2FsdGVkX1/abc=\n", b"age-encryption.org/v1\n"] {
            assert_eq!(kind_of(sealed), Kind::Sealed);
        }
        for binary in [&b"\x89PNG\r\n"[..], b"a\0b", b"\xff\xfe"] {
            assert_eq!(kind_of(binary), Kind::Binary);
        }
        let cut = "ü".as_bytes().split_at(1).0;
        for text in [&b"key: value\n"[..], "grün".as_bytes(), &[&b"gr"[..], cut].concat()] {
            assert_eq!(kind_of(text), Kind::Text);
        }
    }
}
