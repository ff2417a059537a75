//! Decides what follows a try to send a notice to an endpoint.

use super::{DeliveryState, Endpoint, EndpointKind, EndpointState, Notice, NoticeData, NoticeDelivery, NoticeEvent};
use crate::id::{EndpointId, NoticeId};
use crate::text::{Span, truncate};
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The times between two tries, as Standard Webhooks recommends them. Units: seconds.
const RETRY_SECS: [u64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// An endpoint is disabled after so many failures and so long a time without a success.
const MAX_FAILURES: u32 = 10;
const MAX_FAILING: Duration = Duration::from_secs(72 * 3_600);

/// A digest quotes the newest notices and counts the others.
pub const DIGEST_SENTENCES: usize = 10;
const MAX_QUOTED_CHARS: usize = 140;

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

/// The states after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub notice: Notice,
    pub state: EndpointState,
    /// What the project's other endpoints receive if the endpoint was disabled.
    pub disabled: Option<(NoticeId, NoticeData)>,
}

/// Records the answer to a try. `detail` describes it; `setup_url` is the page of endpoints.
/// `None` if the notice does not wait for the endpoint, because another process was faster.
pub fn record_try(
    notice: &Notice,
    state: &EndpointState,
    endpoint: &Endpoint,
    (answer, detail): (Answer, &str),
    setup_url: &str,
    now: Timestamp,
) -> Option<Sent> {
    let (mut notice, mut state) = (notice.clone(), state.clone());
    let (id, event) = (notice.id.clone(), notice.event);
    let delivery = waiting(&mut notice, &endpoint.id)?;
    let detail = truncate(detail, 200);
    (delivery.answer, state.answer) = (Some(detail.clone()), Some(detail.clone()));
    if let Answer::Rest(after) = answer {
        state.rest_until = Some(now.plus(after));
        delivery.next = state.rest_until;
        return Some(Sent { notice, state, disabled: None });
    }
    if endpoint.kind == EndpointKind::Slack && delivery.failures == 0 && event != NoticeEvent::Digest {
        let mut window = state.window(now);
        window.single += 1;
        state.window = Some(window);
    }
    state.rest_until = None;
    let is_disabled = match answer {
        Answer::Accepted => {
            (state.failures, state.failing_since, state.sent_at) = (0, None, Some(now));
            false
        }
        _ => {
            let since = *state.failing_since.get_or_insert(now);
            (state.failures, delivery.failures) = (state.failures + 1, delivery.failures + 1);
            answer == Answer::Gone || state.failures >= MAX_FAILURES && now.since(since) >= MAX_FAILING
        }
    };
    let delay = retry_delay(&id, &endpoint.id, delivery.failures).filter(|_| !is_disabled);
    (delivery.state, delivery.next) = match (answer, delay) {
        (Answer::Accepted, _) => (DeliveryState::Sent, None),
        (_, Some(delay)) => (DeliveryState::Waiting, Some(now.plus(delay))),
        (_, None) => (DeliveryState::Dead, None),
    };
    if event == NoticeEvent::Digest && delivery.next.is_none() {
        state.window = None;
    }
    let disabled = is_disabled.then(|| {
        let cause = match answer {
            Answer::Gone => detail,
            _ => format!("{} failures in {}, the last: {detail}", state.failures, Span::from(MAX_FAILING)),
        };
        let (project, id) = (state.project.clone(), &endpoint.id);
        let sentence = format!("The endpoint {id} receives no more notices: {cause}.");
        let help = format!("Correct it; then `pullyard notifications enable {id}`.");
        state.disabled = Some(cause);
        (NoticeId::for_disabled(&project, id, now), NoticeData::new(project, &sentence, &help, setup_url.into()))
    });
    Some(Sent { notice, state, disabled })
}

/// Puts off a notice without a try, because its endpoint rests, or ends it, because it has none.
pub fn rest(notice: &Notice, endpoint: &EndpointId, until: Option<Timestamp>, detail: &str) -> Option<Notice> {
    let mut notice = notice.clone();
    let delivery = waiting(&mut notice, endpoint)?;
    delivery.next = until;
    if until.is_none() {
        (delivery.state, delivery.answer) = (DeliveryState::Dead, Some(truncate(detail, 200)));
    }
    Some(notice)
}

/// Moves a notice into the digest of the window. Returns the digest if it is new.
pub fn hold_for_digest(
    notice: &Notice,
    state: &EndpointState,
    digest: NoticeId,
    setup_url: &str,
    now: Timestamp,
) -> Option<(Notice, EndpointState, Option<Notice>)> {
    let (mut notice, mut state) = (notice.clone(), state.clone());
    let mut window = state.window(now);
    let new = window.held.is_empty().then(|| Notice {
        id: digest.clone(),
        event: NoticeEvent::Digest,
        at: now,
        data: NoticeData::new(state.project.clone(), "", "", setup_url.into()),
        to: BTreeMap::from([(state.endpoint.clone(), NoticeDelivery::due_at(window.end()))]),
        rev: 0,
    });
    *window.held.entry(notice.event.as_str().into()).or_default() += 1;
    let delivery = waiting(&mut notice, &state.endpoint)?;
    (delivery.state, delivery.next, delivery.digest) = (DeliveryState::Digest, None, Some(digest));
    state.window = Some(window);
    Some((notice, state, new))
}

/// The text of a digest: the number of notices by event, and the newest sentences.
pub fn digest_text(state: &EndpointState, newest: &[Notice]) -> Option<String> {
    let held = &state.window.as_ref().filter(|window| !window.held.is_empty())?.held;
    let counts: Vec<_> = held.iter().map(|(event, count)| format!("{count} × {event}")).collect();
    let lines = newest.iter().take(DIGEST_SENTENCES).map(|notice| {
        let subject = notice.subject();
        format!("\n• {} {subject}: {}", notice.event.as_str(), truncate(&notice.data.sentence, MAX_QUOTED_CHARS))
    });
    Some(std::iter::once(format!("Also: {}. The newest:", counts.join(", "))).chain(lines).collect())
}

fn waiting<'a>(notice: &'a mut Notice, endpoint: &EndpointId) -> Option<&'a mut NoticeDelivery> {
    notice.to.get_mut(endpoint).filter(|delivery| delivery.state == DeliveryState::Waiting)
}

/// The time until the next try, changed by up to a tenth so that tries of one outage spread. `None`: there is no other.
pub(super) fn retry_delay(notice: &NoticeId, endpoint: &EndpointId, failures: u32) -> Option<Duration> {
    let secs = *RETRY_SECS.get(usize::try_from(failures).ok()?.checked_sub(1)?)?;
    let hash = Sha256::digest(format!("{notice}/{endpoint}/{failures}"));
    let percent = 90 + u64::from(hash[0]) * 20 / 255;
    Some(Duration::from_millis(secs * 10 * percent))
}
