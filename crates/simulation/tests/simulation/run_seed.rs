//! Runs one life: some minutes with random faults, then recovery.

use crate::attempt::Home;
use crate::cloud::cluster::State;
use crate::cloud::queue::Queue;
use crate::daemon::Loop;
use crate::final_state;
use crate::invariants;
use crate::prelude::*;
use crate::suspensions::is_suspended;
use crate::world::World;
use pullyard_domain::job::{AttemptEnd, Placement};
use pullyard_domain::project::Settings;

const STEPS: usize = 900;

const RECOVERY_LIMIT: Duration = Duration::from_secs(5 * 3_600);

pub(crate) async fn run_seed(seed: u64) -> World {
    let mut world = World::new(seed).await;
    for _ in 0..STEPS {
        world.step().await;
        if !world.violations.is_empty() {
            return world;
        }
    }
    world.recover().await;
    if world.violations.is_empty() {
        let jobs: Vec<Job> = world.gate.cloud(|cloud| invariants::jobs(&cloud.table.items).collect());
        for job in &jobs {
            world.tally.add(job.status.label());
            world.tally.add(if job.place == Placement::Fargate { "on Fargate" } else { "on runners" });
            world.tally.add_many("requeued", job.requeues.into());
            world.tally.add_many("placed", job.is_placed.into());
            world.tally.add_many("attempts", job.attempt.into());
            world.tally.add_many("retries", job.retry_of.is_some().into());
            world.tally.add_many("continued", job.continues.is_some().into());
            world.tally.add_many("revisions", job.revises.is_some().into());
        }
        for attempt in world.gate.cloud(|cloud| invariants::attempts(&cloud.table.items).collect::<Vec<_>>()) {
            match attempt.ended {
                AttemptEnd::Asked {} => world.tally.add("asked"),
                AttemptEnd::Paused {} => world.tally.add("paused"),
                _ => {}
            }
        }
        world.tally.add_many("inputs", jobs.iter().map(|job| u64::from(job.inputs)).sum());
        let found = world.gate.cloud(|cloud| invariants::reviews_found_by_polling(&cloud.table.items));
        world.tally.add_many("reviews found by looking", found);
        let faults = world.gate.cloud(|cloud| final_state::violations(&cloud.table.items, &cloud.forge, &world.tool));
        world.violations.extend(faults);
    }
    world
}

