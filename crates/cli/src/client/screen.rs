//! Where words go: stdout is data, stderr is talk.

use super::Global;
use super::fault::{Exit, Fault, is_nothing};
use clap::ColorChoice;
use pullyard_domain::text::clipped;
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};

/// The width of a terminal that does not say it.
const WIDTH: usize = 80;

/// One of the eight colours that every terminal's theme has.
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
    /// The terminal that stdout is; none when it is piped.
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

    /// One JSON document is wanted, and no question may be asked.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The width to cut to; none when a program reads.
    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Shapes beyond ASCII can be shown.
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

    /// One JSON document: on one line for programs, spread out for people.
    pub(crate) fn json(&self, body: &impl Serialize) -> Result<(), Fault> {
        let written =
            if self.width.is_some() { serde_json::to_string_pretty(body) } else { serde_json::to_string(body) };
        self.out(&written.map_err(|error| Fault::new(Exit::Failed, format!("can't write JSON: {error}")))?)
    }

    /// Asks for a yes, on a terminal only; anything else is a no.
    pub(crate) fn agreed(&self, question: &str) -> Result<bool, Fault> {
        if self.json || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Fault::usage("this asks first, and there is nobody to ask").help("add --yes"));
        }
        let mut err = io::stderr().lock();
        let unread = |error: io::Error| Fault::new(Exit::Failed, format!("can't ask: {error}"));
        write!(err, "{} [y/N] ", tame(question)).and_then(|()| err.flush()).map_err(unread)?;
        let mut said = String::new();
        io::stdin().lock().read_line(&mut said).map_err(unread)?;
        Ok(matches!(said.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// An empty screen, on a terminal.
    pub(super) fn clear(&self) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        write!(out, "\u{1b}[H\u{1b}[2J").and_then(|()| out.flush()).map_err(|_| Fault::unread())
    }

    /// Talk that `--quiet` silences.
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

    /// What to do about it; silent where that is nothing.
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

/// Text from outside without anything that a terminal would obey, on one line.
pub(super) fn tame(text: &str) -> String {
    clipped(text, usize::MAX)
}

fn talk(line: &str) {
    // Nobody listens: that is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// As POSIX has it: the first of these that is set decides.
fn speaks_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let locale = set.into_iter().flatten().next().unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
