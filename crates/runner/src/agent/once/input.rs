//! The agent's input: its prompt, messages of users, a request to stop, and the end.

use super::Bounds;
use crate::agent::adapter::{InputEnds, Voice};
use crate::agent::record::Record;
use crate::api::ids;
use crate::deadline::later;
use crate::inputs::people::{People, newest, while_it_works};
use pullyard_protocol::attempt::Input as Words;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Time for an agent that reported its end to begin with an input. Later inputs go to the next start.
const TAKE_UP_LIMIT: Duration = Duration::from_secs(5);

/// The agent's standard input, written by its own task, so that an unread prompt never blocks reading. Closed on drop.
pub(super) struct Input {
    further: Option<UnboundedSender<Vec<u8>>>,
    voice: Option<Box<dyn Voice>>,
    /// Inputs sent while the agent works: mark, and number of the newest input.
    told: Vec<(String, u32)>,
    told_at: Option<Instant>,
    writer: Option<AbortOnDropHandle<()>>,
}

impl Input {
    pub(super) fn begin(stdin: Option<ChildStdin>, prompt: Vec<u8>, ends: InputEnds) -> Self {
        let (further, more) = unbounded_channel();
        let writer = stdin.map(|stdin| AbortOnDropHandle::new(tokio::spawn(write(stdin, prompt, more))));
        let nothing_more = Self { further: None, voice: None, told: Vec::new(), told_at: None, writer };
        match ends {
            InputEnds::AfterPrompt => nothing_more,
            InputEnds::AfterItsEnd(voice) => Self { further: Some(further), voice: Some(voice), ..nothing_more },
        }
    }

    /// Requests that the agent sends no further model request. Returns whether that is possible.
    pub(super) fn interrupt(&mut self) -> bool {
        let (Some(further), Some(voice)) = (&self.further, &mut self.voice) else { return false };
        voice.interrupt().is_some_and(|interrupt| further.send(interrupt).is_ok())
    }

    /// Whether the agent reads more than its prompt, and its input is open.
    pub(super) fn may_be_told(&self) -> bool {
        self.further.is_some() && self.voice.is_some()
    }

    /// Sends messages. The agent's lines show which of these it reads; the others go to the next start.
    pub(super) fn tell(&mut self, words: &[Words], people: &People<'_>) {
        let (Some(further), Some(voice)) = (&self.further, &mut self.voice) else { return };
        let mark = ids::uuid();
        if further.send(voice.tell(&while_it_works(words), &mark)).is_ok() {
            people.show(words);
            self.told.push((mark, newest(words)));
            self.told_at = Some(Instant::now());
        }
    }

    /// Whether an input has not reached the model yet.
    pub(super) fn has_more(&self, record: &Record) -> bool {
        self.told.iter().any(|(mark, _)| !record.has_taken_up(mark))
    }

    /// Whether the model has not answered an input yet.
    pub(super) fn has_unheard(&self, record: &Record) -> bool {
        self.told.iter().any(|(mark, _)| !record.heard.contains(mark))
    }

    /// When the input may be closed after the agent's end. A late input causes another turn, and the agent can be
    /// interrupted only while its input is open.
    pub(super) fn waited_for_until(&self, record: &Record) -> Option<Instant> {
        let ended_at = record.ended_at.filter(|_| record.has_ended())?;
        Some(match self.told_at {
            Some(told_at) if self.has_more(record) => later(ended_at.max(told_at), TAKE_UP_LIMIT),
            _ => ended_at,
        })
    }

    /// Reports which inputs the agent has read.
    pub(super) fn hears(&self, record: &Record, bounds: &Bounds<'_>) {
        if record.turns > 0 {
            bounds.people.heard(bounds.told);
        }
        for (_, input) in self.told.iter().filter(|(mark, _)| record.heard.contains(mark)) {
            bounds.people.heard(*input);
        }
    }

    /// Closes the input and discards unwritten content.
    pub(super) fn ends(&mut self) {
        self.close();
        self.writer = None;
    }

    pub(super) fn close(&mut self) -> bool {
        self.further.take().is_some()
    }
}

async fn write(mut stdin: ChildStdin, prompt: Vec<u8>, mut more: UnboundedReceiver<Vec<u8>>) {
    let mut next = Some(prompt);
    while let Some(bytes) = next {
        // An agent may close its input.
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
        next = more.recv().await;
    }
}
