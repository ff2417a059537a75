//! The conversation of a job over all attempts: its agent's questions and users' messages. Also yields the job.
//! A resumed session gets only new messages. A new session gets the whole conversation in its prompt.

use crate::agent::SessionResume;
use crate::api::ids;
use crate::attempt::Attempt;
use crate::checkpoint;
use crate::checkpoint::restore::RestoredWork;
use crate::checkpoint::state::RestoredSession;
use crate::git::workspace::Workspace;
use crate::inputs::messages::quote;
use crate::inputs::orders::Order;
use crate::stop::Stop;
use pullyard_domain::job::{JobKind, is_resumable};
use pullyard_domain::text::failure::Failure;
use pullyard_protocol::attempt::{Assignment, Input, YieldReason, YieldRequest};
use std::fmt::Write;

#[derive(Debug)]
pub(crate) struct Conversation {
    kind: JobKind,
    prompt: String,
    inputs: Vec<Input>,
    session: Option<RestoredSession>,
    conflicts: String,
}

pub(crate) enum QuestionResult {
    Yielded,
    AlreadyAnswered(String),
}

impl Conversation {
    pub(crate) fn new(assignment: &Assignment, restored: &RestoredWork, conflicts: String) -> Self {
        let inputs = assignment.resume.as_ref().map(|resume| resume.inputs.clone()).unwrap_or_default();
        let (kind, prompt) = (assignment.kind, assignment.prompt.clone());
        Self { kind, prompt, inputs, session: restored.session.clone(), conflicts }
    }

    pub(crate) fn assignment_with_conversation(&self, assignment: &Assignment) -> Assignment {
        let mut prompt = self.prompt.clone();
        if !self.conflicts.is_empty() {
            let _ = write!(prompt, "\n\n{}", self.conflicts);
        }
        if !self.inputs.is_empty() {
            prompt.push_str(
                "\n\n## The conversation so far\n\nYou worked on this before. Your questions and the messages of users:\n",
            );
        }
        for Input { by, question, text, .. } in &self.inputs {
            if let Some(question) = question {
                let _ = write!(prompt, "\nYou asked:\n{}\n", quote(question));
            }
            let _ = write!(prompt, "\n{by} said:\n{}\n", quote(text));
        }
        Assignment { kind: self.kind, prompt, ..assignment.clone() }
    }

    pub(crate) fn resume_prompt(&self, workspace: &Workspace) -> Option<SessionResume> {
        let session = self.session.as_ref()?;
        let mut prompt = String::from("You were interrupted in the middle of this task. Continue it now.\n");
        for Input { by, question, text, .. } in self.inputs.iter().filter(|input| input.seq > session.read_inputs) {
            let verb = if question.is_some() { "answered your question" } else { "said" };
            let _ = write!(prompt, "\n{by} {verb}:\n{}\n", quote(text));
        }
        let tree = workspace.tree();
        if *tree != *session.former_worktree {
            let _ = write!(
                prompt,
                "\nYour work folder is `{}` now, with your changes in it; it was `{}` before. Read a file again \
                 before you change it.\n",
                tree.display(),
                session.former_worktree
            );
        }
        if !session.same_task {
            let _ = write!(prompt, "\nThe task may have changed since. It is now:\n\n{}\n", self.prompt);
        }
        if !self.conflicts.is_empty() {
            let _ = write!(prompt, "\n{}", self.conflicts);
        }
        prompt.push_str("\nContinue where you were.");
        Some(SessionResume { session: session.id.clone(), prompt, tokens: session.tokens })
    }

    pub(crate) fn add_inputs(&mut self, inputs: Vec<Input>) {
        self.inputs.extend(inputs);
    }

    pub(crate) fn read_inputs(&self) -> u32 {
        self.inputs.last().map_or(0, |input| input.seq)
    }

    /// Yields with the agent's question, unless there is a message that the agent has not read.
    pub(crate) async fn yield_with_question(
        &mut self,
        attempt: &Attempt<'_>,
        workspace: &Workspace,
        question: String,
    ) -> Result<QuestionResult, Stop> {
        attempt.events.end_record();
        checkpoint::create_checkpoint(attempt, workspace, checkpoint::YIELD_TIMEOUT).await;
        let request = yield_request(attempt, YieldReason::Asks, Some(question), self.read_inputs())?;
        if !attempt.yield_job(&request).await?.has_unread_inputs {
            return Ok(QuestionResult::Yielded);
        }
        attempt.events.resume_recording();
        let newer = attempt.get_inputs(self.read_inputs()).await?;
        attempt.events.log("The question was answered before users saw it.");
        let mut answer = String::from("Users sent messages before they saw your question.\n");
        for Input { by, text, .. } in &newer {
            let _ = write!(answer, "\n{by} said:\n{}\n", quote(text));
        }
        answer.push_str("\nContinue where you were, and ask again if you still have to.");
        self.inputs.extend(newer);
        Ok(QuestionResult::AlreadyAnswered(answer))
    }
}

pub(crate) fn continue_session(attempt: &Attempt<'_>, prompt: &str) -> Option<SessionResume> {
    let report = attempt.usage.report().0?;
    let (tokens, session) =
        (attempt.checkpoint_state.session_tokens(&report, attempt.usage.session_tokens()), report.session?);
    Some(SessionResume { session, prompt: prompt.to_owned(), tokens })
}

pub(crate) async fn yield_for_pause(attempt: &Attempt<'_>, workspace: Option<&Workspace>) -> Result<(), Stop> {
    attempt.events.end_record();
    if let Some(workspace) = workspace {
        checkpoint::create_checkpoint(attempt, workspace, checkpoint::YIELD_TIMEOUT).await;
    }
    let session = attempt.usage.report().0.and_then(|report| report.session);
    let request =
        yield_request(attempt, YieldReason::Paused, None, attempt.checkpoint_state.session_inputs(session.as_deref()))?;
    attempt.yield_job(&request).await.map(drop)
}

pub(crate) async fn checkpoint_before_end(attempt: &Attempt<'_>, workspace: &Workspace, stop: &Stop) {
    match stop {
        Stop::Failure(failure) if is_resumable(failure) => {
            checkpoint::create_checkpoint(attempt, workspace, checkpoint::FAILURE_TIMEOUT).await;
        }
        Stop::Order(Order::Shutdown) => checkpoint::create_checkpoint_at_shutdown(attempt, workspace).await,
        _ => {}
    }
}

fn yield_request(
    attempt: &Attempt<'_>,
    outcome: YieldReason,
    question: Option<String>,
    inputs: u32,
) -> Result<YieldRequest, Stop> {
    let to_stop = |error: crate::Error| Stop::from(Failure::Unknown { last_words: error.to_string() });
    let (report, spent_usd_micros) = attempt.work_report();
    let question = question.map(|question| attempt.redactor.redact_text(&question).into_owned());
    let agent = report.as_ref().map(|report| report.agent.clone());
    let session = report.as_ref().and_then(|report| report.session.clone());
    let yield_id = ids::new_finish_id().map_err(to_stop)?;
    Ok(YieldRequest { yield_id, outcome, question, agent, session, inputs, spent_usd_micros, work: report })
}
