//! Decides whether a notice is sent to an endpoint, and what follows the answer.

use super::{DeliveryState, Endpoint, EndpointKind, EndpointState, Notice, NoticeData, NoticeDelivery, NoticeEvent};
use crate::text::id::{EndpointId, NoticeId};
use crate::text::time::Timestamp;
use crate::text::{Span, truncate};
use sha2::{Digest, Sha256};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The times between two tries, as Standard Webhooks recommends them. Units: seconds.
const RETRY_SECS: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// An endpoint is disabled after so many failures and so long a time without a success.
const MAX_FAILURES: u32 = 10;
const MAX_FAILING: Duration = Duration::from_secs(72 * 3_600);

/// The shortest rest that an endpoint can request. After `MAX_FAILING`, a request to rest is a failure.
const MIN_REST: Duration = Duration::from_secs(60);

/// The longest rest after a failure, so that an endpoint that works again receives its messages soon.
const MAX_REST_AFTER_FAILURE: Duration = Duration::from_secs(3_600);

/// A digest quotes the newest notices and counts the others.
pub const DIGEST_SENTENCES: usize = 10;
const MAX_QUOTED_CHARS: usize = 140;

const MAX_DETAIL_CHARS: usize = 200;

/// The facts of a notice at one endpoint.
#[derive(Clone, Debug)]
pub struct SendFacts {
    pub notice: Notice,
    /// The state of the endpoint.
    pub state: EndpointState,
    /// All endpoints of the project.
    pub endpoints: Vec<Endpoint>,
    /// The page of endpoints.
    pub setup_url: String,
    pub now: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendStep {
    /// It is not due at the endpoint.
    Skip,
    Send(Endpoint),
    Record(Box<NoticeRecord>),
}

/// A step of a notice at an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRecord {
    pub notice: Notice,
    /// The state of the endpoint, if it changed.
    pub state: Option<EndpointState>,
    /// A new notice: a digest, or the notice about a disabled endpoint.
    pub other: Option<Notice>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    /// There is no such endpoint any more.
    Gone,
    /// It accepts messages after this time.
    Rest(Duration),
    /// Any other answer, or none.
    Failed,
}

impl Answer {
    pub fn from_status(kind: EndpointKind, status: u16, retry_after: Option<Duration>) -> Self {
        match (status, retry_after) {
            (200..=299, _) => Self::Accepted,
            (410, _) => Self::Gone,
            (404, _) if kind == EndpointKind::Slack => Self::Gone,
            (429 | 503, Some(after)) => Self::Rest(after.min(DAY)),
            _ => Self::Failed,
        }
    }
}

impl NoticeDelivery {
    fn end(&mut self, reason: &str) -> Option<Timestamp> {
        (self.state, self.answer) = (DeliveryState::Dead, Some(reason.to_owned()));
        None
    }
}

impl From<Notice> for NoticeRecord {
    fn from(notice: Notice) -> Self {
        Self { notice, state: None, other: None }
    }
}

