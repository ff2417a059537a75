//! Delivers a review: the agent reads the changes of a pull request, and its findings are posted as one review.

mod input;
mod post;
mod resolve;
mod threads;

use super::agent_output::{Loaded, produce_output};
use super::change::renew_access;
use super::check_grant;
use crate::api::forge_wait::ForgeWait;
use crate::attempt::Attempt;
use crate::inputs::orders::Order;
use crate::job::preparation::Preparation;
use crate::output;
use crate::stop::Stop;
use crate::{Isolation, RunJob};
use input::{ReviewInput, write_input};
use post::{Posting, find_posted};
use pullyard_domain::review::output::{EarlierFinding, OUTPUT_FILE, OutputFault, PostedReview};
use pullyard_domain::review::report::review_output::ReviewOutput;
use pullyard_domain::text::untrusted;
use pullyard_protocol::attempt::Phase;
use std::collections::BTreeSet;

/// Neither commits nor pushes. A review that an earlier attempt posted is the result, without an agent.
pub(in crate::job) async fn review(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &mut Preparation<'_>,
) -> Result<PostedReview, Stop> {
    if let Some(posted) = adopt_posted(attempt, preparation).await? {
        return Ok(posted);
    }
    let input = attempt.unless_ordered(write_input(attempt, preparation)).await?;
    let load = async || load_output(attempt, preparation).await.map(Loaded::Complete);
    let output = produce_output(attempt, options, isolation, preparation, load).await?;
    let (earlier, head) = (threads::judge(&input.threads, &output), preparation.target.start_commit.clone());
    post_report(attempt, preparation, Report { input, output, earlier, head, ..Report::default() }).await
}

/// The review that an earlier attempt posted, in the phase `syncing`.
pub(super) async fn adopt_posted(
    attempt: &Attempt<'_>,
    preparation: &Preparation<'_>,
) -> Result<Option<PostedReview>, Stop> {
    if attempt.assignment.attempt == 1 {
        return Ok(None);
    }
    let mut forge_wait = ForgeWait::new(attempt, Phase::Preparing, attempt.forge_away);
    let Some(posted) = find_posted(attempt, preparation, &mut forge_wait).await? else { return Ok(None) };
    attempt.unless_ordered(attempt.report_executing(None)).await?;
    check_grant(&attempt.unless(Order::Cancel, attempt.request_push(None)).await?)?;
    attempt.events.log("An earlier attempt posted the review.");
    Ok(Some(posted))
}

/// The content of the posted review.
#[derive(Default)]
pub(super) struct Report {
    input: ReviewInput,
    output: ReviewOutput,
    earlier: Vec<EarlierFinding>,
    /// The commit up to which the change counts as reviewed.
    head: String,
    /// The commit with the fixes of a job that resolves.
    pushed: Option<String>,
    /// The URLs of the earlier findings that this commit fixes.
    fixed: BTreeSet<String>,
    /// Number of new findings that it fixes.
    fixed_new: usize,
    /// An earlier attempt pushed the fixes, and its findings are unknown.
    adopted: bool,
}

/// Posts the review, in the phase `syncing`.
async fn post_report(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
    report: Report,
) -> Result<PostedReview, Stop> {
    renew_access(attempt, preparation).await?;
    let mut forge_wait = ForgeWait::new(attempt, Phase::Syncing, attempt.forge_away);
    let places = Posting::new(attempt, preparation, &report).await?.post(preparation, &mut forge_wait).await?;
    let posted = PostedReview {
        head: report.head,
        since: report.input.since,
        base: preparation.target.base_branch.clone(),
        adopted: report.adopted,
        fixed: u32::try_from(report.fixed_new).unwrap_or(u32::MAX),
        review: ReviewOutput { threads: Vec::new(), ..report.output },
        places,
        earlier: report.earlier,
    };
    attempt.events.log(posted.counts().sentence());
    Ok(posted)
}

/// Loads the output, without secrets and invisible characters.
async fn load_output(attempt: &Attempt<'_>, preparation: &Preparation<'_>) -> Result<ReviewOutput, OutputFault> {
    let output: ReviewOutput =
        output::load(preparation.workspace, OUTPUT_FILE).await?.ok_or_else(OutputFault::missing)?;
    let output = output.map_texts(|text| attempt.redactor.redact_text(&untrusted::remove_hidden(text)).into_owned());
    output.check()?;
    Ok(output)
}
