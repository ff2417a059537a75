//! `pullyard completions`: prints a script that completes commands, flags and live names in a shell.

mod names;

use crate::client::prelude::*;
use clap::builder::StyledStr;
use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use names::{Names, load_names};
use std::ffi::OsStr;

/// The scripts set it to the shell, and pass the typed line after `--`.
pub(crate) const COMPLETE_VARIABLE: &str = "PULLYARD_COMPLETE";

/// Print a completion script for a shell.
///
/// It completes commands, flags, and the names of projects, tickets, jobs, runners and repositories. The names come
/// from the server of the current context; without an answer within a second there are none.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard completions bash > ~/.local/share/bash-completion/completions/pullyard
  pullyard completions zsh > ~/.zfunc/_pullyard     with ~/.zfunc in fpath
  pullyard completions fish > ~/.config/fish/completions/pullyard.fish
  pullyard completions powershell >> $PROFILE")]
pub(crate) struct Completions {
    /// Shell.
    #[arg(value_parser = ["bash", "zsh", "fish", "powershell"])]
    shell: String,
}

impl Completions {
    pub(super) fn run(self, screen: &Screen) -> Result<(), CliError> {
        let failed = |reason: String| CliError::failed(format!("can't write the script: {reason}"));
        let shells = Shells::builtins();
        let shell = shells.completer(&self.shell).ok_or_else(|| failed(format!("{} is unknown", self.shell)))?;
        let (name, mut script) = ("pullyard", Vec::new());
        shell
            .write_registration(COMPLETE_VARIABLE, name, name, name, &mut script)
            .map_err(|error| failed(error.to_string()))?;
        screen.print_line(String::from_utf8_lossy(&script).trim())
    }
}

/// Adds completers to the arguments that take the name of a stored object.
pub(super) fn add_completers(command: Command, path: &str) -> Command {
    let command = command.mut_args(|arg| match find_names(path, &arg) {
        Some(names) => arg.add(ArgValueCompleter::new(move |typed: &OsStr| complete(names, typed))),
        None => arg,
    });
    command.mut_subcommands(|inner| {
        let path = format!("{path} {}", inner.get_name());
        add_completers(inner, path.trim_start())
    })
}

fn find_names(path: &str, arg: &Arg) -> Option<Names> {
    let value = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    let group = path.split(' ').next().unwrap_or_default();
    match (path, group, arg.get_id().as_str(), value) {
        ("projects create" | "tickets create" | "repos add" | "try", _, "id" | "key" | "name" | "repository", _) => {
            None
        }
        (_, _, "project", _)
        | ("projects show" | "projects use" | "projects rename" | "projects delete", _, "id", _) => {
            Some(Names::Projects)
        }
        (_, _, "context", _) | ("contexts use", _, "name", _) => Some(Names::Contexts),
        (_, _, _, "JOB") => Some(Names::Jobs),
        (_, _, _, "RUN" | "RUN/STEP") => Some(Names::Runs),
        (_, _, "ticket", _) | (_, "tickets", "key", _) => Some(Names::Tickets),
        (_, _, "subject", _) if path == "why" => Some(Names::Tickets),
        (_, _, _, "OWNER/NAME") | ("repos ingress", _, "name", _) => Some(Names::Repositories),
        (_, "runners", "runner", _) | ("tokens create", _, "runner", _) => Some(Names::Runners),
        ("settings get" | "settings describe", _, "keys" | "key", _) => Some(Names::Settings),
        _ => None,
    }
}

fn complete(names: Names, typed: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let candidate = |(name, about): (String, String)| {
        let about = Some(about).filter(|about| !about.is_empty());
        CompletionCandidate::new(name).help(about.map(StyledStr::from))
    };
    let fits = |name: &String| name.starts_with(typed) && is_plain(name);
    load_names(names).into_iter().filter(|(name, _)| fits(name)).map(candidate).collect()
}

/// Whether no shell interprets a part of the name. Bash inserts a name without quotes, and users choose ticket keys.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'@'))
}
