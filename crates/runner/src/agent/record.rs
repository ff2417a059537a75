//! Facts about one start of an agent so far, for limits and for judging its end.

use super::classify::is_of_the_account;
use super::line::{Stream, kind_name};
use super::sign::{Sign, Sum, Terminal, Tokens};
use crate::api::said::Said;
use pullyard_protocol::event::EventKind;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How much of the end of standard error is stored. Units: bytes.
const TAIL_BYTES: usize = 8 * 1024;
/// Longest stored message. Secrets are removed later, so a cut must not split one. Units: bytes.
const LONGEST_WORD: usize = 64 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) last: Instant,
    /// Since `last` the agent only repeats requests to its model.
    pub(super) tries_again: bool,
    pub(super) last_event: String,
    pub(super) tools: BTreeSet<String>,
    /// Every tool call has its answer, so the model is next.
    answered: bool,
    pub(super) session: Option<String>,
    pub(super) model: Option<String>,
    pub(super) turns: u32,
    /// The last answer called tools, or a tool answered since.
    pub(super) more_follows: bool,
    pub(super) used: Tokens,
    /// The cost, if known. Units: millionths of a US dollar.
    pub(super) cost: Option<u64>,
    pub(super) cost_at_most: u64,
    /// The cost for display while the agent works. No limit uses it.
    pub(super) cost_so_far: CostSoFar,
    /// The date of the price list, if the runner computed the cost.
    pub(super) prices_of: Option<String>,
    /// The newest count of an agent that reports totals.
    pub(super) own_sum: Option<Sum>,
    /// Marks of inputs that the model answered.
    pub(super) heard: Vec<String>,
    /// Marks of inputs on their way to the model.
    taken_up: Vec<String>,
    /// The agent's question, if no output followed it.
    pub(super) asked: Option<String>,
    pub(super) terminal: Option<Terminal>,
    /// The first denied tool of all turns. Each end reports only its own.
    pub(super) denied: Option<String>,
    pub(super) ends: u32,
    pub(super) ended_at: Option<Instant>,
    /// How often the model spoke, at least once for each answer.
    spoken: u32,
    spoken_at_end: u32,
    /// Another turn began after the end, for late inputs.
    pub(super) works_again: bool,
    pub(super) stderr: String,
    out: String,
    err: String,
}

/// The cost of a start so far. Units: millionths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CostSoFar {
    #[default]
    Unknown,
    /// Reported by the agent, or computed from the model's price.
    Known(u64),
    /// An estimate until the agent reports the cost.
    About(u64),
    /// An upper bound, because the model has no known price.
    AtMost(u64),
}

impl Record {
    fn new(now: Instant) -> Self {
        Self {
            last: now,
            tries_again: false,
            last_event: "its start".into(),
            tools: BTreeSet::new(),
            answered: false,
            session: None,
            model: None,
            turns: 0,
            more_follows: false,
            used: Tokens::default(),
            cost: None,
            cost_at_most: 0,
            cost_so_far: CostSoFar::Unknown,
            prices_of: None,
            own_sum: None,
            heard: Vec::new(),
            taken_up: Vec::new(),
            asked: None,
            terminal: None,
            denied: None,
            ends: 0,
            ended_at: None,
            spoken: 0,
            spoken_at_end: 0,
            works_again: false,
            stderr: String::new(),
            out: String::new(),
            err: String::new(),
        }
    }

