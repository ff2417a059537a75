//! `pullyard notifications`: endpoints that receive messages about jobs, and the messages.

use super::choices::choices;
use super::pages::hint_more;
use crate::client::prelude::*;
use pullyard_domain::id::{EndpointId, NoticeId};
use pullyard_domain::notice::{EndpointKind, NoticeEvent};
use pullyard_domain::text::to_sentence;
use pullyard_protocol::notification::{EndpointStatus, Notice, PutEndpoint};
use std::time::Duration;

/// Send messages about jobs to webhooks and to Slack.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard notifications add ops --slack --url-secret \"$(pullyard secrets set slack-ops < url.txt)\"
  pullyard notifications add ci --url https://hooks.acme.example/p
  pullyard notifications test ops
  pullyard notifications log --failed")]
pub(crate) struct Notifications {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Add an endpoint, or change an existing one; prints the signing secret of a new webhook once.
    ///
    /// docs/notifications.md describes the messages and how to verify them.
    #[command(after_help = "Examples:
  pullyard notifications add ops --slack --url-secret \"$(pullyard secrets set slack-ops < url.txt)\"
  pullyard notifications add ci --url https://hooks.acme.example/p
  pullyard notifications add done --url https://hooks.acme.example/d --event job.completed --event job.failed")]
    Add(Add),
    /// List the endpoints of a project.
    #[command(after_help = "Examples:\n  pullyard notifications list\n  pullyard notifications list --json")]
    List,
    /// Send a test message now; exits with 1 if the endpoint refuses it.
    #[command(after_help = "Examples:\n  pullyard notifications test ops")]
    Test(Name),
    /// Enable an endpoint that was disabled after failures.
    #[command(after_help = "Examples:\n  pullyard notifications enable ops")]
    Enable(Name),
    /// Delete an endpoint; its secrets remain.
    #[command(after_help = "Examples:\n  pullyard notifications delete ops --yes")]
    Delete {
        #[command(flatten)]
        endpoint: Name,
        /// Skip the confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// List the messages of the last 30 days, newest first.
    #[command(after_help = "Examples:\n  pullyard notifications log\n  pullyard notifications log --failed --json")]
    Log {
        /// Only messages that did not reach an endpoint.
        #[arg(long)]
        failed: bool,
        /// Continue after the page that printed this cursor.
        #[arg(long, value_name = "CURSOR", value_parser = super::parse_cursor)]
        after: Option<String>,
    },
    /// Send a message again to the endpoints that it did not reach.
    #[command(after_help = "Examples:\n  pullyard notifications redeliver msg_aaaaaaaaaaaaaaaaaaaaaaaaaa")]
    Redeliver {
        /// Message.
        notice: NoticeId,
    },
}

#[derive(clap::Args)]
struct Name {
    /// Endpoint.
    id: EndpointId,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("address").args(["url", "url_secret"]).required(true)))]
struct Add {
    /// Endpoint.
    id: EndpointId,
    /// Messages for Slack, or for a chat that accepts the same; the default is a signed webhook.
    #[arg(long, requires = "url_secret")]
    slack: bool,
    /// URL of a webhook.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Secret with the URL, as printed by `pullyard secrets set`.
    #[arg(long, value_name = "NAME")]
    url_secret: Option<String>,
    /// Event; may be repeated (default: all but job.completed).
    #[arg(long = "event", value_name = "EVENT", value_parser = event_choices())]
    events: Vec<NoticeEvent>,
}

fn event_choices() -> impl clap::builder::TypedValueParser<Value = NoticeEvent> {
    choices(NoticeEvent::CHOICES.map(|event| (event.as_str(), event)))
}

