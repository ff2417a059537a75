//! Simulates one attempt: the calls of its runner from start to finish.

use crate::forge::{Commit, Forge, PullRequest};
use crate::prelude::*;
use pullyard_domain::text::failure::Failure;
use sha2::{Digest, Sha256};

/// The longest time from the request for a push to its end. Units: seconds.
const PUSH_LIMIT_SECS: u64 = 90;

/// Git is killed this long before the push window ends. Units: seconds.
const PUSH_MARGIN_SECS: u64 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    Task(u32),
    Runner(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Preparing,
    Credentials,
    Executing,
    /// The agent still sends this many events.
    Working(u8),
    Syncing,
    Push(Timestamp),
    Yield,
    Finish,
    /// Ended by its own call or by another one.
    Ended,
}

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) name: String,
    pub(crate) home: Home,
    pub(crate) job: String,
    pub(crate) number: u64,
    pub(crate) claim: String,
    pub(crate) instance: String,
    pub(crate) step: Step,
    pub(crate) call_pending: bool,
    pub(crate) silent_until: Timestamp,
    bootstrap: String,
    task: Option<String>,
    lease: String,
    revises: Option<u64>,
    continues: Option<u64>,
    /// `revises` or `continues`, if that pull request was open at the start.
    pull: Option<u64>,
    branch: String,
    expected: Option<String>,
    adopted: Option<String>,
    push_requested_at: Option<Timestamp>,
    events: u64,
    final_body: Option<Value>,
    agent_fails: bool,
    agent_asks: bool,
    received_inputs: u64,
}

fn random_time(now: Timestamp, dice: &mut SeededRng, most: u64) -> Timestamp {
    now.plus(Duration::from_secs(dice.between(5, most)))
}

pub(crate) struct AttemptStart {
    pub(crate) name: String,
    pub(crate) home: Home,
    pub(crate) job: String,
    pub(crate) number: u64,
    pub(crate) claim: String,
    pub(crate) instance: String,
    pub(crate) bootstrap: String,
    pub(crate) task: Option<String>,
    /// Units: percent.
    pub(crate) fails_percent: u64,
    /// Units: percent.
    pub(crate) asks_percent: u64,
}

impl Attempt {
    pub(crate) fn new(begun: AttemptStart, now: Timestamp, dice: &mut SeededRng) -> Self {
        let AttemptStart {
            name,
            home,
            job,
            number,
            claim,
            instance,
            bootstrap,
            task,
            fails_percent: fails,
            asks_percent: asks,
        } = begun;
        Self {
            name,
            home,
            job,
            number,
            claim,
            instance,
            bootstrap,
            task,
            step: Step::Start,
            call_pending: false,
            silent_until: if dice.percent(15) { random_time(now, dice, 250) } else { now },
            lease: String::new(),
            revises: None,
            continues: None,
            pull: None,
            branch: String::new(),
            expected: None,
            adopted: None,
            push_requested_at: None,
            events: 0,
            final_body: None,
            agent_fails: dice.percent(fails),
            agent_asks: dice.percent(asks),
            received_inputs: 0,
        }
    }

    pub(crate) fn next_call(&mut self, now: Timestamp) -> Option<ApiCall> {
        let path = |action: &str| format!("/v1/jobs/{}/attempts/{}/{action}", self.job, self.number);
        let phase = |phase: &str| Some(ApiCall::post(path("status"), &self.lease, json!({ "status": phase })));
        match self.step {
            Step::Start => {
                let mut body = json!({ "claim_id": self.claim, "instance": self.instance });
                if let Some(task) = &self.task {
                    body["task"] = json!(task);
                }
                Some(ApiCall::post(path("start"), &self.bootstrap, body))
            }
            Step::Preparing => phase("preparing"),
            Step::Credentials => Some(ApiCall::post(path("credentials"), &self.lease, json!({}))),
            Step::Executing => phase("executing"),
            Step::Working(_) => {
                let seq = self.events + 1;
                let events = json!([{ "seq": seq, "age_ms": 5, "kind": "text", "text": "It goes on." }]);
                let body = json!({ "first_seq": seq, "events": events, "inputs": self.received_inputs });
                Some(ApiCall::post(path("events"), &self.lease, body))
            }
            Step::Syncing => {
                self.push_requested_at.get_or_insert(now);
                // An adopting attempt has no agent and receives no inputs.
                let inputs = self.adopted.is_none().then_some(self.received_inputs);
                Some(ApiCall::post(path("status"), &self.lease, json!({ "status": "syncing", "inputs": inputs })))
            }
            Step::Yield => Some(ApiCall::post(path("yield"), &self.lease, self.final_body.clone()?)),
            Step::Finish => Some(ApiCall::post(path("finish"), &self.lease, self.final_body.clone()?)),
            Step::Push(_) | Step::Ended => None,
        }
    }

