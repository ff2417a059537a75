//! Validates names, so that only plain path segments reach a URL.

use crate::Error;

#[derive(Clone, Copy)]
pub(crate) struct RepositoryName<'a> {
    pub(crate) owner: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> RepositoryName<'a> {
    /// Errors: `NotFound` for an invalid name, as from the forge itself.
    pub(crate) fn parse(full_name: &'a str) -> Result<Self, Error> {
        let is_plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        match full_name.split_once('/') {
            Some((owner, name)) if is_plain(owner) && is_plain(name) => Ok(Self { owner, name }),
            _ => Err(Error::NotFound {
                resource: format!("{full_name:?}"),
                message: "a repository is named owner/name".to_owned(),
            }),
        }
    }
}

/// An App's account is `name[bot]`. Errors: `NotFound` for an invalid name, as from the forge itself.
pub(crate) fn account_name(login: &str) -> Result<&str, Error> {
    let name = login.strip_suffix("[bot]").unwrap_or(login);
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    is_plain.then_some(login).ok_or_else(|| Error::NotFound {
        resource: format!("{login:?}"),
        message: "this is not a valid account name".to_owned(),
    })
}

/// Validates a commit hash or its prefix. Errors: `NotFound` for an invalid hash, as from the forge itself.
pub(crate) fn commit_name<'a>(sha: &'a str, resource: &str) -> Result<&'a str, Error> {
    let is_plain = !sha.is_empty() && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_plain.then_some(sha).ok_or_else(|| Error::NotFound {
        resource: resource.to_owned(),
        message: "that is not a commit hash".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_name_has_two_plain_segments() {
        for good in ["acme/app", "a-b/c_d.e"] {
            assert!(RepositoryName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "acme", "acme/", "/app", "a/b/c", "../user", "a/..", "a/b?c", "a/b%2f", "a b/c"] {
            assert!(matches!(RepositoryName::parse(bad), Err(Error::NotFound { .. })), "{bad:?}");
        }
    }

    #[test]
    fn commit_is_hexadecimal() {
        for good in ["0123456789abcdef", "ABCDEF0"] {
            assert_eq!(commit_name(good, "commit").ok(), Some(good));
        }
        for bad in ["", "..", "../x", "main", "abc/def", "abc%2f"] {
            assert!(matches!(commit_name(bad, "commit"), Err(Error::NotFound { .. })), "{bad:?}");
        }
    }

    #[test]
    fn account_name_is_one_plain_word() {
        for good in ["ann", "a-b", "pullyard[bot]", "ann_acme"] {
            assert_eq!(account_name(good).ok(), Some(good));
        }
        for bad in ["", ".", "..", "a/b", "a?b", "[bot]", "a[bot]b", "ü", "a b"] {
            assert!(matches!(account_name(bad), Err(Error::NotFound { .. })), "{bad:?}");
        }
    }
}
