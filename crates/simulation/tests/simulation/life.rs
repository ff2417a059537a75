//! Runs one life: some minutes with random faults, then recovery.

use crate::attempt::Home;
use crate::cloud::cluster::State;
use crate::cloud::queue::Queue;
use crate::daemon::Hand;
use crate::laws;
use crate::plane::Ask;
use crate::rests::stands_still;
use crate::setup;
use crate::verdict;
use crate::world::World;
use pullyard_domain::job::{AttemptEnd, Job, JobStatus, Placement};
use pullyard_domain::project::Settings;
use pullyard_domain::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// Random steps before recovery.
const STEPS: usize = 900;

/// The time limit of recovery.
const REST_WITHIN: Duration = Duration::from_secs(5 * 3_600);

/// Runs one life. The violations are in the returned world.
pub(crate) async fn live(seed: u64) -> World {
    let mut world = World::new(seed).await;
    for _ in 0..STEPS {
        world.step().await;
        if !world.broken.is_empty() {
            return world;
        }
    }
    world.come_to_rest().await;
    if world.broken.is_empty() {
        let jobs: Vec<Job> = world.gate.cloud(|cloud| laws::jobs(&cloud.table.items).collect());
        for job in &jobs {
            world.tally.add(job.status.label());
            world.tally.add(if job.place == Placement::Fargate { "on Fargate" } else { "on runners" });
            world.tally.add_many("requeued", job.requeues.into());
            world.tally.add_many("attempts", job.attempt.into());
            world.tally.add_many("retries", job.retry_of.is_some().into());
            world.tally.add_many("continued", job.continues.is_some().into());
            world.tally.add_many("revisions", job.revises.is_some().into());
        }
        for attempt in world.gate.cloud(|cloud| laws::attempts(&cloud.table.items).collect::<Vec<_>>()) {
            match attempt.ended {
                AttemptEnd::Asked {} => world.tally.add("asked"),
                AttemptEnd::Paused {} => world.tally.add("paused"),
                _ => {}
            }
        }
        world.tally.add_many("inputs", jobs.iter().map(|job| u64::from(job.inputs)).sum());
        let found = world.gate.cloud(|cloud| laws::found_by_looking(&cloud.table.items));
        world.tally.add_many("reviews found by looking", found);
        let faults = world.gate.cloud(|cloud| verdict::faults(&cloud.table.items, &cloud.forge, &world.tool));
        world.broken.extend(faults);
    }
    world
}

