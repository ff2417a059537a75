//! `pullyard open`: opens the pages in a browser, signed in.

use super::config::write_sibling;
use crate::client::prelude::*;
use pullyard_domain::text::id::{JobId, ProjectId, TicketKey};
use pullyard_domain::text::percent_encode;
use serde_json::json;
use std::io::IsTerminal;
use std::process::{Command, Stdio};

/// Open the web pages with a link that signs your browser in once.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard open
  pullyard open /board              open the board
  pullyard open --print             only print the link, for a browser elsewhere
  pullyard jobs open @last          open the page of a job

The link works for ten minutes and for one browser, with the rights of your token. The browser opens a local
file that redirects to the link, because other users of this machine can read arguments. A browser that cannot
read your files (from a snap, for example) needs the printed link.")]
pub(crate) struct Open {
    /// Page, such as /board (default: the overview).
    #[arg(value_name = "PAGE", value_parser = parse_page)]
    page: Option<String>,
    /// Print the link instead of opening it.
    #[arg(long)]
    print: bool,
}

impl Open {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let mut link = session.api.create_sign_in_link().await?;
        if let Some(page) = &self.page {
            link.url.push_str(&format!("&to={}", percent_encode(page)));
        }
        if session.screen.is_json() {
            return session.screen.json(&json!({ "url": link.url, "expires_in_secs": link.expires_in_secs }));
        }
        session.screen.print_line(&link.url)?;
        let has_opened = !self.print && std::io::stdout().is_terminal() && open_in_browser(&link.url);
        let minutes = link.expires_in_secs / 60;
        session.screen.hint(&match has_opened {
            true => format!("opened in a browser; the link works once, for {minutes} minutes"),
            false => format!("open it in a browser; it works once, for {minutes} minutes"),
        });
        Ok(())
    }
}

fn parse_page(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && !text.starts_with("//");
    if is_path { Ok(text.to_owned()) } else { Err("write it as /board".into()) }
}

pub(super) async fn open_job(session: &Session, job: &JobId) -> Result<(), CliError> {
    Open { page: Some(format!("/jobs/{job}")), print: false }.run(session).await
}

pub(super) async fn open_ticket(session: &Session, project: &ProjectId, key: &TicketKey) -> Result<(), CliError> {
    let page = format!("/tickets/-?project={project}&key={}", percent_encode(key.as_str()));
    Open { page: Some(page), print: false }.run(session).await
}

/// Opens the link with the desktop's program, if there is one. The program gets a local page that redirects: arguments
/// are visible to all users, and the link signs its first user in.
pub(crate) fn open_in_browser(url: &str) -> bool {
    let Ok(page) = write_sibling("sign-in.html", &redirect_page(url)) else { return false };
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let null = || Stdio::null();
    Command::new(program).arg(page).stdin(null()).stdout(null()).stderr(null()).spawn().is_ok()
}

fn redirect_page(url: &str) -> String {
    let url = url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    format!(
        "<!doctype html><meta charset=\"utf-8\"><meta name=\"referrer\" content=\"no-referrer\">\
         <meta http-equiv=\"refresh\" content=\"0;url={url}\"><title>Pullyard</title>\
         <p><a href=\"{url}\">Go on to Pullyard</a></p>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_contains_only_the_escaped_link() {
        let page = redirect_page("http://127.0.0.1:7878/sign-in?code=pyc_a&b=\"><script>");
        assert_eq!(page.matches("http://127.0.0.1:7878/sign-in?code=pyc_a&amp;b=&quot;>&lt;script>").count(), 2);
        assert!(!page.contains("<script"));
    }
}
