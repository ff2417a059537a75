//! Calls a ticket tool through its stored connection, and records the connection's health.

use crate::{Context, Error};
use pullyard_domain::time::Timestamp;
use pullyard_domain::tracker::{Tracker, TrackerKind};
use pullyard_tracker::{Applied, Desired, Error as ToolError, OwnTool, Subject};
use std::time::Duration;

const REFUSED_REST: Duration = Duration::from_secs(600);
const MAX_REST: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(crate) enum Tool {
    Own(OwnTool),
}

/// A failed call, and how long no other call is made through the connection.
#[derive(Clone, Debug)]
pub(crate) struct CallError {
    pub(crate) error: ToolError,
    pub(crate) rest: Option<Duration>,
}

impl From<ToolError> for CallError {
    fn from(error: ToolError) -> Self {
        let rest = match &error {
            ToolError::Refused { .. } => Some(REFUSED_REST),
            ToolError::Resting { after } => Some(MAX_REST.min(*after)),
            _ => None,
        };
        Self { error, rest }
    }
}

pub(crate) async fn connect(ctx: &Context, connection: &Tracker) -> Result<Tool, CallError> {
    let secret = ctx.secrets.get(&connection.secret).await.map_err(|error| {
        let reason = error.to_string();
        if error.is_transient() { ToolError::Unreachable { reason } } else { ToolError::Unexpected { reason } }
    })?;
    match connection.kind {
        TrackerKind::Http => Ok(Tool::Own(OwnTool::new(ctx.outbound.clone(), &connection.url, &secret)?)),
    }
}

impl Tool {
    pub(crate) async fn apply(
        &self,
        subject: &Subject,
        desired: &Desired,
        now: Timestamp,
    ) -> Result<Applied, ToolError> {
        match self {
            Self::Own(tool) => tool.apply(subject, desired, now).await,
        }
    }

    pub(crate) async fn test(&self, now: Timestamp) -> Result<(), ToolError> {
        match self {
            Self::Own(tool) => tool.test("test", now).await,
        }
    }
}

/// Failures of a single ticket are no problem of the connection.
/// Writes: TRACKER, unless another call changed it meanwhile, and only if its health changed.
pub(crate) async fn record_call(ctx: &Context, connection: &Tracker, failure: Option<&CallError>) -> Result<(), Error> {
    let now = ctx.clock.now();
    let of_connection = failure.filter(|failure| {
        !matches!(
            failure.error,
            ToolError::NotFound
                | ToolError::StatusUnreachable { .. }
                | ToolError::NeedsField { .. }
                | ToolError::UnknownStatus { .. }
        )
    });
    let problem = of_connection.map(|failure| failure.error.to_string());
    let rest_until = of_connection.and_then(|failure| failure.rest).map(|rest| now.plus(rest));
    if let Some(changed) = connection.record_call(problem.as_deref(), rest_until, now) {
        ctx.store.put_tracker(&changed).await?;
    }
    Ok(())
}
