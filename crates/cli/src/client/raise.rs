//! `pullyard tickets raise` and `pulls raise`: raise the limits of a ticket or pull request.

use super::prelude::*;
use pullyard_domain::project::budget::{format_usd, parse_usd_micros};
use pullyard_domain::project::spending::DEFAULT_RAISE_TIME;
use pullyard_protocol::ticket::{LimitUse, RaiseLimit};

#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("amount").required(true).multiple(true).args(["usd", "jobs"]))]
pub(super) struct RaiseArgs {
    /// Dollars in addition to `limits.ticket_usd`.
    #[arg(long, value_name = "USD", value_parser = parse_usd_micros)]
    usd: Option<u64>,
    /// Jobs in addition to `limits.ticket_jobs`.
    #[arg(long, value_name = "N")]
    jobs: Option<u32>,
    /// Time until the raise ends, at most 30d (default: 7d).
    #[arg(long = "for", value_name = "LENGTH", value_parser = super::tokens::parse_duration)]
    length: Option<u64>,
    /// Then start the ticket's job that the limit refused or stopped; for a pull request, a revision, or a review if it
    /// has no ticket.
    #[arg(long)]
    pub(super) start: bool,
    /// Key of this request; repeating it raises nothing and starts no second job.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

impl RaiseArgs {
    pub(super) fn to_request(&self) -> RaiseLimit {
        RaiseLimit {
            usd_micros: self.usd.unwrap_or(0),
            jobs: self.jobs.unwrap_or(0),
            for_secs: self.length.unwrap_or(DEFAULT_RAISE_TIME.as_secs()),
        }
    }

    pub(super) fn key(&self) -> String {
        self.idempotency_key.clone().unwrap_or_else(format::new_idempotency_key)
    }
}

/// Ends the start that follows a raise. A key that another request of this command has used has started its job before:
/// since then, the ticket has another last job.
pub(super) fn end_start(session: &Session, started: Result<(), CliError>, key: &str) -> Result<(), CliError> {
    match started {
        Err(error) if error.code() == Some("idempotency_key_reused") => {
            session.screen.note(&format!("The limit is raised, and a job was started with the key {key} before."));
            Ok(())
        }
        Err(error) => {
            let help = error.help.clone().map(|help| format!("{help} ")).unwrap_or_default();
            let raised = "The limit is raised. Repeat the command with";
            Err(error.with_help(format!("{help}{raised} `--idempotency-key {key}`: it raises nothing more.")))
        }
        Ok(()) => Ok(()),
    }
}

/// Prints the use of the limits. With `--json`, a job that is started then prints the only document.
pub(super) fn show(session: &Session, usage: &LimitUse, starts: bool) -> Result<(), CliError> {
    if starts && session.screen.is_json() {
        return Ok(());
    }
    session.screen.show(usage, |usage| {
        for raise in &usage.raises {
            let jobs = format::format_count(raise.jobs, "job");
            let amount = match (raise.usd_micros, raise.jobs) {
                (0, _) => jobs,
                (usd, 0) => format_usd(usd),
                (usd, _) => format!("{} and {jobs}", format_usd(usd)),
            };
            session.screen.note(&format!(
                "{} raised the limits of {} by {amount} until {}.",
                raise.by, usage.subject, raise.until
            ));
        }
        session.screen.print_line(&format!("{}: {}.", usage.subject, usage.sentence))
    })
}
