//! Prompts for answers on the terminal. Checks each answer at once, and repeats the prompt after a refusal.

use crate::git::workspace::disk::run_blocking;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::io::{self, Write};

/// Why no answer is available.
#[derive(Debug)]
pub(super) enum Abort {
    Cancelled,
    Refused(String),
}

impl From<String> for Abort {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

impl From<&str> for Abort {
    fn from(reason: &str) -> Self {
        Self::Refused(reason.into())
    }
}

#[derive(Default)]
pub(super) struct Question {
    pub(super) label: String,
    /// How to set the value without a question, for the error without a terminal.
    pub(super) setting: String,
    /// Value of a flag or a variable, which replaces the question.
    pub(super) preset: Option<String>,
    /// Value for an empty answer.
    pub(super) default: Option<String>,
    pub(super) is_secret: bool,
    /// The value may be absent; the answer `none` removes the present one.
    pub(super) is_optional: bool,
}

impl Question {
    fn prompt(&self) -> String {
        let removal = if self.is_optional { "; none removes it" } else { "" };
        match self.default.as_deref().filter(|default| !default.is_empty()) {
            Some(_) if self.is_secret => format!("{} [unchanged{removal}]: ", self.label),
            Some(default) => format!("{} [{default}{removal}]: ", self.label),
            None if self.is_optional => format!("{} [none]: ", self.label),
            None => format!("{}: ", self.label),
        }
    }

    /// Returns the first answer that passes `check`, which returns a note or the reason of a refusal.
    /// Without a terminal, the default is the answer. Errors: a refused preset or default; a missing one.
    pub(super) async fn ask(
        self,
        is_terminal: bool,
        check: impl AsyncFn(&str) -> Result<String, String>,
    ) -> Result<String, Abort> {
        let default = self.default.clone().or_else(|| self.is_optional.then(String::new));
        let preset = match self.preset.clone() {
            None if !is_terminal => {
                let missing = || format!("A setting is missing. Set {}.", self.setting);
                Some(default.clone().ok_or_else(missing)?)
            }
            preset => preset,
        };
        if let Some(answer) = preset {
            let note = check(&answer).await.map_err(|reason| format!("{}: {reason}", self.label))?;
            say(&format!("{}: {note}", self.label));
            return Ok(answer);
        }
        loop {
            let answer = match read(self.prompt(), self.is_secret).await? {
                line if line.is_empty() => default.clone(),
                line if line == "none" && self.is_optional => Some(String::new()),
                line => Some(line),
            };
            match answer {
                Some(answer) => match check(&answer).await {
                    Ok(note) => {
                        say(&format!("  {note}"));
                        return Ok(answer);
                    }
                    Err(reason) => say(&format!("  {reason}")),
                },
                None => say("  An answer is necessary."),
            }
        }
    }
}

pub(super) async fn confirm(question: &str) -> Result<(), Abort> {
    match read(format!("{question} [y/N]: "), false).await?.as_str() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Abort::Cancelled),
    }
}

/// The state of the terminal before a hidden prompt.
pub(super) struct Terminal(Termios);

impl Terminal {
    /// `None` if the input is no terminal.
    pub(super) fn save() -> Option<Self> {
        tcgetattr(io::stdin()).ok().map(Self)
    }

    pub(super) fn restore(&self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

/// Prints text without control characters, because it may come from a server. Ignores a closed terminal.
pub(super) fn say(text: &str) {
    let text = text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}");
    let _ = writeln!(io::stderr(), "{text}");
}

/// Reads a line on another thread, so that a signal can interrupt the wait.
async fn read(prompt: String, is_secret: bool) -> Result<String, Abort> {
    let line = run_blocking(move || {
        let before = Terminal::save().filter(|_| is_secret);
        if let Some(Terminal(before)) = &before {
            let mut hidden = before.clone();
            hidden.local_flags.remove(LocalFlags::ECHO);
            hidden.local_flags.insert(LocalFlags::ECHONL);
            // Before the prompt is printed: a user may type at once.
            tcsetattr(io::stdin(), SetArg::TCSANOW, &hidden)?;
        }
        let mut terminal = io::stderr();
        let mut line = String::new();
        let read = write!(terminal, "{prompt}").and_then(|()| terminal.flush());
        let read = read.and_then(|()| io::stdin().read_line(&mut line));
        if let Some(before) = before {
            before.restore();
        }
        match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    });
    let line = line.await.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted => Abort::Cancelled,
        _ => format!("Cannot read from the terminal: {error}. Use --yes.").into(),
    });
    Ok(line?.trim().to_owned())
}
