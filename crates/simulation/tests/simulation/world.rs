//! The state of one life, in which the seed decides everything. `others` has all that is outside the functions.

mod others;

use crate::attempt::{Attempt, Begun, Home, Step};
use crate::cloud::Cloud;
use crate::cloud::table::Items;
use crate::daemon::{Daemon, Hand};
use crate::gate::{Gate, Reply};
use crate::mood::Mood;
use crate::plane::{Ask, Invocation, Outcome, Plane};
use crate::tally::Tally;
use crate::tool::Tool;
use crate::trace::Trace;
use crate::{faults, laws, setup};
use pullyard_domain::time::Timestamp;
use pullyard_testkit::Dice;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const FUNCTION_LIMIT: Duration = Duration::from_secs(30);

const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The receiver of an invocation's result.
#[derive(Clone, Debug)]
pub(crate) enum For {
    Attempt(String),
    Daemon(usize, Hand, (u32, bool)),
    Told(usize),
    People(Ask),
    Messages(Vec<u64>),
    Event(Value),
    Sweep,
    /// The forge, which repeats no webhook after an answer.
    Forge,
    /// The caller already has an answer or gave up.
    Nobody,
}

/// A repeated request that arrives much later.
pub(crate) struct Late {
    pub(crate) at: Timestamp,
    ask: Ask,
}

