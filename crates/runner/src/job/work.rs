//! Runs the agent, checks its work, lets the agent repair it once, and creates one commit.

use crate::Isolation;
use crate::RunJob;
use crate::agent::environment::Environment;
use crate::agent::{self, AgentChoice};
use crate::api::attempt::Attempt;
use crate::api::event_draft::EventDraft;
use crate::checkpoint::restore::RestoredWork;
use crate::git::commit;
use crate::git::exclusion_report;
use crate::git::patch::{self, Binaries};
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
use crate::job::prepare::Preparation;
use crate::job::project_command::CommandRunner;
use crate::process::sandbox::{JobSandbox, TreeAccess};
use crate::publish::replies::{self, AgentReplies};
use crate::publish::secret_scan;
use crate::stop::Stop;
use pullyard_domain::artifact::ArtifactKind;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::Sha256Hex;
use pullyard_domain::published::nested_repository::NestedRepository;

#[derive(Default)]
pub(crate) struct WorkResult {
    pub(crate) commit: String,
    /// `None` if an earlier attempt made the commit.
    tree: Option<String>,
    rounds: Rounds,
    round: u32,
    pub(crate) replies: AgentReplies,
    pub(crate) results: CheckResults,
    pub(crate) omitted_folders: Vec<NestedRepository>,
}

impl WorkResult {
    pub(crate) fn from_adopted_commit(commit: &str) -> Self {
        Self { commit: commit.to_owned(), ..Self::default() }
    }

    /// Whether new messages lead to another round, because the agent can read them.
    pub(crate) fn accepts_new_inputs(&self, chosen: &AgentChoice) -> bool {
        self.tree.is_some() && chosen.has_sessions()
    }
}

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
        let Self { attempt, preparation: prepared, .. } = *self;
        let newer = attempt.get_inputs(conversation.read_inputs()).await?;
        if newer.is_empty() {
            // Another request would get the same answer forever.
            let last_words = "the control plane counts more inputs than it has".into();
            return Err(Failure::Unknown { last_words }.into());
        }
        if agent::log_exhausted_limit(attempt) {
            conversation.add_inputs(newer);
            return Ok(earlier);
        }
        attempt.input_counts.record_reported(newest_number(&newer));
        attempt.events.resume_recording();
        attempt.events.log("People said something before the work was published.");
        if let Some(tree) = &earlier.tree {
            attempt.unless_ordered(commit::restore_tree(&prepared.access.git, prepared.workspace, tree)).await?;
        }
        self.run_rounds(conversation, Some(agent::READ_INPUTS_PROMPT.to_owned()), (earlier.rounds, earlier.round + 1))
            .await
    }

    async fn run_rounds(
        &self,
        conversation: &mut Conversation,
        mut further: Option<String>,
        (mut rounds, times): (Rounds, u32),
    ) -> Result<WorkResult, Stop> {
        let Self { attempt, preparation: prepared, .. } = *self;
        let Preparation { access, mirror, target, workspace, .. } = prepared;
        let (assignment, git) = (attempt.assignment, &access.git);
        let commands = assignment.commands.as_ref();
        let (tree, results, left_out) = loop {
            self.run_agent(conversation, further.as_deref()).await?;
            let tree = attempt.unless_ordered(commit::write_tree(git, workspace, mirror, target, assignment)).await;
            // The folder may contain the work, especially if there is no other change.
            let left_out = exclusion_report::report_excluded_folders(attempt, workspace);
            let tree = tree?;
            attempt.checkpoint_state.set_tree(&tree);
            let change = (target.start_commit.as_str(), tree.as_str());
            attempt.unless_ordered(protected::check_protected_files(attempt, git, workspace, change)).await?;
            let (Some(beside), Some(commands)) = (self.command_runner, commands) else {
                break (tree, CheckResults::default(), left_out);
            };
            let earlier = match commands.checks.read_only {
                true => Some(attempt.unless_ordered(load_tree_state(git, workspace)).await?),
                false => None,
            };
            let access = earlier.as_ref().map_or(TreeAccess::Write, |earlier| TreeAccess::ReadExcept(&earlier.ignored));
            let checks = (&commands.checks, access);
            let checked = checks::run_checks(beside, checks, rounds, target.pull_request.is_some()).await;
            // The repository's commands may have changed our repository's settings, which signing and pushing use next.
            let sealed = workspace.reset_repository(Some(mirror)).await;
            let checked = checked?;
            sealed?;
            if let Some(earlier) = earlier {
                let now = attempt.unless_ordered(load_tree_state(git, workspace)).await?;
                if let Some(paths) = now.describe_changes(&earlier) {
                    let paths = attempt.redactor.redact_text(&paths).into_owned();
                    return Err(Failure::TreeChanged { paths }.into());
                }
            }
            rounds.check_rounds += 1;
            match checked {
                CheckDecision::Publish(results) => break (tree, results, left_out),
                CheckDecision::Repair(prompt) => further = Some(prompt),
            }
            rounds.repair_rounds += 1;
            attempt.unless_ordered(commit::restore_tree(git, workspace, &tree)).await?;
            attempt.events.add(EventDraft::phase("repairing"));
        };
        attempt.events.end_record();
        let (worked, _) = attempt.work_report();
        let agent = worked.as_ref().map(|work| work.agent.as_str());
        let about =
            commit::CommitMessageParts { assignment, agent, checks: results.verdict(), redactor: &attempt.redactor };
        let commit = attempt.unless_ordered(commit::create_commit(git, workspace, &tree, target, &about)).await?;
        attempt.usage.set_commit(&commit);
        let repository = workspace.repository();
        let change = (target.start_commit.as_str(), commit.as_str());
        attempt.unless_ordered(secret_scan::scan_commit(git, &repository, change, &attempt.redactor)).await?;
        let patch = async {
            store_patch(attempt, (git, workspace, target), &commit, times).await;
            Ok(())
        };
        attempt.unless_ordered(patch).await?;
        let agent_replies = match &assignment.revises {
            Some(_) => attempt.unless_ordered(async { Ok(replies::load_agent_replies(git, workspace).await) }).await?,
            None => AgentReplies::default(),
        };
        Ok(WorkResult {
            commit,
            tree: Some(tree),
            rounds,
            round: times,
            replies: agent_replies,
            results,
            omitted_folders: left_out,
        })
    }

    async fn run_agent(&self, conversation: &mut Conversation, further: Option<&str>) -> Result<(), Stop> {
        let Self { attempt, options, isolation, sandbox, preparation: prepared, restored_work: restored, .. } = *self;
        let Preparation { access, agent: chosen, model_keys, target, workspace, .. } = prepared;
        let read = |name: &str| attempt.agent_variable(model_keys, name);
        let mut answered = None::<String>;
        attempt.usage.begin_work(&target.start_commit, Sha256Hex::new(sha256_hex(&attempt.assignment.prompt)).ok());
        loop {
            let mut assignment = conversation.assignment_with_conversation(attempt.assignment);
            let goes_on = match answered.as_deref().or(further) {
                Some(answer) => conversation::continue_session(attempt, answer),
                None => conversation.resume_prompt(workspace),
            };
            if let Some(further) = further {
                assignment.prompt = format!("{}\n\n{further}", assignment.prompt);
            }
            attempt.checkpoint_state.begin_run(conversation.read_inputs());
            let inputs = InputTracker::new(attempt, conversation.read_inputs());
            let run = agent::Run {
                attempt,
                options,
                assignment: &assignment,
                resume: goes_on.as_ref(),
                has_earlier_work: restored.has_work,
                workspace,
                inputs: &inputs,
                git: &access.git,
                base: (&target.base_branch, &target.base_commit),
                isolation,
                sandbox,
            };
            let ended =
                attempt.learn_tokens_during(workspace, agent::run(&run, chosen, &Environment::from_fn(&read))).await;
            conversation.add_inputs(inputs.all());
            match ended {
                Err(Stop::Question(question)) => {
                    match conversation.yield_with_question(attempt, workspace, question).await? {
                        QuestionResult::Yielded => return Err(Stop::Yielded),
                        QuestionResult::AlreadyAnswered(answer) => answered = Some(answer),
                    }
                }
                ended => return ended,
            }
        }
    }
}

