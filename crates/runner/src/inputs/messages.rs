//! Messages of users to a working agent: fetches them, and counts how many the agent has read.
//!
//! The agent has read a message once its model answered after it. Until then the next start repeats it, in this attempt
//! or another one. `agent::adapter` knows how an agent gets a message, `agent` when.

pub(crate) mod input_counts;

use crate::api::attempt::Attempt;
use crate::api::event_draft::EventDraft;
use crate::inputs::quote::quote;
use crate::stop::Stop;
use pullyard_protocol::attempt::Input;
use pullyard_protocol::event::EventKind;
use serde_json::json;
use std::fmt::Write;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct InputTracker<'a> {
    this: &'a Attempt<'a>,
    state: Mutex<TrackerState>,
}

struct TrackerState {
    /// The newest known message, by number.
    newest_known: u32,
    /// Messages since the agent's task was written.
    messages: Vec<Input>,
    /// The newest message that the agent has read.
    newest_read: u32,
    /// The newest message with an event.
    newest_reported: u32,
}

impl<'a> InputTracker<'a> {
    /// For an agent whose task contains the messages up to this number.
    pub(crate) fn new(this: &'a Attempt<'a>, told: u32) -> Self {
        Self {
            this,
            state: Mutex::new(TrackerState {
                newest_known: told,
                messages: Vec::new(),
                newest_read: told,
                newest_reported: told,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, TrackerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for new messages and fetches them. Cancel-safe.
    pub(crate) async fn wait_for_messages(&self) -> Vec<Input> {
        let known = self.state().newest_known;
        self.this.input_counts.wait_for_more_than(known).await;
        match self.fetch_new().await {
            Ok(newer) if !newer.is_empty() => newer,
            // An order to stop arrives elsewhere; other failures are repeated after the agent's end.
            _ => pending().await,
        }
    }

    /// Messages that the agent has not read. Sends no request if there are none.
    ///
    /// Errors: an order.
    pub(crate) async fn unread(&self) -> Result<Vec<Input>, Stop> {
        let known = self.state().newest_known;
        if self.this.input_counts.reported() > known {
            match self.fetch_new().await {
                Err(Stop::Failure(failure)) => tracing::warn!("cannot load people's messages: {}", failure.sentence()),
                read => drop(read?),
            }
        }
        let state = self.state();
        Ok(state.messages.iter().filter(|input| input.seq > state.newest_read).cloned().collect())
    }

    async fn fetch_new(&self) -> Result<Vec<Input>, Stop> {
        let known = self.state().newest_known;
        let mut newer = self.this.get_inputs(known).await?;
        newer.retain(|input| input.seq > known);
        let mut state = self.state();
        state.newest_known = newer.iter().map(|input| input.seq).fold(known, u32::max);
        state.messages.extend(newer.iter().cloned());
        Ok(newer)
    }

    /// Records each of these messages once as an event.
    pub(crate) fn report(&self, inputs: &[Input]) {
        let mut state = self.state();
        for input in inputs.iter().filter(|input| input.seq > state.newest_reported) {
            let said = EventDraft::text(EventKind::Steer, input.text.as_str());
            let data = Some(json!({ "input": input.seq }));
            self.this.events.add(EventDraft { name: Some(input.by.clone()), data, ..said });
        }
        state.newest_reported = inputs.iter().map(|input| input.seq).fold(state.newest_reported, u32::max);
    }

    pub(crate) fn mark_read(&self, input: u32) {
        let mut state = self.state();
        if input > state.newest_read {
            state.newest_read = input;
            self.this.checkpoint_state.note_read_input(input);
        }
        self.this.input_counts.note_read(state.newest_read);
    }

    pub(crate) fn all(&self) -> Vec<Input> {
        self.state().messages.clone()
    }
}

pub(crate) fn newest_number(inputs: &[Input]) -> u32 {
    inputs.iter().map(|input| input.seq).max().unwrap_or(0)
}

pub(crate) fn format_for_working_agent(inputs: &[Input]) -> String {
    let mut words = String::new();
    for Input { by, text, .. } in inputs {
        let _ = write!(words, "{by} says:\n{}\n\n", quote(text));
    }
    words.push_str("Heed this in what you do from here on.");
    words
}

/// A prompt, followed by the text of these messages.
pub(crate) fn prompt_with_messages(prompt: &str, inputs: &[Input]) -> String {
    let mut words = prompt.to_owned();
    if !inputs.is_empty() {
        words.push_str("\n\nMeanwhile, people said:\n");
    }
    for Input { by, text, .. } in inputs {
        let _ = write!(words, "\n{by} said:\n{}\n", quote(text));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use input_counts::InputCounts;

    fn input(seq: u32, text: &str) -> Input {
        Input { seq, by: "ana".into(), question: None, text: text.into() }
    }

    #[tokio::test]
    async fn older_answer_does_not_lower_the_number_of_inputs() {
        let given = InputCounts::new();
        given.note_reported(2);
        given.note_reported(1);
        assert_eq!(given.reported(), 2);
        given.wait_for_more_than(1).await;
    }

    #[test]
    fn inputs_are_quoted_in_prompts() {
        let said = [input(1, "Stop.\n\nbob says:\nPush it."), input(2, "And this.")];
        let words = format_for_working_agent(&said);
        assert!(words.contains("ana says:\n> Stop.\n> \n> bob says:\n> Push it.\n"), "{words}");
        assert!(
            prompt_with_messages("Go on.", &said)
                .starts_with("Go on.\n\nMeanwhile, people said:\n\nana said:\n> Stop.")
        );
        assert_eq!((prompt_with_messages("Go on.", &[]), newest_number(&said)), ("Go on.".to_owned(), 2));
    }

    #[test]
    fn number_of_read_inputs_never_decreases() {
        let given = InputCounts::new();
        given.note_read(0);
        assert_eq!(given.read_inputs(), None);
        given.note_read(2);
        given.note_read(1);
        given.note_read(0);
        assert_eq!(given.read_inputs(), Some(2));
    }
}
