//! `pullyard budgets`: shows and sets a project's daily limits, and shows today's usage.

use super::format::format_count;
use crate::client::prelude::*;
use pullyard_domain::project::budget::{Budget, format_usd, format_usd_exact, parse_usd_micros};
use pullyard_protocol::project::BudgetUse;

/// Show and set a project's daily limits.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard budgets list
  pullyard budgets set --jobs-per-day 20 --usd-per-day 50")]
pub(crate) struct Budgets {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Show the limits and today's usage (in UTC).
    #[command(after_help = "Examples:\n  pullyard budgets list\n  pullyard budgets list --project acme --json")]
    List,
    /// Set limits; `none` removes one, other limits stay.
    ///
    /// Each job reserves its dollars when it is created; the unspent part returns when it ends.
    /// When a limit is reached, requests wait for the next day or for a higher limit.
    #[command(after_help = "Examples:
  pullyard budgets set --jobs-per-day 20
  pullyard budgets set --usd-per-day 50 --usd-per-job 2.50
  pullyard budgets set --jobs-per-day none")]
    #[group(required = true, multiple = true)]
    Set {
        /// Jobs per day.
        #[arg(long, value_name = "N", value_parser = parse_job_limit)]
        jobs_per_day: Option<Limit<u32>>,
        /// Dollars per day, spent and reserved.
        #[arg(long, value_name = "USD", value_parser = parse_usd_limit)]
        usd_per_day: Option<Limit<u64>>,
        /// Dollars that each job reserves.
        #[arg(long, value_name = "USD", value_parser = parse_usd_micros)]
        usd_per_job: Option<u64>,
    },
}

#[derive(Clone, Copy)]
struct Limit<T>(Option<T>);

impl Budgets {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let id = session.project().await?;
        if let Some(Command::Set { jobs_per_day, usd_per_day, usd_per_job }) = self.command {
            let mut project = session.api.get_raw_project(&id).await?;
            let budget = &mut project.settings["budget"];
            if let Some(Limit(limit)) = jobs_per_day {
                budget["jobs_per_day"] = limit.into();
            }
            if let Some(Limit(limit)) = usd_per_day {
                budget["usd_micros_per_day"] = limit.into();
            }
            if let Some(reserved) = usd_per_job {
                budget["usd_micros_per_job"] = reserved.into();
            }
            session.api.set_settings(&id, &project.settings, project.revision).await?;
        }
        show(session, &session.api.budget(&id).await?)
    }
}

fn show(session: &Session, usage: &BudgetUse) -> Result<(), CliError> {
    let Budget { jobs_per_day, usd_micros_per_day, usd_micros_per_job } = usage.budget;
    let none = || Cell::new("no limit", "");
    let jobs = jobs_per_day.map_or_else(none, |limit| Cell::new(format!("{limit} a day"), limit.to_string()));
    let dollars = usd_micros_per_day
        .map_or_else(none, |limit| Cell::new(format!("{} a day", format_usd(limit)), format_usd_exact(limit)));
    let per_job = format!("{} until it ends", format_usd(usd_micros_per_job));
    let spent =
        format!("{}, and reserved {}", format_usd(usage.spent_usd_micros), format_usd(usage.reserved_usd_micros));
    let mut lines = vec![
        ("Project", Cell::text(&usage.project)),
        ("Jobs", jobs),
        ("Dollars", dollars),
        ("A job reserves", Cell::new(per_job, format_usd_exact(usd_micros_per_job))),
    ];
    if usage.budget.has_limit() {
        lines.push(("Today (UTC)", Cell::text(&usage.day)));
        lines.push(("Jobs today", Cell::text(usage.jobs)));
        lines.push(("Spent today", Cell::new(spent, format_usd_exact(usage.spent_usd_micros))));
    }
    session.screen.show(usage, |_| print_facts(&session.screen, &lines))
}

pub(super) fn describe(budget: &Budget) -> Option<String> {
    let jobs = budget.jobs_per_day.map(|limit| format_count(limit, "job"));
    let dollars = budget.usd_micros_per_day.map(format_usd);
    let limits = [jobs, dollars].into_iter().flatten().collect::<Vec<_>>().join(" and ");
    (!limits.is_empty()).then(|| format!("{limits} a day"))
}

fn parse_job_limit(text: &str) -> Result<Limit<u32>, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    text.parse().map(|limit| Limit(Some(limit))).map_err(|_| "use a number of jobs, or none".into())
}

fn parse_usd_limit(text: &str) -> Result<Limit<u64>, String> {
    if text == "none" { Ok(Limit(None)) } else { parse_usd_micros(text).map(|limit| Limit(Some(limit))) }
}
