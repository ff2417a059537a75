//! Reporting: events go out in numbered batches, and a heartbeat when there are none, on a task of its
//! own that waits for neither git nor the agent. What comes back (`want`, a lost lease) becomes an order, and how many
//! inputs people gave is noted.

mod queue;
mod sender;

use crate::artifacts::Record;
use crate::orders::Orders;
use crate::people::Given;
use crate::redact::Redactor;
use crate::said::Said;
use pullyard_protocol::client::AttemptClient;
use queue::Queue;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

/// Takes events; cheap to clone.
#[derive(Clone)]
pub(crate) struct Events(Arc<Shared>);

struct Shared {
    redactor: Redactor,
    state: Mutex<State>,
    record: OnceLock<Record>,
    /// Something for the sender to look at.
    changed: Notify,
    /// The sender has been answered, or has ended.
    answered: Notify,
}

struct State {
    queue: Queue,
    in_flight: bool,
    /// Don't wait for more to send together.
    hurry: bool,
    /// Nobody sends any more.
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
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Events {
    /// Takes an event: without secrets from here on. It is recorded whole, where something records, and sent cut,
    /// but only then, or half of a secret could stay.
    pub(crate) fn add(&self, said: Said) {
        let said = self.0.redactor.said(said);
        let said = match self.0.record.get() {
            Some(record) => record.note(said),
            None => said,
        };
        self.0.state().queue.add(Instant::now(), said.cut());
        self.0.changed.notify_one();
    }

    /// Takes a line as the agent printed it, but for secrets.
    pub(crate) fn raw(&self, line: &[u8]) {
        if let Some(record) = self.0.record.get().filter(|record| record.is_raw()) {
            record.raw(self.0.redactor.line(&String::from_utf8_lossy(line)).as_bytes());
        }
    }

    /// What takes secrets out of all that comes here.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// From now on events are recorded, too. Once in an attempt.
    pub(crate) fn record(&self, record: Record) {
        let _ = self.0.record.set(record);
    }

    /// Nothing more is recorded: what was is handed in.
    pub(crate) fn end_record(&self) {
        if let Some(record) = self.0.record.get() {
            record.end();
        }
    }

    /// It is recorded again after all.
    pub(crate) fn record_goes_on(&self) {
        if let Some(record) = self.0.record.get() {
            record.goes_on();
        }
    }

    /// Sends what is waiting, for at most this long.
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
            tracing::warn!("some events could not be sent before the end");
        }
        shared.state().hurry = false;
    }
}

/// For tests of who says what: nobody sends it.
#[cfg(test)]
impl Events {
    pub(crate) fn unsent() -> Self {
        Self(Shared::new(Redactor::new([])))
    }

    /// What was said since this was asked last, once there is something.
    pub(crate) async fn said(&self) -> Vec<pullyard_protocol::event::Event> {
        loop {
            let said = self.0.state().queue.take(1, Instant::now());
            if !said.is_empty() {
                return said;
            }
            self.0.changed.notified().await;
        }
    }
}

/// Where it is noted what answers say.
pub(crate) struct Heeds {
    pub(crate) orders: Orders,
    pub(crate) given: Given,
}

/// The task that sends; it ends when this is dropped.
pub(crate) struct Reporter {
    events: Events,
    _task: AbortOnDropHandle<()>,
}

impl Reporter {
    /// Begins to report, with a heartbeat at least this often.
    pub(crate) fn start(client: AttemptClient, heartbeat: Duration, heeds: Heeds, redactor: Redactor) -> Self {
        let shared = Shared::new(redactor);
        let sender = sender::Sender::new(shared.clone(), client, heartbeat, heeds);
        Self { events: Events(shared), _task: AbortOnDropHandle::new(tokio::spawn(sender.run())) }
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Sends what is waiting, for at most this long.
    pub(crate) async fn flush(&self, limit: Duration) {
        self.events.flush(limit).await;
    }
}
