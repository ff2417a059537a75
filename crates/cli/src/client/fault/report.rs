//! Prints errors.

use super::{CliError, Exit};
use crate::client::screen::Screen;
use std::process::ExitCode;

impl CliError {
    pub(crate) fn print_with_document(self, screen: &Screen) -> ExitCode {
        let exit = self.exit.into();
        if self.error.is_empty() {
            return exit;
        }
        self.print(screen);
        if screen.is_json() {
            // Best effort: the reader may be gone.
            let _ = screen.json(&self.into_problem());
        }
        exit
    }

    pub(crate) fn interrupted(screen: &Screen, consequence: &str) -> Self {
        screen.note(&format!("interrupted: {consequence}"));
        Self::silent(Exit::Interrupted)
    }

    /// Prints only to stderr: with `--json`, stdout already has its one document.
    pub(in crate::client) fn printed(self, screen: &Screen) -> Self {
        self.print(screen);
        Self::silent(self.exit)
    }

    pub(in crate::client) fn print(&self, screen: &Screen) {
        screen.error(&self.error);
        if let Some(help) = &self.help {
            screen.help(help);
        }
    }
}
