//! The sender's loop: decides when a batch is due, and handles its answer.
//!
//! A repeated batch must have the same content, or the server drops lines. Only its ages grow, from send to send.

use super::{Heeds, Shared};
use crate::api::retry::{BackOff, Refusal, refusal};
use crate::api::said::Said;
use crate::inputs::orders::Order;
use pullyard_domain::job::DesiredState;
use pullyard_protocol::attempt::{EventsAnswer, EventsRequest};
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::event::{Event, EventKind};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Interval until the server sets one.
const FIRST_SEND_EVERY: Duration = Duration::from_millis(500);
/// Lower limit of the server's interval.
const SHORTEST_SEND_EVERY: Duration = Duration::from_millis(20);

/// Limits of the server's heartbeat interval, against a tight loop and against silence for hours.
const SHORTEST_HEARTBEAT: Duration = Duration::from_secs(1);
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(600);

pub(super) struct Sender {
    shared: Arc<Shared>,
    client: AttemptClient,
    heartbeat: Duration,
    send_every: Duration,
    heeds: Heeds,
    next_seq: u64,
}

impl Sender {
    pub(super) fn new(shared: Arc<Shared>, client: AttemptClient, heartbeat: Duration, heeds: Heeds) -> Self {
        Self {
            shared,
            client,
            heartbeat: heartbeat.clamp(SHORTEST_HEARTBEAT, LONGEST_HEARTBEAT),
            send_every: FIRST_SEND_EVERY,
            heeds,
            next_seq: 1,
        }
    }

    pub(super) async fn run(mut self) {
        let mut last = Instant::now();
        loop {
            self.until_due(last).await;
            last = Instant::now();
            let events = self.shared.take(self.next_seq, last);
            let going_on = self.deliver(events, last).await;
            let mut state = self.shared.state();
            state.in_flight = false;
            state.ended = going_on.is_break();
            drop(state);
            self.shared.answered.notify_waiters();
            self.shared.room.notify_waiters();
            if going_on.is_break() {
                return;
            }
        }
    }

    /// Waits until a batch is full, the send interval is over, or a heartbeat is due.
    async fn until_due(&self, last: Instant) {
        let heartbeat = last + self.heartbeat;
        let due = (last + self.send_every).min(heartbeat);
        loop {
            let until = {
                let state = self.shared.state();
                match (state.queue.is_empty(), state.hurry || state.queue.is_worth_a_batch()) {
                    (true, _) => heartbeat,
                    (false, true) => return,
                    (false, false) => due,
                }
            };
            if Instant::now() >= until {
                return;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.shared.changed.notified() => {}
            }
        }
    }

    /// Sends one batch until it is answered. The ages of its events are relative to `aged`.
    async fn deliver(&mut self, events: Vec<Event>, mut aged: Instant) -> ControlFlow<()> {
        let mut request = EventsRequest { first_seq: self.next_seq, events, inputs: self.heeds.given.heard() };
        let mut back_off = BackOff::new();
        loop {
            match self.client.events(&request).await {
                Ok(answer) => {
                    self.heed(&answer);
                    match rest_of(request, answer.next_seq) {
                        Ok(next_seq) => {
                            self.next_seq = next_seq;
                            return ControlFlow::Continue(());
                        }
                        Err(rest) => request = rest,
                    }
                }
                Err(error) => match refusal(&error) {
                    Refusal::LeaseLost | Refusal::Unwanted => {
                        tracing::warn!(error = %error, "lease lost: {error}");
                        self.heeds.orders.give(Order::LeaseLost);
                        return ControlFlow::Break(());
                    }
                    Refusal::Final if is_a_note(&request) => {
                        // The server accepts neither the events nor a note about them. The heartbeat continues.
                        return ControlFlow::Continue(());
                    }
                    Refusal::Final => {
                        tracing::error!(error = %error, "event batch refused: {error}");
                        request.events = note_about(&request);
                    }
                    Refusal::Transient => {
                        tracing::warn!(error = %error, "sending events failed, retrying: {error}");
                    }
                },
            }
            sleep(back_off.next()).await;
            let now = Instant::now();
            grow_older(&mut request.events, now.saturating_duration_since(aged));
            aged = now;
        }
    }

    fn heed(&mut self, answer: &EventsAnswer) {
        let asked = Duration::from_millis(answer.send_every_ms);
        self.send_every = asked.clamp(SHORTEST_SEND_EVERY, LONGEST_HEARTBEAT);
        self.heeds.given.note(answer.inputs);
        match answer.want {
            DesiredState::Run => {}
            DesiredState::Pause => self.heeds.orders.give(Order::Pause),
            DesiredState::Cancel => self.heeds.orders.give(Order::Cancel),
        }
    }
}

