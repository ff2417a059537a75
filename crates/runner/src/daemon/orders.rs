//! Carries out the orders of administrators, which answers to heartbeats contain.
//! An order begins when the control plane has recorded that the runner accepts it, so that no newer one replaces it.

use super::context::DaemonContext;
use super::current_order::CurrentOrder;
use super::installed::OWN_VERSION;
use super::program::own_program;
use super::state_folder::StoredOrder;
use super::update::{check_program, update};
use pullyard_protocol::runner::{HeartbeatOrder, OrderKind};
use std::path::PathBuf;

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
