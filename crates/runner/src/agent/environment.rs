//! The one place where agents' drivers read this process's environment: what every agent inherits, where
//! programs are looked for, and the keys of models. Nothing else of it ever reaches an agent.

use crate::git::NETWORK_ENVIRONMENT;
use std::ffi::OsString;

/// Names the program of Claude Code; without it, it is looked for in the path.
pub(crate) const CLAUDE_CODE: &str = "PULLYARD_CLAUDE_CODE";
pub(crate) const CODEX: &str = "PULLYARD_CODEX";
/// An `auth.json` of a Codex that is signed in.
pub(crate) const CODEX_AUTH: &str = "PULLYARD_CODEX_AUTH";
/// What models cost that our own table doesn't know.
pub(crate) const CODEX_PRICES: &str = "PULLYARD_CODEX_PRICES";
/// How long is waited before an agent is started again; a flag of `run-job` reads it.
const RETRIES: &str = "PULLYARD_AGENT_RETRY_SECS";
/// The key of Claude Code's model.
pub(super) const ANTHROPIC_KEY: &str = "ANTHROPIC_API_KEY";
/// The token of a subscription, instead of a key.
pub(super) const CLAUDE_TOKEN: &str = "CLAUDE_CODE_OAUTH_TOKEN";
/// What Claude Code needs to reach its model. The first and the last are secrets.
pub(super) const CLAUDE_KEYS: &[&str] = &[ANTHROPIC_KEY, "ANTHROPIC_BASE_URL", CLAUDE_TOKEN];
/// The key of Codex's model.
pub(super) const OPENAI_KEY: &str = "OPENAI_API_KEY";
pub(super) const OPENAI_URL: &str = "OPENAI_BASE_URL";

/// How much of the environment every agent gets from ours.
const INHERITED: &[&str] = &["PATH", "LANG", "LC_ALL"];
/// Who the operator trusts to be the model's provider, as programs on Node.js are told.
const CERTIFICATES: &str = "NODE_EXTRA_CA_CERTS";

/// The variables that agents' drivers read: what starts a job's process hands them on, and nobody else gets them.
pub fn agent_variables() -> impl Iterator<Item = &'static str> {
    [CLAUDE_CODE, CODEX, CODEX_AUTH, CODEX_PRICES, RETRIES, OPENAI_KEY, OPENAI_URL, CERTIFICATES]
        .into_iter()
        .chain(CLAUDE_KEYS.iter().copied())
}

/// The environment that drivers read.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a>(&'a (dyn Fn(&str) -> Option<OsString> + Sync));

impl<'a> Environment<'a> {
    pub(crate) fn ours() -> Environment<'static> {
        Environment(&|name| std::env::var_os(name))
    }

    pub(crate) fn of(read: &'a (dyn Fn(&str) -> Option<OsString> + Sync)) -> Self {
        Self(read)
    }

    /// A variable; one that is set to nothing is not set.
    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn inherited(&self) -> Vec<(&'static str, OsString)> {
        self.those(INHERITED)
    }

    /// The way to the network, for agents that speak to a model themselves.
    pub(super) fn network(&self) -> Vec<(&'static str, OsString)> {
        let mut found = self.those(NETWORK_ENVIRONMENT);
        found.extend(self.those(&[CERTIFICATES]));
        found
    }

    pub(super) fn those(&self, names: &[&'static str]) -> Vec<(&'static str, OsString)> {
        names.iter().filter_map(|name| Some((*name, self.get(name)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_is_handed_on_and_nothing_is_not_set() {
        let read = |name: &str| match name {
            "PATH" => Some("/bin".into()),
            "LANG" => Some(OsString::new()),
            "OPENAI_API_KEY" => Some("sk-1".into()),
            "AWS_SECRET_ACCESS_KEY" => Some("no".into()),
            _ => None,
        };
        let environment = Environment::of(&read);
        assert_eq!(environment.inherited(), [("PATH", OsString::from("/bin"))]);
        assert_eq!(environment.network(), []);
        assert_eq!(environment.those(&["LANG", OPENAI_KEY]), [(OPENAI_KEY, OsString::from("sk-1"))]);
        assert!(agent_variables().all(|name| !name.starts_with("AWS_") && name != "PULLYARD_BOOTSTRAP"));
    }

    #[test]
    fn what_agents_and_those_who_start_them_are_handed_is_this_and_nothing_else() {
        let read = |name: &str| Some(OsString::from(name));
        let all = Environment::of(&read);
        let names = |found: Vec<(&'static str, OsString)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(all.inherited()), ["PATH", "LANG", "LC_ALL"]);
        let network = [
            "http_proxy",
            "https_proxy",
            "HTTPS_PROXY",
            "no_proxy",
            "NO_PROXY",
            "all_proxy",
            "ALL_PROXY",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "GIT_SSL_CAINFO",
            "NODE_EXTRA_CA_CERTS",
        ];
        assert_eq!(names(all.network()), network);
        let mut handed_on: Vec<_> = agent_variables().collect();
        handed_on.sort_unstable();
        let expected = [
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "NODE_EXTRA_CA_CERTS",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "PULLYARD_AGENT_RETRY_SECS",
            "PULLYARD_CLAUDE_CODE",
            "PULLYARD_CODEX",
            "PULLYARD_CODEX_AUTH",
            "PULLYARD_CODEX_PRICES",
        ];
        assert_eq!(handed_on, expected);
    }
}