async fn load_tree_state(git: &Git, workspace: &Workspace) -> Result<TreeState, Stop> {
    Ok(TreeState::load(git, workspace).await?)
}

/// Stores the patch against the attempt's start for users. With a secret removed it may not apply.
async fn store_patch(
    attempt: &Attempt<'_>,
    (git, workspace, target): (&Git, &Workspace, &Target),
    commit: &str,
    times: u32,
) {
    let name = if times > 1 { format!("changes-{times}.patch") } else { "changes.patch".into() };
    let Some(file) = attempt.artifacts.path_for(&name) else { return };
    let (unredacted, repository) = (workspace.root().join(&name), workspace.repository());
    let range = (&*target.start_commit, commit);
    let written = async {
        let contains_secret = patch::diff_contains_secret(git, &repository, range, attempt.redactor.search()).await?;
        let binaries = if contains_secret { Binaries::Omitted } else { Binaries::Full };
        patch::write(git, &repository, range, binaries, &unredacted).await?;
        let stream = attempt.redactor.stream();
        let redacted = run_blocking(move || {
            let redacted = patch::redact_patch(&unredacted, &file, stream);
            let _ = std::fs::remove_file(&unredacted);
            redacted
        });
        Ok::<_, GitError>(redacted.await?)
    };
    match written.await {
        Ok(()) => drop(attempt.artifacts.queue_upload(ArtifactKind::Patch, &name)),
        Err(fault) => {
            let reason = format!("it could not be made: {}", fault.reason());
            attempt.artifacts.log_skipped_artifact(ArtifactKind::Patch, &name, &reason);
        }
    }
}
