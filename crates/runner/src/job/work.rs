//! Runs the agent, checks its work, lets the agent repair it once, and creates one commit.

use crate::Isolation;
use crate::RunJob;
use crate::agent;
use crate::agent::environment::Environment;
use crate::api::event_draft::EventDraft;
use crate::attempt::Attempt;
use crate::checkpoint::restore::RestoredWork;
use crate::git::commit::{self, Verdict};
use crate::git::exclusion_report;
use crate::git::patch::{self, Binaries, Lines};
use crate::git::protected;
use crate::git::target::Target;
use crate::git::tree_state::TreeState;
use crate::git::workspace::Workspace;
use crate::git::workspace::disk::run_blocking;
use crate::git::{Git, GitError};
use crate::hash::sha256_hex;
use crate::inputs::conversation::{self, Conversation, QuestionResult};
use crate::inputs::messages::{InputTracker, newest_number};
use crate::job::checks::{self, CheckDecision, CheckResults, Rounds};
use crate::job::deliver::step::{load_step_output, reporting_step};
use crate::job::preparation::Preparation;
use crate::job::project_command::CommandRunner;
use crate::job::work_result::WorkResult;
use crate::output;
use crate::process::sandbox::{JobSandbox, TreeAccess};
use crate::publish::replies::{self, AgentReplies};
use crate::publish::secret_scan;
use crate::stop::Stop;
use pullyard_domain::job::JobKind;
use pullyard_domain::job::artifact::ArtifactKind;
use pullyard_domain::review::output::OutputFault;
use pullyard_domain::review::published::work_notes::WorkNotes;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::Sha256Hex;

/// How many times the agent is prompted to correct a wrong output.
pub(super) const MAX_REPAIRS: u32 = 2;

pub(crate) struct WorkContext<'a> {
    pub(crate) attempt: &'a Attempt<'a>,
    pub(crate) options: &'a RunJob,
    pub(crate) isolation: Isolation,
    pub(crate) sandbox: Option<&'a JobSandbox>,
    pub(crate) preparation: &'a Preparation<'a>,
    pub(crate) command_runner: Option<&'a CommandRunner<'a>>,
    pub(crate) restored_work: &'a RestoredWork,
}

