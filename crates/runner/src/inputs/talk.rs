//! The conversation of a job over all attempts: its agent's questions and users' messages. Also yields the job.
//!
//! A resumed session gets only new messages. A new session gets the whole conversation in its prompt.

use crate::agent::GoesOn;
use crate::agent::sign::Tokens;
use crate::api::attempt::Attempt;
use crate::api::ids;
use crate::api::said::Said;
use crate::checkpoint::take::{Taken, TakenSession};
use crate::checkpoint::{self};
use crate::git::workspace::Workspace;
use crate::inputs::orders::Order;
use crate::inputs::quoted::quoted;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::job::is_resumable;
use pullyard_protocol::attempt::{Assignment, Input, YieldOutcome, YieldRequest};
use pullyard_protocol::event::EventKind;
use std::fmt::Write;

#[derive(Debug)]
pub(crate) struct Talk {
    prompt: String,
    inputs: Vec<Input>,
    session: Option<TakenSession>,
    /// Text about branches that conflict with the work.
    conflicts: String,
}

pub(crate) enum Asked {
    /// The job waits for the answer, and the attempt is over.
    Waits,
    /// The answer exists, and the attempt continues with this text.
    Answered(String),
}

impl Talk {
    /// The conversation at the attempt's start, with the restored session.
    pub(crate) fn of(assignment: &Assignment, taken: &Taken, conflicts: String) -> Self {
        let inputs = assignment.resume.as_ref().map(|resume| resume.inputs.clone()).unwrap_or_default();
        Self { prompt: assignment.prompt.clone(), inputs, session: taken.session.clone(), conflicts }
    }

    /// The assignment with the conversation in its prompt, for a new session.
    pub(crate) fn told(&self, assignment: &Assignment) -> Assignment {
        let mut prompt = self.prompt.clone();
        if !self.conflicts.is_empty() {
            let _ = write!(prompt, "\n\n{}", self.conflicts);
        }
        if !self.inputs.is_empty() {
            prompt.push_str(
                "\n\n## The conversation so far\n\nYou worked on this before. What you asked, and what people said:\n",
            );
        }
        for Input { by, question, text, .. } in &self.inputs {
            if let Some(question) = question {
                let _ = write!(prompt, "\nYou asked:\n{}\n", quoted(question));
            }
            let _ = write!(prompt, "\n{by} said:\n{}\n", quoted(text));
        }
        Assignment { prompt, ..assignment.clone() }
    }

    /// The text for a resumed session: only what is new to it.
    pub(crate) fn goes_on(&self, workspace: &Workspace) -> Option<GoesOn> {
        let session = self.session.as_ref()?;
        let mut prompt = String::from("You were stopped in the middle of this task, and go on with it now.\n");
        for Input { by, question, text, .. } in self.inputs.iter().filter(|input| input.seq > session.read) {
            let answers = if question.is_some() { "answered your question" } else { "said" };
            let _ = write!(prompt, "\n{by} {answers}:\n{}\n", quoted(text));
        }
        let tree = workspace.tree();
        if *tree != *session.tree {
            let _ = write!(
                prompt,
                "\nYour work folder is `{}` now, with your changes in it; it was `{}` before. Read a file again \
                 before you change it.\n",
                tree.display(),
                session.tree
            );
        }
        if !session.same_task {
            let _ = write!(prompt, "\nThe task may have changed since. It is now:\n\n{}\n", self.prompt);
        }
        if !self.conflicts.is_empty() {
            let _ = write!(prompt, "\n{}", self.conflicts);
        }
        prompt.push_str("\nGo on from where you were.");
        Some(GoesOn { session: session.id.clone(), prompt, tokens: session.tokens })
    }

    pub(crate) fn before(&self) -> Option<(String, u32, Tokens)> {
        self.session.as_ref().map(|session| (session.id.clone(), session.read, session.tokens))
    }

    pub(crate) fn goes_further(&mut self, said: Vec<Input>) {
        self.inputs.extend(said);
    }

    /// How many inputs an agent with this conversation has read.
    pub(crate) fn read(&self) -> u32 {
        self.inputs.last().map_or(0, |last| last.seq)
    }

    /// Yields with the agent's question, unless there is a message that the agent has not read.
    pub(crate) async fn asks(
        &mut self,
        this: &Attempt<'_>,
        workspace: &Workspace,
        question: String,
    ) -> Result<Asked, Stop> {
        this.events.end_record();
        checkpoint::keep(this, workspace, checkpoint::REST_LIMIT).await;
        let request = words(this, YieldOutcome::Asks, Some(question), self.read())?;
        if !this.give_back(&request).await?.goes_on {
            return Ok(Asked::Waits);
        }
        this.events.record_goes_on();
        let newer = this.inputs(self.read()).await?;
        this.events.add(Said::words(EventKind::Log, "The question was answered before it was told."));
        let mut words = String::from("Before your question was told, people had said something.\n");
        for Input { by, text, .. } in &newer {
            let _ = write!(words, "\n{by} said:\n{}\n", quoted(text));
        }
        words.push_str("\nGo on from where you were, and ask again if you still have to.");
        self.inputs.extend(newer);
        Ok(Asked::Answered(words))
    }
}

/// The prompt for the agent's own session, if it has a session.
pub(crate) fn goes_on_with(this: &Attempt<'_>, words: &str) -> Option<GoesOn> {
    let work = this.tally.told().0?;
    let (tokens, session) = (this.working.used(&work, this.tally.tokens_of_session()), work.session?);
    Some(GoesOn { session, prompt: words.to_owned(), tokens })
}

pub(crate) async fn pauses(this: &Attempt<'_>, workspace: Option<&Workspace>) -> Result<(), Stop> {
    this.events.end_record();
    if let Some(workspace) = workspace {
        checkpoint::keep(this, workspace, checkpoint::REST_LIMIT).await;
    }
    let session = this.tally.told().0.and_then(|work| work.session);
    let request = words(this, YieldOutcome::Paused, None, this.working.read(session.as_deref()))?;
    this.give_back(&request).await.map(drop)
}

/// Ends early, and stores a checkpoint if another attempt may use it.
pub(crate) async fn breaks_off(this: &Attempt<'_>, workspace: Option<&Workspace>, stop: Stop) -> Stop {
    if let Some(workspace) = workspace {
        match &stop {
            Stop::Failed(failure) if is_resumable(failure) => {
                checkpoint::keep(this, workspace, checkpoint::FAILED_LIMIT).await;
            }
            Stop::Ordered(Order::Shutdown) => checkpoint::keep_at_shutdown(this, workspace).await,
            _ => {}
        }
    }
    stop
}

fn words(
    this: &Attempt<'_>,
    outcome: YieldOutcome,
    question: Option<String>,
    inputs: u32,
) -> Result<YieldRequest, Stop> {
    let unnamed = |error: crate::Error| Stop::from(Failure::Unknown { last_words: error.to_string() });
    let (work, spent_usd_micros) = this.told();
    let question = question.map(|question| this.redactor.text(&question).into_owned());
    let (agent, session) = work.as_ref().map_or((None, None), |work| (Some(work.agent.clone()), work.session.clone()));
    let yield_id = ids::finish().map_err(unnamed)?;
    Ok(YieldRequest { yield_id, outcome, question, agent, session, inputs, spent_usd_micros, work })
}
