//! Delivers a change: runs the agent, or continues from finished work, pushes one commit and opens its pull request.

mod publish;
mod recreate;
mod report;

pub(in crate::job) use publish::{preserve_finished_work, renew_access, renew_old_access};

use super::review::{Report, adopt_posted};
use super::step::{add_inputs, finished_output, reporting_step, store_patches};
use super::{Delivered, check_grant};
use crate::api::forge_wait::ForgeWait;
use crate::attempt::Attempt;
use crate::git::{GitCall, conflicts};
use crate::inputs::conversation::Conversation;
use crate::inputs::orders::Order;
use crate::job::preparation::Preparation;
use crate::job::project_command::CommandRunner;
use crate::job::setup;
use crate::job::work;
use crate::job::work_result::WorkResult;
use crate::process::sandbox::JobSandbox;
use crate::publish::push::{PublishResult, PushedBy};
use crate::stop::Stop;
use crate::{Isolation, RunJob};
use publish::publish;
use pullyard_domain::review::output::JobOutput;
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::Phase;
use recreate::recreate_commit;
use report::report;
use tokio::time::timeout;

pub(in crate::job) async fn deliver_change(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    preparation: &mut Preparation<'_>,
) -> Result<Delivered, Stop> {
    if attempt.assignment.kind.reviews()
        && preparation.target.adopted_commit.is_none()
        && let Some(posted) = adopt_posted(attempt, preparation).await?
    {
        return Ok(Delivered { output: Some(JobOutput::Review(posted)), ..Delivered::default() });
    }
    let mut forge_wait = ForgeWait::new(attempt, Phase::Syncing, attempt.forge_away);
    let mut resolution = Report::begin(attempt, preparation).await?;
    let mut output = None;
    let mut published = match preparation.target.adopted_commit.clone() {
        Some(commit) => Some(adopt(attempt, preparation, &commit, &mut forge_wait).await?),
        None => match publish_finished(attempt, preparation, &mut forge_wait).await? {
            Some(published) => Some(published),
            None => {
                let reports = (&mut resolution, &mut output);
                run_agent_and_publish(attempt, options, isolation, (preparation, &mut forge_wait), reports).await?
            }
        },
    };
    let output = output.or_else(|| published.as_mut().and_then(|(work, _)| work.output.take()));
    let result = match &published {
        Some(published) => {
            Some(report(attempt, (isolation, options.agent_profile), (preparation, &mut forge_wait), published).await?)
        }
        None => None,
    };
    // An agent of this attempt has reported on another commit.
    let is_lost = published.as_ref().is_some_and(|(work_result, published)| {
        published.pushed_by == PushedBy::EarlierAttempt && !work_result.is_earlier
    });
    if reporting_step(attempt).is_some() && is_lost {
        let result = result.filter(|result| result.pull_request.is_some());
        return Ok(Delivered { result, output: None, failure: Some(Failure::OutputLost {}) });
    }
    let Some(resolution) = resolution else { return Ok(Delivered { result, output, failure: None }) };
    match resolution.post(attempt, preparation, published.as_ref()).await {
        Ok(posted) => Ok(Delivered { result, output: Some(JobOutput::Review(posted)), failure: None }),
        // The commits are pushed, although the report failed.
        Err(Stop::Failure(failure)) => Ok(Delivered { result, output: None, failure: Some(failure) }),
        Err(stop) => Err(stop),
    }
}

/// Continues from the commit that an earlier attempt pushed, without an agent and without checks.
async fn adopt(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
    commit: &str,
    forge_wait: &mut ForgeWait<'_>,
) -> Result<(WorkResult, PublishResult), Stop> {
    attempt.unless_ordered(attempt.report_executing(None)).await?;
    attempt.checkpoint_state.begin(&preparation.target, None);
    let mut work_result = WorkResult::from_adopted_commit(commit);
    if let Some((available, work)) = preparation.checkpoint.finished() {
        available.carry(attempt, &preparation.target);
        let tree = format!("{commit}^{{tree}}");
        let call = GitCall::new(["rev-parse", "--verify", &tree]).repository(preparation.mirror.dir());
        let tree = preparation.access.git.run_for_line(call).await;
        // Another attempt of that job may have pushed the commit. After a rebased push the trees differ as well, which
        // loses the output.
        if tree.is_ok_and(|tree| tree == work.tree)
            && let Ok(output) = finished_output(attempt, work)
        {
            (work_result.output, work_result.is_earlier) = (output, true);
        }
    }
    let published = publish_without_inputs(attempt, preparation, commit, forge_wait).await?;
    Ok((work_result, published))
}

