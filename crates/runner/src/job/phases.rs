//! The phases between claim and finish.

use super::prepare::{Preparation, prepare, preserve_session_on_failure};
use super::publish::publish;
use super::report::report;
use crate::api::attempt::Attempt;
use crate::git::conflicts;
use crate::git::workspace::Workspace;
use crate::inputs::conversation::Conversation;
use crate::job::project_command::CommandRunner;
use crate::job::setup;
use crate::job::work::{self, WorkResult};
use crate::publish::push::PublishResult;
use crate::secrets::access;
use crate::stop::Stop;
use crate::{Isolation, Options};
use pullyard_domain::failure::Failure;
use pullyard_protocol::attempt::FinishResult;
use tokio::time::timeout;

pub(super) async fn run_phases(
    this: &Attempt<'_>,
    options: &Options,
    workspace: &mut Option<Workspace>,
) -> Result<FinishResult, Stop> {
    let Some(isolation) = options.isolation else {
        return Err(Failure::IsolationMissing { runner: "The runner".into() }.into());
    };
    let prepared = this.unless_ordered(prepare(this, options, workspace)).await;
    let mut prepared = prepared.map_err(|stop| preserve_session_on_failure(this, stop))?;
    let (made, published) = match prepared.target.adopted_commit.clone() {
        Some(commit) => adopt(this, &mut prepared, &commit).await?,
        None => run_agent_and_publish(this, options, isolation, &mut prepared).await?,
    };
    report(this, isolation, &prepared, &made, published).await
}

/// Continues from the commit that an earlier attempt pushed, without an agent and without checks.
async fn adopt(
    this: &Attempt<'_>,
    prepared: &mut Preparation<'_>,
    commit: &str,
) -> Result<(WorkResult, PublishResult), Stop> {
    this.unless_ordered(this.report_executing(None)).await?;
    this.checkpoint_state.begin(&prepared.mirror, &prepared.target, None);
    renew_access(this, prepared).await?;
    match publish(this, prepared, commit, None).await? {
        Some(published) => Ok((WorkResult::from_adopted_commit(commit), published)),
        None => {
            let last_words = "the control plane wants an agent to go on with a pushed commit".into();
            Err(Failure::Unknown { last_words }.into())
        }
    }
}

/// Runs the setup commands, the agent and the checks, and pushes what they made.
async fn run_agent_and_publish(
    this: &Attempt<'_>,
    options: &Options,
    isolation: Isolation,
    prepared: &mut Preparation<'_>,
) -> Result<(WorkResult, PublishResult), Stop> {
    let Preparation { access, mirror, target, workspace, .. } = &*prepared;
    let (git, workspace) = (&access.git, *workspace);
    let commands = this.assignment.commands.as_ref();
    let beside = commands.map(|commands| CommandRunner { this, options, workspace, policy: commands.policy });
    if let (Some(beside), Some(commands)) = (&beside, commands) {
        setup::run(beside, &commands.setup, (git, mirror), &target.start_commit).await?;
    }

    // Before the phase `executing`, because an attempt without its session starts no agent.
    let taken = this.unless_ordered(prepared.checkpoint.restore(this, git, workspace)).await?;
    this.unless_ordered(this.report_executing(Some(prepared.agent.describe(isolation)))).await?;
    let look = conflicts::find_conflicts(this, (git, mirror, workspace), target, taken.has_work);
    let conflicts =
        this.unless_ordered(async { Ok(timeout(conflicts::LIMIT, look).await.unwrap_or_default()) }).await?;
    let mut talk = Conversation::new(this.assignment, &taken, conflicts);
    this.checkpoint_state.begin(mirror, target, talk.resumed_session());
    let failed = |error: std::io::Error| Failure::WorkspaceFailed { reason: error.to_string() };
    prepared.model_keys.write_auth_file().map_err(failed)?;
    let (beside, taken) = (beside.as_ref(), &taken);
    let mut made = work::WorkContext {
        attempt: this,
        options,
        isolation,
        preparation: prepared,
        command_runner: beside,
        restored_work: taken,
    }
    .run(&mut talk)
    .await?;
    loop {
        renew_access(this, prepared).await?;
        let told = made.accepts_new_inputs(&prepared.agent).then(|| talk.read_inputs());
        if let Some(published) = publish(this, prepared, &made.commit, told).await? {
            return Ok((made, published));
        }
        made = work::WorkContext {
            attempt: this,
            options,
            isolation,
            preparation: prepared,
            command_runner: beside,
            restored_work: taken,
        }
        .rework_with_inputs(&mut talk, made)
        .await?;
    }
}

/// Renews access, because the token may have expired while the agent worked.
async fn renew_access(this: &Attempt<'_>, prepared: &mut Preparation<'_>) -> Result<(), Stop> {
    if prepared.access.expires {
        prepared.access = this.unless_ordered(access::request_access(this)).await?;
    }
    Ok(())
}