pub(crate) struct Running {
    invocation: Invocation,
    of: For,
    what: String,
    began: Timestamp,
    /// Steps of others during which this invocation halts.
    stalls: u32,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) gate: Gate,
    pub(crate) plane: Plane,
    pub(crate) tool: Tool,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) daemons: Vec<Daemon>,
    pub(crate) running: Vec<Running>,
    pub(crate) trace: Trace,
    pub(crate) broken: Vec<String>,
    /// No further faults.
    pub(crate) calm: bool,
    /// Requests of users, repeated until they succeed.
    pub(crate) orders: Vec<Ask>,
    pub(crate) asked: u32,
    next_sweep: Timestamp,
    pub(crate) tally: Tally,
    /// The claim that got each attempt.
    given: BTreeMap<(String, u64), String>,
    /// The result that each claim, review and key got.
    got: BTreeMap<String, String>,
    pub(crate) late: Vec<Late>,
    /// The earliest start of each task's container.
    pub(crate) starts: BTreeMap<u32, Timestamp>,
    pub(crate) mood: Mood,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let mood = Mood::of(seed);
        let mut dice = Dice::new(seed);
        let start = Timestamp::from_millis(1_795_132_800_000);
        let gate = Gate::new(Cloud::new(start, seed));
        let plane = Plane::new(&gate);
        let daemons = setup::prepare(&gate, &mut dice, start, &mood).await;
        let tool =
            Tool::new(mood.tickets.div_ceil(2) + dice.below(1 + mood.tickets / 2), mood.changes + dice.below(10));
        let reviews = if mood.reviews > 0 { mood.reviewed + dice.below(3) } else { 0 };
        gate.cloud(|cloud| {
            cloud.forge.left = reviews;
            cloud.table.lags = true;
            cloud.table.written.clear();
        });
        Self {
            gate,
            plane,
            tool,
            attempts: vec![],
            daemons,
            running: vec![],
            trace: Trace::new(start),
            broken: vec![],
            calm: false,
            orders: vec![],
            asked: 0,
            next_sweep: start.plus(SWEEP_EVERY),
            tally: Tally::default(),
            given: BTreeMap::new(),
            got: BTreeMap::new(),
            late: vec![],
            starts: BTreeMap::new(),
            mood,
            dice,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.plane.clock.now()
    }

    pub(crate) fn lived(&self) -> Duration {
        self.now().since(self.trace.start)
    }

    pub(crate) fn pass(&mut self, by: Duration) {
        self.plane.clock.advance(by);
        let now = self.now();
        self.gate.cloud(|cloud| cloud.now = now);
    }

    /// Time passes: functions time out, and the sweeper runs.
    pub(crate) async fn wait(&mut self, by: Duration) {
        self.pass(by);
        let now = self.now();
        while let Some(at) = self.running.iter().position(|one| now.since(one.began) > FUNCTION_LIMIT) {
            self.kill(at, "ran out of time");
        }
        if now >= self.next_sweep {
            self.next_sweep = now.plus(SWEEP_EVERY);
            let sweeps = if self.calm { 1 } else { self.dice.weighted(&[5, 88, 7]).unwrap_or(1) };
            for _ in 0..sweeps {
                let invocation = self.plane.sweep();
                self.start(invocation, For::Sweep, "sweeper".into()).await;
            }
        }
    }

    /// Starts an invocation and runs it to its first call.
    pub(crate) async fn start(&mut self, invocation: Invocation, of: For, what: String) {
        self.trace.say(self.now(), format!("#{} {what} begins", invocation.id));
        self.running.push(Running { invocation, of, what, began: self.now(), stalls: 0 });
        self.poll(self.running.len() - 1).await;
    }

    /// Releases a call of one invocation, and mostly its following reads. Other invocations can cut in anywhere, but
    /// not everywhere.
    pub(crate) async fn go(&mut self, at: usize) {
        let id = self.running[at].invocation.id;
        loop {
            // A sweep mostly queries empty rows.
            let looks = matches!(self.running[at].of, For::Sweep) && self.gate.queries_next(id);
            let pace = if looks { 96 } else { 60 };
            self.go_one(at).await;
            let goes_on = self.running.get(at).is_some_and(|one| one.invocation.id == id && one.stalls == 0);
            if !goes_on || !self.gate.reads_next(id) || !self.dice.percent(pace) {
                return;
            }
        }
    }

    async fn go_one(&mut self, at: usize) {
        let id = self.running[at].invocation.id;
        let Some(waiting) = self.gate.next_of(id) else { return self.poll(at).await };
        let spent = self.dice.between(2, 25);
        self.pass(Duration::from_millis(spent));
        let Some(call) = waiting.call.clone() else {
            waiting.reply(Reply::Over);
            return self.poll(at).await;
        };
        let fate = match self.calm {
            true => faults::Fate::Well,
            false => faults::fate(&call, self.mood.hints_lost, &mut self.dice),
        };
        self.tally.add(fate.name());
        let (answer, killed) = self.gate.cloud(|cloud| faults::meet(&fate, &call, cloud));
        let mut line = format!("#{id} {}: {} {fate:?}", self.running[at].what, call.operation);
        if let Some((status, body)) = answer.as_ref().filter(|(status, _)| *status != 200) {
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            let reasons = body["CancellationReasons"].as_array().into_iter().flatten();
            // Without the items, which contain random marks.
            let codes: Vec<_> = reasons.filter_map(|reason| reason["Code"].as_str()).collect();
            line.push_str(&format!(" {status} {} {codes:?}", body["__type"]));
        }
        self.check_writes(line);
        if killed {
            return self.kill(at, "was killed");
        }
        waiting.reply(answer.map_or(Reply::Lost, Reply::Answered));
        // Between its decision and its write a sweep may be overtaken by all others.
        let sweeps = matches!(self.running[at].of, For::Sweep) && call.operation != "Query";
        let stalls = if sweeps {
            self.mood.sweeps_stall
        } else if call.writes() {
            10
        } else {
            self.mood.reads_stall
        };
        if !self.calm && self.dice.percent(stalls) {
            // Others get far before the next call of this invocation.
            self.running[at].stalls = self.dice.between(10, 60) as u32;
        }
        self.poll(at).await;
    }

    /// The invocations that may continue in this step.
    pub(crate) fn awake(&mut self) -> Vec<usize> {
        let mut awake = Vec::new();
        for (at, one) in self.running.iter_mut().enumerate() {
            if one.stalls == 0 {
                awake.push(at);
            }
            one.stalls = one.stalls.saturating_sub(1);
        }
        awake
    }

    fn check_writes(&mut self, mut line: String) {
        let now = self.now();
        let (mut held, mut removed, mut revised) = (Vec::new(), Vec::new(), Vec::new());
        let broken = self.gate.cloud(|cloud| {
            let mut broken = Vec::new();
            for written in std::mem::take(&mut cloud.table.written) {
                for one in &written {
                    line.push_str(&format!(" {}/{}", one.key.0, one.key.1));
                    if let Some(status) = one.after.as_ref().and_then(|item| item["status"].as_str()) {
                        line.push_str(&format!("={status}"));
                    }
                }
                held.extend(written.iter().filter_map(laws::holder));
                removed.extend(written.iter().filter_map(laws::removed));
                revised.extend(written.iter().flat_map(|one| laws::revised_by(one, &cloud.table.items)));
                broken.extend(laws::broken_by(&written, &cloud.table.items, now));
            }
            broken
        });
        self.trace.say(now, line);
        self.broken.extend(broken);
        for runner in removed {
            self.got.retain(|claim, _| !claim.starts_with(&format!("{runner}-")));
        }
        for (claim, attempt) in held {
            self.gets(claim, attempt, "got a job before");
        }
        for (review, job) in revised {
            self.gets(review, job, "was answered before");
        }
    }

    /// A claim, review or key always gets the same result.
    fn gets(&mut self, whoever: String, what: String, so: &str) {
        let first = self.got.entry(whoever.clone()).or_insert_with(|| what.clone());
        if *first != what {
            self.broken.push(format!("{whoever} {so}: {first}, and now {what}"));
        }
    }

    async fn poll(&mut self, at: usize) {
        let outcome = self.running[at].invocation.go_on(&self.gate);
        // Background work of the invocation, such as the note of a token's use.
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        if let Some(outcome) = outcome {
            let Running { invocation, of, what, .. } = self.running.remove(at);
            self.trace.say(self.now(), format!("#{} {what} ends: {}", invocation.id, shown(&outcome)));
            self.ended(of, outcome);
        }
    }

    fn kill(&mut self, at: usize, why: &str) {
        self.tally.add("killed");
        let Running { invocation, of, what, .. } = self.running.remove(at);
        self.trace.say(self.now(), format!("#{} {what} {why}", invocation.id));
        self.gate.forget(invocation.id);
        drop(invocation);
        match of {
            For::Event(event) => self.gate.cloud(|cloud| cloud.cluster.events.push(event)),
            // Its messages return by themselves, and the sweeper runs again.
            For::Messages(_) | For::Sweep => {}
            of => self.answered(of, None),
        }
    }

    fn ended(&mut self, of: For, outcome: Outcome) {
        match (of, outcome) {
            (For::Messages(ids), Outcome::Batch(done)) => {
                for (id, _) in ids.into_iter().zip(done).filter(|(_, done)| *done) {
                    let again = !self.calm && self.dice.percent(5);
                    self.gate.cloud(|cloud| cloud.queues.done(id, again));
                }
            }
            (For::Event(event), Outcome::Done(false)) => self.gate.cloud(|cloud| cloud.cluster.events.push(event)),
            (For::Sweep | For::Event(_) | For::Nobody, _) => {
                // The invariants alone check its effects.
            }
            (of, Outcome::Answer(status, body)) => {
                if status == 500 {
                    self.broken.push(format!("the API answered {body}"));
                }
                if matches!(of, For::Attempt(_)) && status != 200 {
                    self.tally.add(body["code"].as_str().unwrap_or("no code"));
                }
                if let (For::People(Ask { key: Some(key), .. }), Some(job)) = (&of, body["job"].as_str()) {
                    let key = format!("{key} was asked for once");
                    self.gets(key, job.to_owned(), "and made two");
                }
                let chance =
                    if matches!(of, For::Daemon(_, Hand::Take, _)) { self.mood.claims_lost } else { self.mood.lost };
                let lost = !self.calm && self.dice.percent(chance);
                self.answered(of, (!lost).then_some((status, body)));
            }
            (of, outcome) => panic!("{outcome:?} is no answer to {of:?}"),
        }
    }

    /// Passes the answer to the caller. `None`: the answer was lost.
    fn answered(&mut self, of: For, answer: Option<(u16, Value)>) {
        let now = self.now();
        let good = answer.as_ref().is_some_and(|(status, _)| *status < 500);
        match of {
            For::Attempt(name) => {
                let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.name == name) else { return };
                if attempt.step == Step::Start
                    && let Some((200, body)) = &answer
                    && body["attempt"] != attempt.number
                {
                    let number = attempt.number;
                    self.broken.push(format!("{name} was started for attempt {number} and has {}", body["attempt"]));
                }
                if attempt.step == Step::Start && answer.as_ref().is_some_and(|(status, _)| *status == 200) {
                    let claim =
                        self.given.entry((attempt.job.clone(), attempt.number)).or_insert(attempt.claim.clone());
                    if *claim != attempt.claim {
                        self.broken.push(format!("{} was given to {claim} and to {}", attempt.job, attempt.claim));
                    }
                }
                if let Some(word) = attempt.last_word()
                    && matches!(answer, Some((400..500, _)))
                    && self.gate.cloud(|cloud| laws::is_ended_by(&cloud.table.items, &attempt.job, &word))
                {
                    self.broken.push(format!("the last word of {name} is stored and was told {answer:?}"));
                }
                let refused = answer.as_ref();
                let refused = refused.is_some_and(|(status, body)| *status == 409 && body["code"] != "unwanted");
                let (job, claim) = (&attempt.job, &attempt.claim);
                let holds =
                    |items: &Items| laws::held(items, job, claim).is_some_and(|job| laws::may_go_on(items, &job));
                if refused && attempt.step != Step::Start && self.gate.cloud(|cloud| holds(&cloud.table.items)) {
                    self.broken.push(format!("{name} holds its job and was told {answer:?}"));
                }
                let dice = &mut self.dice;
                self.gate.cloud(|cloud| attempt.hear(answer, now, &cloud.forge, dice));
            }
            For::Daemon(at, hand, of) => {
                let daemon = &mut self.daemons[at];
                if daemon.incarnation() != of {
                    return;
                }
                let Some(given) = daemon.hear(hand, answer, now) else { return };
                let begun = Begun {
                    name: format!("{}/{}", daemon.name, given.claim),
                    home: Home::Runner(at),
                    job: given.job,
                    number: given.attempt,
                    claim: given.claim,
                    instance: daemon.instance.clone(),
                    bootstrap: given.bootstrap,
                    task: None,
                    fails: self.mood.fails,
                    asks: self.mood.asks,
                };
                self.attempts.push(Attempt::new(begun, now, &mut self.dice));
            }
            For::Told(number) if !good => self.tool.again(number),
            For::People(ask) if !good && (self.calm || self.dice.percent(50)) => self.orders.push(ask),
            _ => {}
        }
    }
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answer(status, body) => {
            let said = ["code", "verdict", "status", "want", "job", "attempt", "drain"].into_iter();
            let said = said.filter(|name| !body[*name].is_null() && !body[*name].is_object());
            let said = said.map(|name| format!(" {name}={}", body[name]));
            format!("{status}{}", said.collect::<String>())
        }
        other => format!("{other:?}"),
    }
}
