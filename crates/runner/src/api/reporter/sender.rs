//! The sender's loop: decides when a batch is due, and handles its answer.
//! A repeated batch must have the same content, or the server drops lines. Only its ages grow, from send to send.

use super::{AnswerHandlers, Shared};
use crate::api::event_draft::EventDraft;
use crate::api::retry::{AttemptCallFailure, BackOff, classify_error};
use crate::inputs::orders::Order;
use pullyard_domain::job::DesiredState;
use pullyard_protocol::attempt::{EventsAnswer, EventsRequest};
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::event::{Event, EventKind};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

const DEFAULT_SEND_INTERVAL: Duration = Duration::from_millis(500);
/// The first batches are sent at the default interval at the latest: they show whether the job works.
const EARLY_BATCHES: u32 = 3;
const MIN_SEND_INTERVAL: Duration = Duration::from_millis(20);

/// Limits of the server's heartbeat interval, against a tight loop and against silence for hours.
const MIN_HEARTBEAT: Duration = Duration::from_secs(1);
const MAX_HEARTBEAT: Duration = Duration::from_secs(600);

pub(super) struct EventSender {
    shared: Arc<Shared>,
    client: AttemptClient,
    heartbeat: Duration,
    send_interval: Duration,
    handlers: AnswerHandlers,
    next_seq: u64,
    batch_count: u32,
}

impl EventSender {
    pub(super) fn new(
        shared: Arc<Shared>,
        client: AttemptClient,
        heartbeat: Duration,
        handlers: AnswerHandlers,
    ) -> Self {
        Self {
            shared,
            client,
            heartbeat: heartbeat.clamp(MIN_HEARTBEAT, MAX_HEARTBEAT),
            send_interval: DEFAULT_SEND_INTERVAL,
            handlers,
            next_seq: 1,
            batch_count: 0,
        }
    }

    pub(super) async fn run(mut self) {
        let (mut last_sent, mut last_batch) = (Instant::now(), Instant::now());
        loop {
            let is_batch_due = self.wait_until_due(last_sent, last_batch).await;
            last_sent = Instant::now();
            let events = if is_batch_due { self.shared.take_batch(self.next_seq, last_sent) } else { Vec::new() };
            if !events.is_empty() {
                last_batch = last_sent;
                self.batch_count = self.batch_count.saturating_add(1);
            }
            let flow = self.deliver(events, last_sent).await;
            let mut state = self.shared.state();
            state.in_flight = false;
            state.has_ended = flow.is_break();
            drop(state);
            self.shared.batch_answered.notify_waiters();
            if flow.is_break() {
                return;
            }
        }
    }

    /// Returns whether a batch is due, or else a heartbeat.
    async fn wait_until_due(&self, last_sent: Instant, last_batch: Instant) -> bool {
        loop {
            let (until, is_batch) = self.next_send(last_sent, last_batch);
            if Instant::now() >= until {
                return is_batch;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.shared.queue_changed.notified() => {}
            }
        }
    }

    /// The time of the next call, and whether it is a batch.
    fn next_send(&self, last_sent: Instant, last_batch: Instant) -> (Instant, bool) {
        let heartbeat = last_sent + self.heartbeat;
        let is_early = self.batch_count < EARLY_BATCHES;
        let interval = if is_early { self.send_interval.min(DEFAULT_SEND_INTERVAL) } else { self.send_interval };
        let batch = last_batch + interval;
        let state = self.shared.state();
        match (state.queue.is_empty(), state.flush_requested || state.queue.is_batch_full()) {
            (true, _) => (heartbeat, false),
            (false, true) => (last_sent, true),
            (false, false) => (batch.min(heartbeat), batch <= heartbeat),
        }
    }

    async fn deliver(&mut self, events: Vec<Event>, mut aged_at: Instant) -> ControlFlow<()> {
        let mut request = EventsRequest {
            first_seq: self.next_seq,
            events,
            inputs: self.handlers.input_counts.read_count(),
            spent_usd_micros: None,
        };
        let mut back_off = BackOff::new();
        loop {
            match self.client.events(&request).await {
                Ok(answer) => {
                    self.handle_answer(&answer);
                    match remaining_batch(request, answer.next_seq) {
                        Ok(next_seq) => {
                            self.next_seq = next_seq;
                            return ControlFlow::Continue(());
                        }
                        Err(remaining) => request = remaining,
                    }
                }
                Err(error) => match classify_error(&error) {
                    AttemptCallFailure::LeaseLost | AttemptCallFailure::JobCancelled => {
                        tracing::warn!(error = %error, "lease lost: {error}");
                        self.handlers.orders.set(Order::LeaseLost);
                        return ControlFlow::Break(());
                    }
                    AttemptCallFailure::Final if is_refusal_note(&request) => {
                        // The server accepts neither the events nor a note about them. The heartbeat continues.
                        return ControlFlow::Continue(());
                    }
                    AttemptCallFailure::Final => {
                        tracing::error!(error = %error, "event batch refused: {error}");
                        request.events = refusal_note(&request);
                    }
                    AttemptCallFailure::Transient => {
                        tracing::warn!(error = %error, "sending events failed, retrying: {error}");
                    }
                },
            }
            sleep(back_off.next()).await;
            let now = Instant::now();
            add_age(&mut request.events, now.saturating_duration_since(aged_at));
            aged_at = now;
        }
    }

