//! `pullyard open`: the pages in a browser, signed in.

use super::fault::Fault;
use super::session::Session;
use serde_json::json;
use std::io::IsTerminal;
use std::process::{Command, ExitCode, Stdio};

/// Open the pages in a browser, with a link that signs it in once.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard open
  pullyard open --print             only print the link, for a browser elsewhere

The link works for ten minutes and for one browser, with the rights of your token.")]
pub(crate) struct Open {
    /// Only print the link, even on a terminal.
    #[arg(long)]
    print: bool,
}

impl Open {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let link = session.api.sign_in_link().await?;
        if session.screen.is_json() {
            session.screen.json(&json!({ "url": link.url, "expires_in_secs": link.expires_in_secs }))?;
            return Ok(ExitCode::SUCCESS);
        }
        session.screen.out(&link.url)?;
        let opened = !self.print && std::io::stdout().is_terminal() && open(&link.url);
        let minutes = link.expires_in_secs / 60;
        session.screen.hint(&match opened {
            true => format!("opened in a browser; the link works once, for {minutes} minutes"),
            false => format!("open it in a browser; it works once, for {minutes} minutes"),
        });
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks the desktop, which may not be there; whatever comes of it, the link stands on the screen.
pub(crate) fn open(url: &str) -> bool {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = || Stdio::null();
    Command::new(program).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().is_ok()
}
