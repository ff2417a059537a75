//! Rejects work that would commit the plain content of a file that is in Git LFS or encrypted in the repository.
//! The runner runs no filter of a repository, because a filter is a program that the repository names. An agent thus
//! sees the pointer or the cipher text, and its replacement would stay in git's history.

use crate::api::calls::Calls;
use crate::git::workspace::Workspace;
use crate::git::{Git, GitCall, GitError};
use crate::stop::Stop;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::untrusted::{remove_hidden, to_code_span};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Number of files in one call to git, because its output is in memory.
const BATCH_SIZE: usize = 4_096;
const MAX_REPORTED: usize = 20;
const LONGEST_PATH: usize = 200;
/// Limit for reading a blob. SOPS writes its metadata at the end of a file. Units: bytes.
const MAX_READ_BYTES: usize = 1024 * 1024;

const HEADERS: [(&[u8], &str); 10] = [
    (b"version https://git-lfs.github.com/spec/", "Git LFS"),
    (b"version https://hawser.github.com/spec/", "Git LFS"),
    (b"\0GITCRYPT\0", "git-crypt"),
    (b"U2FsdGVkX1", "OpenSSL"),
    (b"Salted__", "OpenSSL"),
    (b"age-encryption.org/v1", "age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "age"),
    (b"# STRONGBOX ENCRYPTED RESOURCE", "Strongbox"),
    (b"-----BEGIN PGP MESSAGE-----", "OpenPGP"),
    (b"$ANSIBLE_VAULT;", "Ansible Vault"),
];
/// The beginning of a value that SOPS encrypted, in every file format.
const SOPS_VALUE_PREFIX: &[u8] = b"ENC[AES256_GCM,data:";
const LFS_FILTER: &[u8] = b"lfs";

#[derive(Debug, PartialEq, Eq)]
struct ChangedFile<'a> {
    path: &'a [u8],
    before: Option<&'a [u8]>,
    after: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    /// An empty file has no content to protect, and filters keep it empty.
    Empty,
    Program(&'static str),
    Plain,
}

/// Checks the changes between the start commit and a tree, which is in the repository's index and in the worktree.
/// Errors: `ProtectedContent` with the first file that would be plain content.
pub(crate) async fn check_protected_files(
    attempt: &Calls<'_>,
    git: &Git,
    workspace: &Workspace,
    range: (&str, &str),
) -> Result<(), Stop> {
    let plain = find_plain_files(git, workspace, range).await?;
    let Some((path, program)) = plain.first() else { return Ok(()) };
    // Redact the whole path, before it is cut.
    let clean = |name: &[u8]| attempt.redactor.redact_text(&remove_hidden(&String::from_utf8_lossy(name))).into_owned();
    let names: Vec<_> =
        plain.iter().take(MAX_REPORTED).map(|(path, _)| to_code_span(&clean(path), LONGEST_PATH)).collect();
    let others = match plain.len().saturating_sub(MAX_REPORTED) {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let message = format!("Protected files that would be plain content in git: {}{others}.", names.join(", "));
    attempt.events.log(message);
    Err(Failure::ProtectedContent { path: clean(path), by: clean(program) }.into())
}

async fn find_plain_files(
    git: &Git,
    workspace: &Workspace,
    (start, tree): (&str, &str),
) -> Result<Vec<(Vec<u8>, Vec<u8>)>, GitError> {
    let (repository, files) = (workspace.repository(), workspace.tree());
    let args = ["diff-tree", "-r", "-z", "--raw", "--find-renames=100%", "--end-of-options", start, tree, "--"];
    let output = git.run(GitCall::new(args).repository(&repository)).await?;
    let changes = parse_changes(&output);
    let mut plain = Vec::new();
    for batch in changes.chunks(BATCH_SIZE) {
        let paths = batch.iter().map(|file| file.path).collect::<Vec<_>>().join(&0u8);
        let in_index = GitCall::new(["check-attr", "-z", "--cached", "--stdin", "filter"]);
        let in_files = GitCall::new(["check-attr", "-z", "--stdin", "filter"]).tree(&files);
        let in_index = git.run(in_index.repository(&repository).input(&paths)).await?;
        let in_files = git.run(in_files.repository(&repository).input(&paths)).await?;
        let filters = [parse_filters(&in_index), parse_filters(&in_files)];
        for file in batch {
            let before = match file.before {
                Some(blob) => Some(read_protection(git, &repository, blob).await?),
                None => None,
            };
            let path_filters = filters.iter().filter_map(|filters| filters.get(file.path).copied());
            let Some(program) = find_protection(before, path_filters) else { continue };
            if read_protection(git, &repository, file.after).await? == Protection::Plain {
                plain.push((file.path.to_vec(), program.to_vec()));
            }
        }
    }
    Ok(plain)
}

async fn read_protection(git: &Git, repository: &Path, blob: &[u8]) -> Result<Protection, GitError> {
    let args = [OsStr::new("cat-file"), OsStr::new("blob"), OsStr::from_bytes(blob)];
    let call = GitCall::new(args).repository(repository).max_output(MAX_READ_BYTES as u64);
    Ok(detect_protection(&git.run(call).await?))
}

/// The program that should protect a file: from its old content, or from its filters.
fn find_protection<'a>(before: Option<Protection>, mut filters: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    if let Some(Protection::Program(program)) = before {
        return Some(program.as_bytes());
    }
    // Files that were plain before may change, even if a pattern of Git LFS matches: the history has them already.
    filters.find(|filter| is_encryption_filter(filter) || (*filter == LFS_FILTER && before != Some(Protection::Plain)))
}

