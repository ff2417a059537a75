//! Scripted lives without random faults, each at the point where a rule counts.
//! With the rule every invariant holds. Without it one must break, which proves that the invariants cover the rule.

mod pushes;
mod reviews;

use crate::attempt::Step;
use crate::cloud::cluster::State;
use crate::cloud::queue::Queue;
use crate::daemon::Hand;
use crate::faults::Fate;
use crate::laws;
use crate::mood::{Mood, RESTLESS, SILENT, USUAL};
use crate::mutant::{self, Mutant};
use crate::plane::Ask;
use crate::rests::{pauses, says};
use crate::setup;
use crate::verdict;
use crate::world::{For, World};
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::runner::Presence;
use serde_json::json;
use std::time::Duration;

const TRIGGER: &str = "AI Processing";

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Agents succeed, and no task or message is late.
const QUIET: Mood = Mood { requeues: true, fails: 0, late_tasks: 0, reviews: 0, asks: 0, ..USUAL };

struct Led(World);

impl Led {
    /// A life with at least two runners.
    async fn begin(mood: Mood, mutant: Option<&'static Mutant>) -> Self {
        for seed in 1.. {
            let mut world = World::of(seed, mood, mutant).await;
            if world.daemons.len() > 1 {
                world.calm = true;
                world.gate.cloud(|cloud| cloud.table.lags = false);
                let mut led = Self(world);
                // The sweeper judges silence only after it has run for a while.
                led.silence(120).await;
                return led;
            }
        }
        unreachable!("some seed has two runners")
    }

    /// Runs all invocations to their end.
    async fn done(&mut self) {
        while !self.0.running.is_empty() {
            self.0.go(0).await;
        }
        self.0.tidy();
    }

    async fn enters(&mut self, status: &'static str) {
        self.passes(1).await;
        self.0.tool.moves(status, self.0.now());
        self.0.tell().await;
        self.done().await;
    }

    /// Time passes, with sweeps.
    async fn passes(&mut self, by: u64) {
        self.0.wait(secs(by)).await;
        self.done().await;
    }

    /// Time passes with sweeps only.
    async fn silence(&mut self, secs: u64) {
        for _ in 0..secs / 20 {
            self.passes(20).await;
        }
    }

    async fn received(&mut self, queue: Queue) {
        while self.0.gate.cloud(|cloud| !cloud.queues.receivable(queue, cloud.now).is_empty()) {
            self.0.receive(queue).await;
            self.done().await;
        }
    }

    async fn hears(&mut self, runner: usize) {
        self.0.hand(runner, Hand::Beat).await;
        self.done().await;
    }

    /// Starts a sweep at any time.
    async fn sweeps(&mut self) {
        let sweep = self.0.plane.sweep();
        self.0.start(sweep, For::Sweep, "sweeper".into()).await;
    }

    async fn sweeps_to_its_first_write(&mut self) {
        self.sweeps().await;
        while self.0.reads_next(0) {
            self.0.go(0).await;
        }
    }

    /// A runner sends a heartbeat during a halted sweep, which then continues.
    async fn hears_meanwhile(&mut self, runner: usize) {
        assert!(self.0.hand(runner, Hand::Beat).await, "no heartbeat is due");
        while self.0.running.len() > 1 {
            self.0.go(1).await;
        }
        self.done().await;
    }

    /// A runner sends a heartbeat and claims a job, which starts an attempt.
    async fn takes(&mut self, runner: usize) {
        for _ in 0..2 {
            self.hears(runner).await;
            self.0.hand(runner, Hand::Take).await;
            self.done().await;
            if !self.0.attempts.is_empty() && self.0.attempts.last().is_some_and(|it| it.step == Step::Start) {
                return;
            }
            self.passes(5).await;
        }
        panic!("no job was claimed");
    }

