//! Sends typed lines to the agent while a job is followed.

use super::jobs::answer::send_text;
use super::prompt::is_interactive;
use crate::client::prelude::*;
use pullyard_domain::job::JobStatus;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::job::{Job, Question};
use std::io::BufRead;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

pub(super) struct Conversation {
    input: Option<UnboundedReceiver<String>>,
    question_printed_at: Option<Timestamp>,
}

impl Conversation {
    pub(super) fn start(screen: &Screen) -> Self {
        let typed = is_interactive(screen).then(read_lines);
        if typed.is_some() {
            screen.hint("type a line to send it to the agent");
        }
        Self { input: typed, question_printed_at: None }
    }

    /// Shows a question once. Errors: without a terminal for the answer, because the job would wait for days.
    pub(super) fn show_question(&mut self, screen: &Screen, job: &Job) -> Result<(), CliError> {
        let Some(Question { text, at }) = job.question.as_ref().filter(|_| job.status == JobStatus::AwaitingInput)
        else {
            return Ok(());
        };
        if self.input.is_none() {
            let question = sanitize(text);
            return Err(CliError::new(
                Exit::Ended,
                format!("the agent asked a question, but there is no terminal to answer it: {question}"),
            )
            .with_help("retry with the answer in the prompt, or on a terminal"));
        }
        if self.question_printed_at.replace(*at) != Some(*at) {
            screen.note("The agent asks:");
            text.lines().for_each(|line| screen.note(&format!("  {line}")));
            screen.note("Type your answer in one line.");
        }
        Ok(())
    }

    pub(super) async fn send_input(&mut self, session: &Session, job: &JobId, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(message) = timeout_at(until, self.next()).await {
            let Some(message) = message else {
                session.screen.note("your input has ended: you can no longer answer the agent or send it messages");
                continue;
            };
            if let Err(fault) = send_text(session, job, message.trim()).await {
                fault.print(&session.screen);
            }
        }
    }

    async fn next(&mut self) -> Option<String> {
        while let Some(typed) = &mut self.input {
            let Some(mut text) = typed.recv().await else {
                self.input = None;
                return None;
            };
            while let Ok(line) = typed.try_recv() {
                text.push_str(&line);
            }
            if !text.trim().is_empty() {
                return Some(text);
            }
        }
        std::future::pending().await
    }
}

/// Reads on a thread of its own, so that a blocked read does not delay the exit.
fn read_lines() -> UnboundedReceiver<String> {
    let (typed, lines) = unbounded_channel();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            // Pasted text may have any encoding.
            let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
            if typed.send(text).is_err() {
                return;
            }
        }
    });
    lines
}
