//! `pullyard deliveries list`: lists the ledger, with filters.

use crate::client::choices::choices;
use crate::client::jobs::parse_time;
use crate::client::pages::{Page, PageArgs, empty_message, hint_next_page};
use crate::client::prelude::*;
use crate::client::refresh::show_list;
use pullyard_domain::text::decision::Verdict;
use pullyard_domain::text::id::TicketKey;
use pullyard_domain::text::time::Timestamp;
use pullyard_protocol::delivery::{Delivery, DeliveryPage, DeliveryQuery};
use pullyard_protocol::pull_request::{PULL_REQUEST_NAME_HELP, PullRequestName};

/// List a project's deliveries of the last 30 days, newest first.
#[derive(clap::Args, Default, PartialEq)]
#[command(after_help = "Examples:
  pullyard deliveries list --verdict refused,held --since 2d
  pullyard deliveries list --pull-request acme/app#7 --json")]
pub(super) struct List {
    /// Only these verdicts; separated by commas.
    #[arg(long, value_name = "VERDICT", value_delimiter = ',', ignore_case = true, value_parser = choices(Verdict::ALL.map(|verdict| (verdict.as_str(), verdict))))]
    verdict: Vec<Verdict>,
    /// Only these reasons: `rate_limited`, `job_active`, ….
    #[arg(long, value_name = "CODE", value_delimiter = ',', value_parser = parse_code)]
    code: Vec<String>,
    /// Only this ticket.
    #[arg(long, value_name = "KEY")]
    ticket: Option<TicketKey>,
    /// Only this pull request: URL, OWNER/NAME#7 or #7.
    #[arg(long, value_name = "PR", value_parser = parse_pull_request)]
    pull_request: Option<String>,
    /// Only deliveries since then: 30m, 12h, 7d, 2026-11-20 or 2026-11-20T12:00:00Z.
    #[arg(long, value_name = "WHEN", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Only deliveries before then.
    #[arg(long, value_name = "WHEN", value_parser = parse_time)]
    until: Option<Timestamp>,
    #[command(flatten)]
    pages: PageArgs,
}

impl List {
    fn is_filtered(&self) -> bool {
        let about = self.ticket.is_some() || self.pull_request.is_some();
        let when = self.since.is_some() || self.until.is_some();
        about || when || !self.verdict.is_empty() || !self.code.is_empty()
    }

    pub(super) async fn run(&self, session: &Session) -> Result<(), CliError> {
        show_list(session, self.pages.watch, async || self.page(session).await, |page| self.show(session, page)).await
    }

    async fn page(&self, session: &Session) -> Result<DeliveryPage, CliError> {
        let project = session.project().await?;
        let all = self
            .pages
            .load(async |limit, after| {
                let query = DeliveryQuery {
                    verdicts: self.verdict.clone(),
                    codes: self.code.clone(),
                    ticket: self.ticket.clone(),
                    pull_request: self.pull_request.clone(),
                    since: self.since,
                    until: self.until,
                    limit,
                    after,
                };
                let page = session.api.list_deliveries_matching(&project, &query).await?;
                let DeliveryPage { deliveries, next, searched_to } = page;
                Ok(Page { items: deliveries, next, searched_to })
            })
            .await?;
        session.ensure_project_exists(all.items.is_empty(), &project).await?;
        Ok(DeliveryPage { deliveries: all.items, next: all.next, searched_to: all.searched_to })
    }

    fn show(&self, session: &Session, page: &DeliveryPage) -> Result<(), CliError> {
        let mut table = Table::new([
            Fixed("VERDICT"),
            Fixed("WHEN"),
            Fixed("SOURCE"),
            Flexible("ABOUT"),
            Fixed("JOB"),
            Fixed("DELIVERY"),
        ]);
        for delivery in &page.deliveries {
            let job = delivery.job.as_ref();
            let cells = [
                format::verdict_cell(&session.screen, delivery.verdict),
                format::time_cell(delivery.at),
                Cell::new(format::to_code(&delivery.source).replace('_', " "), format::to_code(&delivery.source)),
                about_cell(delivery),
                format::job_cell(job),
                Cell::text(&delivery.id),
            ];
            table.row_with(cells, &delivery.sentence);
        }
        let next = page.next.as_deref();
        let empty = match self.is_filtered() {
            true => empty_message("delivery", next, page.searched_to),
            false => "No delivery yet.".to_owned(),
        };
        table.show(&session.screen, &empty)?;
        hint_next_page(&session.screen, next, page.searched_to);
        Ok(())
    }
}

fn about_cell(delivery: &Delivery) -> Cell {
    match &delivery.review {
        Some(review) if review.author.is_empty() => Cell::text(&review.pull_request),
        Some(review) => Cell::new(format!("{} by {}", review.pull_request, review.author), &review.pull_request),
        None => Cell::optional(delivery.ticket.as_ref()),
    }
}

/// Accepts any code, because the server may be newer.
fn parse_code(text: &str) -> Result<String, String> {
    let code = text.trim().to_lowercase().replace('-', "_");
    let is_valid = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_valid { Ok(code) } else { Err("use codes as shown by `pullyard deliveries`".into()) }
}

fn parse_pull_request(text: &str) -> Result<String, String> {
    PullRequestName::parse(text).map(|_| text.trim().to_owned()).ok_or_else(|| PULL_REQUEST_NAME_HELP.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_normalized_and_unsafe_text_rejected() {
        assert_eq!(parse_code(" Job-Active ").as_deref(), Ok("job_active"));
        for bad in ["", " ", "a&b", "job active", "job.active", "job1"] {
            assert!(parse_code(bad).is_err(), "{bad}");
        }
    }
}
