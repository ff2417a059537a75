//! Carries out the orders of administrators, which answers to heartbeats contain.
//! An order begins when the control plane has recorded that the runner accepts it, so that no newer one replaces it.

use super::context::DaemonContext;
use super::installed::OWN_VERSION;
use super::program::{own_program, run_program};
use super::state_folder::StoredOrder;
use super::update::update;
use pullyard_domain::id::OrderId;
use pullyard_protocol::runner::{HeartbeatOrder, OrderKind, OrderReport, OrderState};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// `check` attacks the isolation, which may start containers. The new program repeats that while it sends no heartbeat,
/// and after 90 s of silence the runner loses its jobs.
const CHECK_LIMIT: Duration = Duration::from_secs(60);

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

    fn failed(id: OrderId, reason: String) -> Self {
        Self { report: OrderReport { id, state: OrderState::Failed, reason: Some(reason) }, work: None }
    }

    /// The order whose program starts now. An update has failed if another release runs.
    pub(crate) fn after_start(order: StoredOrder) -> Self {
        match order.version.filter(|version| version != OWN_VERSION) {
            None => Self::new(order.id, OrderState::Done),
            Some(version) => Self::failed(order.id, format!("{version} did not start; {OWN_VERSION} continues.")),
        }
    }

    fn is_in_progress(&self) -> bool {
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

/// Carries out one order after the other, until a program is to replace this one.
pub(crate) async fn run(daemon: &DaemonContext) {
    let load_work = || daemon.state().read(|state| state.order.clone()?.work);
    loop {
        daemon.state().wait_until(|state| state.order.as_ref().is_some_and(CurrentOrder::is_in_progress)).await;
        let Some(order) = load_work() else { continue };
        tracing::info!(order = %order.id, "an administrator orders a {}", name(order.kind));
        match carry_out(daemon, &order).await {
            Ok(program) => return daemon.state().update(|state| state.replacement = Some(program)),
            Err(reason) => {
                tracing::warn!(order = %order.id, reason, "the {} failed: {reason}", name(order.kind));
                daemon.state().update(|state| state.order = Some(CurrentOrder::failed(order.id, reason)));
            }
        }
    }
}

fn name(kind: Option<OrderKind>) -> &'static str {
    match kind {
        Some(OrderKind::Restart) => "restart",
        Some(OrderKind::Update) => "update",
        None => "task of a newer release",
    }
}

/// Returns the program that replaces this one.
async fn carry_out(daemon: &DaemonContext, order: &HeartbeatOrder) -> Result<PathBuf, String> {
    match order.kind {
        Some(OrderKind::Restart) => {
            let program = own_program()?;
            check_program(daemon, &program).await?;
            let stored = StoredOrder { id: order.id.clone(), version: None };
            daemon.state_folder.store_order(&stored).map_err(|error| format!("The order failed to {error}."))?;
            Ok(program)
        }
        Some(OrderKind::Update) => update(daemon, order).await,
        None => Err(format!("{OWN_VERSION} does not know this order.")),
    }
}

/// Tries a program, of this or another release: its `check` must find this runner, and registers nothing.
pub(super) async fn check_program(daemon: &DaemonContext, program: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(&daemon.launch.check).arg(format!("--instance={}", daemon.state_folder.instance.as_str()));
    run_program(command, daemon.launch.update_limit.unwrap_or(CHECK_LIMIT)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use OrderState::{Accepted, Done, Failed, Wanted};

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
