//! Connects the ticket tools with projects or teams, and limits calls for which a user waits.

use crate::trackers::call_error::CallError;
use crate::{Context, Error};
use pullyard_domain::project::tracker::Tracker;
use pullyard_tracker::{Connection, Error as ToolError, Token, ToolClient};
use std::sync::PoisonError;
use std::time::Duration;

/// Three calls in a row fit into the 28 s of a function.
const CALL_LIMIT: Duration = Duration::from_secs(8);

/// A changed address or credential makes a new client.
pub(crate) async fn connect_client(ctx: &Context, tracker: &Tracker) -> Result<ToolClient, CallError> {
    let credential = Token::new(load_credential(ctx, &tracker.secret).await?.trim());
    let wanted = Connection { base_url: tracker.url.clone(), cloud_id: tracker.cloud_id.clone(), credential };
    let is_wanted = |(known, _): &&(Connection, ToolClient)| {
        let is_same_address = known.base_url == wanted.base_url && known.cloud_id == wanted.cloud_id;
        is_same_address && known.credential.reveal() == wanted.credential.reveal()
    };
    let mut clients = ctx.tool_clients().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, client)) = clients.get(&tracker.id).filter(is_wanted) {
        return Ok(client.clone());
    }
    let client = ToolClient::new(ctx.outbound.clone(), tracker.kind, wanted.clone())?;
    clients.insert(tracker.id.clone(), (wanted, client.clone()));
    Ok(client)
}

pub(crate) async fn load_credential(ctx: &Context, secret: &str) -> Result<std::sync::Arc<str>, ToolError> {
    ctx.secrets.get(secret).await.map_err(|error| {
        let reason = error.to_string();
        if error.is_transient() { ToolError::Unreachable { reason } } else { ToolError::Unexpected { reason } }
    })
}

/// Limits a call for which a user waits. A request makes at most three of these in a row.
pub(crate) async fn call_for_user<T>(
    ctx: &Context,
    call: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    let reason = || format!("it did not answer within {} s", CALL_LIMIT.as_secs());
    let answer = ctx.clock.with_timeout(CALL_LIMIT, Box::pin(call)).await;
    answer.unwrap_or_else(|| Err(ToolError::Unreachable { reason: reason() }))
}

/// Maps a failed call to an error about the field that the user sent.
pub(crate) fn to_field_fault(pointer: &'static str, error: ToolError) -> Error {
    match error.is_transient() {
        true => Error::ToolUnavailable(error),
        false => Error::Invalid { pointer, fault: error.to_string() },
    }
}
