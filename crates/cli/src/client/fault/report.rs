//! Prints errors.

use super::Fault;
use crate::client::screen::Screen;
use std::process::ExitCode;

impl Fault {
    pub(crate) fn show(self, screen: &Screen) -> ExitCode {
        let exit = self.exit.into();
        if self.error.is_empty() {
            return exit;
        }
        self.say(screen);
        if screen.is_json() {
            // Best effort: the reader may be gone.
            let _ = screen.json(&self.document());
        }
        exit
    }

    /// Prints only to stderr: with `--json`, stdout already has its one document.
    pub(in crate::client) fn after_the_answer(self, screen: &Screen) -> ExitCode {
        self.say(screen);
        self.exit.into()
    }

    pub(in crate::client) fn say(&self, screen: &Screen) {
        screen.error(&self.error);
        if let Some(help) = &self.help {
            screen.help(help);
        }
    }
}
