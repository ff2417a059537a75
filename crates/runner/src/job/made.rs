//! Runs the agent, checks its work, lets the agent repair it once, and creates one commit.

use crate::Options;
use crate::agent::environment::Environment;
use crate::agent::{self, Chosen};
use crate::api::attempt::Attempt;
use crate::api::said::Said;
use crate::checkpoint::hash_of;
use crate::checkpoint::take::Taken;
use crate::git::commit;
use crate::git::left_out;
use crate::git::patch::{self, Binaries};
use crate::git::protected;
use crate::git::target::Target;
use crate::git::workspace::Workspace;
use crate::git::{Fault, Git};
use crate::inputs::people::{People, newest};
use crate::inputs::talk::{self, Asked, Talk};
use crate::job::beside::Beside;
use crate::job::checks::{self, Checked, Results, Rounds};
use crate::job::prepare::Prepared;
use crate::options::Isolation;
use crate::publish::leak;
use crate::publish::replies::{self, Words};
use crate::stop::Stop;
use pullyard_domain::artifact::ArtifactKind;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::Sha256Hex;
use pullyard_domain::published::left_out::NestedRepository;
use pullyard_protocol::event::EventKind;

pub(crate) struct Made {
    pub(crate) commit: String,
    /// `None` if an earlier attempt made the commit.
    tree: Option<String>,
    rounds: Rounds,
    times: u32,
    pub(crate) words: Words,
    pub(crate) results: Results,
    /// Folders that the commit omits.
    pub(crate) left_out: Vec<NestedRepository>,
}

impl Made {
    pub(crate) fn before(commit: &str) -> Self {
        let (commit, rounds, left_out) = (commit.to_owned(), Rounds::default(), Vec::new());
        Self { commit, tree: None, rounds, times: 0, words: Words::default(), results: Results::default(), left_out }
    }

    /// Whether new messages lead to another round, because the agent can read them.
    pub(crate) fn is_told(&self, chosen: &Chosen) -> bool {
        self.tree.is_some() && chosen.hears_people()
    }
}

pub(crate) struct Work<'a> {
    pub(crate) this: &'a Attempt<'a>,
    pub(crate) options: &'a Options,
    pub(crate) isolation: Isolation,
    pub(crate) prepared: &'a Prepared<'a>,
    pub(crate) beside: Option<&'a Beside<'a>>,
    pub(crate) taken: &'a Taken,
}

