//! Queues events for sending, in bounded memory.
//! If an agent prints more than can be sent, the oldest events are dropped, and one event counts them. The record of
//! the agent's output has them all.

use crate::api::event_draft::EventDraft;
use pullyard_protocol::event::{Event, EventKind};
use std::collections::VecDeque;
use tokio::time::Instant;

const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Size after dropping, so that not every event drops more.
const BYTES_AFTER_DROP: usize = 6 * 1024 * 1024;
pub(super) const BATCH_BYTES: usize = 64 * 1024;
const BATCH_EVENTS: usize = 1_000;

pub(super) struct Queue {
    waiting: VecDeque<QueuedItem>,
    bytes: usize,
}

struct QueuedItem {
    queued_at: Instant,
    size: usize,
    content: QueuedContent,
}

enum QueuedContent {
    Event(EventDraft),
    Dropped(u64),
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_batch_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.waiting.len() >= BATCH_EVENTS
    }

    pub(super) fn add(&mut self, at: Instant, draft: EventDraft) {
        let size = draft.size();
        self.bytes += size;
        self.waiting.push_back(QueuedItem { queued_at: at, size, content: QueuedContent::Event(draft) });
        if self.bytes > MAX_BYTES {
            self.drop_events(|kind| !is_important(kind));
        }
        if self.bytes > MAX_BYTES {
            // Memory stays bounded even if only important events wait.
            self.drop_events(|kind| kind != EventKind::Phase);
        }
    }

    fn drop_events(&mut self, may_go: impl Fn(EventKind) -> bool) {
        let mut left_out = 0;
        let mut place = None;
        let mut remaining = VecDeque::with_capacity(self.waiting.len());
        for waiting in self.waiting.drain(..) {
            let gone = match &waiting.content {
                QueuedContent::Dropped(n) => *n,
                QueuedContent::Event(draft) if self.bytes > BYTES_AFTER_DROP && may_go(draft.kind) => 1,
                QueuedContent::Event(_) => {
                    remaining.push_back(waiting);
                    continue;
                }
            };
            left_out += gone;
            self.bytes = self.bytes.saturating_sub(waiting.size);
            place = place.or(Some((remaining.len(), waiting.queued_at)));
        }
        if let Some((index, at)) = place {
            let what = QueuedContent::Dropped(left_out);
            remaining.insert(index, QueuedItem { queued_at: at, size: 0, content: what });
        }
        self.waiting = remaining;
    }

    pub(super) fn take_batch(&mut self, first: u64, now: Instant) -> Vec<Event> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES && batch.len() < BATCH_EVENTS {
            let Some(QueuedItem { queued_at: at, size, content: what }) = self.waiting.pop_front() else {
                break;
            };
            bytes += size;
            self.bytes = self.bytes.saturating_sub(size);
            let draft = match what {
                QueuedContent::Event(draft) => draft,
                QueuedContent::Dropped(n) => EventDraft::text(
                    EventKind::Log,
                    format!("{n} events are left out here: the agent said more than could be sent."),
                ),
            };
            batch.push(draft.into_event(first + batch.len() as u64, now.saturating_duration_since(at)));
        }
        batch
    }
}

fn is_important(kind: EventKind) -> bool {
    matches!(kind, EventKind::Phase | EventKind::Question | EventKind::Steer | EventKind::Usage | EventKind::Result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: usize) -> EventDraft {
        EventDraft::text(EventKind::Text, format!("{n} {}", "x".repeat(10_000)))
    }

    #[test]
    fn queue_is_bounded_and_counts_dropped_events_once() {
        let mut queue = Queue::new();
        let now = Instant::now();
        queue.add(now, EventDraft::phase("executing"));
        for n in 0..5_000 {
            queue.add(now, text(n));
            assert!(queue.bytes <= MAX_BYTES);
        }
        let mut all = Vec::new();
        while !queue.is_empty() {
            let batch = queue.take_batch(all.len() as u64 + 1, now);
            assert!(batch.len() <= 10);
            all.extend(batch);
        }
        assert_eq!(queue.bytes, 0);
        assert!(all.iter().enumerate().all(|(n, event)| event.seq == n as u64 + 1));
        assert_eq!(all[0].kind, EventKind::Phase);
        let left_out: Vec<_> = all.iter().filter(|event| event.kind == EventKind::Log).collect();
        assert_eq!(left_out.len(), 1);
        assert_eq!(left_out[0].seq, 2);
        let told: usize = left_out[0].text.as_ref().unwrap().split(' ').next().unwrap().parse().unwrap();
        let texts: Vec<_> = all.iter().filter(|event| event.kind == EventKind::Text).collect();
        assert_eq!(told + texts.len(), 5_000);
        assert!(texts.last().unwrap().text.as_ref().unwrap().starts_with("4999 "));
    }

    #[test]
    fn important_events_are_dropped_last() {
        let (mut queue, now) = (Queue::new(), Instant::now());
        let waited_for = [EventKind::Question, EventKind::Steer, EventKind::Usage, EventKind::Result];
        for kind in waited_for {
            queue.add(now, EventDraft { kind, ..text(0) });
        }
        let others = [
            EventKind::Text,
            EventKind::Log,
            EventKind::Raw,
            EventKind::ToolCall,
            EventKind::ToolResult,
            EventKind::FileEdit,
            EventKind::Command,
        ];
        for n in 0..5_000 {
            queue.add(now, EventDraft { kind: others[n % others.len()], ..text(n) });
            assert!(queue.bytes <= MAX_BYTES);
        }
        let mut kept = Vec::new();
        while !queue.is_empty() {
            kept.extend(queue.take_batch(1, now).into_iter().map(|event| event.kind));
        }
        assert_eq!(kept.iter().copied().filter(|kind| waited_for.contains(kind)).collect::<Vec<_>>(), waited_for);
        // If only important events wait, the oldest are dropped.
        queue.add(now, EventDraft::phase("executing"));
        for n in 0..2_000 {
            queue.add(now, EventDraft { kind: EventKind::Question, ..text(n) });
            assert!(queue.bytes <= MAX_BYTES);
        }
        assert_eq!(queue.take_batch(1, now)[0].kind, EventKind::Phase);
    }
}
