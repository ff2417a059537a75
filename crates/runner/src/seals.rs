//! By what a file is known to be encrypted, whatever its repository says of it, and which files of a change were so and
//! are readable now: SOPS, Ansible Vault, age and OpenPGP encrypt a file where it stands, without a filter of git's. What
//! such a program keeps beside its files is not looked at, and no file that the work starts from is asked whether it
//! should have been encrypted.

use crate::blobs;
use crate::filters::Changed;
use crate::git::{Fault, Git};
use std::collections::BTreeSet;
use std::path::Path;

/// So much of a file is looked at: what SOPS says of one stands at its end. Units: bytes.
const LARGEST: usize = 1024 * 1024;
/// How what encrypts begins its files, each with its name: OpenSSL in base64, which is transcrypt's as well, and as it
/// is, age with and without armour.
const BEGINNINGS: [(&[u8], &str); 8] = [
    (b"\0GITCRYPT\0", "git-crypt"),
    (b"U2FsdGVkX1", "OpenSSL"),
    (b"Salted__", "OpenSSL"),
    (b"age-encryption.org/v1", "age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "age"),
    (b"# STRONGBOX ENCRYPTED RESOURCE", "Strongbox"),
    (b"-----BEGIN PGP MESSAGE-----", "OpenPGP"),
    (b"$ANSIBLE_VAULT;", "Ansible Vault"),
];
/// How a value begins that SOPS has encrypted.
const VALUE_OF_SOPS: &[u8] = b"ENC[AES256_GCM,data:";

/// What a file is to whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is nothing to read.
    Empty,
    /// This has encrypted it, or parts of it.
    Sealed(&'static str),
    Open,
}

/// The files of a change that were encrypted and are readable now, each with what had encrypted it.
pub(crate) async fn opened<'a>(
    git: &Git,
    repository: &Path,
    changed: &[Changed<'a>],
) -> Result<Vec<(&'a [u8], &'static str)>, Fault> {
    let modified = changed.iter().filter(|file| file.before != Some(file.now));
    let modified: Vec<_> = modified.filter_map(|file| Some((file.path, file.before?, file.now))).collect();
    let before: BTreeSet<&[u8]> = modified.iter().map(|(_, before, _)| *before).collect();
    let before = blobs::each(git, repository, &before, LARGEST, state_of).await?;
    let mut sealed = Vec::new();
    for (path, blob, now) in modified {
        if let Some(State::Sealed(by)) = before.get(blob) {
            sealed.push((path, *by, now));
        }
    }
    let now: BTreeSet<&[u8]> = sealed.iter().map(|(_, _, now)| *now).collect();
    let now = blobs::each(git, repository, &now, LARGEST, state_of).await?;
    // What git does not have is not known to be encrypted.
    let is_open = |blob: &[u8]| now.get(blob).is_none_or(|state| *state == State::Open);
    Ok(sealed.into_iter().filter(|(_, _, blob)| is_open(blob)).map(|(path, by, _)| (path, by)).collect())
}

/// What has encrypted a file that begins so, if it is known by that.
///
/// Before armour an editor may have put its mark or empty lines: age and OpenPGP read it all the same.
pub(crate) fn of_beginning(content: &[u8]) -> Option<&'static str> {
    let text = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(content).trim_ascii_start();
    BEGINNINGS.iter().find(|(beginning, _)| text.starts_with(beginning)).map(|(_, by)| *by)
}

fn state_of(content: &[u8]) -> State {
    if content.is_empty() {
        return State::Empty;
    }
    match of_beginning(content) {
        Some(by) => State::Sealed(by),
        None if is_of_sops(content) => State::Sealed("SOPS"),
        None => State::Open,
    }
}

/// Whether SOPS keeps a file, in whatever format, and has encrypted a value of it: beside that it says a code over the
/// whole, `mac`, which is encrypted as well. Where only that one is left, or none, all of the file is readable.
fn is_of_sops(content: &[u8]) -> bool {
    let values = places_of(content, VALUE_OF_SOPS);
    // What is said at the end was not read.
    if content.len() >= LARGEST {
        return !values.is_empty();
    }
    let is_mac = |at: &usize| content.get(..*at).is_some_and(names_mac);
    values.len() > 1 && !places_of(content, b"sops").is_empty() && values.iter().any(is_mac)
}

