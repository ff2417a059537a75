//! `pullyard jobs events`: prints all events, one per line.

use super::JobArg;
use crate::client::prelude::*;
use crate::client::watch;
use pullyard_protocol::event::{EventPage, EventRecord};

/// Print the events of the agent and its runner, oldest first.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  pullyard jobs events 7F2K\n  pullyard jobs events @last --jsonl")]
pub(super) struct Events {
    #[command(flatten)]
    job: JobArg,
    /// Print one JSON document per event.
    #[arg(long)]
    jsonl: bool,
}

impl Events {
    pub(super) async fn run(self, session: &Session) -> Result<(), CliError> {
        let (screen, id) = (&session.screen, self.job.resolve(session).await?);
        let as_document = screen.is_json() && !self.jsonl;
        let mut all = EventPage { events: Vec::new(), cursor: String::new(), end: false };
        let since = session.api.job(&id).await?.created;
        loop {
            let after = Some(all.cursor.as_str()).filter(|cursor| !cursor.is_empty());
            let page = session.api.events(&id, after).await?;
            let (last, end) = (page.events.is_empty() || page.end, page.end);
            if as_document {
                all.events.extend(page.events);
            } else if self.jsonl {
                page.events.iter().try_for_each(|event| print_json(screen, event))?;
            } else {
                page.events
                    .iter()
                    .try_for_each(|event| screen.print_line(&watch::format_event(screen, event, since)))?;
            }
            (all.cursor, all.end) = (page.cursor, end);
            if last {
                break;
            }
        }
        if as_document {
            screen.json(&all)?;
        }
        Ok(())
    }
}

pub(super) fn print_json(screen: &Screen, event: &EventRecord) -> Result<(), CliError> {
    let line = serde_json::to_string(event).map_err(|error| CliError::failed(error.to_string()))?;
    screen.print_line(&line)
}