impl World {
    /// Performs one random step.
    async fn step(&mut self) {
        self.tidy();
        let now = self.now();
        let receivable = |queue| self.gate.cloud(|cloud| cloud.queues.receivable(queue, now)).len() as u64;
        let (dispatch, effects) = (receivable(Queue::Dispatch), receivable(Queue::Effects));
        let events = self.gate.cloud(|cloud| cloud.cluster.events.len()) as u64;
        let tasks = self.tasks();
        let idle: Vec<_> = (0..self.attempts.len())
            .filter(|at| !self.attempts[*at].asking && now >= self.attempts[*at].silent_until)
            .collect();
        let waiting = |state: &State| tasks.iter().filter(|(_, of)| of == state).map(|(at, _)| *at).collect::<Vec<_>>();
        let (asked, run, stopping) =
            (waiting(&State::Provisioning), waiting(&State::Running), waiting(&State::Stopping));
        let some = |count: usize, weight: u64| if count == 0 { 0 } else { weight };
        let late = self.late.iter().position(|late| late.at <= now);
        let asked: Vec<_> = asked.into_iter().filter(|number| self.may_start(*number)).collect();
        let awake = self.awake();
        let (reviewable, told, pulls) = self.gate.cloud(|cloud| {
            let forge = &cloud.forge;
            (forge.may_be_reviewed(), forge.may_tell(), forge.pulls.len())
        });
        let weights = [
            80 * awake.len().min(4) as u64,
            10 * dispatch.min(4),
            10 * effects.min(4),
            8 * events.min(4),
            some(asked.len(), 12),
            some(run.len(), 3),
            some(stopping.len(), 5),
            some(idle.len(), 40),
            some(self.daemons.len(), 10),
            some(usize::from(self.tool.may_change()), self.mood.moves),
            some(usize::from(self.tool.may_tell()), 12),
            1,
            some(self.orders.len(), 4),
            // Functions are fast, so time mostly passes between them.
            if awake.is_empty() { 14 } else { 1 },
            self.mood.misfortunes,
            some(usize::from(late.is_some()), 20),
            some(usize::from(reviewable), self.mood.reviews),
            some(usize::from(told), 12),
            self.mood.rests,
            some(pulls, self.mood.turns),
        ];
        match self.dice.weighted(&weights).unwrap_or(13) {
            0 => {
                let at = awake[self.dice.below(awake.len())];
                self.go(at).await;
            }
            1 => self.receive(Queue::Dispatch).await,
            2 => self.receive(Queue::Effects).await,
            3 => self.event().await,
            4 => {
                let number = asked[self.dice.below(asked.len())];
                self.task(number);
            }
            5 => {
                let number = run[self.dice.below(run.len())];
                self.task(number);
            }
            6 => {
                let number = stopping[self.dice.below(stopping.len())];
                self.task(number);
            }
            7 => {
                let at = idle[self.dice.below(idle.len())];
                self.act(at).await;
            }
            8 => {
                let at = self.dice.below(self.daemons.len());
                // A claim without a ready job tests little.
                let waits = |job: &Job| job.status == JobStatus::Ready && job.place == Placement::Runners;
                let take = self.unrest().iter().any(waits) || self.dice.percent(20);
                let hand = if self.dice.percent(50) || !take { Hand::Beat } else { Hand::Take };
                self.hand(at, hand).await;
            }
            9 => {
                // Of two changes at the same time the one delivered last would count, so their times differ.
                let since = self.dice.between(1, 400);
                self.pass(Duration::from_millis(since));
                let said = self.tool.change(self.now(), self.mood.twice.max(20), &mut self.dice);
                self.trace.say(self.now(), said);
            }
            10 => self.tell().await,
            11 => self.people().await,
            12 => {
                let ask = self.orders.remove(0);
                self.order(ask).await;
            }
            13 => {
                let lengths = if self.running.is_empty() { [60, 36, 4] } else { [90, 8, 2] };
                let millis = match self.dice.weighted(&lengths) {
                    Some(0) => self.dice.between(50, 2_000),
                    Some(1) => self.dice.between(2_000, 15_000),
                    _ => self.dice.between(15_000, 120_000),
                };
                self.wait(Duration::from_millis(millis)).await;
            }
            14 => self.misfortune(),
            15 => self.come_late(late.unwrap_or_default()).await,
            16 => self.review(),
            17 => self.deliver().await,
            18 => self.speak().await,
            _ => self.turn(),
        }
    }

    /// Some containers take minutes to start.
    fn may_start(&mut self, number: u32) -> bool {
        let (now, late, dice) = (self.now(), self.mood.late_tasks, &mut self.dice);
        let begins = self.starts.entry(number).or_insert_with(|| {
            let by = if dice.percent(late) { dice.between(100, 900) } else { 0 };
            now.plus(Duration::from_secs(by))
        });
        now >= *begins
    }

    fn tasks(&self) -> Vec<(u32, State)> {
        self.gate.cloud(|cloud| cloud.cluster.tasks.iter().map(|(at, task)| (*at, task.state.clone())).collect())
    }