fn is_encryption_filter(filter: &[u8]) -> bool {
    String::from_utf8_lossy(filter).to_ascii_lowercase().contains("crypt")
}

fn detect_protection(content: &[u8]) -> Protection {
    if content.is_empty() {
        return Protection::Empty;
    }
    // An editor may have added a byte order mark or empty lines before an armour. age and OpenPGP still read it.
    let text = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content).trim_ascii_start();
    match HEADERS.iter().find(|(header, _)| text.starts_with(header)) {
        Some((_, program)) => Protection::Program(program),
        None if is_sops(content) => Protection::Program("SOPS"),
        None => Protection::Plain,
    }
}

/// SOPS also encrypts a MAC over the whole file. If it is the only encrypted value, all others are plain.
fn is_sops(content: &[u8]) -> bool {
    let values = content.windows(SOPS_VALUE_PREFIX.len()).filter(|window| *window == SOPS_VALUE_PREFIX);
    let is_cut = content.len() >= MAX_READ_BYTES;
    values.take(2).count() > usize::from(!is_cut) && (is_cut || content.windows(4).any(|window| window == b"sops"))
}

fn parse_changes(output: &[u8]) -> Vec<ChangedFile<'_>> {
    let mut parts = output.split(|byte| *byte == 0);
    let mut files = Vec::new();
    while let (Some(header), Some(mut path)) = (parts.next(), parts.next()) {
        if header.rsplit(|byte| *byte == b' ').next().is_some_and(|status| status.starts_with(b"R")) {
            let Some(new_path) = parts.next() else { break };
            path = new_path;
        }
        let mut fields = header.split(|byte| *byte == b' ');
        let (modes, blobs) = ([fields.next(), fields.next()], [fields.next(), fields.next()]);
        if let ([Some(mode_before), Some(mode)], [Some(before), Some(after)]) = (modes, blobs)
            && mode.starts_with(b"100")
            && before != after
        {
            files.push(ChangedFile { path, before: mode_before.starts_with(b":100").then_some(before), after });
        }
    }
    files
}

