//! `pullyard status`, `version` and `update`: shows the server, the token, counts of jobs, and versions.

use super::{budgets, hold, tokens};
use crate::client::prelude::*;
use pullyard_domain::agent::runner::order::Release;
use pullyard_domain::job::JobStatus;
use pullyard_protocol::runner_admin::{Runner, RunnerStatus};
use pullyard_protocol::version::{self, PROTOCOL};
use pullyard_version::{COMMIT, LONG, RELEASES, VERSION, short_commit};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

/// Show the server, the token in use and the project's jobs by status.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard status
  pullyard status --project acme --json")]
pub(crate) struct Status {}

impl Status {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let server = session.api.version().await?;
        let token = session.api.own_token().await?;
        let (project, missing) = match session.project().await {
            Ok(project) => (Some(project), None),
            // Show server and token even without a project. A project that the user named must exist.
            Err(fault) if session.has_no_project() => (None, Some(fault)),
            Err(fault) => return Err(fault),
        };
        let mut counts = BTreeMap::<JobStatus, usize>::new();
        if let Some(project) = &project {
            let newest = session.list_newest_jobs(project, super::session::MAX_PAGES).await?;
            session.ensure_project_exists(newest.is_empty(), project).await?;
            for job in newest {
                *counts.entry(job.status).or_default() += 1;
            }
        }
        if session.screen.is_json() {
            let jobs =
                counts.iter().map(|(status, count)| (format::to_code(status), *count)).collect::<BTreeMap<_, _>>();
            let output = json!({ "url": session.url, "server": server, "token": token, "project": project, "newest_jobs": jobs });
            return session.screen.json(&output);
        }
        let mut lines = vec![
            ("Server", Cell::text(&session.url)),
            ("Version", Cell::text(release(&server))),
            ("Project", Cell::optional(project.as_ref())),
            ("Token", Cell::text(&token.name)),
            ("Scopes", Cell::text(tokens::format_scopes(&token))),
            ("Expires", tokens::expiry_cell(&token)),
        ];
        if let Some(project) = &project {
            let project = session.api.project(project).await?;
            lines.extend(hold::describe(&project).map(|text| ("Held by", Cell::text(text))));
            lines.extend(budgets::describe(&project.settings.budget).map(|text| ("Budget", Cell::text(text))));
        }
        if counts.is_empty() && project.is_some() {
            lines.push(("Jobs", Cell::new("none yet", "0")));
        }
        let rows = JobStatus::ALL.into_iter().filter_map(|status| Some((status, counts.get(&status)?)));
        lines.extend(rows.map(|(status, count)| (format::status_name(status), Cell::text(count))));
        print_facts(&session.screen, &lines)?;
        if let Some(help) = missing.as_ref().and_then(|fault| fault.help.as_ref()) {
            session.screen.hint(help);
        }
        if counts.values().sum::<usize>() >= 200 {
            session.screen.hint("counts cover only the newest 200 jobs");
        }
        Ok(())
    }
}

/// Show the version and the commit of this program and of the server, and the oldest online runner.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard version
  pullyard version --url https://pullyard.example --json")]
pub(crate) struct Version {}

impl Version {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        if !session.screen.is_json() {
            print_facts(&session.screen, &[("Client", Cell::new(format!("{LONG}, protocol {PROTOCOL}"), LONG))])?;
        }
        let server = session.api.version().await?;
        let release = release(&server);
        if !session.screen.is_json() {
            let text = format!("{release}, protocol {}, at {}", server.protocol, session.url);
            print_facts(&session.screen, &[("Server", Cell::new(text, release))])?;
        }
        let number = |version: &str| version.parse::<Release>().ok();
        // A newer server may list what this program cannot read, and the list of a large fleet is slow.
        let page = timeout(Duration::from_secs(5), session.api.runners(None)).await.ok().and_then(Result::ok);
        let page = page.filter(|page| page.next.is_none());
        let runners = page.map(|page| page.runners).unwrap_or_default();
        let is_online = |it: &&Runner| matches!(it.status, RunnerStatus::Online | RunnerStatus::Draining);
        let oldest = runners.iter().filter(is_online).filter_map(|it| Some((number(&it.version)?, it)));
        let oldest = oldest.min_by_key(|(version, _)| *version).map(|(_, it)| it);
        if session.screen.is_json() {
            let client = json!({ "version": VERSION, "commit": COMMIT, "protocol": PROTOCOL });
            let oldest = oldest.map(|runner| json!({ "name": runner.name, "version": runner.version }));
            return session.screen.json(&json!({ "client": client, "server": server, "oldest_runner": oldest }));
        }
        if let Some(it) = oldest {
            let text = format!("{}, the oldest is {}", it.version, it.name);
            print_facts(&session.screen, &[("Runner", Cell::new(text, &it.version))])?;
        }
        let order = number(&server.version).cmp(&number(VERSION));
        if order.is_lt() {
            session.screen.hint(&format!("update the server, or install pullyard {}", server.version));
        } else if order.is_gt() {
            session.screen.hint("update this program: `pullyard update` prints the command");
        }
        Ok(())
    }
}

pub(super) fn print_update(screen: &Screen) -> Result<(), CliError> {
    let program = std::env::current_exe().unwrap_or_default();
    let Some(line) = installer_line(RELEASES, &program) else {
        let help = "built with cargo, it is updated in a checkout: `cargo install --path crates/cli --locked`";
        return Err(CliError::failed("this program knows no address of releases").with_help(help));
    };
    screen.explain(&json!({ "command": line }), &line, "`pullyard runners update` updates runners")
}

/// `None` for a program that belongs to no release.
fn installer_line(releases: &str, program: &Path) -> Option<String> {
    let folder = program.parent()?.display().to_string().replace('\'', "'\\''");
    (!releases.is_empty()).then(|| format!("curl -fsSL {releases}/install.sh | sh -s -- --dir '{folder}'"))
}

fn release(server: &version::Version) -> String {
    match server.commit.as_str() {
        "" => server.version.clone(),
        commit => format!("{} ({})", server.version, short_commit(commit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installer_line_names_the_folder_of_the_program() {
        let line = |releases| installer_line(releases, Path::new("/home/o'ana/bin/pullyard"));
        let expected = "curl -fsSL https://r.example/install.sh | sh -s -- --dir '/home/o'\\''ana/bin'";
        assert_eq!(line("https://r.example").as_deref(), Some(expected));
        assert_eq!(line(""), None);
    }
}
