//! Prints a fault.

use super::Fault;
use crate::client::screen::Screen;
use std::process::ExitCode;

impl Fault {
    /// Says it on stderr, and with `--json` as a problem document on stdout.
    pub(crate) fn show(self, screen: &Screen) -> ExitCode {
        let exit = self.exit.into();
        if self.error.is_empty() {
            return exit;
        }
        self.say(screen);
        if screen.is_json() {
            // A reader that went away changes nothing about the fault.
            let _ = screen.json(&self.document());
        }
        exit
    }

    /// Says it after the answer was printed, which with `--json` is the one document on stdout.
    pub(in crate::client) fn after_the_answer(self, screen: &Screen) -> ExitCode {
        self.say(screen);
        self.exit.into()
    }

    /// Says it on stderr only.
    pub(in crate::client) fn say(&self, screen: &Screen) {
        screen.error(&self.error);
        if let Some(help) = &self.help {
            screen.help(help);
        }
    }
}
