//! Runs the phases between claim and finish, in their order.

use super::deliver::Delivered;
use super::deliver::analysis::analyse;
use super::deliver::change::deliver_change;
use super::deliver::read::read;
use super::deliver::review::review;
use super::prepare::{prepare, preserve_session_on_failure};
use crate::RunJob;
use crate::attempt::Attempt;
use crate::git::workspace::Workspace;
use crate::stop::Stop;
use pullyard_domain::job::Publishes;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::text::failure::Failure;

pub(super) async fn run_phases(
    attempt: &Attempt<'_>,
    options: &RunJob,
    workspace: &mut Option<Workspace>,
) -> Result<Delivered, Stop> {
    let Some(isolation) = options.isolation else {
        return Err(Failure::IsolationMissing { runner: "The runner".into() }.into());
    };
    let preparation = attempt.unless_ordered(prepare(attempt, options, workspace)).await;
    let mut preparation = preparation.map_err(|stop| preserve_session_on_failure(attempt, stop))?;
    let spec = attempt.assignment.kind.spec();
    let output = match spec.publishes {
        Publishes::Change => return deliver_change(attempt, options, isolation, &mut preparation).await,
        Publishes::Review => JobOutput::Review(review(attempt, options, isolation, &mut preparation).await?),
        Publishes::Nothing if !spec.checkout => {
            JobOutput::Analysis(analyse(attempt, options, isolation, &mut preparation).await?)
        }
        Publishes::Nothing => read(attempt, options, isolation, &preparation).await?,
    };
    Ok(Delivered { output: Some(output), ..Delivered::default() })
}
