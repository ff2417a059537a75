//! Writes data to stdout and messages to stderr.

use super::Global;
use super::fault::{Exit, Fault, is_nothing};
use clap::ColorChoice;
use pullyard_domain::text::truncate;
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};

const WIDTH: usize = 80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Muted,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Blue => "34",
            Self::Magenta => "35",
            Self::Muted => "2",
        }
    }
}

pub(crate) struct Screen {
    json: bool,
    quiet: bool,
    width: Option<usize>,
    colour: bool,
    colour_talk: bool,
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
        let size = || terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
        Self {
            json: global.json,
            quiet: global.quiet,
            width: terminal.then(size),
            colour: coloured(terminal),
            colour_talk: coloured(io::stderr().is_terminal()),
            shapes: speaks_utf8(),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    pub(super) fn has_shapes(&self) -> bool {
        self.shapes
    }

    pub(super) fn painted(&self, colour: Option<Colour>, text: &str) -> String {
        match colour {
            Some(colour) if self.colour => format!("\u{1b}[{}m{text}\u{1b}[0m", colour.code()),
            _ => text.to_owned(),
        }
    }

    pub(crate) fn out(&self, line: &str) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Fault::unread(),
            _ => Fault::new(Exit::Failed, format!("can't write the output: {error}")),
        })
    }

    pub(crate) fn json(&self, body: &impl Serialize) -> Result<(), Fault> {
        let written =
            if self.width.is_some() { serde_json::to_string_pretty(body) } else { serde_json::to_string(body) };
        self.out(&written.map_err(|error| Fault::new(Exit::Failed, format!("can't write JSON: {error}")))?)
    }

    pub(crate) fn agreed(&self, question: &str) -> Result<bool, Fault> {
        if self.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Fault::usage("this needs confirmation, but there is no terminal").help("add --yes"));
        }
        let mut err = io::stderr().lock();
        let unread = |error: io::Error| Fault::new(Exit::Failed, format!("can't ask for confirmation: {error}"));
        write!(err, "{} [y/N] ", tame(question)).and_then(|()| err.flush()).map_err(unread)?;
        let mut said = String::new();
        io::stdin().lock().read_line(&mut said).map_err(unread)?;
        Ok(matches!(said.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    pub(super) fn clear(&self) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        write!(out, "\u{1b}[H\u{1b}[2J").and_then(|()| out.flush()).map_err(|_| Fault::unread())
    }

    pub(crate) fn note(&self, line: &str) {
        if !self.quiet {
            talk(&tame(line));
        }
    }

    pub(super) fn hint(&self, line: &str) {
        if !self.quiet {
            self.help(line);
        }
    }

    pub(crate) fn error(&self, line: &str) {
        talk(&format!("{} {}", self.talk_painted(Colour::Red, "error:"), tame(line)));
    }

    pub(crate) fn warn(&self, line: &str) {
        talk(&format!("{} {}", self.talk_painted(Colour::Yellow, "warning:"), tame(line)));
    }

    pub(crate) fn help(&self, line: &str) {
        if is_nothing(line) {
            return;
        }
        talk(&format!("{} {}", self.talk_painted(Colour::Blue, "help:"), tame(line)));
    }

    fn talk_painted(&self, colour: Colour, text: &str) -> String {
        if self.colour_talk { format!("\u{1b}[{}m{text}\u{1b}[0m", colour.code()) } else { text.to_owned() }
    }
}

/// Removes line breaks and everything that a terminal would interpret.
pub(super) fn tame(text: &str) -> String {
    truncate(text, usize::MAX)
}

fn talk(line: &str) {
    // Best effort: the reader may be gone.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// As in POSIX, the first variable that is set decides.
fn speaks_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let locale = set.into_iter().flatten().next().unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
