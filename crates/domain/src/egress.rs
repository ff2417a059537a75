//! The names that a sandboxed agent may connect to: domains, and package registries by name.

use std::collections::BTreeSet;

const MAX_NAME_BYTES: usize = 253;

/// Package registries by name, each with the hosts from which its tools download.
const REGISTRIES: &[(&str, &[&str])] = &[
    ("npm", &["registry.npmjs.org"]),
    ("pypi", &["pypi.org", "files.pythonhosted.org"]),
    ("cargo", &["index.crates.io", "static.crates.io", "crates.io"]),
    ("go", &["proxy.golang.org", "sum.golang.org"]),
    ("maven", &["repo.maven.apache.org", "repo1.maven.org"]),
    (
        "apt",
        &["deb.debian.org", "security.debian.org", "archive.ubuntu.com", "security.ubuntu.com", "ports.ubuntu.com"],
    ),
];

/// The allowed names. An empty list allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    names: BTreeSet<String>,
    /// `example.com` for the rule `*.example.com`.
    parents: BTreeSet<String>,
    is_open: bool,
}

/// A rule that is neither a registry nor a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRule(pub String);

impl std::fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is no domain; use a domain, *.DOMAIN, npm, pypi, cargo, go, maven, apt, or * for all", self.0)
    }
}

impl AllowList {
    /// Parses rules: a registry's name, a domain such as `example.com`, `*.example.com` for all names below it, or `*`
    /// for all names.
    /// Errors: the first invalid rule. An IP address is one, because the provider's names are checked, not addresses.
    pub fn parse<S: AsRef<str>>(rules: impl IntoIterator<Item = S>) -> Result<Self, InvalidRule> {
        let mut list = Self::default();
        for rule in rules {
            let rule = rule.as_ref().trim();
            let invalid = || InvalidRule(rule.to_owned());
            if rule == "*" {
                list.is_open = true;
            } else if let Some((_, hosts)) = REGISTRIES.iter().find(|(name, _)| *name == rule) {
                list.names.extend(hosts.iter().map(|host| (*host).to_owned()));
            } else if let Some(parent) = rule.strip_prefix("*.") {
                list.parents.insert(normalize(parent).ok_or_else(invalid)?);
            } else {
                list.names.insert(normalize(rule).ok_or_else(invalid)?);
            }
        }
        Ok(list)
    }

    pub fn permits(&self, host: &str) -> bool {
        let Some(host) = normalize(host) else { return false };
        let is_below = |parent: &String| host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'));
        self.is_open || self.names.contains(&host) || self.parents.iter().any(is_below)
    }
}

/// A domain in lower case without its last dot; `None` for addresses and everything else.
pub fn normalize(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // The last label of an IPv4 address, in any of its forms, begins with a digit. No top-level domain does.
    let last_is_name = name.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic()));
    let is_domain = name.len() <= MAX_NAME_BYTES && name.contains('.') && name.split('.').all(is_label) && last_is_name;
    is_domain.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_permits_exactly_its_names() {
        let list = AllowList::parse(["Example.com", "*.internal.test", "npm"]).unwrap();
        for host in ["example.com", "EXAMPLE.COM.", "a.internal.test", "a.b.internal.test", "registry.npmjs.org"] {
            assert!(list.permits(host), "{host}");
        }
        for host in [
            "www.example.com",
            "example.com.evil.test",
            "internal.test",
            "xinternal.test",
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "[::1]",
            "::1",
            "localhost",
            "",
            ".",
            "a..internal.test",
            "a\0.internal.test",
        ] {
            assert!(!list.permits(host), "{host}");
        }
        assert!(!AllowList::default().permits("example.com"));
        let open = AllowList::parse(["*"]).unwrap();
        assert!(open.permits("example.com") && !open.permits("10.0.0.1"));
    }

    #[test]
    fn rule_that_is_no_name_is_refused() {
        for rule in ["", "**", "*.", "10.0.0.1", "https://example.com", "example.com:443", "a b.com", "nmp", "a.*.com"]
        {
            assert_eq!(AllowList::parse([rule]), Err(InvalidRule(rule.into())), "{rule}");
        }
    }
}
