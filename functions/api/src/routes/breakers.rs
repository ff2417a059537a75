//! Lists and closes breakers of model accounts.

use crate::routes::prelude::*;
use pullyard_domain::agent::breaker::BreakerId;
use pullyard_domain::project::access::Object;
use pullyard_protocol::breaker::{Breaker, Breakers, CloseBreaker, ClosedBreaker};

pub(crate) async fn list(caller: Caller<scope::Read>) -> Result<Json<Breakers>, Problem> {
    let now = caller.ctx.clock.now();
    let all = control::list_open_breakers(&caller.ctx).await?;
    let visible = all.into_iter().filter(|breaker| caller.authorize(Object::Breaker(&breaker.id.account)).is_ok());
    let entries = visible.map(|breaker| {
        let until = breaker.blocked_until(now);
        let wait = breaker.wait_reason(until);
        Breaker {
            account: breaker.id.to_string(),
            code: wait.code().to_owned(),
            sentence: wait.sentence(),
            until,
            opened: breaker.opened,
            times: breaker.times,
        }
    });
    Ok(Json(Breakers { breakers: entries.collect() }))
}

pub(crate) async fn close(
    caller: Caller<scope::Admin>,
    StrictJson(CloseBreaker { account }): StrictJson<CloseBreaker>,
) -> Result<Json<ClosedBreaker>, Problem> {
    let id: BreakerId = account
        .parse()
        .map_err(|fault: pullyard_domain::text::id::InvalidId| Problem::unreadable("/account", fault.0))?;
    caller.authorize(Object::Breaker(&id.account))?;
    let closed = control::close_breaker(&caller.ctx, &id).await?;
    Ok(Json(ClosedBreaker { account: id.to_string(), closed }))
}
