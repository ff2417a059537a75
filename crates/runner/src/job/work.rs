//! The phases between claim and finish.

use super::prepare::{Prepared, keeps_session, prepare};
use super::publish::publish;
use super::report::report;
use crate::api::attempt::Attempt;
use crate::git::conflicts;
use crate::git::workspace::Workspace;
use crate::inputs::talk::Talk;
use crate::job::beside::Beside;
use crate::job::made::{self, Made};
use crate::job::setup;
use crate::publish::push::Published;
use crate::secrets::access;
use crate::stop::Stop;
use crate::{Isolation, Options};
use pullyard_domain::failure::Failure;
use pullyard_protocol::attempt::FinishResult;
use tokio::time::timeout;

pub(super) async fn work(
    this: &Attempt<'_>,
    options: &Options,
    workspace: &mut Option<Workspace>,
) -> Result<FinishResult, Stop> {
    let Some(isolation) = options.isolation else {
        return Err(Failure::IsolationMissing { runner: "The runner".into() }.into());
    };
    let prepared = this.bounded(prepare(this, options, workspace)).await;
    let mut prepared = prepared.map_err(|stop| keeps_session(this, stop))?;
    let (made, published) = match prepared.target.adopted.clone() {
        Some(commit) => adopt(this, &mut prepared, &commit).await?,
        None => make(this, options, isolation, &mut prepared).await?,
    };
    report(this, isolation, &prepared, &made, published).await
}

/// Continues from the commit that an earlier attempt pushed, without an agent and without checks.
async fn adopt(this: &Attempt<'_>, prepared: &mut Prepared<'_>, commit: &str) -> Result<(Made, Published), Stop> {
    this.bounded(this.begins_to_work(None)).await?;
    this.working.begins(&prepared.mirror, &prepared.target, None);
    renew_access(this, prepared).await?;
    match publish(this, prepared, commit, None).await? {
        Some(published) => Ok((Made::before(commit), published)),
        None => {
            let last_words = "the control plane wants an agent to go on with a pushed commit".into();
            Err(Failure::Unknown { last_words }.into())
        }
    }
}

/// Runs the setup commands, the agent and the checks, and pushes what they made.
async fn make(
    this: &Attempt<'_>,
    options: &Options,
    isolation: Isolation,
    prepared: &mut Prepared<'_>,
) -> Result<(Made, Published), Stop> {
    let Prepared { access, mirror, target, workspace, .. } = &*prepared;
    let (git, workspace) = (&access.git, *workspace);
    let commands = this.assignment.commands.as_ref();
    let beside = commands.map(|commands| Beside { this, options, workspace, policy: commands.policy });
    if let (Some(beside), Some(commands)) = (&beside, commands) {
        setup::run(beside, &commands.setup, (git, mirror), &target.start).await?;
    }

    // Before the phase `executing`, because an attempt without its session starts no agent.
    let taken = this.bounded(prepared.found.restore(this, git, workspace)).await?;
    this.bounded(this.begins_to_work(Some(prepared.chosen.words(isolation)))).await?;
    let look = conflicts::look(this, (git, mirror, workspace), target, taken.has_work);
    let conflicts = this.bounded(async { Ok(timeout(conflicts::LIMIT, look).await.unwrap_or_default()) }).await?;
    let mut talk = Talk::of(this.assignment, &taken, conflicts);
    this.working.begins(mirror, target, talk.before());
    let failed = |error: std::io::Error| Failure::WorkspaceFailed { reason: error.to_string() };
    prepared.given.put_down().map_err(failed)?;
    let (beside, taken) = (beside.as_ref(), &taken);
    let mut made = made::Work { this, options, isolation, prepared, beside, taken }.make(&mut talk).await?;
    loop {
        renew_access(this, prepared).await?;
        let told = made.is_told(&prepared.chosen).then(|| talk.read());
        if let Some(published) = publish(this, prepared, &made.commit, told).await? {
            return Ok((made, published));
        }
        made = made::Work { this, options, isolation, prepared, beside, taken }.go_further(&mut talk, made).await?;
    }
}

/// Renews access, because the token may have expired while the agent worked.
async fn renew_access(this: &Attempt<'_>, prepared: &mut Prepared<'_>) -> Result<(), Stop> {
    if prepared.access.ends {
        prepared.access = this.bounded(access::ask(this)).await?;
    }
    Ok(())
}
