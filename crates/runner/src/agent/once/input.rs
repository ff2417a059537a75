//! What an agent is told: its prompt, what people say while it works, that it is to stop, and that nothing more comes.

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

/// How long an agent that said how it ended may take to begin with what it was told, before that or since. What it has
/// not taken up by then is told to the next start.
const TAKE_UP_LIMIT: Duration = Duration::from_secs(5);

/// The agent's standard input, on a task of its own: an agent that never reads its prompt must not stop us
/// from reading its words. Closed when this ends or is dropped.
pub(super) struct Input {
    further: Option<UnboundedSender<Vec<u8>>>,
    voice: Option<Box<dyn Voice>>,
    /// What it was told while it works: marks, each with the number of its newest input.
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

    /// Asks for no further request. Whether that could be asked.
    pub(super) fn interrupt(&mut self) -> bool {
        let (Some(further), Some(voice)) = (&self.further, &mut self.voice) else { return false };
        voice.interrupt().is_some_and(|interrupt| further.send(interrupt).is_ok())
    }

    /// Whether it listens to more than its prompt, and has not ended.
    pub(super) fn may_be_told(&self) -> bool {
        self.further.is_some() && self.voice.is_some()
    }

    /// Hands over what people said. Whether it is heard, its lines say; what is not is told to the next start.
    pub(super) fn tell(&mut self, words: &[Words], people: &People<'_>) {
        let (Some(further), Some(voice)) = (&self.further, &mut self.voice) else { return };
        let mark = ids::uuid();
        if further.send(voice.tell(&while_it_works(words), &mark)).is_ok() {
            people.show(words);
            self.told.push((mark, newest(words)));
            self.told_at = Some(Instant::now());
        }
    }

    /// It was told something that the model was not told yet.
    pub(super) fn has_more(&self, record: &Record) -> bool {
        self.told.iter().any(|(mark, _)| !record.has_taken_up(mark))
    }

    /// It was told something that the model has not answered to.
    pub(super) fn has_unheard(&self, record: &Record) -> bool {
        self.told.iter().any(|(mark, _)| !record.heard.contains(mark))
    }

    /// When it may be closed, if the agent has ended: what it was told too late for its turn it takes up in another
    /// one, and can be asked to stop only as long as this is open.
    pub(super) fn waited_for_until(&self, record: &Record) -> Option<Instant> {
        let ended_at = record.ended_at.filter(|_| record.has_ended())?;
        Some(match self.told_at {
            Some(told_at) if self.has_more(record) => later(ended_at.max(told_at), TAKE_UP_LIMIT),
            _ => ended_at,
        })
    }

    /// Notes what the agent has heard by now.
    pub(super) fn hears(&self, record: &Record, bounds: &Bounds<'_>) {
        if record.turns > 0 {
            bounds.people.heard(bounds.told);
        }
        for (_, input) in self.told.iter().filter(|(mark, _)| record.heard.contains(mark)) {
            bounds.people.heard(*input);
        }
    }

    /// Says that nothing more comes, and takes back what was not read by then.
    pub(super) fn ends(&mut self) {
        self.close();
        self.writer = None;
    }

    /// Says that nothing more comes. Whether that was news.
    pub(super) fn close(&mut self) -> bool {
        self.further.take().is_some()
    }
}

async fn write(mut stdin: ChildStdin, prompt: Vec<u8>, mut more: UnboundedReceiver<Vec<u8>>) {
    let mut next = Some(prompt);
    while let Some(bytes) = next {
        // An agent that doesn't want to read further is free to close it.
        if stdin.write_all(&bytes).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
        next = more.recv().await;
    }
}
