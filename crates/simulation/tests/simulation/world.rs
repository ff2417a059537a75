//! The state of one life, in which the seed decides everything. `outside` has all that is outside the functions.

mod outside;

use crate::attempt::{Attempt, AttemptStart, Home, Step};
use crate::cloud::Cloud;
use crate::cloud::table::Items;
use crate::control_plane::{ControlPlane, Invocation, Outcome};
use crate::daemon::{Daemon, Loop};
use crate::gate::{Gate, Reply};
use crate::prelude::*;
use crate::profile::Profile;
use crate::tally::Tally;
use crate::ticket_tool::Tool;
use crate::trace::Trace;
use crate::{faults, invariants};

const FUNCTION_LIMIT: Duration = Duration::from_secs(30);

const SWEEP_EVERY: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Attempt(String),
    Daemon(usize, Loop, (u32, bool)),
    TicketTool(usize),
    User(ApiCall),
    Messages(Vec<u64>),
    Event(Value),
    Sweep,
    /// The forge, which repeats no webhook after an answer.
    Forge,
    /// The caller already has an answer or gave up.
    Detached,
}

pub(crate) struct DelayedRepeat {
    pub(crate) at: Timestamp,
    ask: ApiCall,
}

pub(crate) struct Running {
    invocation: Invocation,
    caller: Caller,
    label: String,
    started_at: Timestamp,
    stalls: u32,
}

