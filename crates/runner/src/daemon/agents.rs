//! Finds the agents that this machine can drive, as default capabilities and for display.

use crate::agent::environment::Environment;
use crate::agent::installed::{Installed, Known, probe};
use std::collections::BTreeSet;

pub(crate) struct Found {
    known: Known,
    installed: Result<Installed, String>,
    has_key: bool,
}

pub(crate) async fn find(environment: &Environment<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for known in Known::ALL {
        let (installed, has_key) = (probe(known, environment).await, known.has_key(environment));
        found.push(Found { known, installed, has_key });
    }
    found
}

/// The default capabilities: `command`, each installed agent with a key, and `auto` if there is such an agent.
pub(crate) fn capabilities(found: &[Found]) -> BTreeSet<String> {
    let able = found.iter().filter(|one| one.installed.is_ok() && one.has_key).map(|one| one.known.capability());
    let able: BTreeSet<&str> = able.collect();
    let auto = (!able.is_empty()).then_some("auto");
    able.into_iter().chain(auto).chain(["command"]).map(str::to_owned).collect()
}

impl Found {
    pub(crate) fn name(&self) -> &'static str {
        self.known.name()
    }

    /// The agent's state for `check`. `Err` if the operator named the agent and it does not work.
    pub(crate) fn words(&self, named: &BTreeSet<String>) -> Result<String, String> {
        let keys = self.known.keys().join(" or ");
        let (words, works) = match (&self.installed, self.has_key) {
            (Ok(installed), true) => (self.place(installed), true),
            (Ok(installed), false) => (format!("{}; no key: set {keys}", self.place(installed)), false),
            (Err(reason), _) => (format!("not usable: {reason}"), false),
        };
        let wanted = named.contains(self.known.capability());
        if wanted && !works { Err(words) } else { Ok(words) }
    }

    pub(crate) fn row(&self) -> [String; 3] {
        let value = match &self.installed {
            Ok(installed) => self.place(installed),
            Err(reason) => reason.clone(),
        };
        [self.known.capability().to_owned(), value, format!("PATH or {}", self.known.setting())]
    }

    fn place(&self, installed: &Installed) -> String {
        format!("{} at {}", installed.version, installed.program.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(known: Known, installed: bool, has_key: bool) -> Found {
        let here = Installed { known, program: "/bin/agent".into(), version: "1.2.3".into() };
        Found { known, installed: if installed { Ok(here) } else { Err("no such program".into()) }, has_key }
    }

    fn check(found: &[Found], expected: &[&str]) {
        assert_eq!(capabilities(found), expected.iter().map(|word| (*word).to_owned()).collect());
    }

    #[test]
    fn only_installed_agents_with_a_key_are_advertised() {
        check(&[], &["command"]);
        check(&[found(Known::ClaudeCode, true, false), found(Known::Codex, false, true)], &["command"]);
        let both = [found(Known::ClaudeCode, true, true), found(Known::Codex, true, true)];
        check(&both, &["command", "claude_code", "codex", "auto"]);
        check(&both[1..], &["command", "codex", "auto"]);
    }

    #[test]
    fn missing_agent_is_an_error_only_if_configured() {
        let named = BTreeSet::from(["codex".to_owned()]);
        let missing = found(Known::Codex, false, true);
        assert_eq!(missing.words(&named), Err("not usable: no such program".into()));
        assert!(missing.words(&BTreeSet::new()).is_ok());
        let keyless = found(Known::Codex, true, false).words(&named).unwrap_err();
        assert_eq!(keyless, "1.2.3 at /bin/agent; no key: set OPENAI_API_KEY or PULLYARD_CODEX_AUTH");
        assert_eq!(found(Known::Codex, true, true).words(&named).unwrap(), "1.2.3 at /bin/agent");
    }
}