impl WorkContext<'_> {
    /// Errors: `Yielded` if the job yields with a question, and everything else that ends the attempt.
    pub(crate) async fn run(&self, conversation: &mut Conversation) -> Result<WorkResult, Stop> {
        self.run_rounds(conversation, None, (Rounds::default(), 1)).await
    }

    /// Runs the agent again for messages that came before the push. If limits leave it no turn, the work is unchanged.
    pub(crate) async fn rework_with_inputs(
        &self,
        conversation: &mut Conversation,
        earlier: WorkResult,
    ) -> Result<WorkResult, Stop> {
        let Self { attempt, preparation, .. } = *self;
        if !self.take_newer_inputs(conversation).await? {
            return Ok(earlier);
        }
        if let Some(tree) = &earlier.tree {
            attempt.unless_ordered(commit::restore_tree(&preparation.access.git, preparation.workspace, tree)).await?;
        }
        self.run_rounds(conversation, Some(agent::READ_INPUTS_PROMPT.to_owned()), (earlier.rounds, earlier.round + 1))
            .await
    }

    /// Prepares another round for messages that the agent has not read. `false` if limits leave it no turn.
    pub(super) async fn take_newer_inputs(&self, conversation: &mut Conversation) -> Result<bool, Stop> {
        let attempt = self.attempt;
        let newer = attempt.get_inputs(conversation.read_inputs()).await?;
        if newer.is_empty() {
            // Fail: another request would get the same answer, forever.
            let last_words = "the control plane counts more inputs than it has".into();
            return Err(Failure::Unknown { last_words }.into());
        }
        if agent::log_exhausted_limit(attempt) {
            conversation.add_inputs(newer);
            return Ok(false);
        }
        attempt.input_counts.record_reported(newest_number(&newer));
        attempt.events.resume_recording();
        attempt.events.log("Users sent messages after the agent ended its work.");
        Ok(true)
    }

    async fn run_rounds(
        &self,
        conversation: &mut Conversation,
        mut further_prompt: Option<String>,
        (mut rounds, number): (Rounds, u32),
    ) -> Result<WorkResult, Stop> {
        let Self { attempt, preparation, .. } = *self;
        let (git, workspace) = (&preparation.access.git, preparation.workspace);
        let step = reporting_step(attempt);
        let (tree, results, notes, output) = loop {
            let output = match step {
                Some(_) => {
                    let mut load = async || load_step_output(attempt, preparation).await;
                    self.run_until_valid(conversation, further_prompt.take(), &mut load).await?
                }
                None => {
                    self.run_agent(conversation, further_prompt.as_deref()).await?;
                    None
                }
            };
            let written = match self.write_tree().await {
                Err(Stop::Failure(Failure::NoChanges { .. }))
                    if output.is_some() && step.is_some_and(|step| step.may_change_nothing) =>
                {
                    return Ok(WorkResult { output, rounds, round: number, ..WorkResult::default() });
                }
                written => written,
            };
            let (tree, notes) = written?;
            let decision = self.check_tree(rounds).await?;
            rounds.check_rounds += 1;
            match decision {
                CheckDecision::Publish(results) => break (tree, results, notes, output),
                CheckDecision::Repair(prompt) => further_prompt = Some(prompt),
            }
            rounds.repair_rounds += 1;
            attempt.unless_ordered(commit::restore_tree(git, workspace, &tree)).await?;
            attempt.events.add(EventDraft::phase("repairing"));
            if step.is_some() {
                attempt.events.resume_recording();
            }
        };
        attempt.events.end_record();
        let commit = self.create_commit(&tree, results.verdict(), number).await?;
        if attempt.assignment.kind != JobKind::Resolve {
            attempt.checkpoint_state.set_finished(&tree, results.runs(), &notes, output.as_ref());
        }
        let replies = match &attempt.assignment.revises {
            Some(_) => attempt.unless_ordered(async { Ok(replies::load_agent_replies(git, workspace).await) }).await?,
            None => AgentReplies::default(),
        };
        let tree = Some(tree);
        Ok(WorkResult { commit, tree, rounds, round: number, replies, results, notes, output, ..WorkResult::default() })
    }

    /// Writes the work as a tree without protected content. Also returns notes on work that the tree omits.
    async fn write_tree(&self) -> Result<(String, WorkNotes), Stop> {
        let Self { attempt, preparation: Preparation { access, target, workspace, .. }, .. } = *self;
        let git = &access.git;
        let tree = commit::write_tree(git, workspace, target, attempt.assignment);
        let tree = attempt.unless_ordered(tree).await;
        // The exclusions may contain the work, especially if there is no other change.
        let notes = exclusion_report::report_exclusions(attempt, workspace);
        let tree = tree.map_err(|stop| exclusion_report::explain_no_changes(stop, &notes))?;
        attempt.checkpoint_state.set_tree(&tree);
        let change = (target.start_commit.as_str(), tree.as_str());
        attempt.unless_ordered(protected::check_protected_files(attempt, git, workspace, change)).await?;
        Ok((tree, notes))
    }

    /// Runs the project's checks on the tree.
    /// Errors: `TreeChanged` if read-only checks changed it.
    async fn check_tree(&self, rounds: Rounds) -> Result<CheckDecision, Stop> {
        let Self { attempt, preparation: Preparation { access, target, workspace, .. }, .. } = *self;
        let git = &access.git;
        let (Some(command_runner), Some(commands)) = (self.command_runner, &attempt.assignment.commands) else {
            return Ok(CheckDecision::Publish(CheckResults::default()));
        };
        let before = match commands.checks.read_only {
            true => Some(attempt.unless_ordered(TreeState::load(git, workspace)).await?),
            false => None,
        };
        let access = before.as_ref().map_or(TreeAccess::Write, |before| TreeAccess::ReadExcept(&before.ignored));
        // An own branch opens no draft that could show the failure.
        let has_own_branch = attempt.assignment.step.as_ref().is_some_and(|step| step.has_own_branch);
        let has_pull_request = target.pull_request.is_some() || has_own_branch;
        let decision = checks::run_checks(command_runner, (&commands.checks, access), rounds, has_pull_request).await;
        // The repository's commands may have changed our repository's settings, which signing and pushing use next.
        let reset = workspace.reset_repository().await;
        let decision = decision?;
        reset?;
        if let Some(before) = before {
            let after = attempt.unless_ordered(TreeState::load(git, workspace)).await?;
            if let Some(paths) = after.describe_changes(&before) {
                let paths = attempt.redactor.redact_text(&paths).into_owned();
                return Err(Failure::TreeChanged { paths }.into());
            }
        }
        Ok(decision)
    }

    /// Commits the tree, perhaps in several commits, and stores the change as an artifact.
    /// Errors: also if the change contains a secret.
    async fn create_commit(&self, tree: &str, checks: Option<Verdict>, number: u32) -> Result<String, Stop> {
        let Self { attempt, preparation: Preparation { access, target, workspace, .. }, .. } = *self;
        let git = &access.git;
        let (report, _) = attempt.work_report();
        let agent = report.as_ref().map(|report| report.agent.as_str());
        let (assignment, redactor) = (attempt.assignment, &attempt.redactor);
        let parts = commit::CommitMessageParts { assignment, subject: None, agent, checks, redactor };
        let plan = match assignment.kind {
            JobKind::Resolve => commit::load_plan(attempt, git, workspace).await,
            _ => Vec::new(),
        };
        let create = commit::create_commits(git, workspace, (tree, target), &parts, &plan);
        let commit = attempt.unless_ordered(create).await?;
        attempt.usage.set_commit(&commit);
        let repository = workspace.repository();
        let change = (target.start_commit.as_str(), commit.as_str());
        attempt.unless_ordered(secret_scan::scan_change(git, &repository, change, Lines::Added, redactor)).await?;
        let patch = async {
            store_patch(attempt, (git, workspace, target), &commit, number).await;
            Ok(())
        };
        attempt.unless_ordered(patch).await?;
        Ok(commit)
    }

    /// Runs the agent, and again while its output is wrong.
    /// Errors: `OutputInvalid`, and everything else that ends the attempt.
    pub(super) async fn run_until_valid<T>(
        &self,
        conversation: &mut Conversation,
        mut next_prompt: Option<String>,
        load: &mut impl AsyncFnMut() -> Result<T, OutputFault>,
    ) -> Result<T, Stop> {
        let (attempt, mut repairs_left) = (self.attempt, MAX_REPAIRS);
        loop {
            self.run_agent(conversation, next_prompt.as_deref()).await?;
            attempt.events.end_record();
            match load().await {
                Ok(output) => return Ok(output),
                Err(fault) if repairs_left == 0 => {
                    return Err(Failure::OutputInvalid { fault: fault.to_string().into() }.into());
                }
                Err(fault) => {
                    repairs_left -= 1;
                    attempt.events.resume_recording();
                    attempt.events.log(format!("The output is wrong: {fault}."));
                    next_prompt = Some(output::repair_prompt(&fault));
                }
            }
        }
    }

    pub(super) async fn run_agent(
        &self,
        conversation: &mut Conversation,
        further_prompt: Option<&str>,
    ) -> Result<(), Stop> {
        let Self { attempt, options, isolation, sandbox, preparation, restored_work, .. } = *self;
        let Preparation { access, agent: choice, model_keys, target, workspace, .. } = preparation;
        let read = |name: &str| attempt.agent_variable(model_keys, name);
        let mut user_answer = None::<String>;
        attempt.usage.begin_work(&target.start_commit, Sha256Hex::new(sha256_hex(&attempt.assignment.prompt)).ok());
        loop {
            let mut assignment = conversation.assignment_with_conversation(attempt.assignment);
            let resume = match user_answer.as_deref().or(further_prompt) {
                Some(answer) => conversation::continue_session(attempt, answer),
                None => conversation.resume_prompt(workspace),
            };
            if let Some(further) = further_prompt {
                assignment.prompt = format!("{}\n\n{further}", assignment.prompt);
            }
            attempt.checkpoint_state.begin_run(conversation.read_inputs());
            let inputs = InputTracker::new(attempt, conversation.read_inputs());
            let run = agent::Run {
                attempt,
                options,
                assignment: &assignment,
                resume: resume.as_ref(),
                has_earlier_work: restored_work.has_work,
                workspace,
                inputs: &inputs,
                git: &access.git,
                target,
                isolation,
                sandbox,
            };
            let result =
                attempt.learn_tokens_during(workspace, agent::run(&run, choice, &Environment::from_fn(&read))).await;
            conversation.add_inputs(inputs.all());
            match result {
                Err(Stop::Question(question)) => {
                    match conversation.yield_with_question(attempt, workspace, question).await? {
                        QuestionResult::Yielded => return Err(Stop::Yielded),
                        QuestionResult::AlreadyAnswered(answer) => user_answer = Some(answer),
                    }
                }
                result => return result,
            }
        }
    }
}

