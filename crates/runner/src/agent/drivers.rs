//! The agents that the runner can start: one row and one folder for each.

mod claude_code;
mod codex;

#[cfg(test)]
pub(super) use claude_code::test_reader as claude_code_reader;
#[cfg(test)]
pub(super) use codex::test_reader as codex_reader;

use super::adapter::Adapter;
use super::environment::{CERTIFICATES, Environment, PRICES, RETRIES};
use crate::Isolation;
use pullyard_domain::agent::{AgentSpec, ModelKey, Provider};
use std::path::{Path, PathBuf};

/// The facts in which agents with a program differ for the runner.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) spec: &'static AgentSpec,
    pub(crate) program: Program,
    /// Files whose content on the base branch the agent gets as instructions. It ignores its worktree's copies.
    pub(super) instruction_files: &'static [&'static str],
    /// The file with the tokens of a signed-in agent, below its home.
    pub(crate) token_file: &'static str,
    pub(super) session: SessionFiles,
    pub(super) create: fn(PathBuf, &Environment<'_>, Isolation) -> Box<dyn Adapter>,
}

#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) command: &'static str,
    /// The variable with the path of the program.
    pub(crate) variable: &'static str,
    /// Scope and name at npm.
    pub(super) package: (&'static str, &'static str),
    /// Finds the native program in the package of the platform.
    pub(super) find_in_package: fn(&Path) -> Option<PathBuf>,
    /// Errors: why the runner cannot start this version, as a fragment of a sentence.
    pub(super) check_version: fn(&str) -> Result<(), String>,
}

impl Program {
    /// As `npm install` reads it.
    pub(crate) fn package_name(&self) -> String {
        let (scope, name) = self.package;
        format!("{scope}/{name}")
    }
}

#[derive(Debug)]
pub(super) struct SessionFiles {
    /// Folders below the agent's home for a worktree and a session's id, with the prefix of their files' names.
    pub(super) folders: fn(&Path, &str) -> Vec<(&'static str, PathBuf)>,
    /// Whether a file with this name belongs to the session with this id.
    pub(super) is_file: fn(&str, &str) -> bool,
    /// Whether a folder may contain files of the session with this id.
    pub(super) is_folder: fn(&str, &str) -> bool,
}

/// In the order of the rows in `domain`.
pub(crate) const DRIVERS: [&Driver; 2] = [&claude_code::DRIVER, &codex::DRIVER];

impl Driver {
    pub(super) fn find(capability: &str) -> Option<&'static Self> {
        DRIVERS.into_iter().find(|driver| driver.spec.code == capability)
    }

    /// Variables with which the agent signs in. One of them is enough.
    pub(crate) fn key_variables(&self) -> impl Iterator<Item = &'static str> {
        self.spec.keys.iter().map(|key| key.spec().variable)
    }

    pub(crate) fn has_key(&self, environment: &Environment<'_>) -> bool {
        self.key_variables().any(|key| environment.get(key).is_some())
    }
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
}