    /// A random process falls silent, dies or restarts.
    fn misfortune(&mut self) {
        let now = self.now();
        let silent = Duration::from_secs(self.dice.between(self.mood.silence.0, self.mood.silence.1));
        let what = if self.dice.percent(self.mood.runners_silent) { 2 } else { self.dice.below(4) };
        match what {
            0 if !self.attempts.is_empty() => {
                let at = self.dice.below(self.attempts.len());
                self.attempts[at].silent_until = now.plus(silent);
                self.trace.say(now, format!("{} is silent for {silent:?}", self.attempts[at].name));
            }
            1 if !self.attempts.is_empty() => {
                let at = self.dice.below(self.attempts.len());
                if let Home::Runner(_) = self.attempts[at].home {
                    let attempt = self.attempts.remove(at);
                    self.trace.say(now, format!("{} dies", attempt.name));
                }
            }
            2 => {
                let at = self.dice.below(self.daemons.len());
                self.daemons[at].silent_until = now.plus(silent);
                self.trace.say(now, format!("{} is silent for {silent:?}", self.daemons[at].name));
                let all = self.dice.percent(50);
                // Its attempts may be silent for longer.
                let silent = Duration::from_secs(self.dice.between(self.mood.silence.0, 400));
                for attempt in self.attempts.iter_mut().filter(|attempt| all && attempt.home == Home::Runner(at)) {
                    attempt.silent_until = now.plus(silent);
                }
            }
            _ => {
                let at = self.dice.below(self.daemons.len());
                let (same, with_jobs) = (self.dice.percent(50), self.dice.percent(60));
                let daemon = &mut self.daemons[at];
                if daemon.alive {
                    daemon.die();
                    self.trace.say(now, format!("{} dies, its jobs too: {with_jobs}", daemon.name));
                    self.attempts.retain(|attempt| !with_jobs || attempt.home != Home::Runner(at));
                } else {
                    daemon.come_back(same, now);
                    self.trace.say(now, format!("{} comes back, as the same: {same}", daemon.name));
                }
            }
        }
    }

