//! Waits for the end of a job or a state of a ticket, and prints the job's events.

use super::scenario::{DemoRun, POLL_INTERVAL};
use anyhow::ensure;
use pullyard_domain::job::JobKind;
use pullyard_domain::project::usage::Usage;
use pullyard_domain::text::id::{JobId, TicketKey};
use pullyard_protocol::event::{Event, EventKind, EventRecord};
use pullyard_protocol::job::Job;
use pullyard_protocol::ticket::Ticket;
use std::time::{Duration, Instant};

impl DemoRun<'_> {
    pub(super) async fn follow(&mut self, id: &JobId) -> anyhow::Result<Job> {
        let (mut cursor, mut attempt, mut printed) = (None, 0, None);
        let started = Instant::now();
        loop {
            let job = self.api.job(id).await?;
            let page = self.api.events(id, cursor.as_deref()).await?;
            cursor = Some(page.cursor);
            if job.attempt != attempt {
                attempt = job.attempt;
                self.screen.step("Claimed", &format!("attempt {attempt}, by a task of the embedded ECS"));
            }
            for record in &page.events {
                self.show(record, job.kind);
            }
            if job.status.is_terminal() && page.end {
                return Ok(job);
            }
            let waits = job.waits.filter(|_| started.elapsed() > Duration::from_secs(2)).map(|waits| waits.sentence);
            if let Some(waits) = waits.filter(|waits| printed.as_ref() != Some(waits)) {
                self.screen.step("Waiting", &waits);
                printed = Some(waits);
            }
            ensure!(
                started.elapsed() < self.agent_choice.timeout(),
                "the job {} is still {} after {} s",
                id.short(),
                job.status.label(),
                self.agent_choice.timeout().as_secs()
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn show(&mut self, record: &EventRecord, kind: JobKind) {
        let event = &record.event;
        if self.agent_choice.is_ai() && proves_a_model_call(event) {
            self.screen.ai_called = true;
        }
        let text = event.text.as_deref().or(event.name.as_deref()).or(event.path.as_deref()).unwrap_or_default();
        let (label, detail) = match (event.kind, event.name.as_deref()) {
            (EventKind::Phase, Some("preparing")) => ("Preparing", "fetching the repository, creating a worktree"),
            (EventKind::Phase, Some("executing")) => ("Executing", "the agent works in it"),
            (EventKind::Phase, Some("syncing")) if kind == JobKind::Review => {
                ("Posting", "one review with all findings")
            }
            (EventKind::Phase, Some("syncing")) => ("Syncing", "commit, push, pull request"),
            (EventKind::Text, _) => ("says", text),
            (EventKind::ToolCall, _) => ("calls", text),
            (EventKind::Command, _) => ("runs", text),
            (EventKind::FileEdit, _) => ("edits", text),
            (EventKind::Result, _) => ("result", text),
            (EventKind::Steer, _) => ("receives", text),
            // The demo itself reports the posted review.
            (EventKind::Log, _) if kind == JobKind::Review => return,
            (EventKind::Log, _) => ("stderr", text),
            _ => return,
        };
        self.screen.step(label, detail);
    }

    /// Repeats `load` until it returns a value instead of the current state.
    /// Errors: `failure` with the state, after the agent's time limit.
    pub(super) async fn wait_for<T>(
        &self,
        failure: &str,
        load: impl AsyncFn() -> anyhow::Result<Result<T, String>>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        loop {
            let state = match load().await? {
                Ok(loaded) => return Ok(loaded),
                Err(state) => state,
            };
            ensure!(started.elapsed() < self.agent_choice.timeout(), "{failure}: {state}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub(super) async fn wait_for_ticket(
        &self,
        key: &TicketKey,
        what: &str,
        is_expected: impl Fn(&Ticket) -> bool,
    ) -> anyhow::Result<Ticket> {
        self.wait_for(&format!("{key} never {what}"), async || {
            let ticket = self.api.ticket(&self.project, key).await?;
            Ok(if is_expected(&ticket) { Ok(ticket) } else { Err(format!("it is in {}", ticket.status)) })
        })
        .await
    }
}

/// Only a model uses tokens and calls tools, such as commands and edits. Without such an event, an attempt may have
/// called a model and ended before the answer.
fn proves_a_model_call(event: &Event) -> bool {
    let has_tokens = |usage: Usage| usage.input_tokens.unwrap_or(0) + usage.output_tokens.unwrap_or(0) > 0;
    let is_tool = matches!(event.kind, EventKind::ToolCall | EventKind::Command | EventKind::FileEdit);
    is_tool || event.usage().is_some_and(has_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tools_and_tokens_prove_a_model_call() {
        let proves = |kind: &str, tokens: u64| {
            let event = json!({ "seq": 1, "age_ms": 0, "kind": kind, "data": { "output_tokens": tokens } });
            proves_a_model_call(&serde_json::from_value(event).unwrap())
        };
        for kind in ["tool_call", "command", "file_edit"] {
            assert!(proves(kind, 0), "{kind}");
        }
        for kind in ["phase", "text", "log", "result", "usage"] {
            assert!(!proves(kind, 0), "{kind}");
        }
        assert!(proves("usage", 1));
    }
}
