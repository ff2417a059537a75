//! The conversation of a job: what its agent asked and what people said, over all attempts, and how an attempt
//! that was paused or asked something gives its job back.
//!
//! An agent begins anew in each attempt, in a worktree of its own, and is told the conversation in its prompt: what
//! an earlier one had not pushed is gone, and the log says so. Where a project wants the same session or none, the
//! job fails instead.

use crate::attempt::Attempt;
use crate::ids;
use crate::said::Said;
use crate::stop::Stop;
use pullyard_domain::failure::Failure;
use pullyard_domain::project::Resume as Policy;
use pullyard_protocol::attempt::{Assignment, Input, Resume, YieldOutcome, YieldRequest};
use pullyard_protocol::event::EventKind;
use std::fmt::Write;

/// What was said so far.
#[derive(Debug)]
pub(crate) struct Talk {
    prompt: String,
    inputs: Vec<Input>,
}

/// What became of a question.
pub(crate) enum Asked {
    /// It waits for its answer; the attempt is over.
    Waits,
    /// It was answered meanwhile: the attempt goes on.
    Answered,
}

impl Talk {
    /// The conversation as the attempt begins.
    pub(crate) fn of(assignment: &Assignment) -> Self {
        let inputs = assignment.resume.as_ref().map(|resume| resume.inputs.clone()).unwrap_or_default();
        Self { prompt: assignment.prompt.clone(), inputs }
    }

    /// The assignment with the conversation in its prompt.
    pub(crate) fn told(&self, assignment: &Assignment) -> Assignment {
        let mut prompt = self.prompt.clone();
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

    /// How many inputs an agent that is told this has read.
    fn read(&self) -> u32 {
        self.inputs.last().map_or(0, |last| last.seq)
    }

    /// The agent asks something: the job is given back, unless somebody said something that it has not read.
    pub(crate) async fn asks(&mut self, this: &Attempt<'_>, question: String) -> Result<Asked, Stop> {
        let request = words(this, YieldOutcome::Asks, Some(question), self.read())?;
        if !this.give_back(&request).await?.goes_on {
            return Ok(Asked::Waits);
        }
        let newer = this.inputs(self.read()).await?;
        this.events
            .add(Said::words(EventKind::Log, "The question was answered before it was told: the agent begins again."));
        self.inputs.extend(newer);
        Ok(Asked::Answered)
    }
}

/// Its people want it to pause: the job is given back.
pub(crate) async fn pauses(this: &Attempt<'_>) -> Result<(), Stop> {
    // What the agent had read is not known any more; the next one is told all of it.
    let request = words(this, YieldOutcome::Paused, None, 0)?;
    this.give_back(&request).await.map(drop)
}

/// What an earlier attempt left can't be found here: its folder went with it.
pub(crate) fn begins_anew(this: &Attempt<'_>) -> Result<(), Stop> {
    let Some(Resume { agent: Some(agent), policy, .. }) = &this.assignment.resume else { return Ok(()) };
    if *policy == Policy::Require {
        return Err(Failure::SessionLost {}.into());
    }
    let words = format!("The job goes on: the earlier session of `{agent}` is not kept, so the agent begins again.");
    this.events.add(Said::words(EventKind::Log, words));
    Ok(())
}

fn words(
    this: &Attempt<'_>,
    outcome: YieldOutcome,
    question: Option<String>,
    inputs: u32,
) -> Result<YieldRequest, Stop> {
    let unnamed = |error: crate::Error| Stop::from(Failure::Unknown { last_words: error.to_string() });
    let (work, spent_usd_micros) = this.tally.told();
    let question = question.map(|question| this.redactor.text(&question).into_owned());
    let (agent, session) = work.map_or((None, None), |work| (Some(work.agent), work.session));
    let yield_id = ids::finish().map_err(unnamed)?;
    Ok(YieldRequest { yield_id, outcome, question, agent, session, inputs, spent_usd_micros })
}

/// Each line behind a `>`, so that nothing said in it reads as ours.
fn quoted(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}