impl World {
    async fn step(&mut self) {
        self.remove_ended_attempts();
        let now = self.now();
        let receivable = |queue| self.gate.cloud(|cloud| cloud.queues.receivable(queue, now)).len() as u64;
        let dispatch = receivable(Queue::Dispatch);
        let ordered = [Queue::Effects, Queue::Calls].map(receivable);
        let events = self.gate.cloud(|cloud| cloud.cluster.events.len()) as u64;
        let tasks = self.tasks();
        let idle: Vec<_> = (0..self.attempts.len())
            .filter(|at| !self.attempts[*at].call_pending && now >= self.attempts[*at].silent_until)
            .collect();
        let waiting = |state: &State| tasks.iter().filter(|(_, of)| of == state).map(|(at, _)| *at).collect::<Vec<_>>();
        let (provisioning, run, stopping) =
            (waiting(&State::Provisioning), waiting(&State::Running), waiting(&State::Stopping));
        let some = |count: usize, weight: u64| if count == 0 { 0 } else { weight };
        let late = self.delayed_repeats.iter().position(|late| late.at <= now);
        let provisioning: Vec<_> = provisioning.into_iter().filter(|number| self.may_start(*number)).collect();
        let awake = self.runnable();
        let (reviewable, has_webhook, pulls) = self.gate.cloud(|cloud| {
            let forge = &cloud.forge;
            (forge.may_be_reviewed(), forge.has_pending_webhook(), forge.pulls.len())
        });
        let weights = [
            80 * awake.len().min(4) as u64,
            10 * dispatch.min(4),
            10 * ordered.iter().sum::<u64>().min(4),
            8 * events.min(4),
            some(provisioning.len(), 12),
            some(run.len(), 3),
            some(stopping.len(), 5),
            some(idle.len(), 40),
            some(self.daemons.len(), 10),
            some(usize::from(self.tool.may_change()), self.fault_profile.moves),
            some(usize::from(self.tool.has_pending_event()), 12),
            1,
            some(self.user_requests.len(), 4),
            // Functions are fast, so time mostly passes between them.
            if awake.is_empty() { 14 } else { 1 },
            self.fault_profile.misfortunes,
            some(usize::from(late.is_some()), 20),
            some(usize::from(reviewable), self.fault_profile.reviews),
            some(usize::from(has_webhook), 12),
            self.fault_profile.suspensions,
            some(pulls, self.fault_profile.state_changes),
        ];
        match self.rng.choose_weighted(&weights).unwrap_or(13) {
            0 => {
                let at = awake[self.rng.below(awake.len())];
                self.release_calls(at).await;
            }
            1 => self.receive(Queue::Dispatch).await,
            2 => {
                let queue = if self.rng.below((ordered[0] + ordered[1]) as usize) < ordered[0] as usize {
                    Queue::Effects
                } else {
                    Queue::Calls
                };
                self.receive(queue).await;
            }
            3 => self.deliver_task_event().await,
            4 => {
                let number = provisioning[self.rng.below(provisioning.len())];
                self.advance_task(number);
            }
            5 => {
                let number = run[self.rng.below(run.len())];
                self.advance_task(number);
            }
            6 => {
                let number = stopping[self.rng.below(stopping.len())];
                self.advance_task(number);
            }
            7 => {
                let at = idle[self.rng.below(idle.len())];
                self.advance_attempt(at).await;
            }
            8 => {
                let at = self.rng.below(self.daemons.len());
                // A claim without a ready job tests little.
                let waits = |job: &Job| job.status == JobStatus::Ready && job.place == Placement::Runners;
                let take = self.open_jobs().iter().any(waits) || self.rng.percent(20);
                let hand = if self.rng.percent(50) || !take { Loop::Heartbeat } else { Loop::Claim };
                self.advance_daemon(at, hand).await;
            }
            9 => {
                // The times of changes differ, because of two simultaneous changes the one delivered last would count.
                let since = self.rng.between(1, 400);
                self.advance(Duration::from_millis(since));
                let message = self.tool.change(self.now(), self.fault_profile.repeats.max(20), &mut self.rng);
                self.trace.record(self.now(), message);
            }
            10 => self.send_ticket_event().await,
            11 => self.user_request_step().await,
            12 => {
                let ask = self.user_requests.remove(0);
                self.send_user_request(ask).await;
            }
            13 => {
                let lengths = if self.running.is_empty() { [60, 36, 4] } else { [90, 8, 2] };
                let millis = match self.rng.choose_weighted(&lengths) {
                    Some(0) => self.rng.between(50, 2_000),
                    Some(1) => self.rng.between(2_000, 15_000),
                    _ => self.rng.between(15_000, 120_000),
                };
                self.wait(Duration::from_millis(millis)).await;
            }
            14 => self.inject_misfortune(),
            15 => self.send_delayed_repeat(late.unwrap_or_default()).await,
            16 => self.review(),
            17 => self.send_webhook().await,
            18 => self.send_random_input().await,
            _ => self.change_pull_request(),
        }
    }

    /// Some containers take minutes to start.
    fn may_start(&mut self, number: u32) -> bool {
        let (now, late, dice) = (self.now(), self.fault_profile.late_tasks, &mut self.rng);
        let begins = self.starts.entry(number).or_insert_with(|| {
            let by = if dice.percent(late) { dice.between(100, 900) } else { 0 };
            now.plus(Duration::from_secs(by))
        });
        now >= *begins
    }

    fn tasks(&self) -> Vec<(u32, State)> {
        self.gate.cloud(|cloud| cloud.cluster.tasks.iter().map(|(at, task)| (*at, task.state.clone())).collect())
    }

