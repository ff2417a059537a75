//! Handles a command line that clap cannot parse: prints help or the usage error.

use super::fault::CliError;
use clap::error::ErrorKind;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn report_parse_error(error: &clap::Error, line: &mut clap::Command) -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    // With flags from the environment, clap would report a missing command instead of printing the help.
    if arguments.is_empty() && error.kind() == ErrorKind::MissingSubcommand {
        let _ = write!(io::stderr(), "{}", line.render_help());
        return code;
    }
    let text = error.render().to_string();
    let _ = match replace_rust_words(&text) {
        Some(text) => write!(io::stderr(), "{text}"),
        None => error.print(),
    };
    let json = arguments.iter().take_while(|word| *word != "--").any(|word| word == "--json");
    if error.use_stderr()
        && json
        && let Ok(document) =
            serde_json::to_string(&usage_fault(&replace_rust_words(&text).unwrap_or(text)).into_problem())
    {
        let _ = writeln!(io::stdout(), "{document}");
    }
    code
}

/// Rewrites the reasons of Rust's number parsers. `None` if the text contains none.
fn replace_rust_words(text: &str) -> Option<String> {
    let reasons = [
        ("invalid digit found in string", "use a whole number"),
        ("cannot parse integer from empty string", "use a whole number"),
        ("number too large to fit in target type", "the number is too large"),
        ("number too small to fit in target type", "the number is too small"),
    ];
    let (reason, replacement) = reasons.into_iter().find(|(reason, _)| text.contains(reason))?;
    Some(text.replace(reason, replacement))
}

fn usage_fault(message: &str) -> CliError {
    let lines = message.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let text: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = text.join(" ");
    CliError::usage(text.strip_prefix("error: ").unwrap_or(&text))
        .with_help("`pullyard help COMMAND` says how it is used")
}
