//! Lists, shows and replays entries of the ledger.

use super::page::{check_limit, parse_time, split_list};
use crate::routes::prelude::*;
use pullyard_control::DeliveryList;
use pullyard_domain::review::listing::{DeliveryFilter, PullRequestFilter};
use pullyard_domain::text::decision::{Reason, Verdict};
use pullyard_domain::text::id::{DeliveryId, TicketKey};
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::decision::Decision;
use pullyard_protocol::delivery::{Delivery, DeliveryPage};
use pullyard_protocol::pull_request::{PULL_REQUEST_NAME_HELP, PullRequestName};

/// A page of the ledger. Verdicts and codes are separated by commas; times are RFC 3339.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct DeliveryQuery {
    /// The project.
    project: ProjectId,
    /// Only entries with one of these verdicts.
    verdict: Option<String>,
    /// Only entries with one of these reason codes.
    code: Option<String>,
    /// Only entries about this ticket.
    ticket: Option<TicketKey>,
    /// Only entries about this pull request: `acme/app#7`, its URL, or `#7` in any repository.
    pull_request: Option<String>,
    /// Only entries from this time on; the ledger keeps 30 days.
    #[schemars(with = "Option<Timestamp>")]
    since: Option<String>,
    /// Only entries before this time.
    #[schemars(with = "Option<Timestamp>")]
    until: Option<String>,
    /// The maximum number of entries.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<usize>,
    /// The cursor of an earlier page.
    after: Option<String>,
}

impl DeliveryQuery {
    fn filter(&self) -> Result<DeliveryFilter, Problem> {
        let verdict = |name: &str| {
            let verdict = Verdict::ALL.into_iter().find(|verdict| verdict.as_str() == name);
            verdict.ok_or_else(|| Problem::bad_parameter("verdict", "use verdicts of deliveries, separated by commas"))
        };
        let code = |code: &str| {
            let exists = Reason::rows().iter().any(|row| row.code == code);
            exists
                .then(|| code.to_owned())
                .ok_or_else(|| Problem::bad_parameter("code", "use codes of deliveries, separated by commas"))
        };
        let pull_request = |text: &String| {
            let name = PullRequestName::parse(text);
            let name = name.ok_or_else(|| Problem::bad_parameter("pull_request", PULL_REQUEST_NAME_HELP))?;
            Ok::<_, Problem>(PullRequestFilter { repository: name.repository, number: name.number })
        };
        Ok(DeliveryFilter {
            verdicts: split_list(self.verdict.as_ref()).map(verdict).collect::<Result<_, _>>()?,
            codes: split_list(self.code.as_ref()).map(code).collect::<Result<_, _>>()?,
            ticket: self.ticket.clone(),
            pull_request: self.pull_request.as_ref().map(pull_request).transpose()?,
            since: parse_time("since", self.since.as_ref())?,
            until: parse_time("until", self.until.as_ref())?,
        })
    }
}

pub(crate) async fn list(
    caller: Caller<scope::Read>,
    Query(page): Query<DeliveryQuery>,
) -> Result<Json<DeliveryPage>, Problem> {
    caller.authorize_project(&page.project)?;
    let (filter, limit) = (page.filter()?, check_limit(page.limit)?);
    let list = control::list_deliveries(&caller.ctx, &page.project, &filter, page.after.as_deref(), limit).await?;
    let DeliveryList { deliveries, next, oldest_read: searched_to, .. } = list;
    Ok(Json(DeliveryPage { deliveries: deliveries.into_iter().map(wire::delivery).collect(), next, searched_to }))
}

/// Another project's entry counts as missing.
async fn load_visible<S>(
    caller: &Caller<S>,
    id: &DeliveryId,
) -> Result<pullyard_domain::review::delivery::Delivery, Problem> {
    let delivery = caller.ctx.store.load_delivery(id).await?;
    let visible = delivery.filter(|delivery| caller.authorize_project(&delivery.project).is_ok());
    visible.ok_or_else(|| Problem::not_found(format!("There is no delivery {id}.")))
}

pub(crate) async fn show(caller: Caller<scope::Read>, Path(id): Path<DeliveryId>) -> Result<Json<Delivery>, Problem> {
    Ok(Json(wire::delivery(load_visible(&caller, &id).await?)))
}

pub(crate) async fn replay(
    caller: Caller<scope::Admin>,
    Path(id): Path<DeliveryId>,
) -> Result<Json<Decision>, Problem> {
    load_visible(&caller, &id).await?;
    Ok(Json(wire::decision(pullyard_control::replay_delivery(&caller.ctx, &id).await?)))
}
