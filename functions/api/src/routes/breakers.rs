//! Lists and closes breakers of model accounts. A project's breaker requires access to the project. A runner's requires
//! access to all projects, because the runner's token decides which it serves.

use crate::routes::prelude::*;
use pullyard_domain::breaker::{Account, BreakerId};
use pullyard_protocol::breaker::{Breaker, Breakers, CloseBreaker, ClosedBreaker};

fn check_access<S>(caller: &Caller<S>, account: &Account) -> Result<(), Problem> {
    match account {
        Account::Project(project) => caller.authorize_project(project),
        Account::Runner(_) => caller.authorize_all_projects(),
    }
}

pub(crate) async fn list(caller: Caller<scope::Read>) -> Result<Json<Breakers>, Problem> {
    let now = caller.ctx.clock.now();
    let all = control::list_open_breakers(&caller.ctx).await?;
    let visible = all.into_iter().filter(|breaker| check_access(&caller, &breaker.id.account).is_ok());
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
    let id: BreakerId =
        account.parse().map_err(|fault: pullyard_domain::id::InvalidId| Problem::unreadable("/account", fault.0))?;
    check_access(&caller, &id.account)?;
    let closed = control::close_breaker(&caller.ctx, &id).await?;
    Ok(Json(ClosedBreaker { account: id.to_string(), closed }))
}