/// Stores the patch against the attempt's start for users. With a secret removed it may not apply.
async fn store_patch(
    attempt: &Attempt<'_>,
    (git, workspace, target): (&Git, &Workspace, &Target),
    commit: &str,
    number: u32,
) {
    let name = if number > 1 { format!("changes-{number}.patch") } else { "changes.patch".into() };
    let Some(file) = attempt.artifacts.path_for(&name) else { return };
    let (unredacted, repository) = (workspace.root().join(&name), workspace.repository());
    let range = (&*target.start_commit, commit);
    let write_file = async {
        let (scope, search) = ((Lines::All, None), attempt.redactor.search());
        let contains_secret = patch::contains_secret(git, &repository, range, scope, search).await?;
        let binaries = if contains_secret { Binaries::Omitted } else { Binaries::Full };
        patch::write(git, &repository, range, binaries, &unredacted).await?;
        let stream = attempt.redactor.stream();
        let result = run_blocking(move || {
            let result = patch::redact_patch(&unredacted, &file, stream);
            let _ = std::fs::remove_file(&unredacted);
            result
        });
        Ok::<_, GitError>(result.await?)
    };
    match write_file.await {
        Ok(()) => drop(attempt.artifacts.queue_upload(ArtifactKind::Patch, &name)),
        Err(error) => {
            let reason = format!("it could not be made: {}", error.reason());
            attempt.artifacts.log_skipped_artifact(ArtifactKind::Patch, &name, &reason);
        }
    }
}
