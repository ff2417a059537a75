//! Writes data to stdout and messages to stderr.

use super::Global;
use super::fault::{CliError, Exit, is_nothing_to_do};
use clap::ColorChoice;
use pullyard_domain::text::truncate;
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};

const DEFAULT_WIDTH: usize = 80;

/// The number is the terminal's code.
#[derive(Clone, Copy)]
pub(super) enum Colour {
    Grey = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
    Blue = 34,
    Magenta = 35,
}

pub(crate) struct Screen {
    json: bool,
    quiet: bool,
    width: Option<usize>,
    colour: bool,
    colour_stderr: bool,
    shapes: bool,
}

impl Screen {
    pub(crate) fn new(global: &Global) -> Self {
        let unset = |name: &str| std::env::var_os(name).is_none_or(|value| value.is_empty());
        let coloured = |terminal: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && unset("NO_COLOR"),
        };
        let terminal = io::stdout().is_terminal();
        let size = || terminal_size::terminal_size().map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0));
        Self {
            json: global.json,
            quiet: global.quiet,
            width: terminal.then(size),
            colour: coloured(terminal),
            colour_stderr: coloured(io::stderr().is_terminal()),
            shapes: locale_is_utf8(),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    pub(super) fn symbol(&self, symbol: &'static str, ascii: &'static str) -> &'static str {
        if self.shapes { symbol } else { ascii }
    }

    pub(super) fn paint(&self, colour: Option<Colour>, text: &str) -> String {
        match colour {
            Some(colour) if self.colour => format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8),
            _ => text.to_owned(),
        }
    }

    pub(crate) fn print_line(&self, line: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => CliError::silent(Exit::Failed),
            _ => CliError::failed(format!("can't write the output: {error}")),
        })
    }

    pub(crate) fn json(&self, body: &impl Serialize) -> Result<(), CliError> {
        let result =
            if self.width.is_some() { serde_json::to_string_pretty(body) } else { serde_json::to_string(body) };
        self.print_line(&result.map_err(|error| CliError::failed(format!("can't write JSON: {error}")))?)
    }

    /// Prints the server's answer with `--json`; otherwise `show` prints it.
    pub(super) fn show<T: Serialize>(
        &self,
        answer: &T,
        show: impl FnOnce(&T) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        if self.json { self.json(answer) } else { show(answer) }
    }

    pub(super) fn report(&self, answer: &impl Serialize, note: &str) -> Result<(), CliError> {
        if self.json {
            return self.json(answer);
        }
        note.lines().for_each(|line| self.note(line));
        Ok(())
    }

    pub(super) fn explain(&self, answer: &impl Serialize, sentence: &str, help: &str) -> Result<(), CliError> {
        if self.json {
            return self.json(answer);
        }
        self.print_line(&sanitize(sentence))?;
        self.hint(help);
        Ok(())
    }

    /// Prints the result of a test. Errors: `Failed` without a message if it failed.
    pub(super) fn report_test(
        &self,
        answer: &impl Serialize,
        works: bool,
        sentence: &str,
        help: &str,
    ) -> Result<(), CliError> {
        if self.json {
            self.json(answer)?;
        } else if works {
            self.print_line(sentence)?;
            self.hint(help);
        } else {
            self.error(sentence);
            self.help(help);
        }
        if works { Ok(()) } else { Err(CliError::silent(Exit::Failed)) }
    }

    pub(crate) fn confirm(&self, question: &str) -> Result<bool, CliError> {
        if self.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(CliError::usage("this needs confirmation, but there is no terminal").with_help("add --yes"));
        }
        let mut err = io::stderr().lock();
        let prompt_error = |error: io::Error| CliError::failed(format!("can't ask for confirmation: {error}"));
        write!(err, "{} [y/N] ", sanitize(question)).and_then(|()| err.flush()).map_err(prompt_error)?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map_err(prompt_error)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    pub(super) fn clear(&self) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        write!(out, "\u{1b}[H\u{1b}[2J").and_then(|()| out.flush()).map_err(|_| CliError::silent(Exit::Failed))
    }

    /// Replaces the progress line of a terminal.
    pub(super) fn progress(&self, line: &str) {
        if self.width.is_some() && !self.quiet && !self.json {
            let mut out = io::stdout().lock();
            // Best effort: the reader may be gone.
            let _ = write!(out, "\r\u{1b}[K{line}").and_then(|()| out.flush());
        }
    }

    pub(super) fn end_progress(&self) {
        self.progress("");
    }

    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            write_stderr(&sanitize(line));
        }
    }

    pub(super) fn hint(&self, line: &str) {
        if !self.quiet {
            self.help(line);
        }
    }

    pub(crate) fn error(&self, line: &str) {
        write_stderr(&format!("{} {}", self.paint_stderr(Colour::Red, "error:"), sanitize(line)));
    }

    pub(crate) fn warn(&self, line: &str) {
        write_stderr(&format!("{} {}", self.paint_stderr(Colour::Yellow, "warning:"), sanitize(line)));
    }

    pub(crate) fn help(&self, line: &str) {
        if is_nothing_to_do(line) {
            return;
        }
        write_stderr(&format!("{} {}", self.paint_stderr(Colour::Blue, "help:"), sanitize(line)));
    }

    fn paint_stderr(&self, colour: Colour, text: &str) -> String {
        if self.colour_stderr { format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8) } else { text.to_owned() }
    }
}

/// Removes line breaks and everything that a terminal would interpret.
pub(super) fn sanitize(text: &str) -> String {
    truncate(text, usize::MAX)
}

pub(crate) fn write_stderr(line: &str) {
    // Best effort: the reader may be gone.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// As in POSIX, the first variable that is set decides.
fn locale_is_utf8() -> bool {
    let values = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let locale = values.into_iter().flatten().next().unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