/// Raises the ages. The server counts back from the arrival, so after an outage the events would appear too new.
fn grow_older(events: &mut [Event], by: Duration) {
    let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    for event in events {
        event.age_ms = event.age_ms.saturating_add(by_ms);
    }
}

/// The events that the server has not stored, or else the number after the batch.
fn rest_of(mut request: EventsRequest, next_seq: u64) -> Result<u64, EventsRequest> {
    let end = request.first_seq + request.events.len() as u64;
    if next_seq >= end || request.events.is_empty() {
        return Ok(next_seq.max(end));
    }
    request.events.retain(|event| event.seq >= next_seq);
    request.first_seq = request.events.first().map_or(end, |event| event.seq);
    Err(request)
}

const NOTE: &str = "[pullyard] ";

fn note_about(request: &EventsRequest) -> Vec<Event> {
    let words = format!("{NOTE}{} events could not be kept.", request.events.len());
    let said = Said::words(EventKind::Log, words);
    vec![Event {
        seq: request.first_seq,
        age_ms: 0,
        kind: said.kind,
        text: said.text,
        name: None,
        path: None,
        call: None,
        data: None,
    }]
}

/// Whether the batch is empty or one note, so that no smaller batch is possible.
fn is_a_note(request: &EventsRequest) -> bool {
    match request.events.as_slice() {
        [] => true,
        [only] => only.text.as_ref().is_some_and(|text| text.starts_with(NOTE)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inputs::orders::Orders;
    use crate::inputs::people::given::Given;
    use crate::secrets::redact::Redactor;
    use pullyard_domain::id::JobId;

    fn batch(first: u64, count: u64) -> EventsRequest {
        let event = |seq| Event {
            seq,
            ..note_about(&EventsRequest { first_seq: seq, events: vec![], inputs: None }).remove(0)
        };
        EventsRequest { first_seq: first, events: (first..first + count).map(event).collect(), inputs: None }
    }

    fn sender(heartbeat: Duration) -> Sender {
        let shared = Shared::new(Redactor::new([]));
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let client = AttemptClient::new("http://127.0.0.1:1", "lease", &job, 1).unwrap();
        Sender::new(shared, client, heartbeat, Heeds { orders: Orders::new(), given: Given::new() })
    }

    #[tokio::test]
    async fn server_intervals_are_clamped() {
        for (told, kept) in [(0, 1), (30, 30), (86_400, 600)] {
            assert_eq!(sender(Duration::from_secs(told)).heartbeat, Duration::from_secs(kept));
        }
        for (send_every_ms, kept) in [(0, 20), (500, 500), (u64::MAX, 600_000)] {
            let mut sender = sender(Duration::from_secs(30));
            let answer =
                EventsAnswer { next_seq: 1, want: DesiredState::Run, inputs: 0, watched: false, send_every_ms };
            sender.heed(&answer);
            assert_eq!(sender.send_every, Duration::from_millis(kept));
        }
    }

    #[test]
    fn repeated_batch_changes_only_its_ages() {
        let mut again = batch(5, 2);
        again.events[1].age_ms = 784;
        let before = again.clone();
        grow_older(&mut again.events, Duration::from_millis(1_500));
        assert_eq!(again.events.iter().map(|event| event.age_ms).collect::<Vec<_>>(), [1_500, 2_284]);
        again.events.iter_mut().zip(&before.events).for_each(|(event, before)| event.age_ms = before.age_ms);
        assert_eq!(again, before);
        again.events[0].age_ms = u64::MAX;
        grow_older(&mut again.events, Duration::MAX);
        assert!(again.events.iter().all(|event| event.age_ms == u64::MAX));
    }

    #[test]
    fn sequence_advances_only_past_accepted_events() {
        assert_eq!(rest_of(batch(5, 3), 8), Ok(8));
        assert_eq!(rest_of(batch(5, 0), 5), Ok(5));
        assert_eq!(rest_of(batch(5, 0), 3), Ok(5));
        let rest = rest_of(batch(5, 3), 7).unwrap_err();
        assert_eq!((rest.first_seq, rest.events.len()), (7, 1));
        assert_eq!(rest_of(batch(5, 3), 5).unwrap_err(), batch(5, 3));
    }
}
