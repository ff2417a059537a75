//! The facts and functions in which agents with a program differ.

use super::adapter::Adapter;
use super::environment::Environment;
use crate::Isolation;
use pullyard_domain::agent::AgentSpec;
use std::path::{Path, PathBuf};

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

impl Driver {
    /// Variables with which the agent signs in. One of them is enough.
    pub(crate) fn key_variables(&self) -> impl Iterator<Item = &'static str> {
        self.spec.keys.iter().map(|key| key.spec().variable)
    }

    pub(crate) fn has_key(&self, environment: &Environment<'_>) -> bool {
        self.key_variables().any(|key| environment.get(key).is_some())
    }
}
