//! Queues events for sending, in bounded memory.
//! If an agent prints more than can be sent, one event counts the dropped ones. The record of the output has all
//! events.

use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::{Event, EventKind};
use std::collections::VecDeque;
use tokio::time::Instant;

/// Limits of the queue: for important events, and for all others. Units: bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;
const MAX_ORDINARY_BYTES: usize = 6 * 1024 * 1024;
pub(super) const BATCH_BYTES: usize = 64 * 1024;
const BATCH_EVENTS: usize = 1_000;

#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Instant, EventDraft)>,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_batch_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.waiting.len() >= BATCH_EVENTS
    }

    pub(super) fn add(&mut self, at: Instant, draft: EventDraft) {
        let limit = match draft.kind {
            // The runner itself begins a few phases.
            EventKind::Phase => usize::MAX,
            EventKind::Question | EventKind::Steer | EventKind::Usage | EventKind::Result => MAX_BYTES,
            _ => MAX_ORDINARY_BYTES,
        };
        if self.bytes + draft.size() > limit {
            self.dropped += 1;
            return;
        }
        self.note_dropped(at);
        self.push(at, draft);
    }

    fn note_dropped(&mut self, at: Instant) {
        let count = std::mem::take(&mut self.dropped);
        if count > 0 {
            let text = format!("{count} events are left out here: the agent said more than could be sent.");
            self.push(at, EventDraft::text(EventKind::Log, text));
        }
    }

    fn push(&mut self, at: Instant, draft: EventDraft) {
        self.bytes += draft.size();
        self.waiting.push_back((at, draft));
    }

    pub(super) fn take_batch(&mut self, first: u64, now: Instant) -> Vec<Event> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES && batch.len() < BATCH_EVENTS {
            let Some((at, draft)) = self.waiting.pop_front() else { break };
            bytes += draft.size();
            batch.push(draft.into_event(first + batch.len() as u64, now.saturating_duration_since(at)));
        }
        self.bytes -= bytes;
        if self.waiting.is_empty() {
            self.note_dropped(now);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: usize) -> EventDraft {
        EventDraft::text(EventKind::Text, format!("{n} {}", "x".repeat(10_000)))
    }

    fn take_all(queue: &mut Queue) -> Vec<Event> {
        let mut all = Vec::new();
        while !queue.is_empty() {
            let batch = queue.take_batch(all.len() as u64 + 1, Instant::now());
            assert!(batch.len() <= 10);
            all.extend(batch);
        }
        assert_eq!(queue.bytes, 0);
        all
    }

    #[test]
    fn queue_is_bounded_and_counts_dropped_events_once() {
        let mut queue = Queue::default();
        for n in 0..5_000 {
            queue.add(Instant::now(), text(n));
            assert!(queue.bytes <= MAX_ORDINARY_BYTES);
        }
        queue.add(Instant::now(), EventDraft::phase("syncing"));
        let all = take_all(&mut queue);
        assert!(all.iter().enumerate().all(|(n, event)| event.seq == n as u64 + 1));
        let [texts @ .., note, phase] = &all[..] else { panic!("{} events", all.len()) };
        assert_eq!((note.kind, phase.kind), (EventKind::Log, EventKind::Phase));
        let dropped_count: usize = note.text.as_ref().unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(dropped_count + texts.len(), 5_000);
        assert!(texts.iter().enumerate().all(|(n, event)| event.text.as_ref().unwrap().starts_with(&format!("{n} "))));
    }

    #[test]
    fn important_events_are_dropped_last() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        (0..5_000).for_each(|n| queue.add(now, text(n)));
        for kind in [EventKind::Question, EventKind::Steer, EventKind::Usage, EventKind::Result] {
            queue.add(now, EventDraft { kind, ..text(0) });
            assert_eq!(queue.waiting.back().unwrap().1.kind, kind);
        }
        for n in 0..2_000 {
            queue.add(now, EventDraft { kind: EventKind::Question, ..text(n) });
            assert!(queue.bytes <= MAX_BYTES + 1_000);
        }
        queue.add(now, EventDraft::phase("syncing"));
        assert_eq!(take_all(&mut queue).last().unwrap().kind, EventKind::Phase);
    }
}