    fn handle_answer(&mut self, answer: &EventsAnswer) {
        let interval = Duration::from_millis(answer.send_every_ms);
        self.send_interval = interval.clamp(MIN_SEND_INTERVAL, MAX_HEARTBEAT);
        self.handlers.input_counts.record_reported(answer.inputs);
        match answer.want {
            DesiredState::Run => {}
            DesiredState::Pause => self.handlers.orders.set(Order::Pause),
            DesiredState::Cancel => self.handlers.orders.set(Order::Cancel),
        }
    }
}

/// Raises the ages. The server subtracts an age from the arrival time, so after an outage events would seem too new.
fn add_age(events: &mut [Event], by: Duration) {
    let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    for event in events {
        event.age_ms = event.age_ms.saturating_add(by_ms);
    }
}

/// The events that the server has not stored, or else the number after the batch.
fn remaining_batch(mut request: EventsRequest, next_seq: u64) -> Result<u64, EventsRequest> {
    let end = request.first_seq + request.events.len() as u64;
    if next_seq >= end || request.events.is_empty() {
        return Ok(next_seq.max(end));
    }
    request.events.retain(|event| event.seq >= next_seq);
    request.first_seq = request.events.first().map_or(end, |event| event.seq);
    Err(request)
}

const NOTE: &str = "[pullyard] ";

fn refusal_note(request: &EventsRequest) -> Vec<Event> {
    let text = format!("{NOTE}{} events could not be kept.", request.events.len());
    vec![EventDraft::text(EventKind::Log, text).into_event(request.first_seq, Duration::ZERO)]
}

fn is_refusal_note(request: &EventsRequest) -> bool {
    match request.events.as_slice() {
        [] => true,
        [event] => event.text.as_ref().is_some_and(|text| text.starts_with(NOTE)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::messages::input_counts::InputCounts;
    use crate::inputs::orders::Orders;
    use crate::secrets::redact::Redactor;
    use pullyard_domain::text::id::JobId;

    fn batch(first: u64, count: u64) -> EventsRequest {
        let event = |seq| Event {
            seq,
            ..refusal_note(&EventsRequest { first_seq: seq, events: vec![], inputs: None, spent_usd_micros: None })
                .remove(0)
        };
        EventsRequest {
            first_seq: first,
            events: (first..first + count).map(event).collect(),
            inputs: None,
            spent_usd_micros: None,
        }
    }

    fn sender(heartbeat: Duration) -> EventSender {
        let shared = Shared::new(Redactor::new([]));
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let client = AttemptClient::new("http://127.0.0.1:1", "lease", &job, 1).unwrap();
        EventSender::new(
            shared,
            client,
            heartbeat,
            AnswerHandlers { orders: Orders::new(), input_counts: InputCounts::new() },
        )
    }

    #[tokio::test]
    async fn server_intervals_are_clamped() {
        for (interval_secs, expected) in [(0, 1), (30, 30), (86_400, 600)] {
            assert_eq!(sender(Duration::from_secs(interval_secs)).heartbeat, Duration::from_secs(expected));
        }
        for (send_every_ms, expected) in [(0, 20), (500, 500), (u64::MAX, 600_000)] {
            let mut sender = sender(Duration::from_secs(30));
            let answer =
                EventsAnswer { next_seq: 1, want: DesiredState::Run, inputs: 0, watched: false, send_every_ms };
            sender.handle_answer(&answer);
            assert_eq!(sender.send_interval, Duration::from_millis(expected));
        }
    }

    #[tokio::test]
    async fn early_batches_are_sent_soon_and_later_ones_between_heartbeats() {
        let secs = Duration::from_secs;
        let mut sender = sender(secs(10));
        sender.send_interval = secs(30);
        let at = Instant::now();
        assert_eq!(sender.next_send(at, at), (at + secs(10), false));
        sender.shared.state().queue.add(at, EventDraft::text(EventKind::Log, "a line"));
        assert_eq!(sender.next_send(at, at), (at + DEFAULT_SEND_INTERVAL, true));

        sender.batch_count = EARLY_BATCHES;
        for (last_sent, next, is_batch) in [(0, 10, false), (10, 20, false), (20, 30, true)] {
            assert_eq!(sender.next_send(at + secs(last_sent), at), (at + secs(next), is_batch));
        }
        sender.shared.state().flush_requested = true;
        assert_eq!(sender.next_send(at, at), (at, true));
    }

    #[test]
    fn repeated_batch_changes_only_its_ages() {
        let mut request = batch(5, 2);
        request.events[1].age_ms = 784;
        let original = request.clone();
        add_age(&mut request.events, Duration::from_millis(1_500));
        assert_eq!(request.events.iter().map(|event| event.age_ms).collect::<Vec<_>>(), [1_500, 2_284]);
        request.events.iter_mut().zip(&original.events).for_each(|(event, original)| event.age_ms = original.age_ms);
        assert_eq!(request, original);
        request.events[0].age_ms = u64::MAX;
        add_age(&mut request.events, Duration::MAX);
        assert!(request.events.iter().all(|event| event.age_ms == u64::MAX));
    }

    #[test]
    fn sequence_advances_only_past_accepted_events() {
        assert_eq!(remaining_batch(batch(5, 3), 8), Ok(8));
        assert_eq!(remaining_batch(batch(5, 0), 5), Ok(5));
        assert_eq!(remaining_batch(batch(5, 0), 3), Ok(5));
        let rest = remaining_batch(batch(5, 3), 7).unwrap_err();
        assert_eq!((rest.first_seq, rest.events.len()), (7, 1));
        assert_eq!(remaining_batch(batch(5, 3), 5).unwrap_err(), batch(5, 3));
    }
}
