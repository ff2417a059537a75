//! `pullyard runs`: writes and checks plan files, without a server.

mod yaml;

use crate::client::prelude::*;
use pullyard_domain::plan::{MAX_FAULTS, MAX_FILE_BYTES, MAX_SHOWN_FAULTS, Plan, PlanFault};
use pullyard_domain::text::format_count;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use yaml::{Place, parse_yaml};

const CONTRIBUTOR_PLAN: &str = include_str!("runs/contributor.yaml");

/// Write and check plans, in which several agents work on one task.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard runs init > plan.yaml
  pullyard runs check plan.yaml")]
pub(crate) struct Runs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print a plan to start from: plan, implement, review, and fix what the review found.
    #[command(after_help = "Examples:\n  pullyard runs init > plan.yaml")]
    Init,
    /// Check a plan, and list its faults with line and column; needs no server.
    ///
    /// Exits with 1 if the plan has faults.
    #[command(after_help = "Examples:
  pullyard runs check plan.yaml
  pullyard runs check - < plan.yaml
  pullyard runs check plan.yaml --json")]
    Check {
        /// Plan in YAML or JSON; - reads stdin.
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Serialize)]
struct Report {
    file: String,
    /// Number of steps of a plan without faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    /// At most 20.
    faults: Vec<PlacedFault>,
    /// Number of all faults.
    count: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct PlacedFault {
    line: usize,
    column: usize,
    pointer: String,
    fault: String,
}

impl PlacedFault {
    fn new((line, column): Place, pointer: String, fault: String) -> Self {
        Self { line, column, pointer, fault }
    }
}

impl Runs {
    pub(super) fn run(self, screen: &Screen) -> Result<(), CliError> {
        match self.command {
            Command::Init => screen.print_line(CONTRIBUTOR_PLAN.trim_end()),
            Command::Check { file } => check(screen, &file),
        }
    }
}

fn check(screen: &Screen, path: &Path) -> Result<(), CliError> {
    let is_stdin = path == Path::new("-");
    let file = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    let unreadable = |error: io::Error| CliError::failed(format!("can't read {file}: {error}"));
    let bytes = if is_stdin { read(io::stdin().lock()) } else { File::open(path).and_then(read) };
    let mut report = report(&bytes.map_err(unreadable)?);
    report.file = file;
    if screen.is_json() {
        screen.json(&report)?;
    } else {
        show(screen, &report)?;
    }
    if report.count == 0 { Ok(()) } else { Err(CliError::silent(Exit::Failed)) }
}

/// Reads one byte more than a plan may have.
fn read(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX) + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn report(bytes: &[u8]) -> Report {
    let (steps, mut faults) = match parse(bytes) {
        Ok(plan) => (Some(plan.steps.len()), Vec::new()),
        Err(faults) => (None, faults),
    };
    let count = faults.len();
    faults.sort();
    faults.truncate(MAX_SHOWN_FAULTS);
    Report { file: String::new(), steps, faults, count }
}

fn parse(bytes: &[u8]) -> Result<Plan, Vec<PlacedFault>> {
    let whole = |fault: &str| vec![PlacedFault::new((1, 1), String::new(), fault.into())];
    if bytes.len() > MAX_FILE_BYTES {
        return Err(whole("a plan has at most 64 KiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole("this is not UTF-8 text; save the file as UTF-8"))?;
    // Editors for Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let breach = |breach: yaml::Breach| vec![PlacedFault::new(breach.place, String::new(), breach.fault)];
    let (json, places) = parse_yaml(text).map_err(breach)?;
    let place = |fault: PlanFault| PlacedFault::new(places.find(&fault.pointer), fault.pointer, fault.fault);
    Plan::parse(json).map_err(|faults| faults.into_iter().map(place).collect())
}

fn show(screen: &Screen, report: &Report) -> Result<(), CliError> {
    let file = &report.file;
    if let Some(steps) = report.steps {
        return screen.print_line(&sanitize(&format!("{file}: {}, no fault", format_count(steps, "step"))));
    }
    for PlacedFault { line, column, pointer, fault } in &report.faults {
        let pointer = if pointer.is_empty() { String::new() } else { format!("{pointer}  ") };
        screen.print_line(&sanitize(&format!("{file}:{line}:{column}  {pointer}{fault}")))?;
    }
    let hidden = report.count - report.faults.len();
    let more = if hidden > 0 { format!("; the first {MAX_SHOWN_FAULTS} are listed") } else { String::new() };
    let least = if report.count == MAX_FAULTS { "at least " } else { "" };
    screen.error(&format!("the plan has {least}{}{more}", format_count(report.count, "fault")));
    screen.help("docs/plans.md describes each key");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributor_plan_has_no_fault() {
        let report = report(CONTRIBUTOR_PLAN.as_bytes());
        assert_eq!((report.steps, report.count), (Some(4), 0));
    }
}