impl Notifications {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let (api, screen) = (&session.api, &session.screen);
        if let Some(Command::Redeliver { notice }) = &self.command {
            let notice = api.redeliver_notice(notice).await?;
            return screen.report(&notice, &format!("{} is sent again", notice.id));
        }
        let project = session.project().await?;
        match self.command.unwrap_or(Command::List) {
            Command::Add(add) => {
                let Add { id, slack, url, url_secret, events } = add;
                let kind = if slack { EndpointKind::Slack } else { EndpointKind::Webhook };
                let events = (!events.is_empty()).then(|| events.into_iter().collect());
                let stored = api.put_endpoint(&project, &id, &PutEndpoint { kind, url, url_secret, events }).await?;
                show_stored(screen, &stored)
            }
            Command::List => {
                let list = api.endpoints(&project).await?;
                let columns =
                    [Fixed("ENDPOINT"), Fixed("KIND"), Fixed("STATE"), Fixed("DELIVERED"), Flexible("EVENTS")];
                let mut table = Table::new(columns);
                for status in &list.endpoints {
                    let EndpointStatus { endpoint, sent_at, failures, answer, disabled, .. } = status;
                    let state = if disabled.is_some() { "Disabled" } else { "Active" };
                    let events = endpoint.events.iter().flatten().map(|event| event.as_str()).collect::<Vec<_>>();
                    let events = if events.is_empty() { "all but job.completed".to_owned() } else { events.join(", ") };
                    let at = format::optional_time_cell(*sent_at);
                    let problem = disabled.as_ref().or(answer.as_ref().filter(|_| *failures > 0));
                    let kind = Cell::text(endpoint.kind.as_str());
                    let cells = [Cell::text(&endpoint.id), kind, Cell::text(state), at, Cell::text(events)];
                    table.row_with(cells, problem.map_or("", String::as_str));
                }
                table.show_answer(screen, &list, "No endpoint yet. `pullyard notifications add --help` has examples.")
            }
            Command::Test(Name { id }) => {
                let test = api.test_endpoint(&project, &id).await?;
                let took = Duration::from_millis(test.took_ms).as_secs_f64();
                let sentence = match test.works {
                    true => format!("Delivered in {took:.1} s: {}", test.answer),
                    false => format!("{id} did not accept the message: {}", test.answer),
                };
                screen.report_test(&test, test.works, &sentence, "`pullyard notifications add` changes the endpoint")
            }
            Command::Enable(Name { id }) => {
                let enabled = api.enable_endpoint(&project, &id).await?;
                screen.report(
                    &enabled,
                    &format!("Enabled {id}; `pullyard notifications log --failed` lists lost messages"),
                )
            }
            Command::Delete { endpoint: Name { id }, yes } => {
                confirm(screen, yes, &format!("Delete the endpoint {id}?"))?;
                let deleted = api.delete_endpoint(&project, &id).await?;
                let secrets: Vec<_> = deleted.endpoint.secrets().collect();
                screen.report(&deleted, &format!("Deleted {id}; its secrets remain: {}", secrets.join(", ")))
            }
            Command::Log { failed, after } => {
                let page = api.notices(&project, failed, after.as_deref()).await?;
                let mut table = Table::new([
                    Fixed("MESSAGE"),
                    Fixed("WHEN"),
                    Fixed("EVENT"),
                    Fixed("ENDPOINT"),
                    Fixed("STATE"),
                    Flexible("ANSWER"),
                ]);
                page.notices.iter().for_each(|notice| add_rows(&mut table, notice));
                table.show_answer(screen, &page, "No message.")?;
                hint_more(screen, "notifications log", page.next);
                Ok(())
            }
            Command::Redeliver { .. } => Ok(()),
        }
    }
}

fn add_rows(table: &mut Table, notice: &Notice) {
    for to in &notice.to {
        let (at, event) = (format::time_cell(notice.at), Cell::text(notice.event.as_str()));
        let tries = if to.failures > 0 { format!("{} failures: ", to.failures) } else { String::new() };
        let answer = to.answer.as_ref().map_or_else(Cell::none, |answer| Cell::text(format!("{tries}{answer}")));
        let state = Cell::text(to.state.as_str());
        table.row([Cell::text(&notice.id), at, event, Cell::text(&to.endpoint), state, answer]);
    }
}

fn show_stored(screen: &Screen, stored: &EndpointStatus) -> Result<(), CliError> {
    let id = &stored.endpoint.id;
    let note = match &stored.signing_secret {
        Some(_) => {
            to_sentence(&format!("stored {id}; the receiver verifies with this secret, which is not shown again"))
        }
        None => format!("Stored {id}; try it with `pullyard notifications test {id}`"),
    };
    match &stored.signing_secret {
        Some(secret) if !screen.is_json() => {
            screen.print_line(secret)?;
            screen.note(&note);
            Ok(())
        }
        _ => screen.report(stored, &note),
    }
}
