//! `pullyard hold` and `release`: stops and resumes new jobs in projects.

use crate::client::prelude::*;
use pullyard_domain::text::id::ProjectId;
use pullyard_protocol::project::{HoldProject, Project};

/// Hold a project: no new jobs start; requests queue until release.
///
/// Existing jobs continue, except those that wait for a limit of running jobs. Holding a held project changes nothing;
/// the first hold stays.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard hold --reason 'deploy freeze until Monday'
  pullyard hold --all --reason 'the model account is being moved'")]
pub(crate) struct Hold {
    /// Reason, shown with the hold.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// All projects that the token can access.
    #[arg(long)]
    all: bool,
}

/// Release a project: queued requests are decided now, oldest first.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard release
  pullyard release --all")]
pub(crate) struct Release {
    /// All projects that the token can access.
    #[arg(long)]
    all: bool,
}

impl Hold {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let request = HoldProject { reason: self.reason };
        let mut projects = Vec::new();
        for project in selected_projects(session, self.all).await? {
            projects.push(session.api.hold_project(&project, &request).await?);
        }
        show(session, &projects)
    }
}

impl Release {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let mut projects = Vec::new();
        for project in selected_projects(session, self.all).await? {
            projects.push(session.api.release_project(&project).await?);
        }
        show(session, &projects)
    }
}

async fn selected_projects(session: &Session, all: bool) -> Result<Vec<ProjectId>, CliError> {
    if !all {
        return Ok(vec![session.project().await?]);
    }
    Ok(session.projects().await?.into_iter().map(|project| project.id).collect())
}

fn show(session: &Session, projects: &[Project]) -> Result<(), CliError> {
    if session.screen.is_json() {
        return session.screen.json(&projects);
    }
    if projects.is_empty() {
        session.screen.print_line("No project is accessible with this token.")?;
    }
    for project in projects {
        session.screen.print_line(&match describe(project) {
            Some(reason) => format!("{} is on hold ({reason}).", project.id),
            None => format!("Released {}.", project.id),
        })?;
    }
    Ok(())
}

pub(super) fn describe(project: &Project) -> Option<String> {
    let holder = project.settings.held_by.as_ref()?;
    let text = match &project.settings.held_reason {
        Some(reason) => format!("{holder}: {}", reason.trim_end_matches('.')),
        None => holder.clone(),
    };
    Some(sanitize(&text))
}
