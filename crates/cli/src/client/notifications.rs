//! `pullyard notifications`: endpoints that receive messages about jobs, runs and schedules, and the messages.

use super::choices::choices;
use super::pages::hint_more;
use crate::client::prelude::*;
use pullyard_domain::run::notice::{EndpointKind, NoticeEvent};
use pullyard_domain::text::id::{EndpointId, NoticeId};
use pullyard_protocol::notification::{EndpointList, EndpointStatus, NoticePage, PutEndpoint};
use std::time::Instant;

/// Send messages about jobs, runs and schedules to webhooks and to Slack.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  pullyard notifications add ops --slack --url-secret \"$(pullyard secrets set slack-ops < url.txt)\"
  pullyard notifications add ci --webhook https://hooks.acme.example/p
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
  pullyard notifications add ci --webhook https://hooks.acme.example/p
  pullyard notifications add done --webhook https://hooks.acme.example/d --event job.completed --event job.failed")]
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
#[command(group(clap::ArgGroup::new("address").args(["webhook", "url_secret"]).required(true)))]
struct Add {
    /// Endpoint.
    id: EndpointId,
    /// Messages for Slack, or for a chat that accepts the same; the default is a signed webhook.
    #[arg(long, requires = "url_secret", conflicts_with = "webhook")]
    slack: bool,
    /// URL of a webhook.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
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
        let project = session.project().await?;
        match self.command.unwrap_or(Command::List) {
            Command::Add(Add { id, slack, webhook: url, url_secret, events }) => {
                let kind = if slack { EndpointKind::Slack } else { EndpointKind::Webhook };
                let events = (!events.is_empty()).then(|| events.into_iter().collect());
                let stored = api.put_endpoint(&project, &id, &PutEndpoint { kind, url, url_secret, events }).await?;
                if let Some(secret) = stored.signing_secret.as_ref().filter(|_| !screen.is_json()) {
                    screen.print_line(secret)?;
                    screen.note("The receiver verifies messages with this secret, which is not shown again");
                }
                screen.report(&stored, &format!("Stored {id}; try it with `pullyard notifications test {id}`"))
            }
            Command::List => list(screen, &api.endpoints(&project).await?),
            Command::Test(Name { id }) => {
                let begin = Instant::now();
                let test = api.test_endpoint(&project, &id).await?;
                let sentence = match test.works {
                    true => format!("Delivered in {:.1} s: {}", begin.elapsed().as_secs_f64(), test.answer),
                    false => format!("{id} did not accept the message: {}", test.answer),
                };
                screen.report_test(
                    &test,
                    test.works,
                    &sentence,
                    "`pullyard notifications add` changes the endpoint, `log` lists its messages",
                )
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
                let secrets = deleted.endpoint.secrets().collect::<Vec<_>>().join(", ");
                screen.report(&deleted, &format!("Deleted {id}; its secrets remain: {secrets}"))
            }
            Command::Log { failed, after } => {
                let page = api.notices(&project, failed, after.as_deref()).await?;
                log(screen, &page)?;
                hint_more(screen, if failed { "notifications log --failed" } else { "notifications log" }, page.next);
                Ok(())
            }
            Command::Redeliver { notice } => {
                let notice = api.redeliver_notice(&notice).await?;
                screen.report(&notice, &format!("{} is sent again", notice.id))
            }
        }
    }
}

fn list(screen: &Screen, list: &EndpointList) -> Result<(), CliError> {
    let mut table =
        Table::new([Fixed("ENDPOINT"), Fixed("KIND"), Fixed("STATE"), Fixed("DELIVERED"), Flexible("EVENTS")]);
    for EndpointStatus { endpoint, sent_at, disabled, problem, .. } in &list.endpoints {
        let state = Cell::text(if *disabled { "Disabled" } else { "Active" });
        let kind = Cell::text(endpoint.kind.as_str());
        let events = Cell::text(endpoint.events_label());
        let cells = [Cell::text(&endpoint.id), kind, state, format::optional_time_cell(*sent_at), events];
        table.row_with(cells, problem.as_deref().unwrap_or_default());
    }
    table.show_answer(screen, list, "No endpoint yet. `pullyard notifications add --help` has examples.")
}

fn log(screen: &Screen, page: &NoticePage) -> Result<(), CliError> {
    let mut table = Table::new([Fixed("MESSAGE"), Fixed("WHEN"), Fixed("EVENT"), Fixed("ENDPOINT"), Flexible("STATE")]);
    for notice in &page.notices {
        for (endpoint, delivery) in &notice.to {
            let (at, event) = (format::time_cell(notice.at), Cell::text(notice.event.as_str()));
            let cells = [Cell::text(&notice.id), at, event, Cell::text(endpoint), Cell::text(delivery.summary())];
            table.row_with(cells, &notice.data.sentence);
        }
    }
    table.show_answer(screen, page, "No message.")
}
