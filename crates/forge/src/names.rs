//! `owner/name` taken apart, so that nothing but two plain path segments reaches an address.

use crate::Error;

#[derive(Clone, Copy)]
pub(crate) struct RepositoryName<'a> {
    pub(crate) owner: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> RepositoryName<'a> {
    /// Errors: `NotFound` for what can't be a repository, as the forge itself would answer.
    pub(crate) fn parse(full_name: &'a str) -> Result<Self, Error> {
        let plain = |part: &str| {
            !matches!(part, "" | "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        match full_name.split_once('/') {
            Some((owner, name)) if plain(owner) && plain(name) => Ok(Self { owner, name }),
            _ => Err(Error::NotFound {
                what: format!("{full_name:?}"),
                message: "a repository is named owner/name".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_plain_segments_are_a_repository() {
        for good in ["acme/app", "a-b/c_d.e"] {
            assert!(RepositoryName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "acme", "acme/", "/app", "a/b/c", "../user", "a/..", "a/b?c", "a/b%2f", "a b/c"] {
            assert!(matches!(RepositoryName::parse(bad), Err(Error::NotFound { .. })), "{bad:?}");
        }
    }
}