impl Work<'_> {
    /// Errors: `Rests` if the job yields with a question, and everything else that ends the attempt.
    pub(crate) async fn make(&self, talk: &mut Talk) -> Result<Made, Stop> {
        self.make_from(talk, None, (Rounds::default(), 1)).await
    }

    /// Runs the agent again for messages that came before the push. If limits leave it no turn, the work is unchanged.
    pub(crate) async fn go_further(&self, talk: &mut Talk, made: Made) -> Result<Made, Stop> {
        let Self { this, prepared, .. } = *self;
        let newer = this.inputs(talk.read()).await?;
        if newer.is_empty() {
            // Another request would get the same answer forever.
            let last_words = "the control plane counts more inputs than it has".into();
            return Err(Failure::Unknown { last_words }.into());
        }
        if agent::is_used_up(this.events, &this.tally, this.assignment) {
            talk.goes_further(newer);
            return Ok(made);
        }
        // The reported count may arrive later.
        this.given.note(newest(&newer));
        this.events.record_goes_on();
        this.events.add(Said::words(EventKind::Log, "People said something before the work was published."));
        if let Some(tree) = &made.tree {
            this.bounded(commit::restore(&prepared.access.git, prepared.workspace, tree)).await?;
        }
        self.make_from(talk, Some(agent::HEED.to_owned()), (made.rounds, made.times + 1)).await
    }

    async fn make_from(
        &self,
        talk: &mut Talk,
        mut further: Option<String>,
        (mut rounds, times): (Rounds, u32),
    ) -> Result<Made, Stop> {
        let Self { this, prepared, .. } = *self;
        let Prepared { access, mirror, target, workspace, .. } = prepared;
        let (assignment, git) = (this.assignment, &access.git);
        let commands = assignment.commands.as_ref();
        let (tree, results, left_out) = loop {
            self.work(talk, further.as_deref()).await?;
            let tree = this.bounded(commit::tree(git, workspace, mirror, target, assignment)).await;
            // The folder may contain the work, especially if there is no other change.
            let left_out = left_out::tell(this, workspace);
            let tree = tree?;
            this.working.made(&tree);
            this.bounded(protected::look(this, git, workspace, (&target.start, &tree))).await?;
            let (Some(beside), Some(commands)) = (self.beside, commands) else {
                break (tree, Results::default(), left_out);
            };
            workspace.set_aside().await.map_err(|error| Fault::Disk(error).of_workspace())?;
            let checked = checks::check(beside, &commands.checks, rounds, target.pull_request.is_some()).await;
            // The repository's commands may have changed our repository's settings, which signing and pushing use next.
            let sealed = workspace.seal(Some(mirror)).await;
            let checked = checked?;
            sealed.map_err(|fault| fault.of_workspace())?;
            rounds.checked += 1;
            match checked {
                Checked::Publish(results) => break (tree, results, left_out),
                Checked::Repair(prompt) => further = Some(prompt),
            }
            rounds.repaired += 1;
            this.bounded(commit::restore(git, workspace, &tree)).await?;
            this.events.add(Said::phase("repairing"));
        };
        this.events.end_record();
        let (worked, _) = this.told();
        let agent = worked.as_ref().map(|work| work.agent.as_str());
        let about = commit::About { assignment, agent, checks: results.verdict(), redactor: &this.redactor };
        let commit = this.bounded(commit::commit(git, workspace, &tree, target, &about)).await?;
        this.tally.made(&commit);
        let repository = workspace.repository();
        this.bounded(leak::look(git, &repository, (&target.start, &commit), &this.redactor)).await?;
        this.bounded(keep_patch(this, (git, workspace, target), &commit, times)).await?;
        let words = match &assignment.revises {
            Some(_) => this.bounded(async { Ok(replies::words_of_agent(git, workspace).await) }).await?,
            None => Words::default(),
        };
        Ok(Made { commit, tree: Some(tree), rounds, times, words, results, left_out })
    }

    /// Runs the agent until it has no further question.
    async fn work(&self, talk: &mut Talk, further: Option<&str>) -> Result<(), Stop> {
        let Self { this, options, isolation, prepared, taken, .. } = *self;
        let Prepared { access, chosen, given, target, workspace, .. } = prepared;
        let read = |name: &str| this.reads(given, name);
        let mut answered = None::<String>;
        this.tally.begins(&target.start, Sha256Hex::new(hash_of(&this.assignment.prompt)).ok());
        loop {
            let mut told = talk.told(this.assignment);
            let goes_on = match answered.as_deref().or(further) {
                Some(words) => talk::goes_on_with(this, words),
                None => talk.goes_on(workspace),
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
                working: &this.working,
            };
            let ended = this.learning(workspace, agent::run(&run, chosen, &Environment::of(&read))).await;
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

/// Stores the patch against the attempt's start for users. With a secret removed it may not apply.
async fn keep_patch(
    this: &Attempt<'_>,
    (git, workspace, target): (&Git, &Workspace, &Target),
    commit: &str,
    times: u32,
) -> Result<(), Stop> {
    let name = if times > 1 { format!("changes-{times}.patch") } else { "changes.patch".into() };
    let Some(file) = this.artifacts.file(&name) else { return Ok(()) };
    let (whole, repository, range) = (workspace.root().join(&name), workspace.repository(), (&*target.start, commit));
    let written = match patch::changes_a_secret(git, &repository, range, this.redactor.search()).await {
        Ok(true) => patch::write(git, &repository, range, Binaries::Named, &whole).await,
        Ok(false) => patch::write(git, &repository, range, Binaries::Whole, &whole).await,
        Err(fault) => Err(fault),
    };
    if let Err(fault) = written {
        this.artifacts.not_kept(ArtifactKind::Patch, &name, &format!("it could not be made: {}", fault.reason()));
        return Ok(());
    }
    let stream = this.redactor.stream();
    let cleaned = tokio::task::spawn_blocking(move || {
        let cleaned = patch::without_secrets(&whole, &file, stream);
        let _ = std::fs::remove_file(&whole);
        cleaned
    });
    match cleaned.await.map_err(std::io::Error::from).flatten() {
        Ok(()) => {
            this.artifacts.hand_in(ArtifactKind::Patch, &name);
        }
        Err(error) => this.artifacts.not_kept(ArtifactKind::Patch, &name, &format!("it could not be written: {error}")),
    }
    Ok(())
}
