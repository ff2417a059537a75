//! One attempt: what a runner does from its start to its finish, and what it believes meanwhile.

use crate::dice::Dice;
use crate::forge::{Commit, Forge, Pull};
use crate::plane::Ask;
use pullyard_domain::failure::Failure;
use pullyard_domain::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// For how long after asking for it a runner pushes at most.
const PUSH_WITHIN: u64 = 90;

/// What it has to be given back of that time: git is killed that long before it is over.
const PUSH_MARGIN: u64 = 20;

/// Where an attempt runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// The task of this number.
    Task(u32),
    /// The self-hosted runner at this place.
    Runner(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Preparing,
    Credentials,
    Executing,
    /// The agent says so many things yet.
    Working(u8),
    Syncing,
    /// It may push until then.
    Push(Timestamp),
    /// It gives its job back.
    Yield,
    Finish,
    /// It is over, by its own word or by another's.
    Over,
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
    /// A call of it is under way.
    pub(crate) asking: bool,
    /// It does nothing before.
    pub(crate) silent_until: Timestamp,
    bootstrap: String,
    task: Option<String>,
    lease: String,
    /// The pull requests that it is to revise, and to go on with.
    revises: Option<u64>,
    continues: Option<u64>,
    /// The one of them that was open when it began.
    pull: Option<u64>,
    branch: String,
    expected: Option<String>,
    adopted: Option<String>,
    /// It only looks for what an earlier attempt pushed.
    adopts: bool,
    asked_to_push: Option<Timestamp>,
    events: u64,
    letter: Option<Value>,
    /// Its agent fails.
    fails: bool,
    /// Its agent asks something before it is done.
    asks: bool,
    /// How many inputs of its job its agent was told.
    heard: u64,
}

/// Some seconds from now.
fn lasts(now: Timestamp, dice: &mut Dice, most: u64) -> Timestamp {
    now.plus(Duration::from_secs(dice.between(5, most)))
}

/// What a runner was told before it started.
pub(crate) struct Begun {
    pub(crate) name: String,
    pub(crate) home: Home,
    pub(crate) job: String,
    pub(crate) number: u64,
    pub(crate) claim: String,
    pub(crate) instance: String,
    pub(crate) bootstrap: String,
    pub(crate) task: Option<String>,
    /// In so many of a hundred cases.
    pub(crate) fails: u64,
    /// The same.
    pub(crate) asks: u64,
}

