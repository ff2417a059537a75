//! `pullyard schedules`: analyses repositories, or starts runs of a template, at recurring times.

use super::run::{collect_params, parse_param};
use crate::client::prelude::*;
use pullyard_domain::project::schedule::{ScheduleId, ScheduleSpec};
use pullyard_domain::text::id::{ScheduleName, TemplateName};
use pullyard_protocol::schedule::{Schedule, Schedules as ScheduleList};

const NO_SCHEDULE: &str = "No schedule. Create one with `pullyard schedules put`; its help has examples.";
const NOT_DUE: &str = "No schedule is due.";

/// Analyse the repositories of a project, or start runs of a template, at recurring times.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard schedules put nightly --analyse --window 02:00-02:59 --cooldown 20h --zone Europe/Berlin
  pullyard schedules resume nightly
  pullyard schedules list")]
pub(crate) struct Schedules {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the schedules of a project.
    #[command(after_help = "Examples:\n  pullyard schedules list\n  pullyard schedules list --json")]
    List,
    /// Create a paused schedule, or replace all of an existing one but its state.
    #[command(after_help = "Examples:
  pullyard schedules put nightly --analyse --window 02:00-02:59 --cooldown 20h --zone Europe/Berlin
  pullyard schedules put workdays --analyse --cron '0 3 * * 1-5'
  pullyard schedules put often --analyse --every 6h
  pullyard schedules put upgrade --template upgrade --param depth=2 --cron '0 3 * * 1'")]
    Put(Put),
    /// Show a schedule with its next five times.
    #[command(after_help = "Examples:\n  pullyard schedules show nightly")]
    Show(Name),
    /// Resume a schedule; its next time counts from now.
    #[command(after_help = "Examples:\n  pullyard schedules resume nightly")]
    Resume(Name),
    /// Pause a schedule; running jobs continue.
    #[command(after_help = "Examples:\n  pullyard schedules pause nightly")]
    Pause(Name),
    /// Start a schedule now, also a paused one.
    #[command(after_help = "Examples:\n  pullyard schedules run nightly")]
    Run(Name),
    /// Start all due schedules that the token can access; the server does so each minute.
    #[command(after_help = "Examples:\n  pullyard schedules run-due")]
    RunDue,
    /// Delete a schedule; running jobs continue.
    #[command(after_help = "Examples:\n  pullyard schedules delete nightly --yes")]
    Delete {
        #[command(flatten)]
        schedule: Name,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
struct Name {
    /// Schedule.
    name: ScheduleName,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("when").args(["every", "cron", "window"]).required(true)))]
struct Put {
    /// Schedule.
    name: ScheduleName,
    /// Analyse each repository of the project.
    #[arg(long, required_unless_present = "template", conflicts_with = "template")]
    analyse: bool,
    /// Start a run of this template, unless the last one is open.
    #[arg(long, value_name = "NAME")]
    template: Option<TemplateName>,
    /// Value of a parameter of the template; can be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_param, requires = "template")]
    params: Vec<(String, String)>,
    /// Start a run in each repository of the project.
    #[arg(long, requires = "template")]
    each_repository: bool,
    /// Time between two starts: 30m, 6h or 7d.
    #[arg(long, value_name = "TIME")]
    every: Option<String>,
    /// Minute, hour, day of the month, month and day of the week.
    #[arg(long, value_name = "FIELDS")]
    cron: Option<String>,
    /// First and last minute of a daily window.
    #[arg(long, value_name = "HH:MM-HH:MM", requires = "cooldown")]
    window: Option<String>,
    /// Least time between two starts in windows.
    #[arg(long, value_name = "TIME", requires = "window")]
    cooldown: Option<String>,
    /// Time zone, such as Europe/Berlin (default: UTC).
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

impl Schedules {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let api = &session.api;
        let id = async |name: ScheduleName| Ok::<_, CliError>(ScheduleId { project: session.project().await?, name });
        let schedule = match self.command.unwrap_or(Command::List) {
            Command::List => return list(session, &api.schedules(&session.project().await?).await?, NO_SCHEDULE),
            Command::RunDue => return list(session, &api.run_due_schedules().await?, NOT_DUE),
            Command::Delete { schedule: Name { name }, yes } => {
                confirm(&session.screen, yes, &format!("Delete the schedule {name}?"))?;
                let deleted = api.delete_schedule(&id(name).await?).await?;
                return session.screen.report(&deleted, &format!("Deleted {}", deleted.name));
            }
            Command::Put(put) => {
                let Put { name, analyse, template, params, each_repository, every, cron, window, cooldown, zone } = put;
                let params = collect_params(params)?;
                let spec =
                    ScheduleSpec { analyse, template, params, each_repository, every, cron, window, cooldown, zone };
                api.put_schedule(&id(name).await?, &spec).await?
            }
            Command::Show(Name { name }) => api.schedule(&id(name).await?).await?,
            Command::Resume(Name { name }) => api.command_schedule(&id(name).await?, "resume").await?,
            Command::Pause(Name { name }) => api.command_schedule(&id(name).await?, "pause").await?,
            Command::Run(Name { name }) => api.command_schedule(&id(name).await?, "run").await?,
        };
        session.screen.show(&schedule, |schedule| show(session, schedule))
    }
}

fn state(schedule: &Schedule) -> Cell {
    Cell::text(if schedule.paused { "Paused" } else { "Active" })
}

fn list(session: &Session, page: &ScheduleList, empty: &str) -> Result<(), CliError> {
    let mut table = Table::new([Fixed("SCHEDULE"), Fixed("STATE"), Fixed("NEXT"), Flexible("WHEN")]);
    for schedule in &page.schedules {
        let next = schedule.next.first().filter(|_| !schedule.paused);
        let next = next.map_or_else(Cell::none, |next| Cell::new(&next.local, next.at));
        let cells = [Cell::text(&schedule.name), state(schedule), next, Cell::text(schedule.spec.label())];
        table.row_with(cells, schedule.last.as_deref().unwrap_or_default());
    }
    table.show_answer(&session.screen, page, empty)
}

fn show(session: &Session, schedule: &Schedule) -> Result<(), CliError> {
    let mut facts = vec![("Schedule", Cell::text(&schedule.name)), ("State", state(schedule))];
    let spec = &schedule.spec;
    let starts = spec.template.as_ref().map_or_else(|| "analyses".to_owned(), |name| format!("template {name}"));
    let place = if spec.analyse || spec.each_repository { " in each repository" } else { "" };
    facts.push(("Starts", Cell::text(format!("{starts}{place}"))));
    facts.extend(spec.params.iter().map(|(name, value)| ("Parameter", Cell::text(format!("{name}={value}")))));
    facts.push(("When", Cell::text(spec.label())));
    facts.extend(schedule.last_at.map(|at| ("Last", Cell::text(at))));
    facts.extend(schedule.last.iter().map(|last| ("Result", Cell::text(last))));
    facts.extend(schedule.next.iter().map(|next| ("Next", Cell::text(format!("{} ({})", next.local, next.at)))));
    print_facts(&session.screen, &facts)?;
    if schedule.paused {
        session.screen.hint(&format!("start it with `pullyard schedules resume {}`", schedule.name));
    }
    Ok(())
}