pub(crate) struct World {
    pub(crate) rng: SeededRng,
    pub(crate) gate: Gate,
    pub(crate) control_plane: ControlPlane,
    pub(crate) tool: Tool,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) daemons: Vec<Daemon>,
    pub(crate) running: Vec<Running>,
    pub(crate) trace: Trace,
    pub(crate) violations: Vec<String>,
    pub(crate) faults_off: bool,
    pub(crate) user_requests: Vec<ApiCall>,
    pub(crate) user_request_count: u32,
    next_sweep: Timestamp,
    pub(crate) tally: Tally,
    attempt_claims: BTreeMap<(String, u64), String>,
    /// The result that each claim, review and key got.
    results: BTreeMap<String, String>,
    pub(crate) delayed_repeats: Vec<DelayedRepeat>,
    pub(crate) starts: BTreeMap<u32, Timestamp>,
    pub(crate) fault_profile: Profile,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let mood = Profile::for_seed(seed);
        let mut dice = SeededRng::new(seed);
        let start = Timestamp::from_millis(1_795_132_800_000);
        let gate = Gate::new(Cloud::new(start, seed));
        let plane = ControlPlane::new(&gate);
        let daemons = setup::prepare(&gate, &mut dice, start, &mood).await;
        let tool =
            Tool::new(mood.tickets.div_ceil(2) + dice.below(1 + mood.tickets / 2), mood.min_changes + dice.below(10));
        let reviews = if mood.reviews > 0 { mood.min_reviews + dice.below(3) } else { 0 };
        gate.cloud(|cloud| {
            cloud.forge.remaining_reviews = reviews;
            cloud.table.weak_reads_lag = true;
            cloud.table.changes.clear();
        });
        Self {
            gate,
            control_plane: plane,
            tool,
            attempts: vec![],
            daemons,
            running: vec![],
            trace: Trace::new(start),
            violations: vec![],
            faults_off: false,
            user_requests: vec![],
            user_request_count: 0,
            next_sweep: start.plus(SWEEP_EVERY),
            tally: Tally::default(),
            attempt_claims: BTreeMap::new(),
            results: BTreeMap::new(),
            delayed_repeats: vec![],
            starts: BTreeMap::new(),
            fault_profile: mood,
            rng: dice,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.control_plane.clock.now()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.now().since(self.trace.start)
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.control_plane.clock.advance(by);
        let now = self.now();
        self.gate.cloud(|cloud| cloud.now = now);
    }

    /// Time passes: functions time out, and the sweeper runs.
    pub(crate) async fn wait(&mut self, by: Duration) {
        self.advance(by);
        let now = self.now();
        while let Some(at) = self.running.iter().position(|running| now.since(running.started_at) > FUNCTION_LIMIT) {
            self.kill(at, "ran out of time");
        }
        if now >= self.next_sweep {
            self.next_sweep = now.plus(SWEEP_EVERY);
            let sweeps = if self.faults_off { 1 } else { self.rng.choose_weighted(&[5, 88, 7]).unwrap_or(1) };
            for _ in 0..sweeps {
                let invocation = self.control_plane.sweep();
                self.start(invocation, Caller::Sweep, "sweeper".into()).await;
            }
        }
    }

    pub(crate) async fn start(&mut self, invocation: Invocation, caller: Caller, label: String) {
        self.trace.record(self.now(), format!("#{} {label} begins", invocation.id));
        self.running.push(Running { invocation, caller, label, started_at: self.now(), stalls: 0 });
        self.poll(self.running.len() - 1).await;
    }

    /// Releases a call of one invocation, and mostly its following reads. Other invocations can cut in anywhere, but
    /// not everywhere.
    pub(crate) async fn release_calls(&mut self, at: usize) {
        let id = self.running[at].invocation.id;
        loop {
            // A sweep mostly queries empty rows.
            let is_sweep_query = matches!(self.running[at].caller, Caller::Sweep) && self.gate.waits_for_query(id);
            let percent = if is_sweep_query { 96 } else { 60 };
            self.release_call(at).await;
            let can_continue =
                self.running.get(at).is_some_and(|running| running.invocation.id == id && running.stalls == 0);
            if !can_continue || !self.gate.waits_for_reads(id) || !self.rng.percent(percent) {
                return;
            }
        }
    }

    async fn release_call(&mut self, at: usize) {
        let id = self.running[at].invocation.id;
        let Some(waiting) = self.gate.take_next(id) else { return self.poll(at).await };
        let spent = self.rng.between(2, 25);
        self.advance(Duration::from_millis(spent));
        let Some(call) = waiting.call.clone() else {
            waiting.reply(Reply::PauseEnded);
            return self.poll(at).await;
        };
        let fate = match self.faults_off {
            true => faults::CallOutcome::Success,
            false => faults::draw_call_outcome(&call, self.fault_profile.hints_lost, &mut self.rng),
        };
        self.tally.add(fate.name());
        let (answer, killed) = self.gate.cloud(|cloud| faults::apply_call_outcome(&fate, &call, cloud));
        let mut line = format!("#{id} {}: {} {fate:?}", self.running[at].label, call.operation);
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
        let sweeps = matches!(self.running[at].caller, Caller::Sweep) && call.operation != "Query";
        let stalls = if sweeps {
            self.fault_profile.sweeps_stall
        } else if call.writes() {
            10
        } else {
            self.fault_profile.reads_stall
        };
        if !self.faults_off && self.rng.percent(stalls) {
            // Others get far before the next call of this invocation.
            self.running[at].stalls = self.rng.between(10, 60) as u32;
        }
        self.poll(at).await;
    }

    pub(crate) fn runnable(&mut self) -> Vec<usize> {
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
            for changes in std::mem::take(&mut cloud.table.changes) {
                for one in &changes {
                    line.push_str(&format!(" {}/{}", one.key.0, one.key.1));
                    if let Some(status) = one.after.as_ref().and_then(|item| item["status"].as_str()) {
                        line.push_str(&format!("={status}"));
                    }
                }
                held.extend(changes.iter().filter_map(invariants::holder));
                removed.extend(changes.iter().filter_map(invariants::removed_runner));
                revised.extend(changes.iter().flat_map(|one| invariants::answered_reviews(one, &cloud.table.items)));
                broken.extend(invariants::violations(&changes, &cloud.table.items, now));
            }
            broken
        });
        self.trace.record(now, line);
        self.violations.extend(broken);
        for runner in removed {
            self.results.retain(|claim, _| !claim.starts_with(&format!("{runner}-")));
        }
        for (claim, attempt) in held {
            self.record_result(claim, attempt, "got a job before");
        }
        for (review, job) in revised {
            self.record_result(review, job, "was answered before");
        }
    }

    /// A claim, review or key always gets the same result.
    fn record_result(&mut self, subject: String, result: String, so: &str) {
        let first = self.results.entry(subject.clone()).or_insert_with(|| result.clone());
        if *first != result {
            self.violations.push(format!("{subject} {so}: {first}, and now {result}"));
        }
    }

    async fn poll(&mut self, at: usize) {
        let outcome = self.running[at].invocation.poll(&self.gate);
        // Background work of the invocation, such as the note of a token's use.
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        if let Some(outcome) = outcome {
            let Running { invocation, caller: of, label, .. } = self.running.remove(at);
            self.trace.record(self.now(), format!("#{} {label} ends: {}", invocation.id, outcome_text(&outcome)));
            self.handle_outcome(of, outcome);
        }
    }

    fn kill(&mut self, at: usize, reason: &str) {
        self.tally.add("killed");
        let Running { invocation, caller: of, label, .. } = self.running.remove(at);
        self.trace.record(self.now(), format!("#{} {label} {reason}", invocation.id));
        self.gate.drop_invocation(invocation.id);
        drop(invocation);
        match of {
            Caller::Event(event) => self.gate.cloud(|cloud| cloud.cluster.events.push(event)),
            // Its messages return by themselves, and the sweeper runs again.
            Caller::Messages(_) | Caller::Sweep => {}
            of => self.deliver_answer(of, None),
        }
    }

    fn handle_outcome(&mut self, of: Caller, outcome: Outcome) {
        match (of, outcome) {
            (Caller::Messages(ids), Outcome::Batch(done)) => {
                for (id, _) in ids.into_iter().zip(done).filter(|(_, done)| *done) {
                    let again = !self.faults_off && self.rng.percent(5);
                    self.gate.cloud(|cloud| cloud.queues.delete(id, again));
                }
            }
            (Caller::Event(event), Outcome::Completed(false)) => {
                self.gate.cloud(|cloud| cloud.cluster.events.push(event))
            }
            (Caller::Sweep | Caller::Event(_) | Caller::Detached, _) => {
                // The invariants alone check its effects.
            }
            (of, Outcome::Answer(status, body)) => {
                if status == 500 {
                    self.violations.push(format!("the API answered {body}"));
                }
                if matches!(of, Caller::Attempt(_)) && status != 200 {
                    self.tally.add(body["code"].as_str().unwrap_or("no code"));
                }
                if let (Caller::User(ApiCall { key: Some(key), .. }), Some(job)) = (&of, body["job"].as_str()) {
                    let key = format!("{key} was asked for once");
                    self.record_result(key, job.to_owned(), "and made two");
                }
                let chance = if matches!(of, Caller::Daemon(_, Loop::Claim, _)) {
                    self.fault_profile.claims_lost
                } else {
                    self.fault_profile.answers_lost
                };
                let lost = !self.faults_off && self.rng.percent(chance);
                self.deliver_answer(of, (!lost).then_some((status, body)));
            }
            (of, outcome) => panic!("{outcome:?} is no answer to {of:?}"),
        }
    }

    /// Passes the answer to the caller. `None`: the answer was lost.
    fn deliver_answer(&mut self, of: Caller, answer: Option<(u16, Value)>) {
        let now = self.now();
        let good = answer.as_ref().is_some_and(|(status, _)| *status < 500);
        match of {
            Caller::Attempt(name) => {
                let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.name == name) else { return };
                if attempt.step == Step::Start
                    && let Some((200, body)) = &answer
                    && body["attempt"] != attempt.number
                {
                    let number = attempt.number;
                    self.violations
                        .push(format!("{name} was started for attempt {number} and has {}", body["attempt"]));
                }
                if attempt.step == Step::Start && answer.as_ref().is_some_and(|(status, _)| *status == 200) {
                    let claim = self
                        .attempt_claims
                        .entry((attempt.job.clone(), attempt.number))
                        .or_insert(attempt.claim.clone());
                    if *claim != attempt.claim {
                        self.violations.push(format!("{} was given to {claim} and to {}", attempt.job, attempt.claim));
                    }
                }
                if let Some(word) = attempt.final_call_id()
                    && matches!(answer, Some((400..500, _)))
                    && self.gate.cloud(|cloud| invariants::is_ended_by(&cloud.table.items, &attempt.job, &word))
                {
                    self.violations.push(format!("the last word of {name} is stored and was told {answer:?}"));
                }
                let refused = answer.as_ref();
                let refused = refused.is_some_and(|(status, body)| *status == 409 && body["code"] != "unwanted");
                let (job, claim) = (&attempt.job, &attempt.claim);
                let holds = |items: &Items| {
                    invariants::job_held_by(items, job, claim).is_some_and(|job| invariants::may_continue(items, &job))
                };
                if refused && attempt.step != Step::Start && self.gate.cloud(|cloud| holds(&cloud.table.items)) {
                    self.violations.push(format!("{name} holds its job and was told {answer:?}"));
                }
                let dice = &mut self.rng;
                self.gate.cloud(|cloud| attempt.handle_answer(answer, now, &cloud.forge, dice));
            }
            Caller::Daemon(at, hand, of) => {
                let daemon = &mut self.daemons[at];
                if daemon.incarnation() != of {
                    return;
                }
                let Some(claimed) = daemon.handle_answer(hand, answer, now) else { return };
                let begun = AttemptStart {
                    name: format!("{}/{}", daemon.name, claimed.claim),
                    home: Home::Runner(at),
                    job: claimed.job,
                    number: claimed.attempt,
                    claim: claimed.claim,
                    instance: daemon.instance.clone(),
                    bootstrap: claimed.bootstrap,
                    task: None,
                    fails_percent: self.fault_profile.agent_fails,
                    asks_percent: self.fault_profile.agent_asks,
                };
                self.attempts.push(Attempt::new(begun, now, &mut self.rng));
            }
            Caller::TicketTool(number) if !good => self.tool.resend(number),
            Caller::User(ask) if !good && (self.faults_off || self.rng.percent(50)) => self.user_requests.push(ask),
            _ => {}
        }
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answer(status, body) => {
            let fields = ["code", "verdict", "status", "want", "job", "attempt", "drain"].into_iter();
            let fields = fields.filter(|name| !body[*name].is_null() && !body[*name].is_object());
            let fields = fields.map(|name| format!(" {name}={}", body[name]));
            format!("{status}{}", fields.collect::<String>())
        }
        other => format!("{other:?}"),
    }
}
