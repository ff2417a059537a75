//! The names that a sandboxed agent may connect to: domains, and package registries by name.

use std::collections::BTreeSet;

const MAX_NAME_BYTES: usize = 253;

/// Package registries by name, each with the hosts from which its tools download.
const REGISTRIES: &[(&str, &[&str])] = &[
    ("npm", &["registry.npmjs.org", "registry.yarnpkg.com"]),
    ("pypi", &["pypi.org", "files.pythonhosted.org"]),
    ("cargo", &["index.crates.io", "static.crates.io", "crates.io"]),
    // The proxy redirects some downloads to storage.googleapis.com, where everyone can upload. A project has to add
    // that host.
    ("go", &["proxy.golang.org", "sum.golang.org"]),
    ("maven", &["repo.maven.apache.org", "repo1.maven.org"]),
];

/// The rule for the host of the job's repository.
const FORGE: &str = "forge";

pub fn warn_if_open<S: AsRef<str>>(rules: impl IntoIterator<Item = S>) -> Option<&'static str> {
    let is_open = rules.into_iter().any(|rule| rule.as_ref().trim() == "*");
    is_open.then_some("Sandboxed agents can send data to every public host: `*` is in `egress`. List hosts instead.")
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    names: BTreeSet<String>,
    /// `example.com` for the rule `*.example.com`.
    parents: BTreeSet<String>,
    is_open: bool,
    allows_forge: bool,
}

/// A rule that is neither a registry nor a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRule(pub String);

impl std::fmt::Display for InvalidRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is no domain; use a domain, *.DOMAIN, forge, npm, pypi, cargo, go, maven, or * for all", self.0)
    }
}

impl AllowList {
    /// Parses rules: a registry's name, `forge`, a domain (`example.com`), all names below it (`*.example.com`), `*`.
    /// Errors: the first invalid rule. An IP address is one, because only names are checked.
    pub fn parse<S: AsRef<str>>(rules: impl IntoIterator<Item = S>) -> Result<Self, InvalidRule> {
        let mut list = Self::default();
        for rule in rules {
            let rule = rule.as_ref().trim();
            let invalid = || InvalidRule(rule.to_owned());
            if rule == "*" {
                list.is_open = true;
            } else if rule == FORGE {
                list.allows_forge = true;
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

    /// Applies the rule `forge` to a repository's address. Without the forge's token, agents read public repositories.
    pub fn with_forge(mut self, clone_url: &str) -> Self {
        let authority = clone_url.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = host.strip_suffix(":443").unwrap_or(host);
        self.names.extend(normalize(host).filter(|_| self.allows_forge));
        self
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
        assert!(warn_if_open(["example.com", "*"]).is_some() && warn_if_open(["*.example.com", "npm"]).is_none());
        let open = AllowList::parse(["*"]).unwrap();
        assert!(open.permits("example.com") && !open.permits("10.0.0.1"));
    }

    #[test]
    fn forge_is_allowed_by_its_rule_only() {
        for (rule, url, permitted) in [
            ("forge", "https://github.com/acme/app.git", true),
            ("forge", "https://GitHub.com:443/acme/app.git", true),
            ("forge", "http://github.com/acme/app.git", false),
            ("forge", "https://evil.test/github.com", false),
            ("npm", "https://github.com/acme/app.git", false),
        ] {
            let list = AllowList::parse([rule]).unwrap().with_forge(url);
            assert_eq!(list.permits("github.com"), permitted, "{rule} {url}");
        }
    }

    #[test]
    fn rule_that_is_no_name_is_refused() {
        for rule in ["", "**", "*.", "10.0.0.1", "https://example.com", "example.com:443", "a b.com", "nmp", "a.*.com"]
        {
            assert_eq!(AllowList::parse([rule]), Err(InvalidRule(rule.into())), "{rule}");
        }
    }
}
