//! `pullyard runs check`: lists the faults of a plan file.

use super::placed_fault::PlacedFault;
use super::plan_file::{FAULT_HELP, PlanFile, count_faults, read};
use crate::client::prelude::*;
use pullyard_domain::project::plan::MAX_SHOWN_FAULTS;
use pullyard_domain::text::format_count;
use pullyard_domain::text::id::ProjectId;
use pullyard_protocol::run::CheckPlan;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
pub(in crate::client) struct Report {
    file: String,
    /// The project whose rules were checked, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectId>,
    /// Number of steps of a plan without faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) steps: Option<usize>,
    /// At most 20.
    faults: Vec<PlacedFault>,
    /// Number of all faults.
    pub(in crate::client) count: usize,
}

/// With a session, a plan without faults is also checked by the rules of its project.
pub(super) async fn check(screen: &Screen, path: &Path, session: Option<&Session>) -> Result<(), CliError> {
    let (file, bytes) = read(path)?;
    let mut checked = PlanFile::parse(&bytes);
    let mut project = None;
    if let (Ok(plan), Some(session)) = (&checked, session) {
        let request = CheckPlan { project: session.project().await?, plan: plan.json.clone() };
        project = Some(request.project.clone());
        match session.api.check_plan(&request).await.map_err(CliError::from) {
            Err(fault) if fault.plan_faults().is_empty() => return Err(fault),
            Err(fault) => checked = Err(fault.plan_faults().iter().map(|fault| plan.place(fault)).collect()),
            Ok(()) => {}
        }
    }
    let report = Report { project, ..report(file, checked) };
    screen.show(&report, |report| show(screen, report))?;
    if report.count == 0 { Ok(()) } else { Err(CliError::silent(Exit::Failed)) }
}

pub(in crate::client) fn report(file: String, checked: Result<PlanFile, Vec<PlacedFault>>) -> Report {
    let (steps, mut faults) = match checked {
        Ok(plan) => (Some(plan.steps), Vec::new()),
        Err(faults) => (None, faults),
    };
    faults.sort();
    let count = faults.len();
    faults.truncate(MAX_SHOWN_FAULTS);
    Report { file, project: None, steps, faults, count }
}

fn show(screen: &Screen, report: &Report) -> Result<(), CliError> {
    let file = &report.file;
    if let Some(steps) = report.steps {
        let place = report.project.as_ref().map(|project| format!(" in project {project}")).unwrap_or_default();
        return screen.print_line(&sanitize(&format!("{file}: {}, no fault{place}", format_count(steps, "step"))));
    }
    report.faults.iter().try_for_each(|fault| screen.print_line(&fault.to_line(file)))?;
    screen.error(&count_faults(report.count));
    screen.help(match report.project {
        Some(_) => "correct the plan; `pullyard settings get` shows the limits of the project",
        None => FAULT_HELP,
    });
    Ok(())
}
