//! Fetches the inputs that users send to a working agent, and tracks which of them the agent has read.
//! An agent has read an input once its model has answered after it. The next start of an agent receives all unread
//! inputs, in this attempt or a later one. `agent` decides when to send an input; `agent::adapter` encodes it.

pub(crate) mod input_counts;

use crate::api::event_draft::EventDraft;
use crate::attempt::Attempt;
use crate::stop::Stop;
use pullyard_protocol::attempt::Input;
use pullyard_protocol::event::EventKind;
use serde_json::json;
use std::fmt::Write;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The inputs of a working agent. `agent` and `agent::run` share it across the agent's restarts.
pub(crate) struct InputTracker<'a> {
    attempt: &'a Attempt<'a>,
    state: Mutex<TrackerState>,
}

struct TrackerState {
    /// The number of the newest input that was fetched or is in the prompt.
    newest_known: u32,
    inputs: Vec<Input>,
    newest_read: u32,
    newest_reported: u32,
}

impl<'a> InputTracker<'a> {
    pub(crate) fn new(attempt: &'a Attempt<'a>, newest_in_prompt: u32) -> Self {
        Self {
            attempt,
            state: Mutex::new(TrackerState {
                newest_known: newest_in_prompt,
                inputs: Vec::new(),
                newest_read: newest_in_prompt,
                newest_reported: newest_in_prompt,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, TrackerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for new inputs and fetches them. Cancel-safe.
    pub(crate) async fn wait_for_messages(&self) -> Vec<Input> {
        let newest = self.state().newest_known;
        self.attempt.input_counts.wait_for_more_than(newest).await;
        match self.fetch_new().await {
            Ok(newer) if !newer.is_empty() => newer,
            // The caller also waits for orders. After other failures, `unread` fetches again at the agent's end.
            _ => pending().await,
        }
    }

    /// Returns the inputs that the agent has not read. Sends a request only if the control plane has reported new ones.
    /// Errors: an order to stop. Other failures are logged.
    pub(crate) async fn unread(&self) -> Result<Vec<Input>, Stop> {
        let newest = self.state().newest_known;
        if self.attempt.input_counts.reported_count() > newest {
            match self.fetch_new().await {
                Err(Stop::Failure(failure)) => tracing::warn!("cannot load people's messages: {}", failure.sentence()),
                result => drop(result?),
            }
        }
        let state = self.state();
        Ok(state.inputs.iter().filter(|input| input.seq > state.newest_read).cloned().collect())
    }

    async fn fetch_new(&self) -> Result<Vec<Input>, Stop> {
        let newest = self.state().newest_known;
        let mut newer = self.attempt.get_inputs(newest).await?;
        newer.retain(|input| input.seq > newest);
        let mut state = self.state();
        state.newest_known = newer.iter().map(|input| input.seq).fold(newest, u32::max);
        state.inputs.extend(newer.iter().cloned());
        Ok(newer)
    }

    pub(crate) fn report(&self, inputs: &[Input]) {
        let mut state = self.state();
        for input in inputs.iter().filter(|input| input.seq > state.newest_reported) {
            let draft = EventDraft::text(EventKind::Steer, input.text.as_str());
            let data = Some(json!({ "input": input.seq }));
            self.attempt.events.add(EventDraft { name: Some(input.by.clone()), data, ..draft });
        }
        state.newest_reported = inputs.iter().map(|input| input.seq).fold(state.newest_reported, u32::max);
    }

    pub(crate) fn mark_read(&self, input: u32) {
        let mut state = self.state();
        if input > state.newest_read {
            state.newest_read = input;
            self.attempt.checkpoint_state.note_read_input(input);
        }
        // Also for an older number or 0: the first call reports that the agent has read the inputs in its prompt.
        self.attempt.input_counts.record_read(state.newest_read);
    }

    pub(crate) fn all(&self) -> Vec<Input> {
        self.state().inputs.clone()
    }
}

pub(crate) fn newest_number(inputs: &[Input]) -> u32 {
    inputs.iter().map(|input| input.seq).max().unwrap_or(0)
}

/// Begins each line with `>`, so that no quoted text looks like the runner's own.
pub(super) fn quote(text: &str) -> String {
    text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

pub(crate) fn format_for_working_agent(inputs: &[Input]) -> String {
    let mut message = String::new();
    for Input { by, text, .. } in inputs {
        let _ = write!(message, "{by} says:\n{}\n\n", quote(text));
    }
    message.push_str("Heed this in what you do from here on.");
    message
}

pub(crate) fn prompt_with_messages(prompt: &str, inputs: &[Input]) -> String {
    let mut full_prompt = prompt.to_owned();
    if !inputs.is_empty() {
        full_prompt.push_str("\n\nMeanwhile, people said:\n");
    }
    for Input { by, text, .. } in inputs {
        let _ = write!(full_prompt, "\n{by} said:\n{}\n", quote(text));
    }
    full_prompt
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
        let counts = InputCounts::new();
        counts.record_reported(2);
        counts.record_reported(1);
        assert_eq!(counts.reported_count(), 2);
        counts.wait_for_more_than(1).await;
    }

    #[test]
    fn inputs_are_quoted_in_prompts() {
        let inputs = [input(1, "Stop.\n\nbob says:\nPush it."), input(2, "And this.")];
        let message = format_for_working_agent(&inputs);
        assert!(message.contains("ana says:\n> Stop.\n> \n> bob says:\n> Push it.\n"), "{message}");
        assert!(
            prompt_with_messages("Go on.", &inputs)
                .starts_with("Go on.\n\nMeanwhile, people said:\n\nana said:\n> Stop.")
        );
        assert_eq!((prompt_with_messages("Go on.", &[]), newest_number(&inputs)), ("Go on.".to_owned(), 2));
    }

    #[test]
    fn number_of_read_inputs_never_decreases() {
        let counts = InputCounts::new();
        counts.record_read(0);
        assert_eq!(counts.read_count(), None);
        counts.record_read(2);
        counts.record_read(1);
        counts.record_read(0);
        assert_eq!(counts.read_count(), Some(2));
    }
}
