//! What is said to `codex app-server`, and what its lines mean: requests, answers and notifications, one in each line.
//!
//! Its traps are known here. Agents of the agent speak in the same lines, each in a thread of its own. Its program ends
//! with 0 whatever happened, so that a line of somebody else that says how a turn ended would have nothing against it:
//! it is asked for the end under an id that nobody else knows, and only the answer counts. Nor does a line alone say
//! which turn is interrupted. How it is told that there is nothing more, and what an end means, is not known here.

mod item;
mod speech;

use super::items::{Items, ended};
use super::prices::Count;
use super::rollout::Rollouts;
use super::sandbox;
use crate::agent::adapter::Reader;
use crate::agent::classify::NOT_RESUMED;
use crate::agent::json_lines::{self, raw, text};
use crate::agent::sign::{Sign, Terminal, Tokens};
use crate::agent::start::Start;
use crate::ids;
use crate::said::Said;
use pullyard_domain::text::clipped;
use pullyard_protocol::event::EventKind;
use serde_json::{Value, json};
use speech::{INTERRUPT, Shared, Speech, line, lock, request, turn};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Ids of our requests until a tool may run. Those of all others are random: of words of people, their marks.
const INITIALIZE: &str = "initialize";
const THREAD: &str = "thread";

/// Goes on with a session.
const RESUME: &str = "thread/resume";
/// Asks how its newest turn stands.
const TURNS: &str = "thread/turns/list";
/// For how long that is asked again after a line that said that the turn has ended, while its answers say otherwise:
/// measured, the first one knows it.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// How much time is between an answer and the next of these questions.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// The longest id of a request that is answered. Units: bytes.
const LONGEST_ID: usize = 64;
/// How much of a method's name is told. Units: characters.
const LONGEST_METHOD: usize = 100;

/// What comes whole later, or says more of this machine than of the work.
const UNWANTED: [&str; 4] =
    ["item/commandExecution/outputDelta", "remoteControl/status/changed", "thread/started", "turn/diff/updated"];

/// What says nothing that people, limits or the end of a turn rest on.
const SILENT: [&str; 18] = [
    "account/rateLimits/updated",
    "account/updated",
    "hook/completed",
    "hook/started",
    "item/commandExecution/terminalInteraction",
    "item/fileChange/patchUpdated",
    "item/mcpToolCall/progress",
    "item/reasoning/summaryPartAdded",
    "mcpServer/startupStatus/updated",
    "serverRequest/resolved",
    "skills/changed",
    "thread/compacted",
    "thread/goal/cleared",
    "thread/goal/updated",
    "thread/name/updated",
    "thread/settings/updated",
    "thread/status/changed",
    "turn/plan/updated",
];

/// What a request gets that nobody answers: JSON-RPC's "method not found". A request for leave is denied by it.
const NOT_FOUND: i32 = -32_601;

/// What it is told first: who we are, and which thread it is to open. What is asked of it follows when that is open.
pub(super) fn opening(start: &Start<'_>) -> Vec<u8> {
    let us = json!({
        "clientInfo": { "name": "pullyard", "title": "Pullyard", "version": env!("CARGO_PKG_VERSION") },
        "capabilities": {
            "experimentalApi": false, "requestAttestation": false, "optOutNotificationMethods": UNWANTED,
        },
    });
    let (tree, sandbox) = (start.tree.to_string_lossy(), sandbox(start.isolation));
    let thread = match start.session {
        Some(session) => json!({
            "threadId": session, "excludeTurns": true,
            "cwd": tree, "approvalPolicy": "never", "sandbox": sandbox, "model": start.model,
        }),
        None => json!({ "cwd": tree, "approvalPolicy": "never", "sandbox": sandbox, "model": start.model }),
    };
    let initialized = line(&json!({ "method": "initialized" }));
    [request(INITIALIZE, "initialize", &us), initialized, request(THREAD, opens(start), &thread)].concat()
}

