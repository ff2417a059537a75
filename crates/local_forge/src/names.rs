//! Validates names of repositories at creation; later names from HTTP are only looked up.

use crate::Error;

pub(crate) struct FullName {
    pub(crate) owner: String,
    pub(crate) name: String,
}

/// Owners that would hide the forge's own routes.
const RESERVED_OWNERS: &[&str] = &["api", "apps", "organizations", "settings"];

impl FullName {
    pub(crate) fn parse(full_name: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::InvalidName { name: full_name.to_owned(), reason };
        let (owner, name) = full_name.split_once('/').ok_or_else(|| refuse("expected owner/name"))?;
        let is_owner_valid = !owner.is_empty()
            && owner.len() <= 39
            && owner.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !owner.starts_with('-');
        if !is_owner_valid {
            return Err(refuse("an owner has up to 39 letters, digits and inner dashes"));
        }
        if RESERVED_OWNERS.iter().any(|reserved| reserved.eq_ignore_ascii_case(owner)) {
            return Err(refuse("the owner is reserved"));
        }
        let is_name_valid = !name.is_empty()
            && name.len() <= 100
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !name.ends_with('.');
        if !is_name_valid {
            return Err(refuse("a repository has up to 100 letters, digits, '-', '_' and '.', but not at its end"));
        }
        // Clients append `.git`; the forge uses the other suffixes.
        if [".git", ".json", ".new"].iter().any(|suffix| name.to_ascii_lowercase().ends_with(suffix)) {
            return Err(refuse("a repository may not end in .git, .json or .new"));
        }
        Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
    }
}

/// Ignores case and a final `.git`, as GitHub does.
pub(crate) fn lookup_key(owner: &str, name: &str) -> String {
    let name = name.strip_suffix(".git").unwrap_or(name);
    format!("{owner}/{name}").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_repository_names_are_accepted() {
        for good in ["acme/app", "a/b.c", "A-1/x_y-z", "acme/.github"] {
            assert!(FullName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "acme",
            "acme/",
            "/app",
            "acme/..",
            "../app",
            "acme/a/b",
            "acme/.git",
            "api/v3",
            "acme/x.git",
            "acme/x.json",
            "acme/a b",
            "-a/b",
            "acme/ü",
            "acme/a\\b",
            "acme/x\0",
        ] {
            assert!(FullName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