    /// Handles an answer. `None`: no answer came, and the call is repeated.
    pub(crate) fn handle_answer(
        &mut self,
        answer: Option<(u16, Value)>,
        now: Timestamp,
        forge: &Forge,
        dice: &mut SeededRng,
    ) {
        self.call_pending = false;
        let Some((status, body)) = answer else { return };
        match (status, body["code"].as_str().unwrap_or_default()) {
            (200, _) => {
                self.advance(&body, now, forge, dice);
                // An agent works for minutes, and a push may take most of its window.
                if matches!(self.step, Step::Working(_) | Step::Push(_)) && dice.percent(40) {
                    self.silent_until = random_time(now, dice, 110);
                }
            }
            (409, "unwanted") if self.step != Step::Start && self.step != Step::Finish => self.stop(),
            (400..500, _) => self.step = Step::Ended,
            _ => {}
        }
    }

    fn advance(&mut self, body: &Value, now: Timestamp, forge: &Forge, dice: &mut SeededRng) {
        if body["want"] == "cancel" && !matches!(self.step, Step::Finish) {
            return self.stop();
        }
        // A granted push continues.
        let may_rest = matches!(self.step, Step::Preparing | Step::Executing | Step::Working(_) | Step::Syncing);
        if body["want"] == "pause" && may_rest && body["push_for_secs"].is_null() {
            self.step = self.yield_job(None, dice);
            return;
        }
        self.step = match self.step {
            Step::Start => {
                self.lease = body["lease"].as_str().unwrap().to_owned();
                self.revises = body["revises"]["number"].as_u64();
                self.continues = body["continues"]["number"].as_u64();
                self.branch = body["branch"].as_str().unwrap().to_owned();
                self.received_inputs = body["resume"]["inputs"].as_array().map_or(0, Vec::len) as u64;
                Step::Preparing
            }
            Step::Preparing => {
                if let Some(number) = self.revises
                    && let Some(closed) = forge.pull(number).filter(|pull| !pull.is_open())
                {
                    let state = closed.state.display_name().to_owned();
                    let failure = Failure::PullRequestClosed { pr: format!("acme/app#{number}"), state };
                    self.step = self.finish_with(json!({ "outcome": "failed", "failure": failure }), dice);
                    return;
                }
                // A closed pull request is not continued: the job opens its own.
                let open = self
                    .revises
                    .or(self.continues)
                    .filter(|number| forge.pull(*number).is_some_and(PullRequest::is_open));
                self.pull = open;
                let own = std::mem::take(&mut self.branch);
                let continued = self.continues.and_then(|number| forge.pull(number)).map(|pull| pull.branch.clone());
                self.branch =
                    open.and_then(|number| forge.pull(number)).map_or(own.clone(), |pull| pull.branch.clone());
                // A commit of this job on any of these branches completes the work.
                for branch in [Some(self.branch.clone()), Some(own), continued].into_iter().flatten() {
                    let head = forge.head(&branch);
                    if let Some(ours) = head.filter(|commit| commit.job == self.job) {
                        self.adopted = Some(ours.head.clone());
                        self.pull = self.pull.filter(|_| branch == self.branch);
                        self.branch = branch;
                        break;
                    }
                }
                self.expected = forge.head(&self.branch).map(|commit| commit.head.clone());
                if dice.percent(50) { Step::Credentials } else { Step::Executing }
            }
            Step::Credentials => Step::Executing,
            // An adopting attempt has no agent.
            Step::Executing if self.adopted.is_some() => Step::Syncing,
            Step::Executing if self.agent_fails => {
                let failure = Failure::Unknown { last_words: "it gave up".into() };
                self.finish_with(json!({ "outcome": "failed", "failure": failure }), dice)
            }
            Step::Executing => Step::Working(dice.below(3) as u8),
            Step::Working(remaining) => {
                self.events += 1;
                self.received_inputs = self.received_inputs.max(body["inputs"].as_u64().unwrap_or(0));
                match remaining.checked_sub(1) {
                    Some(remaining) => Step::Working(remaining),
                    None if self.agent_asks => self.yield_job(Some("In which colour?"), dice),
                    None => Step::Syncing,
                }
            }
            // New inputs arrived for the agent.
            Step::Syncing | Step::Yield if body["goes_on"] == true => {
                self.push_requested_at = None;
                Step::Working(1)
            }
            Step::Syncing => {
                let push_secs = body["push_for_secs"].as_u64().unwrap_or(0);
                let within = PUSH_LIMIT_SECS.min(push_secs.saturating_sub(PUSH_MARGIN_SECS));
                Step::Push(self.push_requested_at.unwrap_or(now).plus(Duration::from_secs(within)))
            }
            Step::Push(_) | Step::Yield | Step::Finish | Step::Ended => Step::Ended,
        };
    }