    /// Runs an attempt up to this step. Returns false if it ended before.
    async fn goes_on(&mut self, name: &str, until: fn(Step) -> bool) -> bool {
        for _ in 0..20 {
            let Some(at) = self.0.attempts.iter().position(|attempt| attempt.name == name) else { return false };
            if until(self.0.attempts[at].step) {
                return true;
            }
            self.0.act(at).await;
            self.done().await;
        }
        panic!("{name} does not reach the step");
    }

    fn newest(&self) -> String {
        self.0.attempts.last().unwrap().name.clone()
    }

    fn job(&self) -> Job {
        self.0.gate.cloud(|cloud| laws::jobs(&cloud.table.items).next()).unwrap()
    }

    async fn passes_to(&mut self, status: JobStatus) {
        for _ in 0..20 {
            if self.job().status == status {
                return;
            }
            self.passes(30).await;
        }
        panic!("the job is {:?}", self.job());
    }

    async fn completes(&mut self, runner: usize) {
        self.takes(runner).await;
        let attempt = self.newest();
        self.goes_on(&attempt, |step| step == Step::Over).await;
    }

    /// Requests changes on the only pull request; the webhook is delivered `told` times.
    async fn reviewed(&mut self, told: usize) {
        self.passes(1).await;
        let now = self.0.now();
        let said = self.0.gate.cloud(|cloud| cloud.forge.reviewed(1, now, told));
        self.0.trace.say(now, said);
        for _ in 0..told {
            self.0.deliver().await;
            self.done().await;
        }
    }

    async fn ordered(&mut self, ask: Ask) {
        self.0.order(ask).await;
        self.done().await;
    }

    /// Adds the violations of the final state that contain one of these texts.
    fn judged(&mut self, of: &[&str]) {
        let faults = self.0.gate.cloud(|cloud| verdict::faults(&cloud.table.items, &cloud.forge, &self.0.tool));
        self.0.broken.extend(faults.into_iter().filter(|fault| of.iter().any(|part| fault.contains(part))));
    }

    fn is_whole(&self, mutant: Option<&Mutant>) {
        let shown = self.0.broken.first();
        match mutant {
            None => assert_eq!(shown, None),
            Some(mutant) => {
                let shown = shown.unwrap_or_else(|| panic!("no violation: {:#?}", self.0.trace.lines()));
                assert!(shown.contains(mutant.shows), "another violation: {shown}");
            }
        }
    }
}

/// Runs one life with the rule and one without it.
fn led(mutant: &'static Mutant, lead: impl AsyncFn(Option<&'static Mutant>) -> Led) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        for mutant in [None, Some(mutant)] {
            lead(mutant).await.is_whole(mutant);
        }
    });
}

const RUNNERS: Mood = Mood { fails: 0, reviews: 0, asks: 0, ..SILENT };

#[test]
fn heartbeat_between_the_halves_of_a_sweep_keeps_the_job() {
    led(&mutant::OFFLINE_EPOCH, async |mutant| {
        let mut led = Led::begin(RUNNERS, mutant).await;
        led.enters(TRIGGER).await;
        led.takes(0).await;
        let attempt = led.newest();
        led.goes_on(&attempt, |step| matches!(step, Step::Working(_))).await;
        // Sweeps observe the silence until shortly before the limit.
        led.silence(80).await;
        led.0.pass(secs(15));
        led.sweeps().await;
        let is_offline = |world: &World| {
            world.gate.cloud(|cloud| laws::runners(&cloud.table.items).any(|it| it.status == Presence::Offline))
        };
        while !is_offline(&led.0) || led.0.reads_next(0) {
            assert!(!led.0.running.is_empty(), "the sweep ended too early");
            led.0.go(0).await;
        }
        assert_eq!(led.job().status, JobStatus::Executing, "only one half of the sweep is done");
        led.hears_meanwhile(0).await;
        led
    });
}