/// Whether a text ends in the name `mac` and what stands between a name and its value: in YAML, JSON, INI or as a line
/// of an environment.
fn names_mac(before: &[u8]) -> bool {
    let is_between = |byte: &u8| b" \t\"'=:".contains(byte);
    let end = before.iter().rposition(|byte| !is_between(byte)).map_or(0, |last| last + 1);
    let name = before.get(..end).unwrap_or_default();
    let Some(rest) = name.strip_suffix(b"mac") else { return false };
    // In an environment it is `sops_mac`.
    rest.last().is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// Where a part stands in a text, each time.
fn places_of(content: &[u8], part: &[u8]) -> Vec<usize> {
    let windows = content.windows(part.len()).enumerate();
    windows.filter(|(_, window)| *window == part).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "ENC[AES256_GCM,data:Zm9v,iv:YmFy,tag:YmF6,type:str]";

    #[test]
    fn a_file_of_sops_is_known_in_each_of_its_formats() {
        for file in [
            "password: @\nsops:\n    age: []\n    mac: @\n    version: 3.9.0\n",
            "{\"password\": \"@\",\n\t\"sops\": {\n\t\t\"mac\": \"@\"}}",
            "{\"data\":\"@\",\"sops\":{\"mac\":\"@\"}}",
            "PASSWORD=@\nsops_version=3.9.0\nsops_mac=@\n",
            "[db]\npassword = @\n[sops]\nmac                = @\n",
            "open: yes\npassword: @\r\nsops:\r\n    mac: '@'\r\n",
        ] {
            assert_eq!(state_of(file.replace('@', VALUE).as_bytes()), State::Sealed("SOPS"), "{file}");
        }
    }

    #[test]
    fn without_what_sops_says_of_a_file_or_without_a_value_of_its_own_it_is_readable() {
        for file in [
            "password: hunter2\n",
            "password: @\nother: @\n",
            "password: hunter2\nsops:\n    mac: @\n",
            "password: @\nsops:\n    stomac: @\n",
            "password: @\nmac: @\n",
            "sops: a tool\n",
        ] {
            assert_eq!(state_of(file.replace('@', VALUE).as_bytes()), State::Open, "{file}");
        }
        assert_eq!(state_of(b""), State::Empty);
    }

    #[test]
    fn of_a_large_file_of_sops_its_values_are_enough() {
        let large = [VALUE.as_bytes(), &b" ".repeat(LARGEST)].concat();
        assert!(is_of_sops(large.get(..LARGEST).unwrap()) && !is_of_sops(&b" ".repeat(LARGEST)));
    }

    #[test]
    fn what_encrypts_a_whole_file_is_known_by_its_beginning() {
        let known: [(&[u8], &str); 8] = [
            (b"\0GITCRYPT\0", "git-crypt"),
            (b"U2FsdGVkX1", "OpenSSL"),
            (b"Salted__", "OpenSSL"),
            (b"age-encryption.org/v1", "age"),
            (b"-----BEGIN AGE ENCRYPTED FILE-----", "age"),
            (b"# STRONGBOX ENCRYPTED RESOURCE", "Strongbox"),
            (b"-----BEGIN PGP MESSAGE-----", "OpenPGP"),
            (b"$ANSIBLE_VAULT;", "Ansible Vault"),
        ];
        assert_eq!(known.len(), BEGINNINGS.len());
        for (beginning, by) in known {
            let file = [beginning, b"more"].concat();
            assert_eq!((of_beginning(&file), state_of(&file)), (Some(by), State::Sealed(by)));
            assert_eq!(state_of(&[&b"x"[..], beginning].concat()), State::Open, "{by}");
            let with_mark = [&b"\xef\xbb\xbf\r\n\n "[..], beginning].concat();
            assert_eq!(state_of(&with_mark), State::Sealed(by));
            assert_eq!(state_of(&[&b"As in:\n"[..], beginning].concat()), State::Open, "it is quoted: {by}");
        }
    }
}
