//! `pullyard templates`: stores the plans of a project, and starts their runs.

use super::hooks;
use super::run::{Start, load_file, print_faults_in};
use crate::client::prelude::*;
use pullyard_domain::project::plan::Parameter;
use pullyard_domain::project::template::{StartedBy, TemplateId};
use pullyard_domain::text::format_count;
use pullyard_domain::text::id::TemplateName;
use pullyard_protocol::template::{PutTemplate, Template, Templates as TemplateList};
use serde_json::json;
use std::path::PathBuf;

/// Store plans in a project, and start runs of them.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard templates put fix -f plan.yaml --started-by hand,schedule
  pullyard templates run fix --param task='Retry on 503' --watch
  pullyard templates list")]
pub(crate) struct Templates {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the templates of a project.
    #[command(after_help = "Examples:\n  pullyard templates list\n  pullyard templates list --json")]
    List,
    /// Store a plan as a template, or replace the plan of one; running runs keep theirs.
    #[command(after_help = "Examples:
  pullyard templates put fix -f plan.yaml
  pullyard runs init | pullyard templates put contributor -f -")]
    Put {
        /// Template.
        name: TemplateName,
        /// Plan in YAML or JSON; - reads stdin.
        #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
        /// Allowed starts, instead of the plan's `started_by`: hand, webhook, schedule, submission.
        #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = StartedBy::ALL.map(StartedBy::as_str))]
        started_by: Vec<String>,
    },
    /// Show a template with its parameters.
    #[command(after_help = "Examples:\n  pullyard templates show fix\n  pullyard templates show fix --json")]
    Show(Name),
    /// Start a run of a template; prints its id.
    #[command(after_help = "Examples:\n  pullyard templates run fix --param task='Retry on 503' --watch")]
    Run {
        #[command(flatten)]
        template: Name,
        #[command(flatten)]
        start: Start,
    },
    /// Delete a template; its runs continue.
    #[command(after_help = "Examples:\n  pullyard templates delete fix --yes")]
    Delete {
        #[command(flatten)]
        template: Name,
        /// Skip the confirmation.
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(clap::Args)]
struct Name {
    /// Template.
    name: TemplateName,
}

impl Templates {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let (api, screen) = (&session.api, &session.screen);
        let id = async |name: TemplateName| Ok::<_, CliError>(TemplateId { project: session.project().await?, name });
        match self.command.unwrap_or(Command::List) {
            Command::List => list(session, &api.templates(&session.project().await?).await?),
            Command::Put { name, file, started_by } => {
                let (file, mut plan) = load_file(&file)?;
                if !started_by.is_empty() {
                    plan.json.insert("started_by".into(), json!(started_by));
                }
                let request = PutTemplate { plan: plan.json.clone() };
                let answer = api.put_template(&id(name).await?, &request).await.map_err(CliError::from);
                let stored = answer.inspect_err(|fault| print_faults_in(fault, Some(&(file, plan))))?;
                screen.report(&stored, &format!("Stored {}.", stored.name))?;
                screen.hint(&format!("start it with `pullyard templates run {}`", stored.name));
                Ok(())
            }
            Command::Show(Name { name }) => {
                let template = api.template(&id(name).await?).await?;
                screen.show(&template, |template| show(session, template))
            }
            Command::Run { template, start } => start.run_template(session, template.name).await,
            Command::Delete { template: Name { name }, yes } => {
                let id = id(name).await?;
                let users = describe_users(session, &id).await?;
                confirm(screen, yes, &format!("Delete the template {}?{users}", id.name))?;
                let deleted = api.delete_template(&id).await?;
                screen.report(&deleted, &format!("Deleted {}.{users}", deleted.name))
            }
        }
    }
}

/// Names the schedules and hooks that start the template, which its deletion leaves behind.
async fn describe_users(session: &Session, id: &TemplateId) -> Result<String, CliError> {
    let schedules = session.api.schedules(&id.project).await?.schedules.into_iter();
    let schedules = schedules.filter(|schedule| schedule.spec.template.as_ref() == Some(&id.name));
    // An older or busy server refuses no deletion for its list of hooks.
    let hooks = hooks::list_all(session).await.unwrap_or_default().into_iter();
    let hooks = hooks.filter(|hook| hook.project == id.project && hook.template.as_ref() == Some(&id.name));
    let users = schedules.map(|schedule| format!("schedule {}", schedule.name));
    let users: Vec<_> = users.chain(hooks.map(|hook| format!("hook {}", hook.name))).collect();
    let users = users.join(", ");
    Ok(if users.is_empty() { users } else { format!(" Without it these start nothing; delete them too: {users}.") })
}

fn starts(template: &Template) -> Cell {
    let starts: Vec<_> = template.started_by.iter().map(|start| start.as_str()).collect();
    Cell::text(starts.join(", "))
}

fn list(session: &Session, page: &TemplateList) -> Result<(), CliError> {
    let mut table = Table::new([Fixed("TEMPLATE"), Flexible("STARTED BY"), Flexible("PARAMETERS"), Fixed("CHANGED")]);
    for template in &page.templates {
        let parameters: Vec<_> = template.parameters.keys().map(String::as_str).collect();
        let cells = [
            Cell::text(&template.name),
            starts(template),
            Cell::text(parameters.join(", ")),
            format::time_cell(template.changed),
        ];
        table.row(cells);
    }
    table.show_answer(&session.screen, page, "No template. `pullyard templates put NAME -f FILE` stores a plan.")
}

fn show(session: &Session, template: &Template) -> Result<(), CliError> {
    let steps = template.plan.as_ref().and_then(|plan| plan.get("steps")?.as_array().map(Vec::len)).unwrap_or(0);
    let mut facts = vec![
        ("Template", Cell::text(&template.name)),
        ("Plan", Cell::text(format_count(steps, "step"))),
        ("Started by", starts(template)),
        ("Changed", format::time_cell(template.changed)),
        ("By", Cell::text(&template.by)),
    ];
    let parameters = template.parameters.iter();
    facts.extend(parameters.map(|(name, parameter)| ("Parameter", Cell::text(describe(name, parameter)))));
    print_facts(&session.screen, &facts)
}

/// `depth (integer, default 2): how deep to search`
fn describe(name: &str, parameter: &Parameter) -> String {
    let of = if parameter.of.is_empty() { String::new() } else { format!(" of {}", parameter.of.join(" or ")) };
    let need = match (&parameter.default, parameter.required) {
        (Some(default), _) => format!(", default {default}"),
        (None, true) => ", required".into(),
        (None, false) => String::new(),
    };
    let about = parameter.about.as_ref().map(|about| format!(": {about}")).unwrap_or_default();
    format!("{name} ({}{of}{need}){about}", parameter.kind.as_str())
}