#[test]
fn repeated_finish_after_a_lost_answer_is_recognized() {
    led(&mutant::FINISH_ID, async |mutant| {
        let mut led = Led::begin(RUNNERS, mutant).await;
        led.enters(TRIGGER).await;
        led.takes(0).await;
        let attempt = led.newest();
        led.goes_on(&attempt, |step| step == Step::Finish).await;
        led.0.next_write = Some(Fate::StopAfter);
        led.0.act(0).await;
        led.done().await;
        assert!(led.job().status.is_terminal(), "the finish is stored, and its answer lost");
        led.goes_on(&attempt, |step| step == Step::Over).await;
        led
    });
}

#[test]
fn late_task_cannot_claim_a_later_attempt() {
    led(&mutant::MEANT_ATTEMPT, async |mutant| {
        let mut led = Led::begin(QUIET, mutant).await;
        let asked = |led: &Led, number: u32| {
            led.0.gate.cloud(|cloud| cloud.cluster.tasks.get(&number).map(|task| task.state.clone()))
        };
        led.enters(TRIGGER).await;
        led.received(Queue::Dispatch).await;
        // The first task is silent; a second one is requested, claims, and dies.
        while asked(&led, 2).is_none() {
            led.passes(61).await;
            led.received(Queue::Dispatch).await;
        }
        led.0.task(2);
        let second = led.newest();
        led.goes_on(&second, |step| step == Step::Executing).await;
        led.0.stop_task(2, "EssentialContainerExited", "Essential container in task exited", Some(137));
        led.0.event().await;
        led.done().await;
        led.passes_to(JobStatus::Ready).await;
        while asked(&led, 3).is_none() {
            led.passes(61).await;
            led.received(Queue::Dispatch).await;
        }
        assert_eq!(asked(&led, 1), Some(State::Provisioning));
        led.0.task(1);
        let first = led.newest();
        led.goes_on(&first, |step| step != Step::Start).await;
        led
    });
}

/// A ticket enters again while its job runs. The job fails, and its hint is lost.
async fn entered_twice(mutant: Option<&'static Mutant>) -> Led {
    let mut led = Led::begin(Mood { fails: 100, reviews: 0, asks: 0, ..RESTLESS }, mutant).await;
    led.enters(TRIGGER).await;
    led.received(Queue::Dispatch).await;
    led.0.task(1);
    let attempt = led.newest();
    led.goes_on(&attempt, |step| step == Step::Executing).await;
    led.enters("Todo").await;
    led.enters(TRIGGER).await;
    led.goes_on(&attempt, |step| step == Step::Over).await;
    led.0.gate.cloud(|cloud| cloud.queues.lose(Queue::Effects));
    for _ in 0..5 {
        led.passes(61).await;
        led.received(Queue::Effects).await;
    }
    // The second job has only started, so only these violations count.
    led.judged(&["is not settled", "was forgotten"]);
    led
}

#[test]
fn sweeper_settles_a_ticket_whose_hint_was_lost() {
    led(&mutant::TICKET_HINT, async |mutant| entered_twice(mutant).await);
}

#[test]
fn second_entry_gets_its_own_job() {
    led(&mutant::SECOND_ENTRY, async |mutant| entered_twice(mutant).await);
}

#[test]
fn sweeper_starts_a_job_whose_hint_was_lost() {
    led(&mutant::JOB_HINT, async |mutant| {
        let mut led = Led::begin(QUIET, mutant).await;
        led.enters(TRIGGER).await;
        led.0.gate.cloud(|cloud| cloud.queues.lose(Queue::Dispatch));
        for _ in 0..4 {
            led.passes(61).await;
            led.received(Queue::Dispatch).await;
        }
        if led.0.gate.cloud(|cloud| cloud.cluster.tasks.is_empty()) {
            led.0.broken.push(format!("nobody started {}", led.job().id));
        }
        led
    });
}

