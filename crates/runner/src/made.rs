//! What the agent of an attempt makes: it works, its work is checked, mended once where a check failed, and becomes one
//! commit. What comes before and after that is in `job`.

use crate::agent::{self, Environment};
use crate::attempt::Attempt;
use crate::beside::Beside;
use crate::checkpoint::Taken;
use crate::checks::{self, Checked, Results};
use crate::git::Git;
use crate::job::{Prepared, ours};
use crate::options::Isolation;
use crate::people::People;
use crate::replies::{self, Words};
use crate::said::Said;
use crate::stop::Stop;
use crate::talk::{self, Asked, Talk};
use crate::target::Target;
use crate::workspace::Workspace;
use crate::{Options, commit, leak};
use pullyard_domain::artifact::Kind;

/// What was made.
pub(crate) struct Made {
    /// The id of the commit.
    pub(crate) commit: String,
    /// What the agent says to reviewers.
    pub(crate) words: Words,
    /// What came of the checks.
    pub(crate) results: Results,
}

impl Made {
    /// By an earlier attempt, that pushed it.
    pub(crate) fn before(commit: &str) -> Self {
        Self { commit: commit.to_owned(), words: Words::default(), results: Results::default() }
    }
}

/// Everything that an agent is given to work with.
pub(crate) struct Work<'a> {
    pub(crate) this: &'a Attempt<'a>,
    pub(crate) options: &'a Options,
    pub(crate) isolation: Isolation,
    pub(crate) prepared: &'a Prepared<'a>,
    /// What runs the project's commands, where it has any.
    pub(crate) beside: Option<&'a Beside<'a>>,
    pub(crate) taken: &'a Taken,
}

impl Work<'_> {
    /// Has it made, checked and committed.
    ///
    /// Errors: `Rests` when the job was given back with a question, and whatever ends the attempt.
    pub(crate) async fn make(&self, talk: &mut Talk) -> Result<Made, Stop> {
        let Self { this, prepared, .. } = *self;
        let Prepared { access, mirror, target, workspace, .. } = prepared;
        let (assignment, git) = (this.assignment, &access.git);
        let commands = assignment.commands.as_ref();
        let (mut repair, mut round) = (None::<String>, 0);
        let (tree, results) = loop {
            self.work(talk, repair.as_deref()).await?;
            let tree = this.bounded(commit::tree(git, workspace, mirror, target, assignment)).await?;
            this.working.made(&tree);
            let (Some(beside), Some(commands)) = (self.beside, commands) else { break (tree, Results::default()) };
            match checks::check(beside, &commands.checks, round, target.pull_request.is_some()).await? {
                Checked::Publish(results) => break (tree, results),
                Checked::Repair(prompt) => repair = Some(prompt),
            }
            this.bounded(commit::restore(git, workspace, &tree)).await?;
            this.events.add(Said::phase("repairing"));
            round += 1;
        };
        this.events.end_record();
        let about = (assignment, results.verdict());
        let commit = this.bounded(commit::commit(git, workspace, &tree, target, about)).await?;
        let repository = workspace.repository();
        this.bounded(leak::look(git, &repository, (&target.start, &commit), &this.redactor)).await?;
        this.bounded(keep_patch(this, git, workspace, target, &commit)).await?;
        let words = match &assignment.revises {
            Some(_) => this.bounded(async { Ok(replies::words_of_agent(git, workspace).await) }).await?,
            None => Words::default(),
        };
        Ok(Made { commit, words, results })
    }

    /// Has the agent work until it asks nothing more.
    async fn work(&self, talk: &mut Talk, further: Option<&str>) -> Result<(), Stop> {
        let Self { this, options, isolation, prepared, taken, .. } = *self;
        let Prepared { access, chosen, given, target, workspace, .. } = prepared;
        let read = |name: &str| given.read(name, ours);
        let mut answered = None::<String>;
        loop {
            let mut told = talk.told(this.assignment);
            let goes_on = match answered.as_deref().or(further) {
                Some(words) => talk::goes_on_with(this, words),
                None => talk.goes_on(this.assignment, workspace),
            };
            if let Some(further) = further {
                told.prompt = format!("{}\n\n{further}", told.prompt);
            }
            this.working.tells(talk.read());
            let people = People::of(this, talk.read());
            let run = agent::Run {
                assignment: &told,
                goes_on: goes_on.as_ref(),
                has_work: taken.has_work,
                workspace,
                events: this.events,
                orders: this.orders,
                people: &people,
                git: &access.git,
                base: (&target.base_branch, &target.base),
                isolation,
                until: this.until,
                grace: options.stop_grace,
                namespace: options.process_namespace,
                waits: &options.agent_waits,
                tally: &this.tally,
            };
            let ended = agent::run(&run, chosen, &Environment::of(&read)).await;
            talk.goes_further(people.said());
            match ended {
                Err(Stop::Asks(question)) => match talk.asks(this, workspace, question).await? {
                    Asked::Waits => return Err(Stop::Rests),
                    Asked::Answered(words) => answered = Some(words),
                },
                ended => return ended,
            }
        }
    }
}

/// Keeps what the attempt changed: against what it started from, so that a revision's patch is the revision's.
async fn keep_patch(
    this: &Attempt<'_>,
    git: &Git,
    workspace: &Workspace,
    target: &Target,
    commit: &str,
) -> Result<(), Stop> {
    const NAME: &str = "changes.patch";
    let Some(file) = this.artifacts.file(NAME) else { return Ok(()) };
    match commit::patch(git, &workspace.repository(), &target.start, commit, &file).await {
        Ok(()) => {
            this.artifacts.hand_in(Kind::Patch, NAME);
        }
        Err(fault) => tracing::warn!(error = %fault, "the patch could not be made: {fault}"),
    }
    Ok(())
}
