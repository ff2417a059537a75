//! Holds the newest order of an administrator, and updates it from each answer to a heartbeat.

use super::installed::OWN_VERSION;
use super::state_folder::StoredOrder;
use pullyard_domain::text::id::OrderId;
use pullyard_protocol::runner::{HeartbeatOrder, OrderReport, OrderState};

/// The newest order, and the report of the next heartbeats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CurrentOrder {
    pub(crate) report: OrderReport,
    /// The order once it may begin.
    pub(crate) work: Option<HeartbeatOrder>,
}

impl CurrentOrder {
    pub(crate) fn new(id: OrderId, state: OrderState) -> Self {
        Self { report: OrderReport { id, state, reason: None }, work: None }
    }

    pub(super) fn failed(id: OrderId, reason: String) -> Self {
        Self { report: OrderReport { id, state: OrderState::Failed, reason: Some(reason) }, work: None }
    }

    /// The order whose program starts now. An update has failed if another release runs.
    pub(crate) fn after_start(order: StoredOrder) -> Self {
        match order.version.filter(|version| version != OWN_VERSION) {
            None => Self::new(order.id, OrderState::Done),
            Some(version) => Self::failed(order.id, format!("{version} did not start; {OWN_VERSION} continues.")),
        }
    }

    pub(super) fn is_in_progress(&self) -> bool {
        self.work.is_some() && self.report.state == OrderState::Accepted
    }

    /// The order after an answer to a heartbeat. An ended order stays until an answer omits it. One that an earlier
    /// process accepted may be old, or may have ended that process, so it fails.
    pub(crate) fn after_answer(current: Option<Self>, answer: Option<HeartbeatOrder>) -> Option<Self> {
        if current.as_ref().is_some_and(Self::is_in_progress) {
            return current;
        }
        let order = answer?;
        let is_accepted = order.state == Some(OrderState::Accepted);
        Some(match current.filter(|current| current.report.id == order.id) {
            None if is_accepted => {
                Self::failed(order.id, "The runner or the control plane was started anew; order it again.".to_owned())
            }
            None => Self::new(order.id, OrderState::Accepted),
            Some(known) if is_accepted && known.report.state == OrderState::Accepted => {
                Self { work: Some(order), ..known }
            }
            Some(known) => known,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OrderState::{Accepted, Done, Failed, Wanted};
    use pullyard_protocol::runner::OrderKind;

    fn order(id: &str, state: OrderState) -> Option<HeartbeatOrder> {
        let id = OrderId::new(id).unwrap();
        Some(HeartbeatOrder { id, kind: Some(OrderKind::Restart), version: None, state: Some(state) })
    }

    #[test]
    fn update_is_done_only_if_its_release_runs() {
        let after = |version: Option<&str>| {
            let stored = StoredOrder { id: OrderId::new("a").unwrap(), version: version.map(str::to_owned) };
            CurrentOrder::after_start(stored).report
        };
        assert_eq!((after(None).state, after(Some(OWN_VERSION)).state), (Done, Done));
        let failed = after(Some("9.9.9"));
        let reason = format!("9.9.9 did not start; {OWN_VERSION} continues.");
        assert_eq!((failed.state, failed.reason), (Failed, Some(reason)));
    }

    #[test]
    fn order_begins_only_after_its_acceptance_is_recorded() {
        let id = |id: &str| OrderId::new(id).unwrap();
        let known = |state| Some(CurrentOrder::new(id("a"), state));
        let begun = |state| Some(CurrentOrder { work: order("a", Accepted), ..CurrentOrder::new(id("a"), state) });
        let started_anew = |one: &str| {
            Some(CurrentOrder::failed(
                id(one),
                "The runner or the control plane was started anew; order it again.".into(),
            ))
        };
        for (current, answer, expected) in [
            (None, None, None),
            (None, order("a", Wanted), known(Accepted)),
            // An earlier process accepted it.
            (None, order("a", Accepted), started_anew("a")),
            (known(Accepted), order("a", Wanted), known(Accepted)),
            (known(Accepted), order("a", Accepted), begun(Accepted)),
            (known(Accepted), order("b", Wanted), Some(CurrentOrder::new(id("b"), Accepted))),
            (known(Accepted), None, None),
            (begun(Accepted), None, begun(Accepted)),
            (begun(Accepted), order("b", Wanted), begun(Accepted)),
            (known(Failed), order("a", Accepted), known(Failed)),
            (known(Done), order("a", Accepted), known(Done)),
            (known(Done), order("b", Accepted), started_anew("b")),
            (known(Done), None, None),
        ] {
            assert_eq!(CurrentOrder::after_answer(current.clone(), answer.clone()), expected, "{current:?} {answer:?}");
        }
    }
}
