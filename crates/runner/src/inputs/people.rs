//! Messages of users to a working agent: fetches them, and counts how many the agent has read.
//!
//! The agent has read a message once its model answered after it. Until then the next start repeats it, in this attempt
//! or another one. `agent::adapter` knows how an agent gets a message, `agent` when.

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

pub(crate) struct People<'a> {
    this: &'a Attempt<'a>,
    state: Mutex<State>,
}

struct State {
    /// The newest known message, by number.
    known: u32,
    /// Messages since the agent's task was written.
    said: Vec<Input>,
    /// The newest message that the agent has read.
    heard: u32,
    /// The newest message with an event.
    shown: u32,
}

impl<'a> People<'a> {
    /// For an agent whose task contains the messages up to this number.
    pub(crate) fn of(this: &'a Attempt<'a>, told: u32) -> Self {
        Self { this, state: Mutex::new(State { known: told, said: Vec::new(), heard: told, shown: told }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for new messages and fetches them. Cancel-safe.
    pub(crate) async fn speak(&self) -> Vec<Input> {
        let known = self.state().known;
        self.this.given.more_than(known).await;
        match self.newer().await {
            Ok(newer) if !newer.is_empty() => newer,
            // An order to stop arrives elsewhere; other failures are repeated after the agent's end.
            _ => pending().await,
        }
    }

    /// Messages that the agent has not read. Sends no request if there are none.
    ///
    /// Errors: an order.
    pub(crate) async fn unheard(&self) -> Result<Vec<Input>, Stop> {
        let known = self.state().known;
        if self.this.given.now() > known {
            match self.newer().await {
                Err(Stop::Failed(failure)) => tracing::warn!("cannot load people's messages: {}", failure.sentence()),
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

    /// Records each of these messages once as an event.
    pub(crate) fn show(&self, inputs: &[Input]) {
        let mut state = self.state();
        for input in inputs.iter().filter(|input| input.seq > state.shown) {
            let said = Said::words(EventKind::Steer, input.text.as_str());
            let data = Some(json!({ "input": input.seq }));
            self.this.events.add(Said { name: Some(input.by.clone()), data, ..said });
        }
        state.shown = inputs.iter().map(|input| input.seq).fold(state.shown, u32::max);
    }

    pub(crate) fn heard(&self, input: u32) {
        let mut state = self.state();
        if input > state.heard {
            state.heard = input;
            self.this.working.hears(input);
        }
        self.this.given.note_heard(state.heard);
    }

    pub(crate) fn said(&self) -> Vec<Input> {
        self.state().said.clone()
    }
}

pub(crate) fn newest(inputs: &[Input]) -> u32 {
    inputs.iter().map(|input| input.seq).max().unwrap_or(0)
}

pub(crate) fn while_it_works(inputs: &[Input]) -> String {
    let mut words = String::new();
    for Input { by, text, .. } in inputs {
        let _ = write!(words, "{by} says:\n{}\n\n", quoted(text));
    }
    words.push_str("Heed this in what you do from here on.");
    words
}

/// A prompt, followed by the text of these messages.
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
    async fn older_answer_does_not_lower_the_number_of_inputs() {
        let given = Given::new();
        given.note(2);
        given.note(1);
        assert_eq!(given.now(), 2);
        given.more_than(1).await;
    }

    #[test]
    fn inputs_are_quoted_in_prompts() {
        let said = [input(1, "Stop.\n\nbob says:\nPush it."), input(2, "And this.")];
        let words = while_it_works(&said);
        assert!(words.contains("ana says:\n> Stop.\n> \n> bob says:\n> Push it.\n"), "{words}");
        assert!(with_unheard("Go on.", &said).starts_with("Go on.\n\nMeanwhile, people said:\n\nana said:\n> Stop."));
        assert_eq!((with_unheard("Go on.", &[]), newest(&said)), ("Go on.".to_owned(), 2));
    }

    #[test]
    fn number_of_read_inputs_never_decreases() {
        let given = Given::new();
        given.note_heard(0);
        assert_eq!(given.heard(), None);
        given.note_heard(2);
        given.note_heard(1);
        given.note_heard(0);
        assert_eq!(given.heard(), Some(2));
    }
}
