//! Reporting: events go out in numbered batches, and a heartbeat when there are none, on a task of its
//! own that waits for neither git nor the agent. What comes back (`want`, a lost lease) becomes an order, and how many
//! inputs people gave is noted.

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

/// How often who is held up says so, at least.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Takes events; cheap to clone.
#[derive(Clone)]
pub(crate) struct Events(Arc<Shared>);

struct Shared {
    redactor: Redactor,
    state: Mutex<State>,
    record: OnceLock<Record>,
    changed: Notify,
    /// The sender has been answered, or has ended.
    answered: Notify,
    /// There is more room than before, or nobody sends any more.
    room: Notify,
}

struct State {
    queue: Queue,
    in_flight: bool,
    /// Don't wait for more to send together.
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

    /// The next batch, which is on its way from here on.
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

    /// Waits while more waits to be sent than should, and tells each bit of that time; not for ever, as an outage of the
    /// control plane stops no agent: after that the oldest words are left out.
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
    pub(crate) async fn said(&self) -> Vec<Event> {
        loop {
            let said = self.0.state().queue.take(1, Instant::now());
            if !said.is_empty() {
                return said;
            }
            self.0.changed.notified().await;
        }
    }
}

/// For tests of who is held up: more waits now than should.
#[cfg(test)]
impl Events {
    pub(crate) fn fill(&self) {
        let text = || Said::words(pullyard_protocol::event::EventKind::Text, "x".repeat(60_000));
        (0..100).for_each(|_| self.add(text()));
    }

    /// A part of it is sent.
    pub(crate) fn send_some(&self) {
        (0..60).for_each(|_| drop(self.0.take(1, Instant::now())));
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