fn parse_filters(output: &[u8]) -> BTreeMap<&[u8], &[u8]> {
    let mut parts = output.split(|byte| *byte == 0);
    let mut filters = BTreeMap::new();
    while let (Some(path), Some(_), Some(filter)) = (parts.next(), parts.next(), parts.next()) {
        if ![&b""[..], b"unspecified", b"unset", b"set"].contains(&filter) {
            filters.insert(path, filter);
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]";

    fn file<'a>(path: &'a str, before: Option<&'a str>, after: &'a str) -> ChangedFile<'a> {
        ChangedFile { path: path.as_bytes(), before: before.map(str::as_bytes), after: after.as_bytes() }
    }

    #[test]
    fn changed_files_are_parsed_and_moved_ones_are_skipped() {
        let output = b":000000 100644 0000 aaaa A\0a b.bin\0:120000 100755 bbbb cccc T\0was a link\0\
                     :100644 120000 dddd eeee T\0is a link\0:160000 160000 ffff 1111 M\0sub\0\
                     :100644 000000 5555 0000 D\0gone\0\
                     :100644 100644 4444 4444 R100\0from\0to\0:100644 100644 2222 3333 M\0x\0";
        let expected =
            [file("a b.bin", None, "aaaa"), file("was a link", None, "cccc"), file("x", Some("2222"), "3333")];
        assert_eq!(parse_changes(output), expected);
        assert!(parse_changes(b"").is_empty());
    }

    #[test]
    fn filter_attribute_needs_a_value() {
        let output = b"a.bin\0filter\0lfs\0b\nc\0filter\0unspecified\0d\0filter\0unset\0e\0filter\0set\0\
                     f\0filter\0git-crypt\0";
        let expected = BTreeMap::from([(&b"a.bin"[..], &b"lfs"[..]), (b"f", b"git-crypt")]);
        assert_eq!(parse_filters(output), expected);
    }

    #[test]
    fn protection_is_found_by_history_or_filter() {
        let (empty, plain, age) = (Protection::Empty, Protection::Plain, Protection::Program("age"));
        for (filter, before, expected) in [
            (None, None, None),
            (None, Some(plain), None),
            (None, Some(age), Some("age")),
            (Some("git-crypt"), None, Some("git-crypt")),
            (Some("My-Crypts"), Some(plain), Some("My-Crypts")),
            (Some("git-crypt"), Some(age), Some("age")),
            (Some("lfs"), None, Some("lfs")),
            (Some("lfs"), Some(empty), Some("lfs")),
            (Some("lfs"), Some(plain), None),
            (Some("nbstripout"), None, None),
        ] {
            let program = find_protection(before, filter.into_iter().map(str::as_bytes));
            assert_eq!(program, expected.map(str::as_bytes), "{filter:?} after {before:?}");
        }
    }

    #[test]
    fn encryption_header_counts_at_the_start_only() {
        assert_eq!(detect_protection(b""), Protection::Empty);
        for (header, program) in [
            (&b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"[..], "Git LFS"),
            (b"version https://hawser.github.com/spec/v1\n", "Git LFS"),
            (b"\0GITCRYPT\0", "git-crypt"),
            (b"U2FsdGVkX1/abc=\n", "OpenSSL"),
            (b"Salted__", "OpenSSL"),
            (b"age-encryption.org/v1\n", "age"),
            (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "age"),
            (b"# STRONGBOX ENCRYPTED RESOURCE ;", "Strongbox"),
            (b"-----BEGIN PGP MESSAGE-----\n", "OpenPGP"),
            (b"$ANSIBLE_VAULT;1.1;AES256\n", "Ansible Vault"),
        ] {
            assert_eq!(detect_protection(header), Protection::Program(program));
            assert_eq!(
                detect_protection(&[&b"\xef\xbb\xbf\r\n\n "[..], header].concat()),
                Protection::Program(program)
            );
            assert_eq!(
                detect_protection(&[&b"As in:\n"[..], header].concat()),
                Protection::Plain,
                "a quoted header of {program}"
            );
        }
    }

    #[test]
    fn sops_file_is_recognized_in_every_format() {
        for file in [
            "password: @\nsops:\n    age: []\n    mac: @\n    version: 3.9.0\n",
            "{\"password\": \"@\",\n\t\"sops\": {\n\t\t\"mac\": \"@\"}}",
            "PASSWORD=@\nsops_version=3.9.0\nsops_mac=@\n",
            "[db]\npassword = @\n[sops]\nmac                = @\n",
        ] {
            assert_eq!(detect_protection(file.replace('@', VALUE).as_bytes()), Protection::Program("SOPS"), "{file}");
        }
        for file in ["password: x\n", "password: @\nother: @\n", "password: x\nsops:\n    mac: @\n", "sops: a tool\n"] {
            assert_eq!(detect_protection(file.replace('@', VALUE).as_bytes()), Protection::Plain, "{file}");
        }
        let large = [VALUE.as_bytes(), &b" ".repeat(MAX_READ_BYTES)].concat();
        assert!(is_sops(large.get(..MAX_READ_BYTES).unwrap()) && !is_sops(&b" ".repeat(MAX_READ_BYTES)));
    }
}