    fn inject_misfortune(&mut self) {
        let now = self.now();
        let silent = Duration::from_secs(self.rng.between(self.fault_profile.silence.0, self.fault_profile.silence.1));
        let misfortune = if self.rng.percent(self.fault_profile.runners_silent) { 2 } else { self.rng.below(4) };
        match misfortune {
            0 if !self.attempts.is_empty() => {
                let at = self.rng.below(self.attempts.len());
                self.attempts[at].silent_until = now.plus(silent);
                self.trace.record(now, format!("{} is silent for {silent:?}", self.attempts[at].name));
            }
            1 if !self.attempts.is_empty() => {
                let at = self.rng.below(self.attempts.len());
                if let Home::Runner(_) = self.attempts[at].home {
                    let attempt = self.attempts.remove(at);
                    self.trace.record(now, format!("{} dies", attempt.name));
                }
            }
            2 => {
                let at = self.rng.below(self.daemons.len());
                self.daemons[at].silent_until = now.plus(silent);
                self.trace.record(now, format!("{} is silent for {silent:?}", self.daemons[at].name));
                let all = self.rng.percent(50);
                // Its attempts may be silent for longer.
                let silent = Duration::from_secs(self.rng.between(self.fault_profile.silence.0, 400));
                for attempt in self.attempts.iter_mut().filter(|attempt| all && attempt.home == Home::Runner(at)) {
                    attempt.silent_until = now.plus(silent);
                }
            }
            _ => {
                let at = self.rng.below(self.daemons.len());
                let (same, with_jobs) = (self.rng.percent(50), self.rng.percent(60));
                let daemon = &mut self.daemons[at];
                if daemon.alive {
                    daemon.die();
                    self.trace.record(now, format!("{} dies, its jobs too: {with_jobs}", daemon.name));
                    self.attempts.retain(|attempt| !with_jobs || attempt.home != Home::Runner(at));
                } else {
                    daemon.restart(same, now);
                    self.trace.record(now, format!("{} comes back, as the same: {same}", daemon.name));
                }
            }
        }
    }

