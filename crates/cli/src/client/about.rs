//! `pullyard status` and `version`: shows the server, the token, counts of jobs, and versions.

use super::fault::Fault;
use super::session::Session;
use super::table::{Cell, facts};
use super::{budgets, hold, tokens, words};
use pullyard_domain::job::JobStatus;
use pullyard_protocol::version::{self, PROTOCOL};
use pullyard_version::{COMMIT, LONG, VERSION, short};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Show the server, the token in use and the project's jobs by status.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard status
  pullyard status --project acme --json")]
pub(crate) struct Status {}

impl Status {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        let server = session.api.version().await?;
        let token = session.api.own_token().await?;
        let (project, missing) = match session.project().await {
            Ok(project) => (Some(project), None),
            // Show server and token even without a project. A project that the user named must exist.
            Err(fault) if session.named_none() => (None, Some(fault)),
            Err(fault) => return Err(fault),
        };
        let mut counts = BTreeMap::<JobStatus, usize>::new();
        if let Some(project) = &project {
            let newest = session.newest(project).await?;
            session.known_if(newest.is_empty(), project).await?;
            for job in newest {
                *counts.entry(job.status).or_default() += 1;
            }
        }
        if session.screen.is_json() {
            let jobs = counts.iter().map(|(status, count)| (words::wire(status), *count)).collect::<BTreeMap<_, _>>();
            let shown = json!({ "url": session.url, "server": server, "token": token, "project": project, "newest_jobs": jobs });
            session.screen.json(&shown)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut lines = vec![
            ("Server", Cell::same(&session.url)),
            ("Version", Cell::same(release(&server))),
            ("Project", Cell::maybe(project.as_ref().map(|id| id.as_str()))),
            ("Token", Cell::same(&token.name)),
            ("Scopes", Cell::same(tokens::scopes(&token))),
            ("Expires", tokens::expires(&token, words::now())),
        ];
        if let Some(project) = &project {
            let project = session.api.project(project).await?;
            lines.extend(hold::words(&project).map(|words| ("Held by", Cell::same(words))));
            lines.extend(budgets::words(&project.settings.budget).map(|words| ("Budget", Cell::same(words))));
        }
        if counts.is_empty() && project.is_some() {
            lines.push(("Jobs", Cell::new("none yet", "0")));
        }
        let of = JobStatus::ALL.into_iter().filter_map(|status| Some((status, counts.get(&status)?)));
        lines.extend(of.map(|(status, count)| (words::status_word(status), Cell::same(count.to_string()))));
        facts(&session.screen, &lines)?;
        if let Some(help) = missing.as_ref().and_then(Fault::what_to_do) {
            session.screen.hint(help);
        }
        if counts.values().sum::<usize>() >= 200 {
            session.screen.hint("counts cover only the newest 200 jobs");
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Show the version and the commit of this program and of the server.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard version
  pullyard version --url https://pullyard.example --json")]
pub(crate) struct Version {}

impl Version {
    pub(super) async fn run(self, session: &Session) -> Result<ExitCode, Fault> {
        if !session.screen.is_json() {
            facts(&session.screen, &[("Client", Cell::new(format!("{LONG}, protocol {PROTOCOL}"), LONG))])?;
        }
        let server = session.api.version().await?;
        if session.screen.is_json() {
            let client = json!({ "version": VERSION, "commit": COMMIT, "protocol": PROTOCOL });
            session.screen.json(&json!({ "client": client, "server": server }))?;
        } else {
            let release = release(&server);
            let shown = format!("{release}, protocol {}, at {}", server.protocol, session.url);
            facts(&session.screen, &[("Server", Cell::new(shown, release))])?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn release(server: &version::Version) -> String {
    match server.commit.as_str() {
        "" => server.version.clone(),
        commit => format!("{} ({})", server.version, short(commit)),
    }
}