/// The method that opens its thread.
fn opens(start: &Start<'_>) -> &'static str {
    if start.session.is_some() { RESUME } else { "thread/start" }
}

/// Both sides of what is said to it and by it in one start.
pub(super) fn conversation(start: &Start<'_>, counted: Arc<Mutex<Rollouts>>) -> (Conversation, Speech) {
    let known = Shared::default();
    // Its calls have the ids that the model's provider gave them, and one that counts them may begin anew with each.
    let starts = counted.lock().unwrap_or_else(PoisonError::into_inner).starts();
    let conversation = Conversation {
        known: Arc::clone(&known),
        items: Items::new(start.tree, starts),
        counted,
        prompt: start.prompt.to_owned(),
        prompt_id: ids::uuid(),
        opens: opens(start),
        question: None,
        said_since: None,
        ended: None,
    };
    (conversation, Speech { known })
}

/// A question how the newest turn ended.
struct Question {
    id: String,
    /// The turn that is said to have ended.
    turn: String,
    /// The turns that had begun by then.
    begun: Vec<String>,
    /// Until when it is asked again.
    until: Instant,
}

/// One start's lines, in their order.
pub(super) struct Conversation {
    known: Shared,
    items: Items,
    counted: Arc<Mutex<Rollouts>>,
    prompt: String,
    /// The id of the request that says it.
    prompt_id: String,
    opens: &'static str,
    /// One at a time: lines that say that a turn has ended cost nothing, whoever writes them.
    question: Option<Question>,
    /// The turn that was said to have ended while that was open.
    said_since: Option<String>,
    /// The turn whose end was told last.
    ended: Option<String>,
}

impl Conversation {
    fn answered(&mut self, id: &str, object: &Value, now: Instant) -> Vec<Sign> {
        let error = object.get("error").map(|error| text(error, "message").unwrap_or_default());
        if let Some(question) = self.question.take_if(|question| question.id == id) {
            let signs = match error {
                Some(error) if now >= question.until => failed(TURNS, error),
                Some(_) => self.asks_again(&question),
                None => self.stands(&question, object, now),
            };
            // Where it is asked on, what was said since comes after that.
            let said_since = self.said_since.take_if(|_| self.question.is_none());
            return match said_since {
                Some(turn) => [signs, self.asks(&turn, now)].concat(),
                None => signs,
            };
        }
        let mut known = lock(&self.known);
        let (is_open, has_begun) = (known.thread.is_some(), known.has_begun);
        let is_of_prompt = known.is_answer(id, object) && id == self.prompt_id;
        drop(known);
        match (id, error) {
            (INITIALIZE, Some(error)) if !is_open => failed("initialize", error),
            (THREAD, Some(error)) if !is_open => self.not_opened(error),
            (THREAD, None) if !is_open => self.opened(object),
            (_, Some(error)) if is_of_prompt && !has_begun => failed("turn/start", error),
            // What it did not take up is told to the next start, and an end that came first needs no interrupt.
            (_, Some(error)) if !id.starts_with(INTERRUPT) => {
                vec![log(format!("Codex refused what it was told: {error}"))]
            }
            _ => vec![Sign::Alive],
        }
    }

    /// Its thread is open: what is asked of it. What people said by then follows once that has begun.
    fn opened(&mut self, object: &Value) -> Vec<Sign> {
        let result = object.get("result").unwrap_or(&Value::Null);
        let Some(thread) = result.get("thread").and_then(|thread| text(thread, "id")) else {
            return self.not_opened("it named no thread");
        };
        let mut known = lock(&self.known);
        known.thread = Some(thread.to_owned());
        known.asked.push(self.prompt_id.clone());
        drop(known);
        let model = text(result, "model").map(|model| Sign::Model(model.to_owned()));
        let mut signs = vec![Sign::Alive, Sign::Session(thread.to_owned())];
        signs.extend(model);
        signs.push(Sign::Write(turn(&self.prompt_id, thread, &self.prompt, None)));
        signs
    }

    /// Its thread did not open, whether or not it is there.
    fn not_opened(&self, error: &str) -> Vec<Sign> {
        let marks = if self.opens == RESUME { vec![NOT_RESUMED.to_owned()] } else { Vec::new() };
        ended(Terminal { marks, words: failure(self.opens, error), ..Terminal::default() })
    }

    /// A turn began, and what people said before it can be told.
    fn begun(&mut self, id: &str) -> Vec<Sign> {
        let mut known = lock(&self.known);
        known.begins(id);
        let untold = std::mem::take(&mut known.untold);
        known.asked.extend(untold.iter().map(|(_, mark)| mark.clone()));
        let thread = known.thread.clone().unwrap_or_default();
        drop(known);
        let told = untold.iter().map(|(words, mark)| Sign::Write(turn(mark, &thread, words, Some(mark))));
        std::iter::once(Sign::Alive).chain(told).collect()
    }

    fn notified(&mut self, method: &str, object: &Value, now: Instant) -> Vec<Sign> {
        let params = object.get("params").unwrap_or(&Value::Null);
        // A piece of whoever's words: what is secret in it is known only whole.
        if method.to_ascii_lowercase().ends_with("delta") {
            return vec![Sign::Piece];
        }
        if let Some(thread) = text(params, "threadId")
            && lock(&self.known).thread.as_deref() != Some(thread)
        {
            // An agent of the agent, whose requests are counted with all others.
            return if is_again(method, params) { Vec::new() } else { vec![Sign::Alive] };
        }
        let turn = params.get("turn").and_then(|turn| text(turn, "id"));
        match (method, turn) {
            ("turn/started", Some(turn)) => self.begun(turn),
            // One that it has not answered by then it is asked anew.
            ("turn/completed", Some(turn)) if self.question.as_ref().is_some_and(|open| now < open.until) => {
                self.said_since = Some(turn.to_owned());
                vec![Sign::Alive]
            }
            ("turn/completed", Some(turn)) => self.asks(turn, now),
            ("item/started", _) => self.item(params, false, object),
            ("item/completed", _) => self.item(params, true, object),
            ("thread/tokenUsage/updated", _) => self.used(params),
            ("error", _) if is_again(method, params) => {
                vec![Sign::TriesAgain(Said::words(EventKind::Log, trouble(params)))]
            }
            ("error", _) => vec![log(trouble(params))],
            ("warning" | "guardianWarning", _) => vec![log(text(params, "message").unwrap_or_default().to_owned())],
            ("configWarning" | "deprecationNotice", _) => {
                vec![log(text(params, "summary").unwrap_or_default().to_owned())]
            }
            _ if SILENT.contains(&method) => vec![Sign::Alive],
            _ => vec![raw(object)],
        }
    }

    fn item(&mut self, params: &Value, ended: bool, object: &Value) -> Vec<Sign> {
        let Some(item) = params.get("item") else { return vec![raw(object)] };
        if text(item, "type") == Some("userMessage") {
            let mark = text(item, "clientId").filter(|_| !ended);
            let taken_up = mark.map(|mark| Sign::TakenUp(mark.to_owned()));
            return [Some(Sign::Alive), taken_up].into_iter().flatten().collect();
        }
        let speaks = if ended { text(item, "type") == Some("agentMessage") } else { item::is_call(item) };
        let Some(mut signs) = item::as_in_lines(item).and_then(|item| self.items.item(&item, ended)) else {
            return vec![raw(object)];
        };
        signs.extend(speaks.then_some(Sign::Spoke));
        signs
    }

    /// The thread used so much by now, after an answer and the calls in it; a thread that goes on says it first.
    fn used(&mut self, params: &Value) -> Vec<Sign> {
        let total = params.get("tokenUsage").and_then(|usage| usage.get("total")).unwrap_or(&Value::Null);
        let count = |name: &str| total.get(name).and_then(Value::as_u64).unwrap_or(0);
        let (input, cached, output) = (count("inputTokens"), count("cachedInputTokens"), count("outputTokens"));
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.note_thread(Count { tokens: Tokens { input, cached, output }, kept: count("cacheWriteInputTokens") });
        drop(counted);
        // An answer belongs to a turn: what is counted late begins none anew.
        if lock(&self.known).begun.is_empty() { vec![Sign::Alive] } else { vec![Sign::Alive, Sign::Spoke] }
    }

    /// Asks whether a turn has ended, and how.
    fn asks(&mut self, turn: &str, now: Instant) -> Vec<Sign> {
        vec![Sign::Alive, Sign::Write(self.open_question(turn.to_owned(), now + ASK_LIMIT))]
    }

    /// Asks the same once more, after a while.
    fn asks_again(&mut self, question: &Question) -> Vec<Sign> {
        vec![Sign::Alive, Sign::WriteIn(ASK_EVERY, self.open_question(question.turn.clone(), question.until))]
    }

    fn open_question(&mut self, turn: String, until: Instant) -> Vec<u8> {
        let id = ids::uuid();
        let known = lock(&self.known);
        let (thread, begun) = (known.thread.clone(), known.begun.clone());
        drop(known);
        let asked = request(&id, TURNS, &json!({ "threadId": thread, "limit": 1, "itemsView": "notLoaded" }));
        self.question = Some(Question { id, turn, begun, until });
        asked
    }

    /// How its newest turn stands, by its own answer.
    fn stands(&mut self, question: &Question, object: &Value, now: Instant) -> Vec<Sign> {
        let turns = object.get("result").and_then(|result| result.get("data"));
        let is_asked_on = now < question.until;
        let Some(newest) = turns.and_then(|turns| turns.get(0)) else {
            return if is_asked_on { self.asks_again(question) } else { vec![raw(object)] };
        };
        let id = text(newest, "id");
        let terminal = match text(newest, "status") {
            _ if id.is_some() && id == self.ended.as_deref() => return vec![Sign::Alive],
            Some("completed") => Terminal { well: true, words: self.items.last_message(), ..Terminal::default() },
            Some("failed") => {
                let error = newest.get("error").unwrap_or(&Value::Null);
                let words = text(error, "message").unwrap_or_default().to_owned();
                Terminal { words, status: status(error), ..Terminal::default() }
            }
            Some("interrupted") => Terminal { words: "its turn was interrupted".into(), ..Terminal::default() },
            // Its own word may be ahead of what it keeps.
            _ if id == Some(question.turn.as_str()) && is_asked_on => return self.asks_again(question),
            _ if id == Some(question.turn.as_str()) => {
                let asked = ASK_LIMIT.as_secs();
                return vec![log(format!(
                    "A line says that Codex has ended its turn; asked for {asked} s, it has not."
                ))];
            }
            // A newer turn runs, or somebody else said it.
            _ => return vec![Sign::Alive],
        };
        self.ended = id.map(str::to_owned);
        lock(&self.known).is_over(id, &question.begun);
        ended(terminal)
    }

    /// What a line says that was read at this time.
    fn read_at(&mut self, line: &[u8], now: Instant) -> Vec<Sign> {
        json_lines::signs(line, |object| match (object.get("id"), text(object, "method")) {
            (Some(id), Some(method)) => refuse(id, method),
            (Some(id), None) => self.answered(id.as_str().unwrap_or_default(), object, now),
            (None, Some(method)) => self.notified(method, object, now),
            (None, None) => vec![raw(object)],
        })
    }
}

impl Reader for Conversation {
    fn read(&mut self, line: &[u8]) -> Vec<Sign> {
        self.read_at(line, Instant::now())
    }
}

/// It asks for leave, or for something that only people know: nobody is there.
fn refuse(id: &Value, method: &str) -> Vec<Sign> {
    // A tool can write such a line, and would have us write as much.
    if !(id.is_number() || id.as_str().is_some_and(|id| id.len() <= LONGEST_ID)) {
        return vec![Sign::Alive];
    }
    let error = json!({ "code": NOT_FOUND, "message": "nobody answers this here" });
    let refused = line(&json!({ "id": id, "error": error }));
    let method = clipped(method, LONGEST_METHOD);
    vec![log(format!("Codex asked for {method}, and was refused.")), Sign::Write(refused)]
}

fn log(words: String) -> Sign {
    Sign::Said(Said::words(EventKind::Log, words))
}

/// A request of ours that it could not do: then it does nothing else.
fn failed(method: &str, error: &str) -> Vec<Sign> {
    ended(Terminal { words: failure(method, error), ..Terminal::default() })
}

fn failure(method: &str, error: &str) -> String {
    format!("{method} failed: {error}")
}

/// Whether it tells of a request to its model that it makes again.
fn is_again(method: &str, params: &Value) -> bool {
    method == "error" && params.get("willRetry").and_then(Value::as_bool) == Some(true)
}

/// What went wrong, and what it does about it.
fn trouble(params: &Value) -> String {
    let error = params.get("error").unwrap_or(&Value::Null);
    let words = text(error, "message").unwrap_or_default();
    match text(error, "additionalDetails") {
        Some(details) => format!("{words} ({details})"),
        None => words.to_owned(),
    }
}

/// The status of the model's provider, where the kind of the error tells one.
fn status(error: &Value) -> Option<u16> {
    let kind = error.get("codexErrorInfo")?.as_object()?.values().next()?;
    kind.get("httpStatusCode")?.as_u64().and_then(|status| u16::try_from(status).ok())
}

#[cfg(test)]
pub(super) mod tests;
