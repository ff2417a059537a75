//! Finds the agents that this machine can drive, as default capabilities and for display.

use crate::agent::detect::{InstalledAgent, probe};
use crate::agent::driver::Driver;
use crate::agent::drivers::DRIVERS;
use crate::agent::environment::Environment;
use pullyard_domain::agent::ModelKey;
use std::collections::BTreeSet;

pub(crate) struct DetectedAgent {
    driver: &'static Driver,
    detection: Result<InstalledAgent, String>,
    has_key: bool,
}

pub(crate) async fn detect_agents(environment: &Environment<'_>) -> Vec<DetectedAgent> {
    let mut agents = Vec::new();
    for driver in DRIVERS {
        let (installed, has_key) = (probe(driver, environment).await, driver.has_key(environment));
        agents.push(DetectedAgent { driver, detection: installed, has_key });
    }
    agents
}

/// The default capabilities: `command`, each installed agent with a key, and `auto` if there is such an agent.
pub(crate) fn capabilities(agents: &[DetectedAgent]) -> BTreeSet<String> {
    let usable =
        agents.iter().filter(|agent| agent.detection.is_ok() && agent.has_key).map(|agent| agent.driver.spec.code);
    let usable: BTreeSet<&str> = usable.collect();
    let auto = (!usable.is_empty()).then_some("auto");
    usable.into_iter().chain(auto).chain(["command"]).map(str::to_owned).collect()
}

impl DetectedAgent {
    pub(crate) fn name(&self) -> &'static str {
        self.driver.spec.name
    }

    pub(crate) fn check_result(&self, required: &BTreeSet<String>) -> Result<String, String> {
        let keys = self.driver.key_variables().collect::<Vec<_>>().join(" or ");
        let is_required = required.contains(self.driver.spec.code);
        let found = self.detection.as_ref().map(|installed| self.version_and_path(installed));
        match (found, self.has_key) {
            (Ok(found), true) => Ok(found),
            (Ok(found), false) if is_required => Ok(format!("{found}; no key: each project needs one, or set {keys}")),
            (Ok(found), false) => Ok(format!("{found}; no key: set {keys}")),
            (Err(reason), _) if is_required => Err(format!("not usable: {reason}")),
            (Err(reason), _) => Ok(format!("not usable: {reason}")),
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        self.driver.spec.code
    }

    pub(crate) fn is_installed(&self) -> bool {
        self.detection.is_ok()
    }

    pub(crate) fn uses(&self, key: ModelKey) -> bool {
        self.driver.spec.keys.contains(&key)
    }

    /// The agent and its version, or how to install it.
    pub(crate) fn describe(&self) -> String {
        let package = self.driver.program.package_name();
        match &self.detection {
            Ok(installed) => format!("{} {}", self.name(), self.version_and_path(installed)),
            Err(reason) => format!("{}: {reason}. To install it: npm install --global {package}", self.name()),
        }
    }

    pub(crate) fn row(&self) -> [String; 3] {
        let value = match &self.detection {
            Ok(installed) => self.version_and_path(installed),
            Err(reason) => reason.clone(),
        };
        [self.driver.spec.code.to_owned(), value, format!("PATH or {}", self.driver.program.variable)]
    }

    fn version_and_path(&self, installed: &InstalledAgent) -> String {
        format!("{} at {}", installed.version, installed.program.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(code: &str, installed: bool, has_key: bool) -> DetectedAgent {
        let driver = DRIVERS.into_iter().find(|driver| driver.spec.code == code).unwrap();
        let agent = InstalledAgent { driver, program: "/bin/agent".into(), version: "1.2.3".into() };
        DetectedAgent { driver, detection: if installed { Ok(agent) } else { Err("no such program".into()) }, has_key }
    }

    fn check(agents: &[DetectedAgent], expected: &[&str]) {
        assert_eq!(capabilities(agents), expected.iter().map(|word| (*word).to_owned()).collect());
    }

    #[test]
    fn only_installed_agents_with_a_key_are_advertised() {
        check(&[], &["command"]);
        check(&[agent("claude_code", true, false), agent("codex", false, true)], &["command"]);
        let both = [agent("claude_code", true, true), agent("codex", true, true)];
        check(&both, &["command", "claude_code", "codex", "auto"]);
        check(&both[1..], &["command", "codex", "auto"]);
    }

    #[test]
    fn missing_agent_is_an_error_only_if_configured() {
        let required = BTreeSet::from(["codex".to_owned()]);
        let missing = agent("codex", false, true);
        assert_eq!(missing.check_result(&required), Err("not usable: no such program".into()));
        assert!(missing.check_result(&BTreeSet::new()).is_ok());
        // A project may have the key.
        let keyless = |required: &BTreeSet<String>| agent("codex", true, false).check_result(required).unwrap();
        let set = "OPENAI_API_KEY or PULLYARD_CODEX_AUTH";
        assert_eq!(keyless(&BTreeSet::new()), format!("1.2.3 at /bin/agent; no key: set {set}"));
        assert_eq!(keyless(&required), format!("1.2.3 at /bin/agent; no key: each project needs one, or set {set}"));
        assert_eq!(agent("codex", true, true).check_result(&required).unwrap(), "1.2.3 at /bin/agent");
    }
}
