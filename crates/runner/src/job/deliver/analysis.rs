//! Delivers an analysis: reads open pull requests and issues, and lets the agent summarise the changed ones.

mod items;
mod summaries;

use super::agent_output::produce_output;
use super::check_grant;
use crate::attempt::Attempt;
use crate::inputs::orders::Order;
use crate::job::preparation::Preparation;
use crate::stop::Stop;
use crate::{Isolation, RunJob, output};
use items::read_items;
use pullyard_domain::review::analysis::AnalysisReport;
use pullyard_domain::text::failure::{Failure, FailureClass};
use std::time::Duration;
use summaries::Summaries;

/// For the report of an agent that reached the time limit.
const TIME_TO_FINISH: Duration = Duration::from_secs(60);

/// Publishes nothing. Without an item to summarise, no agent starts.
pub(in crate::job) async fn analyse(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &mut Preparation<'_>,
) -> Result<AnalysisReport, Stop> {
    let Some(plan) = &attempt.assignment.analysis else {
        return Err(Failure::Unknown { last_words: "the control plane sent no analysis".into() }.into());
    };
    let read = attempt.unless_ordered(read_items(attempt, preparation, plan)).await?;
    let mut summaries = Summaries::new(attempt, preparation.workspace, plan, read);
    match summaries.next_files() {
        Some(files) => {
            output::replace_inputs(preparation.workspace, &files)?;
            let produce =
                produce_output(attempt, options, isolation, preparation, async || summaries.load().await).await;
            match produce {
                // The earlier starts are paid.
                Err(Stop::Failure(failure)) if summaries.starts > 1 && failure.class() == FailureClass::Limit => {
                    attempt.events.log(format!("The other items have no new summary: {}", failure.sentence()));
                    attempt.deadline.extend(TIME_TO_FINISH);
                    check_grant(&attempt.unless(Order::Cancel, attempt.request_push(None)).await?)?;
                }
                produced => produced?,
            }
        }
        None => {
            attempt.unless_ordered(attempt.report_executing(None)).await?;
            check_grant(&attempt.unless(Order::Cancel, attempt.request_push(None)).await?)?;
        }
    }
    attempt.events.log(summaries.report.sentence());
    Ok(summaries.report)
}
