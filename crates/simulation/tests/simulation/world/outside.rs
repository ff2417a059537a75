//! Everything outside the functions: users and their tools, the forge, queues, ECS, and the runners of jobs.

use super::{Caller, DelayedRepeat, World};
use crate::attempt::{Attempt, AttemptStart, Home, Step};
use crate::cloud::cluster::State;
use crate::cloud::queue::Queue;
use crate::daemon::Loop;
use crate::invariants;
use crate::prelude::*;
use crate::profile::Profile;

impl World {
    pub(crate) async fn send_ticket_event(&mut self) {
        let (number, ask) = self.tool.take_event(setup::ADMIN, &mut self.rng);
        let invocation = self.control_plane.call_api(&ask);
        let label = format!("tickets: {}", ask.body["event_id"].as_str().unwrap_or_default());
        self.start(invocation, Caller::TicketTool(number), label).await;
    }

    pub(crate) fn review(&mut self) {
        let (now, Profile { repeats: twice, reviews_lost, .. }) = (self.now(), self.fault_profile);
        let dice = &mut self.rng;
        let message = self.gate.cloud(|cloud| cloud.forge.review(now, twice.max(20), reviews_lost, dice));
        self.tally.add("reviews");
        self.trace.record(now, message);
    }

    pub(crate) fn change_pull_request(&mut self) {
        let (now, Profile { repeats: twice, reviews_lost, .. }) = (self.now(), self.fault_profile);
        let dice = &mut self.rng;
        if let Some(message) = self.gate.cloud(|cloud| cloud.forge.change_state(now, twice.max(20), reviews_lost, dice))
        {
            self.tally.add("closed or reopened");
            self.trace.record(now, message);
        }
    }

    pub(crate) async fn send_webhook(&mut self) {
        let dice = &mut self.rng;
        let webhook = self.gate.cloud(|cloud| cloud.forge.take_webhook(dice));
        let label = format!("webhook: {}", webhook.name);
        let invocation = self.control_plane.deliver(webhook);
        self.start(invocation, Caller::Forge, label).await;
    }

    pub(crate) async fn send_user_request(&mut self, ask: ApiCall) {
        self.maybe_repeat_later(&ask);
        let invocation = self.control_plane.call_api(&ask);
        let label = format!("api: a person asks {}", ask.path);
        self.start(invocation, Caller::User(ask), label).await;
    }

    pub(crate) async fn send_delayed_repeat(&mut self, at: usize) {
        let DelayedRepeat { ask, .. } = self.delayed_repeats.remove(at);
        self.tally.add("came late");
        let invocation = self.control_plane.call_api(&ask);
        self.start(invocation, Caller::Detached, format!("api: once more {}", ask.path)).await;
    }

    fn maybe_repeat_later(&mut self, ask: &ApiCall) {
        if !self.faults_off && self.rng.percent(self.fault_profile.repeats) {
            let at = self.now().plus(Duration::from_secs(self.rng.between(0, 60)));
            self.delayed_repeats.push(DelayedRepeat { at, ask: ask.clone() });
        }
    }

    pub(crate) async fn receive(&mut self, queue: Queue) {
        let now = self.now();
        let most = if self.rng.percent(80) { 1 } else { 3 };
        let mut messages = Vec::new();
        while messages.len() < most {
            let places = self.gate.cloud(|cloud| cloud.queues.receivable(queue, now));
            if places.is_empty() {
                break;
            }
            let at = places[self.rng.below(places.len())];
            messages.extend(self.gate.cloud(|cloud| cloud.queues.receive(at, now)));
        }
        if !messages.is_empty() {
            let ids = messages.iter().map(|message| message.id).collect();
            let label =
                format!("{queue:?} of {}", messages.iter().map(|it| it.body.as_str()).collect::<Vec<_>>().join(" "));
            let invocation = self.control_plane.batch(queue, &messages);
            self.start(invocation, Caller::Messages(ids), label).await;
        }
    }

    /// ECS reports a stopped task, sometimes twice or never.
    pub(crate) async fn deliver_task_event(&mut self) {
        let at = self.gate.cloud(|cloud| cloud.cluster.events.len());
        let at = self.rng.below(at);
        let keep = !self.faults_off && self.rng.percent(10);
        let lost = !self.faults_off && self.rng.percent(8);
        let event = self.gate.cloud(|cloud| match keep {
            true => cloud.cluster.events[at].clone(),
            false => cloud.cluster.events.remove(at),
        });
        if lost {
            return self.trace.record(self.now(), format!("a stop is never told: {}", event["detail"]["taskArn"]));
        }
        let label = format!("tasks: {} stopped", event["detail"]["taskArn"]);
        let invocation = self.control_plane.task_event(&event);
        self.start(invocation, Caller::Event(event), label).await;
    }

