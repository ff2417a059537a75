//! `pullyard completions`: prints a completion script for a shell.

use super::fault::CliError;
use super::screen::Screen;
use clap_complete::Shell;
use std::process::ExitCode;

/// Print a completion script for a shell.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard completions bash > ~/.local/share/bash-completion/completions/pullyard
  pullyard completions fish > ~/.config/fish/completions/pullyard.fish")]
pub(crate) struct Completions {
    /// Shell.
    #[arg(value_parser = ["bash", "zsh", "fish", "powershell"])]
    shell: String,
}

impl Completions {
    pub(super) fn run(self, screen: &Screen, mut program: clap::Command) -> Result<ExitCode, CliError> {
        let shell = match self.shell.as_str() {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            _ => Shell::PowerShell,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut program, "pullyard", &mut script);
        screen.print_line(String::from_utf8_lossy(&script).trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}
