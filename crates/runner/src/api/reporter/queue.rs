//! Queues events for sending, in bounded memory.
//! If an agent prints more than can be sent, the oldest waiting events are dropped, because the end of a log explains
//! most, and one event counts them. The record of the output has all events.

use crate::api::event_draft::EventDraft;
use pullyard_domain::job::artifact::ArtifactKind;
use pullyard_protocol::event::{Event, EventKind};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Limits of the queue: for important events, and for all others. Units: bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;
const MAX_ORDINARY_BYTES: usize = 6 * 1024 * 1024;
pub(super) const BATCH_BYTES: usize = 64 * 1024;
const BATCH_EVENTS: usize = 1_000;

struct Waiting {
    /// The place among all events.
    order: u64,
    at: Instant,
    size: usize,
    draft: EventDraft,
}

#[derive(Default)]
pub(super) struct Queue {
    ordinary: VecDeque<Waiting>,
    important: VecDeque<Waiting>,
    added: u64,
    bytes: usize,
    dropped: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.ordinary.is_empty() && self.important.is_empty() && self.dropped == 0
    }

    pub(super) fn is_batch_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.ordinary.len() + self.important.len() >= BATCH_EVENTS
    }

    pub(super) fn add(&mut self, at: Instant, draft: EventDraft) {
        let (limit, is_important) = match draft.kind {
            // The runner itself begins a few phases.
            EventKind::Phase => (usize::MAX, true),
            EventKind::Question | EventKind::Steer | EventKind::Usage | EventKind::Result => (MAX_BYTES, true),
            _ => (MAX_ORDINARY_BYTES, false),
        };
        let size = draft.size();
        while self.bytes.saturating_add(size) > limit
            && let Some(oldest) = self.ordinary.pop_front()
        {
            self.bytes -= oldest.size;
            self.dropped += 1;
        }
        if self.bytes.saturating_add(size) > limit {
            self.dropped += 1;
            return;
        }
        self.bytes += size;
        self.added += 1;
        let queue = if is_important { &mut self.important } else { &mut self.ordinary };
        queue.push_back(Waiting { order: self.added, at, size, draft });
    }

    fn take_oldest(&mut self) -> Option<Waiting> {
        let order = |queue: &VecDeque<Waiting>| queue.front().map_or(u64::MAX, |waiting| waiting.order);
        let is_ordinary = order(&self.ordinary) < order(&self.important);
        let oldest = if is_ordinary { self.ordinary.pop_front() } else { self.important.pop_front() }?;
        self.bytes -= oldest.size;
        Some(oldest)
    }

    /// A note of the dropped events, at their place: ordinary events that still wait are newer.
    fn take_note(&mut self) -> Option<EventDraft> {
        let count = std::mem::take(&mut self.dropped);
        let text = format!(
            "{count} events are left out here: the agent wrote more than could be sent. The artifact {} has all of it; \
             see `pullyard jobs artifacts`.",
            ArtifactKind::AgentOutput.as_str()
        );
        (count > 0).then(|| EventDraft::text(EventKind::Log, text))
    }

    pub(super) fn take_batch(&mut self, first: u64, now: Instant) -> Vec<Event> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut note = self.take_note();
        while bytes < BATCH_BYTES && batch.len() < BATCH_EVENTS {
            let Some(Waiting { at, size, draft, .. }) = self.take_oldest() else { break };
            let age = now.saturating_duration_since(at);
            if let Some(note) = note.take() {
                batch.push(note.into_event(first, age));
            }
            bytes += size;
            batch.push(draft.into_event(first + batch.len() as u64, age));
        }
        if let Some(note) = note {
            batch.push(note.into_event(first, Duration::ZERO));
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
            assert!(batch.len() <= 11);
            all.extend(batch);
        }
        assert_eq!(queue.bytes, 0);
        assert!(all.iter().enumerate().all(|(n, event)| event.seq == n as u64 + 1));
        all
    }

    #[test]
    fn queue_is_bounded_and_loses_its_oldest_events() {
        let mut queue = Queue::default();
        for n in 0..5_000 {
            queue.add(Instant::now(), text(n));
            assert!(queue.bytes <= MAX_ORDINARY_BYTES);
        }
        queue.add(Instant::now(), EventDraft::phase("syncing"));
        let all = take_all(&mut queue);
        let [note, texts @ .., phase] = &all[..] else { panic!("{} events", all.len()) };
        assert_eq!((note.kind, phase.kind), (EventKind::Log, EventKind::Phase));
        let note = note.text.as_ref().unwrap();
        let dropped_count: usize = note.split(' ').next().unwrap().parse().unwrap();
        assert!(note.contains("The artifact agent_output has all of it"), "{note}");
        assert_eq!(dropped_count + texts.len(), 5_000);
        let start = |n: usize| format!("{} ", dropped_count + n);
        assert!(texts.iter().enumerate().all(|(n, event)| event.text.as_ref().unwrap().starts_with(&start(n))));
    }

    #[test]
    fn events_before_and_after_a_gap_are_in_order() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(now, text(0));
        assert_eq!(queue.take_batch(1, now).len(), 1);
        queue.add(now, EventDraft { kind: EventKind::Question, ..text(1) });
        (2..2_000).for_each(|n| queue.add(now, text(n)));
        let kinds: Vec<_> = queue.take_batch(2, now).iter().map(|event| event.kind).take(3).collect();
        assert_eq!(kinds, [EventKind::Log, EventKind::Question, EventKind::Text]);
    }

    #[test]
    fn important_events_are_dropped_last() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        (0..5_000).for_each(|n| queue.add(now, text(n)));
        let important = [EventKind::Question, EventKind::Steer, EventKind::Usage, EventKind::Result];
        for kind in important {
            queue.add(now, EventDraft { kind, ..text(0) });
        }
        assert!(queue.important.iter().map(|waiting| waiting.draft.kind).eq(important));
        for n in 0..2_000 {
            queue.add(now, EventDraft { kind: EventKind::Question, ..text(n) });
            assert!(queue.bytes <= MAX_BYTES);
        }
        assert!(queue.ordinary.is_empty(), "they gave their place to the questions");
        queue.add(now, EventDraft::phase("syncing"));
        assert_eq!(take_all(&mut queue).last().unwrap().kind, EventKind::Phase);
    }
}
