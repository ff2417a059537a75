//! The ledger.

use super::page::PAGE;
use crate::wire;
use axum::Json;
use axum::extract::State;
use pullyard_control::{Context, Error};
use pullyard_domain::id::{DeliveryId, ProjectId};
use pullyard_domain::time::Timestamp;
use pullyard_entry::{Caller, Path, Problem, Query, scope};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::delivery::{Delivery, DeliveryPage};
use schemars::JsonSchema;
use serde::Deserialize;

/// A page of one day.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct Page {
    /// Whose.
    project: ProjectId,
    /// Which day, as 2026-11-20; today when left out.
    #[schemars(regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    day: Option<String>,
    /// The cursor of an earlier page.
    after: Option<String>,
}

/// One day of a project's ledger, newest first; today when none is named.
pub(crate) async fn list(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Query(page): Query<Page>,
) -> Result<Json<DeliveryPage>, Problem> {
    caller.may_touch(&page.project)?;
    let day = page.day.unwrap_or_else(|| ctx.clock.now().day());
    if !Timestamp::parse(&format!("{day}T00:00:00Z")).is_ok_and(|at| at.day() == day) {
        return Err(Problem::bad_parameter("day", "write it as 2026-11-20"));
    }
    let found = ctx.store.delivery_ids(&page.project, &day, page.after.as_deref(), PAGE).await;
    let (ids, next) = found.map_err(Error::from)?;
    let mut deliveries = Vec::with_capacity(ids.len());
    for id in ids {
        deliveries.extend(ctx.store.delivery(&id).await.map_err(Error::from)?.map(wire::delivery));
    }
    Ok(Json(DeliveryPage { deliveries, next }))
}

/// One entry; one of another project is as if it were not there.
pub(crate) async fn show(
    State(ctx): State<Context>,
    caller: Caller<scope::Read>,
    Path(id): Path<DeliveryId>,
) -> Result<Json<Delivery>, Problem> {
    let found = ctx.store.delivery(&id).await.map_err(Error::from)?;
    let visible = found.filter(|delivery| caller.may_touch(&delivery.project).is_ok());
    Ok(Json(wire::delivery(visible.ok_or_else(|| Problem::not_found(format!("There is no delivery {id}.")))?)))
}

/// Decides a delivery again, from what its forge says now.
pub(crate) async fn replay(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(id): Path<DeliveryId>,
) -> Result<Json<Decision>, Problem> {
    let found = ctx.store.delivery(&id).await.map_err(Error::from)?;
    if found.is_none_or(|delivery| caller.may_touch(&delivery.project).is_err()) {
        return Err(Problem::not_found(format!("There is no delivery {id}.")));
    }
    Ok(Json(wire::decision(pullyard_control::replay(&ctx, &id).await?)))
}
