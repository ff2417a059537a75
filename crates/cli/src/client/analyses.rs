//! `pullyard analyses`: starts and shows analyses of open pull requests and issues.

use crate::client::choices::choices;
use crate::client::jobs::print_decision;
use crate::client::prelude::*;
use crate::client::watch;
use pullyard_domain::review::analysis::{AnalysisCounts, ItemKind, NOT_SUMMARISED, Staleness, WaitingOn};
use pullyard_domain::text::id::{ProjectId, RepositoryName};
use pullyard_protocol::analysis::{AnalysisItems, AnalysisList, AnalysisQuery, ListedItem, RequestAnalysis};
use std::collections::BTreeSet;

/// Summarise open pull requests and issues, and show which ones are stale.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard analyses run --repo acme/app --watch
  pullyard analyses
  pullyard analyses show acme/app --staleness abandoned")]
pub(crate) struct Analyses {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the project's repositories with their last analysis.
    #[command(after_help = "Examples:\n  pullyard analyses list --json")]
    List,
    Run(Run),
    Show(Show),
}

/// Read the open pull requests and issues, and let an agent summarise the changed ones; prints the job's id.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard analyses run
  pullyard analyses run --repo acme/app --pulls --watch")]
struct Run {
    /// Repository (default: all repositories of the project).
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<RepositoryName>,
    /// Read pull requests, and issues only with --issues (default: both, if the forge has them).
    #[arg(long)]
    pulls: bool,
    /// Read issues, and pull requests only with --pulls.
    #[arg(long)]
    issues: bool,
    /// Follow each job until it ends; exits with 6 if one failed or was cancelled.
    #[arg(long, visible_alias = "wait")]
    watch: bool,
}

/// Show the pull requests and issues of a repository's last analysis.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard analyses show acme/app --waiting-on reviewer
  pullyard analyses show acme/app --what pulls --staleness stale --sort age --json")]
struct Show {
    /// Repository.
    #[arg(value_name = "OWNER/NAME")]
    repository: RepositoryName,
    /// Only pulls or issues.
    #[arg(long, value_name = "KIND", value_parser = choices(ItemKind::ALL.map(|it| (it.as_str(), it))))]
    what: Option<ItemKind>,
    /// Only fresh, stale (7 days without a user) or abandoned (30 days) items.
    #[arg(long, value_name = "AGE", value_parser = choices(Staleness::ALL.map(|it| (it.as_str(), it))))]
    staleness: Option<Staleness>,
    /// Only items that wait for the author, a reviewer or none of them.
    #[arg(long, value_name = "SIDE", value_parser = choices(WaitingOn::ALL.map(|it| (it.as_str(), it))))]
    waiting_on: Option<WaitingOn>,
    /// Order: score or age.
    #[arg(long, value_name = "ORDER", value_parser = choices([("score", false), ("age", true)]))]
    sort: Option<bool>,
}

impl Analyses {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let project = session.project().await?;
        match self.command {
            None | Some(Command::List) => {
                let list = session.api.analyses(&project).await?;
                session.ensure_project_exists(list.analyses.is_empty(), &project).await?;
                session.screen.show(&list, |list| show_list(session, list))
            }
            Some(Command::Run(run)) => run.run(session, project).await,
            Some(Command::Show(Show { repository, what, staleness, waiting_on, sort })) => {
                let mut items = session.api.analysis_items(&AnalysisQuery { project, repository }).await?;
                items.items.retain(|listed| {
                    what.is_none_or(|what| what == listed.item.kind)
                        && staleness.is_none_or(|staleness| staleness == listed.staleness)
                        && waiting_on.is_none_or(|waiting_on| waiting_on == listed.waiting_on)
                });
                if sort == Some(true) {
                    items.items.sort_by_key(|listed| listed.item.signals.last_at);
                }
                session.screen.show(&items, |items| show_items(session, items))
            }
        }
    }
}

