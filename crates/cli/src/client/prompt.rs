//! Prompts on the terminal: confirmations, answers, hidden values.

use super::fault::CliError;
use super::screen::{Screen, sanitize};
use std::io::{self, BufRead, IsTerminal, Read, Write};

pub(super) fn is_interactive(screen: &Screen) -> bool {
    !screen.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

pub(super) fn confirm(screen: &Screen, yes: bool, question: &str) -> Result<(), CliError> {
    if yes || screen.confirm(question)? { Ok(()) } else { Err(CliError::failed("cancelled; nothing was changed")) }
}

pub(super) fn prompt_line(screen: &Screen, label: &str) -> Result<Option<String>, CliError> {
    if !is_interactive(screen) {
        return Ok(None);
    }
    let read_error = |error: io::Error| CliError::failed(format!("can't read {label}: {error}"));
    let mut terminal = io::stderr().lock();
    let _ = write!(terminal, "{}: ", sanitize(label)).and_then(|()| terminal.flush());
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(read_error)?;
    Ok(Some(line.trim().to_owned()))
}

/// The text of an argument; `-` reads it from stdin, a little more than the limit, so that the server reports the excess.
pub(super) fn read_text(argument: &str, limit_bytes: usize) -> Result<String, CliError> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    io::stdin()
        .take(limit_bytes as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| CliError::usage(format!("can't read stdin: {error}")))?;
    Ok(text)
}

/// Limit of Secrets Manager. Units: bytes.
const MAX_SECRET_BYTES: usize = 65_536;

/// Reads a secret from a hidden prompt or stdin. An argument would be visible to other users of this machine.
pub(super) fn prompt_hidden(screen: &Screen, label: &str) -> Result<String, CliError> {
    let read_error = |error: io::Error| CliError::failed(format!("can't read {label}: {error}"));
    if io::stdin().is_terminal() {
        if screen.is_json() {
            return Err(CliError::usage("--json never prompts").with_help(format!("pass {label} on stdin")));
        }
        return rpassword::prompt_password(format!("{}: ", sanitize(label))).map_err(read_error);
    }
    let mut bytes = Vec::new();
    // Two more bytes for the line end, one more to detect excess.
    io::stdin().lock().take(MAX_SECRET_BYTES as u64 + 3).read_to_end(&mut bytes).map_err(read_error)?;
    let text = String::from_utf8(bytes).map_err(|_| CliError::usage(format!("{label} is not UTF-8 text")))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let value = line.strip_suffix('\r').unwrap_or(line);
    if value.is_empty() || value.len() > MAX_SECRET_BYTES {
        return Err(CliError::usage(format!("{label} has {} bytes; use 1 to {MAX_SECRET_BYTES}", value.len())));
    }
    Ok(value.to_owned())
}