    fn stop(&mut self) {
        self.final_body = Some(json!({ "finish_id": self.finish_id(), "outcome": "cancelled" }));
        self.step = Step::Finish;
    }

    fn finish_with(&mut self, mut letter: Value, dice: &mut SeededRng) -> Step {
        letter["finish_id"] = json!(self.finish_id());
        letter["spent_usd_micros"] = json!(dice.between(0, 900_000));
        self.final_body = Some(letter);
        Step::Finish
    }

    /// Gives the job back, because the agent asks a question or a user requested a pause.
    fn yield_job(&mut self, question: Option<&str>, dice: &mut SeededRng) -> Step {
        let outcome = if question.is_some() { "asks" } else { "paused" };
        let mut letter = json!({ "yield_id": self.yield_id(), "outcome": outcome, "inputs": self.received_inputs });
        letter["spent_usd_micros"] = json!(dice.between(0, 300_000));
        if let Some(question) = question {
            letter["question"] = json!(question);
            letter["agent"] = json!("command");
        }
        self.final_body = Some(letter);
        Step::Yield
    }

    fn finish_id(&self) -> String {
        format!("finish-{}", self.claim)
    }

    fn yield_id(&self) -> String {
        format!("yield-{}", self.claim)
    }

    pub(crate) fn final_call_id(&self) -> Option<String> {
        match self.step {
            Step::Finish => Some(self.finish_id()),
            Step::Yield => Some(self.yield_id()),
            _ => None,
        }
    }

    /// Pushes within the window and opens the pull request. Returns whether a commit was pushed.
    pub(crate) fn push(&mut self, now: Timestamp, forge: &mut Forge, dice: &mut SeededRng) -> bool {
        let Step::Push(until) = self.step else { return false };
        if now >= until {
            let failure = Failure::Unknown { last_words: "there was no time left to push".into() };
            self.step = self.finish_with(json!({ "outcome": "failed", "failure": failure }), dice);
            return false;
        }
        let mut pushed = false;
        if self.adopted.is_none() {
            let digest = Sha256::digest(format!("{}/{}", self.job, self.number));
            let head: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
            let commit = Commit { head: head.clone(), job: self.job.clone(), attempt: self.number };
            pushed = forge.push(&self.branch, self.expected.as_deref(), commit, now);
            let there = forge.head(&self.branch).filter(|commit| commit.job == self.job);
            self.adopted = there.map(|commit| commit.head.clone());
        }
        self.step = match self.adopted.clone() {
            Some(head) => {
                let number = self.pull.unwrap_or_else(|| forge.find_or_open(&self.branch, now));
                let result = json!({
                    "branch": self.branch,
                    "head": head,
                    "pull_request": { "number": number, "url": format!("http://forge.simulated/acme/app/pull/{number}") },
                    "files": 1,
                    "insertions": 2,
                    "deletions": 3,
                });
                self.finish_with(json!({ "outcome": "completed", "result": result }), dice)
            }
            None => {
                let failure = Failure::Unknown { last_words: "somebody else moved the branch".into() };
                self.finish_with(json!({ "outcome": "failed", "failure": failure }), dice)
            }
        };
        pushed
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.step == Step::Ended
    }
}
