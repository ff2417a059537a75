//! `pullyard runs check`: lists the faults of a plan file.

use super::plan_file::{FAULT_HELP, PlacedFault, PlanFile, count_faults, read};
use crate::client::prelude::*;
use pullyard_domain::plan::MAX_SHOWN_FAULTS;
use pullyard_domain::text::format_count;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
pub(in crate::client) struct Report {
    file: String,
    /// Number of steps of a plan without faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) steps: Option<usize>,
    /// At most 20.
    faults: Vec<PlacedFault>,
    /// Number of all faults.
    pub(in crate::client) count: usize,
}

pub(super) fn check(screen: &Screen, path: &Path) -> Result<(), CliError> {
    let (file, bytes) = read(path)?;
    let report = report(file, &bytes);
    if screen.is_json() {
        screen.json(&report)?;
    } else {
        show(screen, &report)?;
    }
    if report.count == 0 { Ok(()) } else { Err(CliError::silent(Exit::Failed)) }
}

pub(in crate::client) fn report(file: String, bytes: &[u8]) -> Report {
    let (steps, mut faults) = match PlanFile::parse(bytes) {
        Ok(plan) => (Some(plan.steps), Vec::new()),
        Err(faults) => (None, faults),
    };
    let count = faults.len();
    faults.truncate(MAX_SHOWN_FAULTS);
    Report { file, steps, faults, count }
}

fn show(screen: &Screen, report: &Report) -> Result<(), CliError> {
    let file = &report.file;
    if let Some(steps) = report.steps {
        return screen.print_line(&sanitize(&format!("{file}: {}, no fault", format_count(steps, "step"))));
    }
    report.faults.iter().try_for_each(|fault| screen.print_line(&fault.to_line(file)))?;
    screen.error(&count_faults(report.count));
    screen.help(FAULT_HELP);
    Ok(())
}