    fn note(&mut self, sign: &Sign, now: Instant) {
        match sign {
            // Facts from files and totals after the end are no sign of life.
            Sign::Used(_) | Sign::Cost(_) | Sign::CostAtMost(_) | Sign::CostAbout(_) | Sign::Model(_) => {}
            Sign::TriesAgain(_) => self.tries_again = true,
            _ => {
                self.last = now;
                self.tries_again = false;
            }
        }
        match sign {
            Sign::Said(said) | Sign::TriesAgain(said) => self.heard(Stream::Out, said),
            Sign::Alive | Sign::Piece => {}
            Sign::Session(id) => self.session = Some(id.clone()),
            Sign::Model(model) => self.model = Some(model.clone()),
            Sign::ToolBegan(id) => {
                self.tools.insert(id.clone());
            }
            // The caller of the tool is next, even if a subagent spoke last.
            Sign::ToolEnded(id) => self.more_follows |= self.tools.remove(id) && !self.answered,
            Sign::ToolsEnded => self.tools.clear(),
            Sign::Answered(answered) => self.answered = *answered,
            Sign::Turn => {
                self.counts();
                self.spoke();
            }
            Sign::Counted => self.counts(),
            Sign::TakenUp(mark) => {
                self.taken_up.push(mark.clone());
                // After an end, this input begins another turn.
                self.works_again = self.terminal.is_some();
            }
            Sign::MoreFollows => self.more_follows = true,
            Sign::Used(tokens) => self.used += *tokens,
            Sign::Cost(cost) => self.costs(*cost),
            Sign::CostAtMost(cost) => {
                self.cost = None;
                self.cost_at_most = self.cost_at_most.max(*cost);
                self.cost_so_far = CostSoFar::AtMost(*cost);
            }
            Sign::CostAbout(cost) => self.cost_so_far = cost.map_or(CostSoFar::Unknown, CostSoFar::About),
            Sign::Sum(sum) => {
                self.turns = sum.turns;
                self.used = sum.tokens;
                if let Some(cost) = sum.cost {
                    self.costs(cost);
                }
                // Only the agent's own result shows which answer was the last.
                self.more_follows = sum.goes_on;
                self.own_sum = Some(*sum);
            }
            Sign::Ended(terminal) => {
                self.tools.clear();
                self.ends = self.ends.saturating_add(1);
                self.ended_at = Some(now);
                self.spoken_at_end = self.spoken;
                self.works_again = false;
                self.denied = self.denied.take().or_else(|| terminal.denied.first().cloned());
                // A second end comes from a turn for late inputs, and the first failure stays. Exception: an account
                // failure yields to another failure, which could not follow a real one.
                let stays = self.terminal.as_ref().is_some_and(|known| {
                    let gives_way = is_of_the_account(known) && !terminal.well && !is_of_the_account(terminal);
                    !known.well && !gives_way
                });
                if !stays {
                    self.terminal = Some(terminal.clone());
                }
            }
        }
    }

    fn counts(&mut self) {
        self.turns = self.turns.saturating_add(1);
        self.more_follows = false;
    }

    /// The model answers, with every input so far.
    fn spoke(&mut self) {
        self.spoken = self.spoken.saturating_add(1);
        self.works_again = self.terminal.is_some();
        self.heard.append(&mut self.taken_up);
    }

    /// The agent reports its cost so far. Units: millionths of a US dollar.
    fn costs(&mut self, cost: u64) {
        self.cost = Some(cost);
        self.cost_at_most = self.cost_at_most.max(cost);
        self.cost_so_far = CostSoFar::Known(cost);
    }

    fn heard(&mut self, stream: Stream, said: &Said) {
        if stream == Stream::Out && said.kind != EventKind::Usage {
            self.asked = said.text.clone().filter(|_| said.kind == EventKind::Question);
        }
        if said.kind == EventKind::Usage {
            let of = said.data.as_ref().and_then(|data| data.get("prices_of")).and_then(Value::as_str);
            self.prices_of = of.map(str::to_owned).or_else(|| self.prices_of.take());
        }
        let words = last_of(said.text.as_deref().or(said.name.as_deref()).unwrap_or_default());
        self.last_event = if words.is_empty() { kind_name(said.kind) } else { words.clone() };
        if !words.is_empty() && said.kind != EventKind::Usage {
            match stream {
                Stream::Out => self.out = words,
                Stream::Err => self.err = words,
            }
        }
    }

    fn erred(&mut self, line: &str) {
        self.stderr.push_str(line);
        self.stderr.push('\n');
        if self.stderr.len() > 2 * TAIL_BYTES {
            let from = self.stderr.ceil_char_boundary(self.stderr.len() - TAIL_BYTES);
            self.stderr.drain(..from);
        }
    }