impl Run {
    async fn run(self, session: &Session, project: ProjectId) -> Result<(), CliError> {
        let repositories = match self.repo {
            Some(repository) => vec![repository],
            None => session.api.analyses(&project).await?.analyses.into_iter().map(|it| it.repository).collect(),
        };
        if repositories.is_empty() {
            return Err(CliError::not_found(format!("project {project} has no repository"))
                .with_help("connect one with `pullyard repos add`"));
        }
        let chosen = [(self.pulls, ItemKind::Pulls), (self.issues, ItemKind::Issues)];
        let what: BTreeSet<_> = chosen.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind).collect();
        let what = (!what.is_empty()).then_some(what);
        let key = format::new_idempotency_key();
        // A refusal of one repository stops no other.
        let (mut decisions, mut documents, mut worst) = (Vec::new(), Vec::new(), None);
        for repository in repositories {
            let request = RequestAnalysis { project: project.clone(), repository, what: what.clone() };
            match session.api.request_analysis(&request, Some(&key)).await {
                Ok(decision) => decisions.push(decision),
                Err(error) => worst = worst.max(Some(CliError::from(error).printed(&session.screen).exit)),
            }
        }
        for decision in &decisions {
            let done = match &decision.job {
                _ if !session.screen.is_json() => print_decision(session, decision, self.watch).await,
                Some(job) if self.watch => {
                    let ended = watch::until_end(session, job).await?;
                    documents.push(serde_json::to_value(&ended).unwrap_or_default());
                    watch::print_outcome(&session.screen, &ended)
                }
                _ => {
                    documents.push(serde_json::to_value(decision).unwrap_or_default());
                    Ok(())
                }
            };
            worst = worst.max(done.err().map(|error| error.printed(&session.screen).exit));
        }
        if session.screen.is_json() {
            session.screen.json(&documents)?;
        }
        worst.map_or(Ok(()), |exit| Err(CliError::silent(exit)))
    }
}

fn show_list(session: &Session, list: &AnalysisList) -> Result<(), CliError> {
    let mut table = Table::new([
        Flexible("REPOSITORY"),
        Right("PULLS"),
        Right("ISSUES"),
        Right("STALE"),
        Right("ABANDONED"),
        Fixed("AS OF"),
        Fixed("JOB"),
        Right("COST"),
    ]);
    for analysis in &list.analyses {
        let last = analysis.last.as_ref();
        let count = |of: fn(&AnalysisCounts) -> Option<u32>| Cell::optional(last.and_then(|last| of(&last.counts)));
        let cells = [
            Cell::text(&analysis.repository),
            count(|counts| counts.pulls),
            count(|counts| counts.issues),
            count(|counts| Some(counts.stale)),
            count(|counts| Some(counts.abandoned)),
            format::optional_time_cell(last.map(|last| last.at)),
            format::job_cell(analysis.active_job.as_ref()),
            format::dollars_cell(last.map(|last| last.spent_usd_micros), None),
        ];
        let problem = analysis.failed.as_ref();
        let note = problem.map(|failed| format!("Job {} failed: {}", failed.job.short(), failed.sentence));
        table.row_with(cells, &note.unwrap_or_default());
    }
    table.show(&session.screen, "No repository is connected: connect one with `pullyard repos add`.")
}

fn show_items(session: &Session, answer: &AnalysisItems) -> Result<(), CliError> {
    let mut table = Table::new([
        Fixed("ITEM"),
        Flexible("TITLE"),
        Right("SCORE"),
        Fixed("STATE"),
        Fixed("WAITS FOR"),
        Fixed("LAST ACTIVITY"),
        Fixed("RISK"),
    ]);
    for ListedItem { item, score, staleness, waiting_on } in &answer.items {
        let summary = item.summary.as_ref();
        let cells = [
            Cell::new(format!("#{}", item.number), &item.url),
            Cell::text(&item.title),
            Cell::text(score),
            Cell::text(staleness.as_str()),
            Cell::text(waiting_on.as_str()),
            format::time_cell(item.signals.last_at),
            Cell::optional(summary.map(|summary| summary.risk.as_str())),
        ];
        let mut note =
            summary.map(|summary| format!("{} Next: {}", summary.text, summary.next_step)).unwrap_or_default();
        if item.is_failed() {
            note = format!("{NOT_SUMMARISED} {note}").trim_end().to_owned();
        }
        table.row_with(cells, &note);
    }
    let repository = &answer.analysis.repository;
    let empty = match &answer.analysis.last {
        Some(_) => "No item matches.".to_owned(),
        None => format!("{repository} was not analysed: start with `pullyard analyses run --repo {repository}`."),
    };
    table.show(&session.screen, &empty)
}
