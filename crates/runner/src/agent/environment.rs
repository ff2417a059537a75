//! Selects the variables of this process that agents and commands get: search path and settings.

use super::variant_name::variant_name;
use crate::Isolation;
use crate::git::NETWORK_ENVIRONMENT;
use pullyard_protocol::attempt::Assignment;
use std::ffi::OsString;
use std::path::Path;

/// Prices of models for every agent, not only for the one in its name.
pub(super) const PRICES: &str = "PULLYARD_CODEX_PRICES";

const INHERITED: &[&str] = &["PATH", "LANG", "LC_ALL"];
/// Certificates that the operator trusts for the model's provider, as Node.js programs read them.
pub(super) const CERTIFICATES: &str = "NODE_EXTRA_CA_CERTS";

#[derive(Clone, Copy)]
pub(crate) struct Environment<'a>(&'a (dyn Fn(&str) -> Option<OsString> + Sync));

impl<'a> Environment<'a> {
    pub(crate) fn from_process() -> Environment<'static> {
        Environment(&|name| std::env::var_os(name))
    }

    pub(crate) fn from_fn(read: &'a (dyn Fn(&str) -> Option<OsString> + Sync)) -> Self {
        Self(read)
    }

    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// The variables of every program of a job: the inherited ones, its folders, and the job's names.
    pub(crate) fn for_job(
        &self,
        assignment: &Assignment,
        temp_dir: &Path,
        home: &Path,
    ) -> Vec<(&'static str, OsString)> {
        let ticket = assignment.ticket.as_ref().map_or("", |ticket| ticket.key.as_str());
        let mut variables = self.inherited_variables();
        variables.extend([
            ("TERM", "dumb".into()),
            ("TMPDIR", temp_dir.into()),
            ("HOME", home.into()),
            ("PULLYARD_JOB", assignment.job.as_str().into()),
            ("PULLYARD_KIND", variant_name(assignment.kind).into()),
            ("PULLYARD_TICKET", ticket.into()),
        ]);
        variables
    }

    pub(crate) fn inherited_variables(&self) -> Vec<(&'static str, OsString)> {
        self.select(INHERITED)
    }

    /// Network settings, for agents that call a model themselves. A sandboxed agent uses the sandbox's proxies.
    pub(super) fn network(&self, isolation: Isolation) -> Vec<(&'static str, OsString)> {
        if !matches!(isolation, Isolation::None | Isolation::External) {
            return Vec::new();
        }
        let mut variables = self.select(NETWORK_ENVIRONMENT);
        variables.extend(self.select(&[CERTIFICATES]));
        variables
    }

    pub(super) fn select(&self, names: &[&'static str]) -> Vec<(&'static str, OsString)> {
        names.iter().filter_map(|name| Some((*name, self.get(name)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_unlisted_variables_are_not_inherited() {
        let read = |name: &str| match name {
            "PATH" => Some("/bin".into()),
            "LANG" => Some(OsString::new()),
            "OPENAI_API_KEY" => Some("sk-1".into()),
            "AWS_SECRET_ACCESS_KEY" => Some("no".into()),
            _ => None,
        };
        let environment = Environment::from_fn(&read);
        assert_eq!(environment.inherited_variables(), [("PATH", OsString::from("/bin"))]);
        assert_eq!(environment.network(Isolation::None), []);
        assert_eq!(environment.select(&["LANG", "OPENAI_API_KEY"]), [("OPENAI_API_KEY", OsString::from("sk-1"))]);
    }

    #[test]
    fn agents_inherit_exactly_these_variables() {
        let read = |name: &str| Some(OsString::from(name));
        let all = Environment::from_fn(&read);
        let names = |env: Vec<(&'static str, OsString)>| env.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(all.inherited_variables()), ["PATH", "LANG", "LC_ALL"]);
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
        assert_eq!(names(all.network(Isolation::External)), network);
        assert_eq!(names(all.network(Isolation::Bubblewrap)), [""; 0]);
    }
}
