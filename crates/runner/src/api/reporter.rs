//! Sends events in numbered batches, and heartbeats when there are no events.
//! The sending task waits for neither git nor the agent. Answers contain orders and the number of inputs.

mod queue;
mod sender;

use crate::api::event_draft::EventDraft;
use crate::artifacts::output_recorder::OutputRecorder;
use crate::inputs::messages::input_counts::InputCounts;
use crate::inputs::orders::Orders;
use crate::job_log::JobLog;
use crate::secrets::redact::Redactor;
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::event::{Event, EventKind};
use queue::Queue;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

#[derive(Clone)]
pub(crate) struct EventSink(Arc<Shared>);

struct Shared {
    redactor: Redactor,
    state: Mutex<State>,
    recorder: OnceLock<OutputRecorder>,
    copy: OnceLock<Mutex<JobLog>>,
    queue_changed: Notify,
    /// Notified when the sender got an answer, or has ended.
    batch_answered: Notify,
}

#[derive(Default)]
struct State {
    queue: Queue,
    in_flight: bool,
    flush_requested: bool,
    has_ended: bool,
}

impl Shared {
    fn new(redactor: Redactor) -> Arc<Self> {
        Arc::new(Self {
            redactor,
            state: Mutex::default(),
            recorder: OnceLock::new(),
            copy: OnceLock::new(),
            queue_changed: Notify::new(),
            batch_answered: Notify::new(),
        })
    }

    fn take_batch(&self, first: u64, now: Instant) -> Vec<Event> {
        let mut state = self.state();
        state.in_flight = true;
        state.queue.take_batch(first, now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink {
    /// Adds an event. Redacts it before the cut, because half of a secret would not be recognized.
    pub(crate) fn add(&self, draft: EventDraft) {
        let draft = self.0.redactor.redact_draft(draft);
        if let Some(recorder) = self.0.recorder.get() {
            recorder.record_event(&draft);
        }
        if let Some(copy) = self.0.copy.get() {
            copy.lock().unwrap_or_else(PoisonError::into_inner).add(&draft);
        }
        self.0.state().queue.add(Instant::now(), draft.truncate());
        self.0.queue_changed.notify_one();
    }

    pub(crate) fn log(&self, text: impl Into<String>) {
        self.add(EventDraft::text(EventKind::Log, text));
    }

    pub(crate) fn record_raw_line(&self, line: &[u8]) {
        if let Some(recorder) = self.0.recorder.get().filter(|recorder| recorder.has_raw_lines()) {
            recorder.record_raw_line(self.0.redactor.redact_line(&String::from_utf8_lossy(line)).as_bytes());
        }
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    pub(crate) fn start_recording(&self, recorder: OutputRecorder) {
        let _ = self.0.recorder.set(recorder);
    }

    pub(crate) fn copy_to(&self, log: JobLog) {
        let _ = self.0.copy.set(Mutex::new(log));
    }

    pub(crate) fn end_record(&self) {
        if let Some(recorder) = self.0.recorder.get() {
            recorder.end();
        }
    }

    pub(crate) fn resume_recording(&self) {
        if let Some(recorder) = self.0.recorder.get() {
            recorder.begin_next_part();
        }
    }

    pub(crate) async fn flush(&self, limit: Duration) {
        let shared = &self.0;
        shared.state().flush_requested = true;
        shared.queue_changed.notify_one();
        let send = async {
            loop {
                let answer = shared.batch_answered.notified();
                {
                    let state = shared.state();
                    if state.has_ended || (state.queue.is_empty() && !state.in_flight) {
                        return;
                    }
                }
                answer.await;
            }
        };
        if timeout(limit, send).await.is_err() {
            tracing::warn!("some events were not sent in time");
        }
        shared.state().flush_requested = false;
    }
}

pub(crate) struct AnswerHandlers {
    pub(crate) orders: Orders,
    pub(crate) input_counts: InputCounts,
}

pub(crate) struct Reporter {
    events: EventSink,
    _task: AbortOnDropHandle<()>,
}

impl Reporter {
    pub(crate) fn start(
        client: AttemptClient,
        heartbeat: Duration,
        handlers: AnswerHandlers,
        redactor: Redactor,
    ) -> Self {
        let shared = Shared::new(redactor);
        let sender = sender::EventSender::new(shared.clone(), client, heartbeat, handlers);
        Self { events: EventSink(shared), _task: AbortOnDropHandle::new(tokio::spawn(sender.run())) }
    }

    pub(crate) fn events(&self) -> &EventSink {
        &self.events
    }
}