    /// A user sends a random request.
    async fn people(&mut self) {
        self.asked += 1;
        let jobs: Vec<Job> = self.gate.cloud(|cloud| laws::jobs(&cloud.table.items).collect());
        let (ended, open): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.status.is_terminal());
        let post = |path: String, body| Ask::post(path, setup::ADMIN, body);
        let runner = self.daemons[self.dice.below(self.daemons.len())].name.clone();
        let command = |command: &str| post(format!("/v1/runners/{runner}/commands"), json!({ "command": command }));
        let some = |count: usize, weight: u64| if count == 0 { 0 } else { weight };
        let weights = [some(open.len(), 16), some(ended.len(), 25), 4, 14, 4, 12, 6, some(ended.len(), 10), 2];
        let ask = match self.dice.weighted(&weights).unwrap_or(3) {
            0 => post(format!("/v1/jobs/{}/cancel", open[self.dice.below(open.len())].id), json!({})),
            1 => {
                let path = format!("/v1/jobs/{}/retry", ended[self.dice.below(ended.len())].id);
                Ask { key: Some(format!("retry-{}", self.asked)), ..post(path, json!({})) }
            }
            2 => post("/v1/projects/acme/hold".into(), json!({ "reason": "a look" })),
            3 => post("/v1/projects/acme/release".into(), json!({})),
            4 => command("drain"),
            5 => command("resume"),
            6 => {
                let settings = Settings {
                    default_repository: Some("acme/app".parse().unwrap()),
                    ..setup::settings(&mut self.dice, &self.mood)
                };
                let settings = serde_json::to_value(settings).unwrap();
                Ask { method: "PUT", ..post("/v1/projects/acme/settings".into(), settings) }
            }
            8 => Ask { method: "DELETE", ..post(format!("/v1/runners/{runner}"), json!({})) },
            _ => {
                let ticket = &ended[self.dice.below(ended.len())].ticket;
                let body = json!({ "project": "acme", "ticket": ticket });
                Ask { key: Some(format!("job-{}", self.asked)), ..post("/v1/jobs".into(), body) }
            }
        };
        self.order(ask).await;
    }

    /// Recovery: faults end, all processes return, and all started work ends.
    async fn come_to_rest(&mut self) {
        let began = self.now();
        self.trace.say(began, "nothing fails from here on".into());
        self.calm = true;
        self.gate.cloud(|cloud| cloud.table.lags = false);
        for attempt in &mut self.attempts {
            attempt.silent_until = began;
        }
        // Suspended jobs resume or reach their limit, and agents ask no further questions.
        self.mood.asks = 0;
        self.answer_some();
        self.orders.push(Ask::post("/v1/projects/acme/release", setup::ADMIN, json!({})));
        for at in 0..self.daemons.len() {
            let path = format!("/v1/runners/{}/commands", self.daemons[at].name);
            self.orders.push(Ask::post(path, setup::ADMIN, json!({ "command": "resume" })));
            self.daemons[at].silent_until = began;
            if !self.daemons[at].alive {
                let same = self.dice.percent(50);
                self.daemons[at].come_back(same, began);
            }
        }
        let mut quiet = 0;
        while quiet < 3 {
            while self.do_something().await {
                if !self.broken.is_empty() {
                    return;
                }
            }
            quiet = if self.is_at_rest(began) { quiet + 1 } else { 0 };
            if self.now().since(began) > REST_WITHIN {
                return self.broken.push(format!("it does not come to rest: {:?}", self.unrest()));
            }
            let forgotten = self.forgotten(began);
            if !forgotten.is_empty() {
                return self.broken.extend(forgotten);
            }
            let pause = self.nothing_before().unwrap_or(Duration::from_secs(21));
            self.wait(pause).await;
        }
    }

    /// Performs the next step that needs no waiting. Returns false if there is none.
    async fn do_something(&mut self) -> bool {
        self.tidy();
        let now = self.now();
        if !self.running.is_empty() {
            let at = self.dice.below(self.running.len());
            self.go(at).await;
            return true;
        }
        if !self.late.is_empty() {
            self.come_late(0).await;
            return true;
        }
        if let Some(ask) = (!self.orders.is_empty()).then(|| self.orders.remove(0)) {
            self.order(ask).await;
            return true;
        }
        if self.tool.may_tell() {
            self.tell().await;
            return true;
        }
        if self.gate.cloud(|cloud| cloud.forge.may_tell()) {
            self.deliver().await;
            return true;
        }
        if self.gate.cloud(|cloud| !cloud.cluster.events.is_empty()) {
            self.event().await;
            return true;
        }
        for (number, state) in self.tasks() {
            if matches!(state, State::Provisioning | State::Stopping) {
                self.task(number);
                return true;
            }
        }
        if let Some(at) = self.attempts.iter().position(|attempt| !attempt.asking) {
            self.act(at).await;
            return true;
        }
        let wanted = self.unrest().iter().any(|job| job.status == JobStatus::Ready && job.place == Placement::Runners);
        for at in 0..self.daemons.len() {
            if self.hand(at, Hand::Beat).await || wanted && self.hand(at, Hand::Take).await {
                return true;
            }
            if !self.daemons[at].alive {
                self.daemons[at].come_back(false, now);
                return true;
            }
        }
        for queue in [Queue::Dispatch, Queue::Effects] {
            if self.gate.cloud(|cloud| !cloud.queues.receivable(queue, now).is_empty()) {
                self.receive(queue).await;
                return true;
            }
        }
        false
    }

    pub(crate) fn unrest(&self) -> Vec<Job> {
        self.gate.cloud(|cloud| laws::jobs(&cloud.table.items).filter(|job| !job.status.is_terminal()).collect())
    }

    /// The time to the next due work if it is minutes away: reviews wait for their hour, and jobs for users.
    fn nothing_before(&self) -> Option<Duration> {
        let waits = |job: &Job| job.status == JobStatus::Pending || stands_still(job);
        if !self.attempts.is_empty() || !self.unrest().iter().all(waits) {
            return None;
        }
        let now = self.now();
        let due = self.gate.cloud(|cloud| laws::due(&cloud.table.items).min());
        let within = due?.since(now);
        (within > Duration::from_secs(300)).then_some(within)
    }

    fn is_at_rest(&self, began: Timestamp) -> bool {
        let over = self.gate.cloud(|cloud| {
            let items = &cloud.table.items;
            cloud.queues.is_empty() && laws::due(items).next().is_none() && laws::looked_since(items, began)
        });
        over && self.attempts.is_empty() && self.unrest().is_empty()
    }
}
