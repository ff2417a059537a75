//! `pullyard man`: writes a manual page for each command.

use crate::client::prelude::*;
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Write a manual page for each command into a folder.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard man ~/.local/share/man/man1     then `man pullyard-jobs`
  sudo pullyard man /usr/local/share/man/man1")]
pub(crate) struct ManPages {
    /// Folder; created if it does not exist.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl ManPages {
    pub(super) fn run(self, screen: &Screen, program: Command) -> Result<(), CliError> {
        let failed = |error: io::Error| {
            CliError::failed(format!("can't write the pages into {}: {error}", self.folder.display()))
        };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let pages = write_pages(&program, &self.folder).map_err(failed)?;
        screen.note(&format!("Wrote {pages} pages into {}", self.folder.display()));
        Ok(())
    }
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<usize> {
    let mut pages = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        pages += write_pages(inner, folder)?;
    }
    let page = Man::new(command.clone()).manual("Pullyard");
    fs::write(folder.join(page.get_filename()), render(&page, command)?)?;
    Ok(pages)
}

/// Like `Man::render`, but with a section of examples in which lines are not filled.
fn render(page: &Man, command: &Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.get_subcommands().any(|inner| !inner.is_hide_set()) {
        page.render_subcommands_section(&mut text)?;
    }
    if let Some(after) = command.get_after_help() {
        let after = after.to_string();
        let mut roff = Roff::default();
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for line in after.strip_prefix("Examples:\n").unwrap_or(&after).lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
        roff.to_writer(&mut text)?;
    }
    Ok(text)
}
