//! The agents that the runner can start: one row and one folder for each.

mod claude_code;
mod codex;

#[cfg(test)]
pub(super) use claude_code::test_reader as claude_code_reader;
#[cfg(test)]
pub(super) use codex::test_reader as codex_reader;

use super::driver::Driver;
use super::environment::{CERTIFICATES, PRICES};
use pullyard_domain::agent::{ModelKey, Provider};

const RETRIES: &str = "PULLYARD_AGENT_RETRY_SECS";

/// In the order of the rows in `domain`.
pub(crate) const DRIVERS: [&Driver; 2] = [&claude_code::DRIVER, &codex::DRIVER];

pub(super) fn find_driver(capability: &str) -> Option<&'static Driver> {
    DRIVERS.into_iter().find(|driver| driver.spec.code == capability)
}

/// The variables that drivers of agents read. A program that starts `run-job` passes them to `run-job` only.
pub fn agent_variables() -> impl Iterator<Item = &'static str> {
    let programs = DRIVERS.into_iter().map(|driver| driver.program.variable);
    let keys = ModelKey::ALL.into_iter().map(|key| key.spec().variable);
    let urls = Provider::ALL.into_iter().map(|provider| provider.spec().url_variable);
    programs.chain(keys).chain(urls).chain([PRICES, RETRIES, CERTIFICATES])
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::agent::list_programs;

    #[test]
    fn each_agent_with_a_program_has_a_driver() {
        let programs: Vec<_> = list_programs().map(|agent| agent.code).collect();
        assert_eq!(DRIVERS.map(|driver| driver.spec.code).as_slice(), programs);
    }

    #[test]
    fn agents_get_exactly_these_variables() {
        let mut variables: Vec<_> = agent_variables().collect();
        variables.sort_unstable();
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
        assert_eq!(variables, expected);
        assert!(variables.iter().all(|name| !name.starts_with("AWS_") && *name != "PULLYARD_BOOTSTRAP"));
    }
}
