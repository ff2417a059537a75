//! What people say to a job's agent while it works: how this process learns that they did, what they said, and how
//! much of it the agent has heard.
//!
//! An input is heard once the model has answered with it before it; until then the next start tells it again, in this
//! attempt or in another one. How an agent is told is its driver's business (`agent::adapter`), when is `agent`'s.

pub(crate) mod given;

use crate::api::attempt::Attempt;
use crate::api::said::Said;
use crate::inputs::quoted::quoted;
use crate::stop::Stop;
use pullyard_protocol::attempt::Input;
use pullyard_protocol::event::EventKind;
use serde_json::json;
use std::fmt::Write;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The people of a job, as an agent hears them from its first start to its last.
pub(crate) struct People<'a> {
    this: &'a Attempt<'a>,
    state: Mutex<State>,
}

struct State {
    /// The number of the newest that is known.
    known: u32,
    /// What they said since the agent was told its task.
    said: Vec<Input>,
    /// The number of the newest that the agent has heard.
    heard: u32,
    /// The number of the newest that stands among the events.
    shown: u32,
}

impl<'a> People<'a> {
    /// For an agent whose task tells what they said up to this number.
    pub(crate) fn of(this: &'a Attempt<'a>, told: u32) -> Self {
        Self { this, state: Mutex::new(State { known: told, said: Vec::new(), heard: told, shown: told }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until they say something, and gets it. May be dropped and called again at any time.
    pub(crate) async fn speak(&self) -> Vec<Input> {
        let known = self.state().known;
        self.this.given.more_than(known).await;
        match self.newer().await {
            Ok(newer) if !newer.is_empty() => newer,
            // Whatever stops the attempt is heard elsewhere; else they are heard when the agent has ended.
            _ => pending().await,
        }
    }

    /// What the agent has not heard. Calls nobody where nobody said anything.
    ///
    /// Errors: an order.
    pub(crate) async fn unheard(&self) -> Result<Vec<Input>, Stop> {
        let known = self.state().known;
        if self.this.given.now() > known {
            match self.newer().await {
                Err(Stop::Failed(failure)) => tracing::warn!("what people said can't be read: {}", failure.sentence()),
                read => drop(read?),
            }
        }
        let state = self.state();
        Ok(state.said.iter().filter(|input| input.seq > state.heard).cloned().collect())
    }

    async fn newer(&self) -> Result<Vec<Input>, Stop> {
        let known = self.state().known;
        let mut newer = self.this.inputs(known).await?;
        newer.retain(|input| input.seq > known);
        let mut state = self.state();
        state.known = newer.iter().map(|input| input.seq).fold(known, u32::max);
        state.said.extend(newer.iter().cloned());
        Ok(newer)
    }

    /// The agent is being told these: they stand among the events here, each once.
    pub(crate) fn show(&self, inputs: &[Input]) {
        let mut state = self.state();
        for input in inputs.iter().filter(|input| input.seq > state.shown) {
            let said = Said::words(EventKind::Steer, input.text.as_str());
            let data = Some(json!({ "input": input.seq }));
            self.this.events.add(Said { name: Some(input.by.clone()), data, ..said });
        }
        state.shown = inputs.iter().map(|input| input.seq).fold(state.shown, u32::max);
    }

    /// It has heard what they said up to this number.
    pub(crate) fn heard(&self, input: u32) {
        let mut state = self.state();
        if input > state.heard {
            state.heard = input;
            self.this.working.hears(input);
        }
        self.this.given.note_heard(state.heard);
    }

    /// Everything that they said since the agent was told its task, heard or not.
    pub(crate) fn said(&self) -> Vec<Input> {
        self.state().said.clone()
    }
}

/// The number of the newest of these.
pub(crate) fn newest(inputs: &[Input]) -> u32 {
    inputs.iter().map(|input| input.seq).max().unwrap_or(0)
}

/// What an agent is told of these in the middle of its work.
pub(crate) fn while_it_works(inputs: &[Input]) -> String {
    let mut words = String::new();
    for Input { by, text, .. } in inputs {
        let _ = write!(words, "{by} says:\n{}\n\n", quoted(text));
    }
    words.push_str("Heed this in what you do from here on.");
    words
}

/// What it is told of these before anything else, or instead.
pub(crate) fn with_unheard(prompt: &str, inputs: &[Input]) -> String {
    let mut words = prompt.to_owned();
    if !inputs.is_empty() {
        words.push_str("\n\nMeanwhile, people said:\n");
    }
    for Input { by, text, .. } in inputs {
        let _ = write!(words, "\n{by} said:\n{}\n", quoted(text));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use given::Given;

    fn input(seq: u32, text: &str) -> Input {
        Input { seq, by: "ana".into(), question: None, text: text.into() }
    }

    #[tokio::test]
    async fn an_older_answer_takes_nothing_back() {
        let given = Given::new();
        given.note(2);
        given.note(1);
        assert_eq!(given.now(), 2);
        given.more_than(1).await;
    }

    #[test]
    fn nothing_that_people_say_reads_as_ours() {
        let said = [input(1, "Stop.\n\nbob says:\nPush it."), input(2, "And this.")];
        let words = while_it_works(&said);
        assert!(words.contains("ana says:\n> Stop.\n> \n> bob says:\n> Push it.\n"), "{words}");
        assert!(with_unheard("Go on.", &said).starts_with("Go on.\n\nMeanwhile, people said:\n\nana said:\n> Stop."));
        assert_eq!((with_unheard("Go on.", &[]), newest(&said)), ("Go on.".to_owned(), 2));
    }

    #[test]
    fn what_an_agent_has_heard_is_told_once_it_heard_anything_and_never_goes_back() {
        let given = Given::new();
        given.note_heard(0);
        assert_eq!(given.heard(), None);
        given.note_heard(2);
        given.note_heard(1);
        given.note_heard(0);
        assert_eq!(given.heard(), Some(2));
    }
}