    async fn user_request_step(&mut self) {
        self.user_request_count += 1;
        let jobs: Vec<Job> = self.gate.cloud(|cloud| invariants::jobs(&cloud.table.items).collect());
        let (ended, open): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.status.is_terminal());
        let post = |path: String, body| ApiCall::post(path, setup::ADMIN, body);
        let runner = self.daemons[self.rng.below(self.daemons.len())].name.clone();
        let command = |command: &str| post(format!("/v1/runners/{runner}/commands"), json!({ "command": command }));
        let some = |count: usize, weight: u64| if count == 0 { 0 } else { weight };
        let weights = [some(open.len(), 16), some(ended.len(), 25), 4, 14, 4, 12, 6, some(ended.len(), 10), 2];
        let ask = match self.rng.choose_weighted(&weights).unwrap_or(3) {
            0 => post(format!("/v1/jobs/{}/cancel", open[self.rng.below(open.len())].id), json!({})),
            1 => {
                let path = format!("/v1/jobs/{}/retry", ended[self.rng.below(ended.len())].id);
                ApiCall { key: Some(format!("retry-{}", self.user_request_count)), ..post(path, json!({})) }
            }
            2 => post("/v1/projects/acme/hold".into(), json!({ "reason": "a look" })),
            3 => post("/v1/projects/acme/release".into(), json!({})),
            4 => command("drain"),
            5 => command("resume"),
            6 => {
                let mut settings = Settings {
                    default_repository: Some("acme/app".parse().unwrap()),
                    ..setup::settings(&mut self.rng, &self.fault_profile)
                };
                settings.limits.running_jobs = self.gate.cloud(|cloud| invariants::limits(&cloud.table.items).project);
                let settings = serde_json::to_value(settings).unwrap();
                ApiCall { method: "PUT", ..post("/v1/projects/acme/settings".into(), settings) }
            }
            8 => ApiCall { method: "DELETE", ..post(format!("/v1/runners/{runner}"), json!({})) },
            _ => {
                let ticket = &ended[self.rng.below(ended.len())].ticket;
                let body = json!({ "project": "acme", "ticket": ticket });
                ApiCall { key: Some(format!("job-{}", self.user_request_count)), ..post("/v1/jobs".into(), body) }
            }
        };
        self.send_user_request(ask).await;
    }

    /// Recovery: faults end, all processes return, and all started work ends.
    async fn recover(&mut self) {
        let began = self.now();
        self.trace.record(began, "nothing fails from here on".into());
        self.faults_off = true;
        self.gate.cloud(|cloud| cloud.table.weak_reads_lag = false);
        for attempt in &mut self.attempts {
            attempt.silent_until = began;
        }
        // Suspended jobs resume or reach their limit, and agents ask no further questions.
        self.fault_profile.agent_asks = 0;
        self.answer_some();
        self.user_requests.push(ApiCall::post("/v1/projects/acme/release", setup::ADMIN, json!({})));
        for at in 0..self.daemons.len() {
            let path = format!("/v1/runners/{}/commands", self.daemons[at].name);
            self.user_requests.push(ApiCall::post(path, setup::ADMIN, json!({ "command": "resume" })));
            self.daemons[at].silent_until = began;
            if !self.daemons[at].alive {
                let same = self.rng.percent(50);
                self.daemons[at].restart(same, began);
            }
        }
        let mut quiet = 0;
        while quiet < 3 {
            while self.step_without_waiting().await {
                if !self.violations.is_empty() {
                    return;
                }
            }
            quiet = if self.is_idle(began) { quiet + 1 } else { 0 };
            if self.now().since(began) > RECOVERY_LIMIT {
                return self.violations.push(format!("it does not come to rest: {:?}", self.open_jobs()));
            }
            let forgotten = self.overdue_suspensions(began);
            if !forgotten.is_empty() {
                return self.violations.extend(forgotten);
            }
            let pause = self.idle_time().unwrap_or(Duration::from_secs(21));
            self.wait(pause).await;
        }
    }

    /// Performs the next step that needs no waiting. Returns false if there is none.
    async fn step_without_waiting(&mut self) -> bool {
        self.remove_ended_attempts();
        let now = self.now();
        if !self.running.is_empty() {
            let at = self.rng.below(self.running.len());
            self.release_calls(at).await;
            return true;
        }
        if !self.delayed_repeats.is_empty() {
            self.send_delayed_repeat(0).await;
            return true;
        }
        if let Some(ask) = (!self.user_requests.is_empty()).then(|| self.user_requests.remove(0)) {
            self.send_user_request(ask).await;
            return true;
        }
        if self.tool.has_pending_event() {
            self.send_ticket_event().await;
            return true;
        }
        if self.gate.cloud(|cloud| cloud.forge.has_pending_webhook()) {
            self.send_webhook().await;
            return true;
        }
        if self.gate.cloud(|cloud| !cloud.cluster.events.is_empty()) {
            self.deliver_task_event().await;
            return true;
        }
        for (number, state) in self.tasks() {
            if matches!(state, State::Provisioning | State::Stopping) {
                self.advance_task(number);
                return true;
            }
        }
        if let Some(at) = self.attempts.iter().position(|attempt| !attempt.call_pending) {
            self.advance_attempt(at).await;
            return true;
        }
        let wanted =
            self.open_jobs().iter().any(|job| job.status == JobStatus::Ready && job.place == Placement::Runners);
        for at in 0..self.daemons.len() {
            if self.advance_daemon(at, Loop::Heartbeat).await || wanted && self.advance_daemon(at, Loop::Claim).await {
                return true;
            }
            if !self.daemons[at].alive {
                self.daemons[at].restart(false, now);
                return true;
            }
        }
        for queue in [Queue::Dispatch, Queue::Effects, Queue::Calls] {
            if self.gate.cloud(|cloud| !cloud.queues.receivable(queue, now).is_empty()) {
                self.receive(queue).await;
                return true;
            }
        }
        false
    }

    pub(crate) fn open_jobs(&self) -> Vec<Job> {
        self.gate.cloud(|cloud| invariants::jobs(&cloud.table.items).filter(|job| !job.status.is_terminal()).collect())
    }

    /// The time to the next due work if it is minutes away: reviews wait for their hour, and jobs for users.
    fn idle_time(&self) -> Option<Duration> {
        let waits = |job: &Job| job.status == JobStatus::Pending || is_suspended(job);
        if !self.attempts.is_empty() || !self.open_jobs().iter().all(waits) {
            return None;
        }
        let now = self.now();
        let due = self.gate.cloud(|cloud| invariants::due_times(&cloud.table.items).min());
        let within = due?.since(now);
        (within > Duration::from_secs(300)).then_some(within)
    }

    fn is_idle(&self, began: Timestamp) -> bool {
        let over = self.gate.cloud(|cloud| {
            let items = &cloud.table.items;
            cloud.queues.is_empty()
                && invariants::due_times(items).next().is_none()
                && invariants::polled_since(items, began)
        });
        over && self.attempts.is_empty() && self.open_jobs().is_empty()
    }
}
