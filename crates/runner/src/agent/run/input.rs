//! The agent's input: its prompt, messages of users, a request to stop, and the end.

use crate::agent::adapter::InputEncoder;
use crate::agent::run_state::RunState;
use crate::api::ids;
use crate::deadline::instant_after;
use crate::inputs::messages::{InputTracker, format_for_working_agent, newest_number};
use pullyard_protocol::attempt::Input as Message;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Time for an agent that reported its end to begin with an input. Later inputs go to the next start.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The agent's standard input, written by its own task, so that an unread prompt never blocks reading. Closed on drop.
pub(super) struct Input {
    /// `None` after `close`, and for an agent that takes only its prompt.
    open: Option<(UnboundedSender<Vec<u8>>, InputEncoder)>,
    /// Inputs sent while the agent works: mark, and number of the newest input.
    sent_inputs: Vec<(String, u32)>,
    last_sent_at: Option<Instant>,
    writer: Option<AbortOnDropHandle<()>>,
}

impl Input {
    pub(super) fn open(stdin: Option<ChildStdin>, prompt: Vec<u8>, encoder: Option<InputEncoder>) -> Self {
        let (sender, receiver) = unbounded_channel();
        let writer = stdin.map(|stdin| AbortOnDropHandle::new(tokio::spawn(write(stdin, prompt, receiver))));
        let open = encoder.map(|encoder| (sender, encoder));
        Self { open, sent_inputs: Vec::new(), last_sent_at: None, writer }
    }

    /// Requests that the agent sends no further model request. Returns whether that is possible.
    pub(super) fn interrupt(&self) -> bool {
        let Some((sender, encoder)) = &self.open else { return false };
        sender.send(format!("{}\n", encoder.interrupt).into_bytes()).is_ok()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Sends messages. The agent's lines show which of these it reads; the others go to the next start.
    pub(super) fn send(&mut self, messages: &[Message], tracker: &InputTracker<'_>) {
        let Some((sender, encoder)) = &self.open else { return };
        let mark = ids::new_uuid();
        if sender.send((encoder.encode_messages)(&format_for_working_agent(messages), &mark)).is_ok() {
            tracker.report(messages);
            self.sent_inputs.push((mark, newest_number(messages)));
            self.last_sent_at = Some(Instant::now());
        }
    }

    pub(super) fn has_unsent_to_model(&self, record: &RunState) -> bool {
        self.sent_inputs.iter().any(|(mark, _)| !record.has_sent_input(mark))
    }

    pub(super) fn has_unanswered(&self, record: &RunState) -> bool {
        self.sent_inputs.iter().any(|(mark, _)| !record.read_inputs.contains(mark))
    }

    /// When the input may be closed after the agent's end. The agent can be interrupted only while its input is open.
    pub(super) fn close_at(&self, record: &RunState) -> Option<Instant> {
        let ended_at = record.ended_at.filter(|_| record.has_ended())?;
        Some(match self.last_sent_at {
            Some(sent_at) if self.has_unsent_to_model(record) => instant_after(ended_at.max(sent_at), ACCEPT_TIMEOUT),
            _ => ended_at,
        })
    }

    pub(super) fn report_read_inputs(&self, record: &RunState, inputs: &InputTracker<'_>, newest_input: u32) {
        if record.turns > 0 {
            inputs.mark_read(newest_input);
        }
        for (_, input) in self.sent_inputs.iter().filter(|(mark, _)| record.read_inputs.contains(mark)) {
            inputs.mark_read(*input);
        }
    }

    pub(super) fn abort(&mut self) {
        self.close();
        self.writer = None;
    }

    pub(super) fn close(&mut self) -> bool {
        self.open.take().is_some()
    }
}

async fn write(mut stdin: ChildStdin, prompt: Vec<u8>, mut receiver: UnboundedReceiver<Vec<u8>>) {
    let mut next = Some(prompt);
    while let Some(bytes) = next {
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
        next = receiver.recv().await;
    }
}