    /// The estimated cost beyond the reported cost, if the agent ended early. Units: millionths of a US dollar.
    pub(super) fn unsaid_cost(&self) -> Option<u64> {
        match self.cost_so_far {
            CostSoFar::About(about) => {
                Some(about.saturating_sub(self.cost.unwrap_or_default())).filter(|more| *more > 0)
            }
            CostSoFar::Unknown | CostSoFar::Known(_) | CostSoFar::AtMost(_) => None,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.terminal.is_some() && !self.works_again
    }

    /// The agent ended well, and its model has not spoken since.
    pub(super) fn has_ended_well(&self) -> bool {
        self.terminal.as_ref().is_some_and(|terminal| terminal.well) && self.spoken == self.spoken_at_end
    }

    /// The agent ended, or reported more ends than `ends`.
    pub(super) fn has_ended_since(&self, ends: u32) -> bool {
        self.has_ended() || self.ends > ends
    }

    pub(super) fn waits_for_a_tool(&self) -> bool {
        !self.tools.is_empty() && !self.answered
    }

    pub(super) fn has_taken_up(&self, mark: &str) -> bool {
        self.taken_up.iter().chain(&self.heard).any(|known| known == mark)
    }

    /// The agent's last message. Its own report of its end wins over standard error, and standard error over output.
    pub(super) fn last_words(&self) -> String {
        let own = self.terminal.as_ref().map(|terminal| one_line(&terminal.words)).unwrap_or_default();
        let words = [&own, &self.err, &self.out].into_iter().find(|words| !words.is_empty());
        words.map_or_else(|| "it said nothing".into(), String::clone)
    }
}

/// The end of a text, from the beginning of a line. If the last line is too long, the beginning of that line.
fn last_of(text: &str) -> String {
    let text = text.trim_end();
    let from = text.ceil_char_boundary(text.len().saturating_sub(LONGEST_WORD));
    let kept = text.get(from..).unwrap_or_default();
    let line = text.lines().next_back().unwrap_or_default();
    match kept.split_once('\n') {
        _ if from == 0 => text.to_owned(),
        Some((_, whole_lines)) => whole_lines.to_owned(),
        None => first_of(line).to_owned(),
    }
}

fn first_of(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST_WORD)).unwrap_or(text)
}

