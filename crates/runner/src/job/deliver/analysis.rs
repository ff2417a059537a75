//! Delivers an analysis: reads open pull requests and issues, and lets the agent summarise the changed ones.

mod items;
mod summaries;

use super::agent_output::produce_output;
use super::check_grant;
use crate::inputs::orders::Order;
use crate::job::attempt::Attempt;
use crate::job::prepare::Preparation;
use crate::stop::Stop;
use crate::{Isolation, RunJob, output};
use items::read_items;
use pullyard_domain::analysis::AnalysisReport;
use pullyard_domain::failure::Failure;
use summaries::Summaries;

/// Publishes nothing. Without an item to summarise, no agent starts.
pub(in crate::job) async fn analyse(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &Preparation<'_>,
) -> Result<AnalysisReport, Stop> {
    let Some(plan) = &attempt.assignment.analysis else {
        return Err(Failure::Unknown { last_words: "the control plane sent no analysis".into() }.into());
    };
    let read = attempt.unless_ordered(read_items(attempt, &preparation.access.forge, plan)).await?;
    let mut summaries = Summaries::new(attempt, preparation.workspace, plan.cost_usd_micros, read);
    match summaries.next_files() {
        Some(files) => {
            output::replace_inputs(preparation.workspace, &files)?;
            produce_output(attempt, options, isolation, preparation, async || summaries.load().await).await?;
        }
        None => {
            attempt.unless_ordered(attempt.report_executing(None)).await?;
            check_grant(&attempt.unless(Order::Cancel, attempt.request_push(None)).await?)?;
        }
    }
    let report = summaries.report.fit(|report| serde_json::to_vec(report).map_or(usize::MAX, |json| json.len()));
    attempt.events.log(report.sentence());
    Ok(report)
}