impl Attempt {
    pub(crate) fn new(begun: Begun, now: Timestamp, dice: &mut Dice) -> Self {
        let Begun { name, home, job, number, claim, instance, bootstrap, task, fails, asks } = begun;
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
            asking: false,
            silent_until: if dice.percent(15) { lasts(now, dice, 250) } else { now },
            lease: String::new(),
            revises: None,
            continues: None,
            pull: None,
            branch: String::new(),
            expected: None,
            adopted: None,
            adopts: false,
            asked_to_push: None,
            events: 0,
            letter: None,
            fails: dice.percent(fails),
            asks: dice.percent(asks),
            heard: 0,
        }
    }

    /// What it asks next; none where it acts by itself or is over.
    pub(crate) fn ask(&mut self, now: Timestamp) -> Option<Ask> {
        let path = |what: &str| format!("/v1/jobs/{}/attempts/{}/{what}", self.job, self.number);
        let phase = |phase: &str| Some(Ask::post(path("status"), &self.lease, json!({ "status": phase })));
        match self.step {
            Step::Start => {
                let mut body = json!({ "claim_id": self.claim, "instance": self.instance });
                if let Some(task) = &self.task {
                    body["task"] = json!(task);
                }
                Some(Ask::post(path("start"), &self.bootstrap, body))
            }
            Step::Preparing => phase("preparing"),
            Step::Credentials => Some(Ask::post(path("credentials"), &self.lease, json!({}))),
            Step::Executing => phase("executing"),
            Step::Working(_) => {
                let seq = self.events + 1;
                let events = json!([{ "seq": seq, "age_ms": 5, "kind": "text", "text": "It goes on." }]);
                let body = json!({ "first_seq": seq, "events": events, "inputs": self.heard });
                Some(Ask::post(path("events"), &self.lease, body))
            }
            Step::Syncing => {
                self.asked_to_push.get_or_insert(now);
                // Where no agent works, none is told anything.
                let inputs = (!self.adopts).then_some(self.heard);
                Some(Ask::post(path("status"), &self.lease, json!({ "status": "syncing", "inputs": inputs })))
            }
            Step::Yield => Some(Ask::post(path("yield"), &self.lease, self.letter.clone()?)),
            Step::Finish => Some(Ask::post(path("finish"), &self.lease, self.letter.clone()?)),
            Step::Push(_) | Step::Over => None,
        }
    }

    /// What it was answered; none: nothing came back, and it asks the same again.
    pub(crate) fn hear(&mut self, answer: Option<(u16, Value)>, now: Timestamp, forge: &Forge, dice: &mut Dice) {
        self.asking = false;
        let Some((status, body)) = answer else { return };
        match (status, body["code"].as_str().unwrap_or_default()) {
            (200, _) => {
                self.go_on(&body, now, forge, dice);
                // An agent works for minutes, and a push may take most of the time that it has.
                if matches!(self.step, Step::Working(_) | Step::Push(_)) && dice.percent(40) {
                    self.silent_until = lasts(now, dice, 110);
                }
            }
            (409, "unwanted") if self.step != Step::Start && self.step != Step::Finish => self.stop(),
            (400..500, _) => self.step = Step::Over,
            _ => {}
        }
    }

    fn go_on(&mut self, body: &Value, now: Timestamp, forge: &Forge, dice: &mut Dice) {
        if body["want"] == "cancel" && !matches!(self.step, Step::Finish) {
            return self.stop();
        }
        // A push that was granted goes on.
        let may_rest = matches!(self.step, Step::Preparing | Step::Executing | Step::Working(_) | Step::Syncing);
        if body["want"] == "pause" && may_rest && body["push_for_secs"].is_null() {
            self.step = self.rest(None, dice);
            return;
        }
        self.step = match self.step {
            Step::Start => {
                self.lease = body["lease"].as_str().unwrap().to_owned();
                self.adopts = body["adopts"] == true;
                self.revises = body["revises"]["number"].as_u64();
                self.continues = body["continues"]["number"].as_u64();
                self.branch = body["branch"].as_str().unwrap().to_owned();
                self.heard = body["resume"]["inputs"].as_array().map_or(0, Vec::len) as u64;
                Step::Preparing
            }
            Step::Preparing => {
                if let Some(number) = self.revises
                    && let Some(closed) = forge.pull(number).filter(|pull| !pull.is_open())
                {
                    let state = closed.state.words().to_owned();
                    let failure = Failure::PullRequestClosed { pr: format!("acme/app#{number}"), state };
                    self.step = self.end(json!({ "outcome": "failed", "failure": failure }), dice);
                    return;
                }
                // One that is closed is not gone on with: the job makes its own.
                let open =
                    self.revises.or(self.continues).filter(|number| forge.pull(*number).is_some_and(Pull::is_open));
                self.pull = open;
                let own = std::mem::take(&mut self.branch);
                let continued = self.continues.and_then(|number| forge.pull(number)).map(|pull| pull.branch.clone());
                self.branch =
                    open.and_then(|number| forge.pull(number)).map_or(own.clone(), |pull| pull.branch.clone());
                // What an earlier attempt of this job pushed is all there is to do, wherever that went.
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
                if self.adopts && self.adopted.is_none() {
                    let failure = Failure::NothingPushed {};
                    self.end(json!({ "outcome": "failed", "failure": failure }), dice)
                } else if dice.percent(50) {
                    Step::Credentials
                } else {
                    Step::Executing
                }
            }
            Step::Credentials => Step::Executing,
            // No agent works.
            Step::Executing if self.adopts => Step::Syncing,
            Step::Executing if self.fails => {
                let failure = Failure::Unknown { last_words: "it gave up".into() };
                self.end(json!({ "outcome": "failed", "failure": failure }), dice)
            }
            Step::Executing => Step::Working(dice.below(3) as u8),
            Step::Working(left) => {
                self.events += 1;
                self.heard = self.heard.max(body["inputs"].as_u64().unwrap_or(0));
                match left.checked_sub(1) {
                    Some(left) => Step::Working(left),
                    None if self.asks => self.rest(Some("In which colour?"), dice),
                    None => Step::Syncing,
                }
            }
            // People spoke meanwhile, and its agent is told.
            Step::Syncing | Step::Yield if body["goes_on"] == true => {
                self.asked_to_push = None;
                Step::Working(1)
            }
            Step::Syncing => {
                let left = body["push_for_secs"].as_u64().unwrap_or(0);
                let within = PUSH_WITHIN.min(left.saturating_sub(PUSH_MARGIN));
                Step::Push(self.asked_to_push.unwrap_or(now).plus(Duration::from_secs(within)))
            }
            Step::Push(_) | Step::Yield | Step::Finish | Step::Over => Step::Over,
        };
    }

    /// Its people want it to stop, and it says that it did.
    fn stop(&mut self) {
        self.letter = Some(json!({ "finish_id": self.finish_id(), "outcome": "cancelled" }));
        self.step = Step::Finish;
    }

    fn end(&mut self, mut letter: Value, dice: &mut Dice) -> Step {
        letter["finish_id"] = json!(self.finish_id());
        letter["spent_usd_micros"] = json!(dice.between(0, 900_000));
        self.letter = Some(letter);
        Step::Finish
    }

    /// It gives its job back: its agent asks that, or people want it to pause.
    fn rest(&mut self, question: Option<&str>, dice: &mut Dice) -> Step {
        let outcome = if question.is_some() { "asks" } else { "paused" };
        let mut letter = json!({ "yield_id": self.yield_id(), "outcome": outcome, "inputs": self.heard });
        letter["spent_usd_micros"] = json!(dice.between(0, 300_000));
        if let Some(question) = question {
            letter["question"] = json!(question);
            letter["agent"] = json!("command");
        }
        self.letter = Some(letter);
        Step::Yield
    }

    /// What it ends its job by.
    fn finish_id(&self) -> String {
        format!("finish-{}", self.claim)
    }

    /// What it gives its job back by.
    fn yield_id(&self) -> String {
        format!("yield-{}", self.claim)
    }

    /// What it says its last word by, if this is it.
    pub(crate) fn last_word(&self) -> Option<String> {
        match self.step {
            Step::Finish => Some(self.finish_id()),
            Step::Yield => Some(self.yield_id()),
            _ => None,
        }
    }

    /// Pushes, if there is still time, and makes the pull request. True: something was pushed.
    pub(crate) fn push(&mut self, now: Timestamp, forge: &mut Forge, dice: &mut Dice) -> bool {
        let Step::Push(until) = self.step else { return false };
        if now >= until {
            let failure = Failure::Unknown { last_words: "there was no time left to push".into() };
            self.step = self.end(json!({ "outcome": "failed", "failure": failure }), dice);
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
                self.end(json!({ "outcome": "completed", "result": result }), dice)
            }
            None => {
                let failure = Failure::Unknown { last_words: "somebody else moved the branch".into() };
                self.end(json!({ "outcome": "failed", "failure": failure }), dice)
            }
        };
        pushed
    }

    pub(crate) fn is_over(&self) -> bool {
        self.step == Step::Over
    }
}