#[test]
fn runner_with_a_heartbeat_during_a_sweep_stays_online() {
    led(&mutant::HEARD_SINCE, async |mutant| {
        let mut led = Led::begin(RUNNERS, mutant).await;
        led.hears(0).await;
        led.hears(0).await;
        led.silence(80).await;
        led.0.pass(secs(15));
        led.sweeps_to_its_first_write().await;
        led.hears_meanwhile(0).await;
        led
    });
}

#[test]
fn older_heartbeat_does_not_overwrite_a_newer_one() {
    led(&mutant::OLDER_HEARTBEAT, async |mutant| {
        let mut led = Led::begin(RUNNERS, mutant).await;
        led.hears(0).await;
        led.passes(30).await;
        let now = led.0.now();
        let beat = led.0.daemons[0].ask(Hand::Beat, &[], now).expect("a heartbeat is due");
        led.0.order(beat.clone()).await;
        // The call halts before its write.
        while led.0.reads_next(0) {
            led.0.go(0).await;
        }
        led.0.pass(secs(5));
        led.0.order(beat).await;
        while led.0.running.len() > 1 {
            led.0.go(1).await;
        }
        led.done().await;
        led
    });
}

#[test]
fn job_reported_during_a_sweep_stays_with_its_runner() {
    led(&mutant::HEARD_LAST, async |mutant| {
        let mut led = Led::begin(RUNNERS, mutant).await;
        led.enters(TRIGGER).await;
        led.takes(0).await;
        // The runner reports for a while that it runs no job.
        let attempt = led.0.attempts.pop().unwrap();
        for _ in 0..2 {
            led.silence(40).await;
            led.hears(0).await;
        }
        led.0.pass(secs(31));
        led.sweeps_to_its_first_write().await;
        led.0.attempts.push(attempt);
        led.hears_meanwhile(0).await;
        led
    });
}

#[test]
fn concurrent_repeats_of_a_request_create_one_job() {
    led(&mutant::REQUEST_KEY, async |mutant| {
        let mut led = Led::begin(QUIET, mutant).await;
        let body = json!({ "project": "acme", "prompt": "Do it.", "repository": "acme/app" });
        let ask = Ask { key: Some("once".into()), ..Ask::post("/v1/jobs", setup::ADMIN, body) };
        for at in 0..2 {
            led.0.order(ask.clone()).await;
            // Both read before either writes.
            while led.0.reads_next(at) {
                led.0.go(at).await;
            }
        }
        led.done().await;
        led
    });
}

#[test]
fn paused_job_frees_its_slot() {
    led(&mutant::FREED_BY_A_REST, async |mutant| {
        let mut led = Led::begin(RUNNERS, mutant).await;
        led.enters(TRIGGER).await;
        led.takes(0).await;
        let attempt = led.newest();
        led.goes_on(&attempt, |step| step == Step::Executing).await;
        led.ordered(pauses(&led.job())).await;
        led.goes_on(&attempt, |step| step == Step::Over).await;
        assert_eq!(led.job().status, JobStatus::Paused);
        led
    });
}

/// An agent asks a question, and the answer is sent twice.
async fn answered_twice(mutant: Option<&'static Mutant>) -> Led {
    let mut led = Led::begin(Mood { asks: 100, ..RUNNERS }, mutant).await;
    led.enters(TRIGGER).await;
    led.takes(0).await;
    let attempt = led.newest();
    led.goes_on(&attempt, |step| step == Step::Over).await;
    assert_eq!(led.job().status, JobStatus::AwaitingInput);
    for _ in 0..2 {
        led.ordered(says(&led.job(), "the-answer".into())).await;
    }
    assert_eq!(led.job().status, JobStatus::Ready);
    led.judged(&["was said"]);
    led
}

#[test]
fn answer_sent_twice_is_stored_once() {
    led(&mutant::SAID_BEFORE, async |mutant| answered_twice(mutant).await);
}

#[test]
fn answer_is_stored_with_its_resumed_job() {
    led(&mutant::KEPT_WITH_ITS_JOB, async |mutant| answered_twice(mutant).await);
}