fn one_line(words: &str) -> String {
    first_of(words.trim()).split(['\r', '\n']).collect::<Vec<_>>().join(" ")
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

struct Inner {
    record: Mutex<Record>,
    changed: Notify,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner { record: Mutex::new(Record::new(Instant::now())), changed: Notify::new() }))
    }

    pub(super) fn note(&self, sign: &Sign) {
        self.record().note(sign, Instant::now());
        self.0.changed.notify_one();
    }

    pub(super) fn note_error(&self, line: &str, said: &Said) {
        let mut record = self.record();
        // During a retry of the model's request, the line is about the retry.
        if !record.tries_again {
            record.last = Instant::now();
        }
        record.heard(Stream::Err, said);
        record.erred(line);
        drop(record);
        self.0.changed.notify_one();
    }

    /// Excludes a time in which events could not be sent, so the runner did not read. The agent was not silent then.
    pub(super) fn held_up(&self, time: Duration) {
        let mut record = self.record();
        record.last = (record.last + time).min(Instant::now());
    }

    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Record> {
        self.0.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(signs: &[Sign]) -> Record {
        let mut record = Record::new(Instant::now());
        for sign in signs {
            record.note(sign, Instant::now());
        }
        record
    }

    fn ended(well: bool, words: &str) -> Sign {
        Sign::Ended(Terminal { well, words: words.into(), ..Terminal::default() })
    }

    #[test]
    fn failure_outweighs_a_later_success() {
        let heard = record(&[ended(true, "fine"), ended(false, "overloaded"), ended(true, "fine again")]);
        assert_eq!(heard.terminal.unwrap().words, "overloaded");
    }

    #[test]
    fn first_denial_is_recorded_across_turns() {
        let denied = |well: bool, tools: &[&str]| {
            let denied = tools.iter().map(|tool| (*tool).to_owned()).collect();
            Sign::Ended(Terminal { well, denied, ..Terminal::default() })
        };
        let heard = record(&[denied(true, &["Bash", "Write"]), ended(true, "fine")]);
        assert!(heard.terminal.unwrap().denied.is_empty());
        assert_eq!(heard.denied.as_deref(), Some("Bash"));
        let heard = record(&[ended(true, "fine"), denied(false, &["Write"]), denied(true, &["Bash"])]);
        assert_eq!(heard.denied.as_deref(), Some("Write"));
        assert_eq!(record(&[ended(true, "fine")]).denied, None);
    }

    #[test]
    fn limit_message_yields_to_another_failure() {
        let (limit, other) = (ended(false, "You've hit your session limit"), ended(false, "it was interrupted"));
        for said in [vec![&limit, &other], vec![&other, &limit], vec![&limit, &other, &limit]] {
            let said: Vec<Sign> = said.into_iter().cloned().collect();
            assert_eq!(record(&said).terminal.unwrap().words, "it was interrupted", "{said:?}");
        }
        assert_eq!(record(&[limit, ended(true, "fine")]).terminal.unwrap().words, "You've hit your session limit");
    }

    #[test]
    fn retry_is_no_sign_of_life_and_other_signs_are() {
        let start = Instant::now();
        let at = |secs: u64| start + Duration::from_secs(secs);
        let again = || Sign::TriesAgain(Said::words(EventKind::Log, "The model could not be reached."));
        let text = Sign::Said(Said::words(EventKind::Text, "hello"));
        let used = Sign::Used(Tokens { input: 1, cached: 0, output: 1 });
        for (signs, last, tries_again) in [
            (vec![again()], 0, true),
            (vec![again(), again(), again()], 0, true),
            (vec![Sign::Alive, again()], 1, true),
            (vec![Sign::Alive, again(), used], 1, true),
            (vec![again(), Sign::Piece], 2, false),
            (vec![again(), again(), text], 3, false),
            (vec![again(), ended(false, "overloaded")], 2, false),
        ] {
            let mut record = Record::new(start);
            signs.iter().zip(1..).for_each(|(sign, secs)| record.note(sign, at(secs)));
            assert_eq!((record.last, record.tries_again), (at(last), tries_again), "{signs:?}");
        }
        assert_eq!(record(&[Sign::Alive, again()]).last_event, "The model could not be reached.");
    }

    #[test]
    fn stderr_during_a_retry_is_no_sign_of_life() {
        let warning = Said::words(EventKind::Log, "retrying");
        let note = |signs: &[Sign]| {
            let shared = Shared::new();
            signs.iter().for_each(|sign| shared.note(sign));
            // A time in the future shows whether `last` was set, without comparing two clock reads.
            let before = Instant::now() + Duration::from_secs(3_600);
            shared.record().last = before;
            shared.note_error("retrying", &warning);
            let record = shared.record();
            (record.last != before, record.tries_again, record.last_event.clone())
        };
        let again = || Sign::TriesAgain(Said::words(EventKind::Log, "again"));
        assert_eq!(note(&[again()]), (false, true, "retrying".into()));
        assert_eq!(note(&[again(), Sign::Alive]), (true, false, "retrying".into()));
    }

    #[test]
    fn held_up_reading_adds_no_silence_and_no_sign() {
        let (shared, hour) = (Shared::new(), Duration::from_secs(3_600));
        shared.note(&Sign::TriesAgain(Said::words(EventKind::Log, "again")));
        let began = shared.record().last;
        shared.held_up(hour);
        let record = shared.record().clone();
        assert!(record.last >= began && record.last <= Instant::now(), "no silence begins in the future");
        assert!(record.tries_again);
    }

    #[test]
    fn late_input_reopens_the_run_until_its_next_end() {
        let end = || ended(true, "fine");
        assert!(!record(&[Sign::TakenUp("m".into()), Sign::Turn]).has_ended());
        assert!(record(&[Sign::TakenUp("m".into()), Sign::Turn, end()]).has_ended());
        let again = [end(), Sign::TakenUp("m".into())];
        assert!(!record(&again).has_ended());
        assert!(!record(&[&again[..], &[Sign::Turn]].concat()).has_ended());
        assert!(record(&[&again[..], &[Sign::Turn, end()]].concat()).has_ended());
    }

    #[test]
    fn end_is_noticed_although_another_turn_follows() {
        let before = record(&[Sign::Turn]).ends;
        assert!(!record(&[Sign::Turn, Sign::TakenUp("m".into())]).has_ended_since(before));
        let again = [Sign::Turn, ended(false, "interrupted"), Sign::TakenUp("m".into())];
        assert!(record(&again).has_ended_since(before));
        // Now wait for the end of that second turn.
        let before = record(&again).ends;
        assert!(!record(&[&again[..], &[Sign::Turn]].concat()).has_ended_since(before));
        assert!(record(&[&again[..], &[Sign::Turn, ended(false, "again")]].concat()).has_ended_since(before));
    }

    #[test]
    fn late_count_starts_no_turn_and_acknowledges_no_input() {
        // A count from the session file may belong to the answer before the input.
        let late = record(&[Sign::TakenUp("m".into()), Sign::Counted]);
        assert_eq!((late.turns, late.heard.len()), (1, 0));
        let after = record(&[Sign::Turn, ended(true, "fine"), Sign::Counted]);
        assert!(after.has_ended() && after.has_ended_well());
        assert_eq!(after.turns, 2);
    }

    #[test]
    fn answer_with_tool_calls_is_not_the_last() {
        assert!(record(&[Sign::Turn, Sign::MoreFollows]).more_follows);
        let last = record(&[Sign::Turn, Sign::MoreFollows, Sign::Turn]);
        assert_eq!((last.turns, last.more_follows), (2, false));
    }

    #[test]
    fn unknown_cost_is_unreported_and_bounded() {
        let heard = record(&[Sign::Cost(10), Sign::CostAtMost(30)]);
        assert_eq!((heard.cost, heard.cost_at_most), (None, 30));
    }

    #[test]
    fn newer_sums_replace_older_ones() {
        let sum = |turns: u32, cost| {
            let tokens = Tokens { input: 10 * u64::from(turns), cached: 0, output: 1 };
            Sign::Sum(Sum { turns, tokens, cost, goes_on: true, is_told: true })
        };
        let heard = record(&[sum(2, Some(20)), sum(3, Some(15))]);
        assert_eq!((heard.turns, heard.used.input, heard.cost), (3, 30, Some(15)));
        // The bound for limits never decreases.
        assert_eq!((heard.cost_at_most, heard.cost_so_far, heard.more_follows), (20, CostSoFar::Known(15), true));
        assert_eq!(record(&[sum(1, None)]).cost, None);
    }

    #[test]
    fn estimated_cost_is_shown_until_a_cost_is_reported() {
        let mut heard = record(&[Sign::CostAbout(Some(30))]);
        assert_eq!((heard.cost, heard.cost_at_most, heard.cost_so_far), (None, 0, CostSoFar::About(30)));
        assert_eq!(heard.unsaid_cost(), Some(30));
        heard.note(&Sign::Cost(20), Instant::now());
        assert_eq!((heard.cost, heard.cost_at_most, heard.cost_so_far), (Some(20), 20, CostSoFar::Known(20)));
        assert_eq!(heard.unsaid_cost(), None);
        // It continues with inputs: the earlier cost still counts for limits and records.
        heard.note(&Sign::CostAbout(Some(25)), Instant::now());
        assert_eq!((heard.cost, heard.cost_at_most, heard.cost_so_far), (Some(20), 20, CostSoFar::About(25)));
        assert_eq!(heard.unsaid_cost(), Some(5));
        heard.note(&Sign::CostAbout(None), Instant::now());
        assert_eq!((heard.cost, heard.cost_so_far, heard.unsaid_cost()), (Some(20), CostSoFar::Unknown, None));
    }

    #[test]
    fn last_words_prefer_result_then_stderr_then_output() {
        let mut heard = record(&[Sign::Said(Said::words(EventKind::Text, "hello\n\n"))]);
        assert_eq!(heard.last_words(), "hello");
        heard.heard(Stream::Err, &Said::words(EventKind::Log, "oops"));
        assert_eq!((heard.last_words().as_str(), heard.last_event.as_str()), ("oops", "oops"));
        heard.note(&ended(false, "No credit"), Instant::now());
        assert_eq!(heard.last_words(), "No credit");
        assert_eq!(record(&[]).last_words(), "it said nothing");
    }

    #[test]
    fn last_words_are_stored_completely() {
        let said = |text: &str| Sign::Said(Said::words(EventKind::Text, text));
        // The lines before the last one give its context.
        assert_eq!(record(&[said("a key:\nits end\n")]).last_words(), "a key:\nits end");
        let long = "x".repeat(1_000);
        assert_eq!(record(&[said(&long)]).last_words(), long);
        assert_eq!(record(&[said(&long)]).last_event, long);
        assert_eq!(record(&[ended(false, &long)]).last_words(), long);
        assert_eq!(record(&[ended(false, "one\ntwo\r\n")]).last_words(), "one two");
    }

    #[test]
    fn overlong_last_words_end_with_the_last_line() {
        let said = |text: String| record(&[Sign::Said(Said::words(EventKind::Text, text))]).last_words();
        let lines = format!("{}the last line", "ü line\n".repeat(20_000));
        let kept = said(lines);
        assert!(kept.len() <= LONGEST_WORD && kept.starts_with("ü line\n") && kept.ends_with("the last line"));
        let kept = said(format!("before\nbegins {}", "ü".repeat(LONGEST_WORD)));
        assert!(kept.len() <= LONGEST_WORD && kept.starts_with("begins ü"), "{}", kept.len());
    }

    #[test]
    fn stderr_is_cut_to_its_end() {
        let mut heard = record(&[]);
        for number in 0..10_000 {
            heard.erred(&format!("ü line {number}"));
        }
        assert!(heard.stderr.len() <= 2 * TAIL_BYTES + 100);
        assert!(heard.stderr.ends_with("line 9999\n"));
    }
}
