//! Sends events in numbered batches, and heartbeats when there are no events.
//!
//! The sending task waits for neither git nor the agent. Answers contain orders and the number of inputs.

mod queue;
mod sender;

use crate::api::said::Said;
use crate::artifacts::record::Record;
use crate::inputs::orders::Orders;
use crate::inputs::people::given::Given;
use crate::secrets::redact::Redactor;
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::event::Event;
use queue::Queue;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// Longest interval between two reports of a delay.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Accepts events; cheap to clone.
#[derive(Clone)]
pub(crate) struct Events(Arc<Shared>);

struct Shared {
    redactor: Redactor,
    state: Mutex<State>,
    record: OnceLock<Record>,
    changed: Notify,
    /// The sender got an answer, or has ended.
    answered: Notify,
    /// The queue has more space, or the sender has ended.
    room: Notify,
}

struct State {
    queue: Queue,
    in_flight: bool,
    /// Send now instead of waiting for a full batch.
    hurry: bool,
    ended: bool,
}

impl Shared {
    fn new(redactor: Redactor) -> Arc<Self> {
        Arc::new(Self {
            redactor,
            state: Mutex::new(State { queue: Queue::new(), in_flight: false, hurry: false, ended: false }),
            record: OnceLock::new(),
            changed: Notify::new(),
            answered: Notify::new(),
            room: Notify::new(),
        })
    }

    /// The next batch, which is in flight from now on.
    fn take(&self, first: u64, now: Instant) -> Vec<Event> {
        let batch = {
            let mut state = self.state();
            state.in_flight = true;
            state.queue.take(first, now)
        };
        self.room.notify_waiters();
        batch
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    /// Adds an event without its secrets. A record gets it whole, and the control plane gets it cut. Cutting comes
    /// last, because half of a secret would not be recognized.
    pub(crate) fn add(&self, said: Said) {
        let said = self.0.redactor.said(said);
        let said = match self.0.record.get() {
            Some(record) => record.note(said),
            None => said,
        };
        self.0.state().queue.add(Instant::now(), said.cut());
        self.0.changed.notify_one();
    }

    /// Waits while the queue is too full, and reports each part of the delay. The wait is limited, because an outage of
    /// the control plane must not stop an agent. After that the oldest text is dropped.
    pub(crate) async fn has_room(&self, held_up: impl Fn(Duration)) {
        loop {
            let room = self.0.room.notified();
            let until = {
                let state = self.0.state();
                state.queue.holds_up_until().filter(|_| !state.ended)
            };
            let now = Instant::now();
            let Some(until) = until.filter(|until| now < *until) else { return };
            let _ = timeout_at(until.min(now + TELL_EVERY), room).await;
            held_up(now.elapsed());
        }
    }

    pub(crate) fn raw(&self, line: &[u8]) {
        if let Some(record) = self.0.record.get().filter(|record| record.is_raw()) {
            record.raw(self.0.redactor.line(&String::from_utf8_lossy(line)).as_bytes());
        }
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// Starts recording events. Once per attempt.
    pub(crate) fn record(&self, record: Record) {
        let _ = self.0.record.set(record);
    }

    pub(crate) fn end_record(&self) {
        if let Some(record) = self.0.record.get() {
            record.end();
        }
    }

    pub(crate) fn record_goes_on(&self) {
        if let Some(record) = self.0.record.get() {
            record.goes_on();
        }
    }

    /// Sends all waiting events, within a limit.
    pub(crate) async fn flush(&self, limit: Duration) {
        let shared = &self.0;
        shared.state().hurry = true;
        shared.changed.notify_one();
        let sent = async {
            loop {
                let answered = shared.answered.notified();
                {
                    let state = shared.state();
                    if state.ended || (state.queue.is_empty() && !state.in_flight) {
                        return;
                    }
                }
                answered.await;
            }
        };
        if timeout(limit, sent).await.is_err() {
            tracing::warn!("some events were not sent in time");
        }
        shared.state().hurry = false;
    }
}

/// For tests of delays: events that are never sent.
#[cfg(test)]
impl Events {
    pub(crate) fn unsent() -> Self {
        Self(Shared::new(Redactor::new([])))
    }

    pub(crate) fn fill(&self) {
        let text = || Said::words(pullyard_protocol::event::EventKind::Text, "x".repeat(60_000));
        (0..100).for_each(|_| self.add(text()));
    }

    pub(crate) fn send_some(&self) {
        (0..60).for_each(|_| drop(self.0.take(1, Instant::now())));
    }
}

/// Where the sender notes the control plane's answers.
pub(crate) struct Heeds {
    pub(crate) orders: Orders,
    pub(crate) given: Given,
}

/// The sending task, which ends when this is dropped.
pub(crate) struct Reporter {
    events: Events,
    _task: AbortOnDropHandle<()>,
}

impl Reporter {
    /// Starts reporting, with a heartbeat at least this often.
    pub(crate) fn start(client: AttemptClient, heartbeat: Duration, heeds: Heeds, redactor: Redactor) -> Self {
        let shared = Shared::new(redactor);
        let sender = sender::Sender::new(shared.clone(), client, heartbeat, heeds);
        Self { events: Events(shared), _task: AbortOnDropHandle::new(tokio::spawn(sender.run())) }
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    pub(crate) async fn flush(&self, limit: Duration) {
        self.events.flush(limit).await;
    }
}