    /// Advances a task: its container starts, fails to start, or dies.
    pub(crate) fn advance_task(&mut self, number: u32) {
        let now = self.now();
        let task = self.gate.cloud(|cloud| cloud.cluster.tasks[&number].clone());
        let dies = !self.faults_off && self.rng.percent(if task.state == State::Provisioning { 7 } else { 100 });
        let name = format!("task-{number}");
        match task.state {
            State::Provisioning if !dies => {
                self.trace.record(now, format!("{name} starts"));
                self.gate.cloud(|cloud| {
                    if let Some(task) = cloud.cluster.tasks.get_mut(&number) {
                        task.state = State::Running;
                    }
                });
                let begun = AttemptStart {
                    home: Home::Task(number),
                    job: task.variable("PULLYARD_JOB"),
                    number: task.variable("PULLYARD_ATTEMPT").parse().unwrap(),
                    claim: format!("claim-{name}"),
                    instance: name.clone(),
                    bootstrap: task.variable("PULLYARD_BOOTSTRAP"),
                    task: self.rng.percent(85).then_some(task.arn),
                    fails_percent: self.fault_profile.agent_fails,
                    asks_percent: self.fault_profile.agent_asks,
                    name,
                };
                self.attempts.push(Attempt::new(begun, now, &mut self.rng));
            }
            State::Provisioning => self.stop_task(number, "TaskFailedToStart", "CannotPullContainerError", None),
            State::Stopping => self.stop_task(number, "UserInitiated", "its job was cancelled", Some(143)),
            State::Running if dies && self.rng.percent(30) => {
                self.stop_task(number, "SpotInterruption", "Your Spot Task was interrupted.", Some(143));
            }
            State::Running if dies => {
                self.stop_task(number, "EssentialContainerExited", "Essential container in task exited", Some(137));
            }
            _ => {}
        }
    }

    pub(crate) fn stop_task(&mut self, number: u32, code: &str, reason: &str, exit: Option<i64>) {
        self.trace.record(self.now(), format!("task-{number} stops: {code}"));
        self.gate.cloud(|cloud| cloud.cluster.stop_task(number, code, reason, exit));
        self.attempts.retain(|attempt| attempt.home != Home::Task(number));
    }

    pub(crate) async fn advance_attempt(&mut self, at: usize) {
        let now = self.now();
        if matches!(self.attempts[at].step, Step::Push(_)) {
            return self.push(at);
        }
        let attempt = &mut self.attempts[at];
        if let Some(ask) = attempt.next_call(now) {
            attempt.call_pending = true;
            let (name, step) = (attempt.name.clone(), attempt.step);
            self.maybe_repeat_later(&ask);
            let invocation = self.control_plane.call_api(&ask);
            self.start(invocation, Caller::Attempt(name.clone()), format!("api: {name} {step:?}")).await;
        }
    }

    fn push(&mut self, at: usize) {
        let now = self.now();
        let attempt = &mut self.attempts[at];
        let (job, claim) = (attempt.job.clone(), attempt.claim.clone());
        let dice = &mut self.rng;
        let pushed = self.gate.cloud(|cloud| attempt.push(now, &mut cloud.forge, dice));
        self.trace.record(now, format!("{} pushes: {pushed}", attempt.name));
        self.tally.add(if pushed { "pushed" } else { "not pushed" });
        if pushed && self.gate.cloud(|cloud| invariants::job_held_by(&cloud.table.items, &job, &claim)).is_none() {
            self.violations.push(format!("{claim} pushed for {job}, which it does not hold"));
        }
    }

    pub(crate) fn remove_ended_attempts(&mut self) {
        while let Some(at) = self.attempts.iter().position(Attempt::has_ended) {
            let attempt = self.attempts.remove(at);
            self.trace.record(self.now(), format!("{} is over", attempt.name));
            if let Home::Task(number) = attempt.home {
                self.stop_task(number, "EssentialContainerExited", "Essential container in task exited", Some(0));
            }
        }
    }

    pub(crate) async fn advance_daemon(&mut self, at: usize, hand: Loop) -> bool {
        let now = self.now();
        let mine = self.attempts.iter().filter(|attempt| attempt.home == Home::Runner(at));
        let jobs: Vec<_> = mine.map(|attempt| attempt.job.clone()).collect();
        let daemon = &mut self.daemons[at];
        let Some(ask) = daemon.next_call(hand, &jobs, now) else { return false };
        let (label, of) = (format!("api: {} {}", daemon.name, ask.path), daemon.incarnation());
        self.maybe_repeat_later(&ask);
        let invocation = self.control_plane.call_api(&ask);
        self.start(invocation, Caller::Daemon(at, hand, of), label).await;
        true
    }
}