impl SendFacts {
    pub fn step(&self) -> SendStep {
        let Self { notice, state, now, .. } = self;
        let (Some(delivery), Some(due)) = (notice.to.get(&state.endpoint), notice.waiting.get(&state.endpoint)) else {
            return SendStep::Skip;
        };
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.id == state.endpoint);
        let record = match (endpoint, &state.disabled, state.rest_until) {
            _ if due > now => return SendStep::Skip,
            (None, ..) => self.with_delivery(|delivery| delivery.end("the endpoint was deleted")).into(),
            (_, Some(_), _) => {
                let notice = self.with_delivery(|delivery| delivery.end("the endpoint is disabled"));
                let state = state.is_window_of(&notice.id).then(|| EndpointState { window: None, ..state.clone() });
                NoticeRecord { state, ..notice.into() }
            }
            // Another endpoint of this name was added since.
            (Some(_), ..) if notice.event == NoticeEvent::Digest && notice.data.sentence.is_empty() => {
                self.with_delivery(|delivery| delivery.end("the endpoint was deleted")).into()
            }
            (_, None, Some(until)) if until > *now => self.with_delivery(|_| Some(until)).into(),
            (Some(endpoint), ..) => {
                let is_single = delivery.failures > 0 || notice.event == NoticeEvent::Digest;
                match state.digest(endpoint.kind, *now).filter(|_| !is_single) {
                    Some(digest) => self.hold(digest),
                    None => return SendStep::Send(endpoint.clone()),
                }
            }
        };
        SendStep::Record(Box::new(record))
    }

    /// The notice with a changed delivery, which is due at the returned time.
    fn with_delivery(&self, change: impl FnOnce(&mut NoticeDelivery) -> Option<Timestamp>) -> Notice {
        let (mut notice, id) = (self.notice.clone(), &self.state.endpoint);
        let next = notice.to.get_mut(id).and_then(change);
        notice.waiting.remove(id);
        notice.waiting.extend(next.map(|next| (id.clone(), next)));
        notice
    }

    /// Moves the notice into the digest of the window.
    fn hold(&self, digest: NoticeId) -> NoticeRecord {
        let mut window = self.state.window(self.now);
        let other = window.held.is_empty().then(|| {
            let data = NoticeData::new(self.state.project.clone(), "", "", self.setup_url.clone());
            let ids = [self.state.endpoint.clone()];
            let mut notice = Notice::to_endpoints(digest.clone(), NoticeEvent::Digest, data, ids, self.now);
            notice.waiting.values_mut().for_each(|due| *due = window.end());
            notice
        });
        *window.held.entry(self.notice.event.as_str().into()).or_default() += 1;
        let notice = self.with_delivery(|delivery| {
            (delivery.state, delivery.digest) = (DeliveryState::Digest, Some(digest));
            None
        });
        NoticeRecord { notice, state: Some(EndpointState { window: Some(window), ..self.state.clone() }), other }
    }

    /// Records the answer to a send. `detail` describes it.
    pub fn record(&self, answer: Answer, detail: &str) -> NoticeRecord {
        let Self { notice, now, .. } = self;
        let detail = truncate(detail, MAX_DETAIL_CHARS);
        let mut state = EndpointState { answer: Some(detail.clone()), rest_until: None, ..self.state.clone() };
        let rest = match answer {
            Answer::Rest(after) => Some(now.plus(after.max(MIN_REST))),
            Answer::Accepted | Answer::Gone | Answer::Failed => None,
        };
        if let Some(until) = rest.filter(|_| now.since(notice.at) <= MAX_FAILING) {
            state.rest_until = Some(until);
            return NoticeRecord { state: Some(state), ..self.with_delivery(|_| Some(until)).into() };
        }
        if answer == Answer::Accepted {
            (state.failures, state.failing_since, state.sent_at) = (0, None, Some(*now));
        } else {
            state.failures += 1;
            let since = *state.failing_since.get_or_insert(*now);
            state.disabled = match answer {
                Answer::Gone => Some(detail.clone()),
                _ if state.failures >= MAX_FAILURES && now.since(since) >= MAX_FAILING => {
                    Some(format!("{} failures in {}, the last: {detail}", state.failures, Span::from(MAX_FAILING)))
                }
                _ => None,
            };
            // The other notices wait too, so that an endpoint that is down costs one call at a time.
            if state.disabled.is_none() {
                let delay = retry_delay(&notice.id, &state.endpoint, state.failures).unwrap_or(MAX_REST_AFTER_FAILURE);
                let until = now.plus(delay.min(MAX_REST_AFTER_FAILURE));
                state.rest_until = Some(rest.map_or(until, |rest| until.max(rest)));
            }
        }
        let kind = self.endpoints.iter().find(|endpoint| endpoint.id == state.endpoint).map(|endpoint| endpoint.kind);
        let is_first = notice.to.get(&state.endpoint).is_some_and(|delivery| delivery.failures == 0);
        if kind == Some(EndpointKind::Slack) && is_first && notice.event != NoticeEvent::Digest {
            let mut window = state.window(*now);
            window.single += 1;
            state.window = Some(window);
        }
        let recorded = self.with_delivery(|delivery| {
            delivery.answer = Some(detail);
            if answer == Answer::Accepted {
                delivery.state = DeliveryState::Sent;
                return None;
            }
            delivery.failures += 1;
            let delay = retry_delay(&notice.id, &state.endpoint, delivery.failures);
            let next = delay.filter(|_| state.disabled.is_none()).map(|delay| now.plus(delay));
            let next = next.map(|next| rest.map_or(next, |rest| next.max(rest)));
            delivery.state = if next.is_some() { DeliveryState::Waiting } else { DeliveryState::Dead };
            next
        });
        if state.is_window_of(&notice.id) {
            // From its first try, a digest has its text, and later notices need another one.
            state.window = None;
        }
        if kind.is_none() {
            // The endpoint was deleted during the send: a state would outlive it.
            return recorded.into();
        }
        let other = state.disabled.as_ref().and_then(|reason| self.notice_of_disabled(reason));
        NoticeRecord { notice: recorded, state: Some(state), other }
    }

    /// For the project's other endpoints.
    fn notice_of_disabled(&self, reason: &str) -> Option<Notice> {
        let EndpointState { project, endpoint, .. } = &self.state;
        let sentence = format!("The endpoint {endpoint} receives no more notices: {reason}.");
        let help = format!("Correct it; then `pullyard notifications enable {endpoint}`.");
        let data = NoticeData::new(project.clone(), &sentence, &help, self.setup_url.clone());
        let event = NoticeEvent::EndpointDisabled;
        let others = self.endpoints.iter().filter(|other| other.id != *endpoint);
        Notice::new(NoticeId::for_endpoint(project, endpoint, event.as_str(), self.now), event, data, others, self.now)
    }

    /// The text of a digest: the number of notices by event, and the newest sentences. It is final once the digest's
    /// window is closed.
    pub fn set_digest_text(&mut self, newest: &[Notice]) {
        let Some(window) = self.state.window.as_ref().filter(|_| self.state.is_window_of(&self.notice.id)) else {
            return;
        };
        let counts: Vec<_> = window.held.iter().map(|(event, count)| format!("{count} × {event}")).collect();
        let lines = newest.iter().take(DIGEST_SENTENCES).map(|notice| {
            let sentence = truncate(&notice.data.sentence, MAX_QUOTED_CHARS);
            format!("\n• {} {}: {sentence}", notice.event.as_str(), notice.subject())
        });
        let head = format!("Also: {}. The newest:", counts.join(", "));
        self.notice.data.sentence = std::iter::once(head).chain(lines).collect();
    }
}

/// The time until the next try, changed by up to a tenth so that tries of one outage spread. `None`: there is no other.
pub(super) fn retry_delay(notice: &NoticeId, endpoint: &EndpointId, failures: u32) -> Option<Duration> {
    let secs = *RETRY_SECS.get(usize::try_from(failures).ok()?.checked_sub(1)?)?;
    let hash = Sha256::digest(format!("{notice}/{endpoint}/{failures}"));
    let percent = 90 + u64::from(hash[0]) * 20 / 255;
    Some(Duration::from_millis(secs * 10 * percent))
}