/// Publishes finished work of an earlier attempt, or of a retried job, without an agent. `None` if there is none.
async fn publish_finished(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
    forge_wait: &mut ForgeWait<'_>,
) -> Result<Option<(WorkResult, PublishResult)>, Stop> {
    let Preparation { access, target, workspace, .. } = &*preparation;
    let Some((available, work)) = preparation.checkpoint.finished() else { return Ok(None) };
    let Ok(output) = finished_output(attempt, work) else {
        attempt.events.log("The output of the finished work is not valid. The agent continues.");
        return Ok(None);
    };
    let recreate = recreate_commit(attempt, (&access.git, workspace, target), (available, work));
    let Some(mut work_result) = attempt.unless_ordered(recreate).await? else { return Ok(None) };
    work_result.output = output;
    attempt.unless_ordered(attempt.report_executing(None)).await?;
    attempt.checkpoint_state.begin(target, None);
    available.carry(attempt, target);
    let published = publish_without_inputs(attempt, preparation, &work_result.commit, forge_wait).await?;
    Ok(Some((work_result, published)))
}

async fn publish_without_inputs(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
    commit: &str,
    forge_wait: &mut ForgeWait<'_>,
) -> Result<PublishResult, Stop> {
    renew_access(attempt, preparation).await?;
    match publish(attempt, preparation, commit, None, forge_wait).await? {
        Some(published) => Ok(published),
        None => {
            let last_words = "the control plane requests a continuation of finished work".into();
            Err(Failure::Unknown { last_words }.into())
        }
    }
}

/// `None`: a job that resolves, or a step with an output, has nothing to push.
async fn run_agent_and_publish(
    attempt: &Attempt<'_>,
    options: &RunJob,
    isolation: Isolation,
    (preparation, forge_wait): (&mut Preparation<'_>, &mut ForgeWait<'_>),
    (resolution, output): (&mut Option<Report>, &mut Option<JobOutput>),
) -> Result<Option<(WorkResult, PublishResult)>, Stop> {
    let Preparation { access, mirror, target, workspace, .. } = &*preparation;
    let (git, workspace) = (&access.git, *workspace);
    let commands = attempt.assignment.commands.as_ref();
    let sandbox = JobSandbox::create(options, isolation, attempt, (workspace, mirror.dir())).await?;
    let sandbox = sandbox.as_ref();
    let command_runner =
        commands.map(|commands| CommandRunner { attempt, options, workspace, sandbox, policy: commands.policy });
    if let (Some(command_runner), Some(commands)) = (&command_runner, commands) {
        setup::run(command_runner, &commands.setup, git, &target.start_commit).await?;
    }

    if preparation.checkpoint.finished().is_some() {
        // The finished work did not need them, and cannot be published.
        attempt.unless_ordered(store_patches(attempt, (git, mirror), workspace)).await?;
    }
    if attempt.assignment.step.is_some() {
        attempt.unless_ordered(add_inputs(attempt, git, workspace)).await?;
    }
    // Before the phase `executing`, because an attempt without its session starts no agent.
    let restored_work = attempt.unless_ordered(preparation.checkpoint.restore(attempt, git, workspace)).await?;
    attempt.unless_ordered(attempt.report_executing(Some(preparation.agent.describe(isolation)))).await?;
    let search = conflicts::find_conflicts(attempt, (git, mirror, workspace), target, restored_work.has_work);
    let conflicts =
        attempt.unless_ordered(async { Ok(timeout(conflicts::LIMIT, search).await.unwrap_or_default()) }).await?;
    let mut conversation = Conversation::new(attempt.assignment, &restored_work, conflicts);
    attempt.checkpoint_state.begin(target, restored_work.session.clone());
    preparation.model_keys.write_auth_file()?;
    let mut work_result = None;
    loop {
        let context = work::WorkContext {
            attempt,
            options,
            isolation,
            sandbox,
            preparation,
            command_runner: command_runner.as_ref(),
            restored_work: &restored_work,
        };
        if work_result.is_none()
            && let Some(resolution) = resolution
            && !resolution.review(&context).await?
        {
            return Ok(None);
        }
        let result = match work_result.take() {
            None => context.run(&mut conversation).await,
            Some(earlier) => context.rework_with_inputs(&mut conversation, earlier).await,
        };
        let result = match result {
            // Its agent declined every finding.
            Err(Stop::Failure(Failure::NoChanges { .. })) if resolution.is_some() => return Ok(None),
            result => result?,
        };
        if result.commit.is_empty() {
            let read = preparation.agent.has_sessions().then(|| conversation.read_inputs());
            if check_grant(&attempt.unless(Order::Cancel, attempt.request_push(read)).await?)? {
                *output = result.output;
                return Ok(None);
            }
            work_result = Some(result);
            continue;
        }
        renew_access(attempt, preparation).await?;
        let input_count = result.accepts_new_inputs(&preparation.agent).then(|| conversation.read_inputs());
        if let Some(published) = publish(attempt, preparation, &result.commit, input_count, forge_wait).await? {
            return Ok(Some((result, published)));
        }
        work_result = Some(result);
    }
}
