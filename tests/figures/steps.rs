//! Compares the request units of each step of a job with request_units.txt.
//!
//! `PULLYARD_WRITE_PAPERS=1 cargo test -p pullyard-cli --test system figures::steps` writes the file.
//!
//! The test makes a runner's calls one after the other, so that each call belongs to one step.
//! `flows` and `figures.rs` run whole flows with the real runner, within the same bounds.

use super::flows::{BEAT, Flow, IMPLEMENT, REVISE};
use super::meter::{Asked, Meter};
use super::{EVENT, anns_review};
use crate::artifacts::keep as keep_artifact;
use crate::papers::keep;
use crate::story::{REPOSITORY, Setup, Story, Task, completed, until};
use crate::webhooks::{BRANCH, World};
use pullyard_domain::artifact::ArtifactKind;
use pullyard_domain::id::JobId;
use pullyard_protocol::attempt::{EventsRequest, FinishRequest, Phase, StatusRequest};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const TRIGGER: &str = "trigger";
const READ: &str = "the review is read, and its pull request told";
const START: &str = "start of the task";
const CLAIM: &str = "claim";
const CREDENTIALS: &str = "credentials";
const PHASES: &str = "three phases";
const PATCH: &str = "the patch is kept";
const END: &str = "end";
const TOLD: &str = "the pull request is told of the end";
const STOPPED: &str = "the end of the task is heard";

const STEPS: [&str; 10] = [TRIGGER, READ, START, CLAIM, CREDENTIALS, PHASES, PATCH, END, TOLD, STOPPED];

struct Steps<'a> {
    meter: &'a Meter,
    taken: BTreeMap<&'static str, Asked>,
}

impl<'a> Steps<'a> {
    fn begin(meter: &'a Meter) -> Self {
        meter.reset();
        Self { meter, taken: BTreeMap::new() }
    }

    /// Assigns the calls of this function since the last take to a step.
    fn took(&mut self, step: &'static str, function: &str) {
        let asked = self.meter.take(function);
        let taken = self.taken.entry(step).or_default();
        taken.units += asked.units;
        taken.calls.extend(asked.calls);
    }

    /// Runs an attempt with a silent agent and a stored patch, from the start of its task to its end.
    async fn attempt(&mut self, story: &Story, job: &JobId, finish: &FinishRequest) {
        let task = story.task_of(job, 1).await;
        story.quiet().await;
        self.took(START, "dispatcher");
        let (_, client) = story.claim(job, "c1").await.unwrap();
        self.took(CLAIM, "api");
        client.status(&StatusRequest { status: Phase::Preparing, inputs: None }).await.unwrap();
        self.took(PHASES, "api");
        client.credentials().await.unwrap();
        self.took(CREDENTIALS, "api");
        client.status(&StatusRequest { status: Phase::Executing, inputs: None }).await.unwrap();
        self.took(PHASES, "api");
        // Heartbeats are left out of the sum, because their number depends on the duration of the agent.
        client.events(&EventsRequest { first_seq: 1, events: Vec::new(), inputs: None }).await.unwrap();
        let beat = self.meter.take("api").units;
        assert_eq!((beat.written, beat.read), (BEAT.written, BEAT.read), "a heartbeat");
        keep_artifact(&client, ArtifactKind::Patch, "changes.patch", b"a patch").await;
        self.took(PATCH, "api");
        client.status(&StatusRequest { status: Phase::Syncing, inputs: None }).await.unwrap();
        self.took(PHASES, "api");
        client.finish(finish).await.unwrap();
        self.took(END, "api");
        story.quiet().await;
        // Like a real runner, the task ends after the finish.
        story.kill(&task).await;
        story.task_stopped(&task).await;
        until("its end is heard", async || match self.meter.asked("tasks") {
            true => Ok(()),
            false => Err(self.meter.calls()),
        })
        .await;
        self.is_still().await;
        self.took(STOPPED, "tasks");
    }

    /// Waits until no calls arrive for a while; no count shows the end of the tasks function.
    async fn is_still(&self) {
        let looks = Cell::new(0);
        until("nobody calls", async || {
            looks.set(if self.meter.is_still() { looks.get() + 1 } else { 0 });
            if looks.get() >= 20 { Ok(()) } else { Err(self.meter.calls()) }
        })
        .await;
    }

    /// Asserts that every call has a step, no write was refused, and the sum is at most one unit below the bound.
    #[track_caller]
    fn check(&self, what: &str, bound: Flow) {
        let left = self.meter.callers();
        assert!(left.iter().all(|function| function == "sweeper"), "{what}: {left:?} made calls outside the steps");
        let all = self.all();
        let spare = [bound.written - all.units.written, bound.read - all.units.read];
        let is_known = spare.iter().all(|spare| (0.0..=1.0).contains(spare)) && all.units.refused == 0;
        assert!(is_known, "{what}: {}, and its bound is {bound:?}: {:#?}", all.units, self.taken);
    }

    fn all(&self) -> Asked {
        let mut all = Asked::default();
        for asked in self.taken.values() {
            all.units += asked.units;
        }
        all
    }

    fn cells(&self, step: &str) -> String {
        match self.taken.get(step) {
            Some(asked) => format!("{} | {}", asked.units.written, asked.units.read),
            None => "– | –".to_owned(),
        }
    }
}

async fn a_ticket(meter: &Meter) -> BTreeMap<&'static str, Asked> {
    let setup = Setup { task: Task::Waiting, before_dynamodb: Some(meter.between()), ..Setup::default() };
    let story = Story::with(setup).await;
    // Warm up: the first call of a minute also records the use of the token.
    story.api.projects(None).await.unwrap();
    until("the use of its token is noted", async || {
        let calls = meter.calls();
        if calls.contains("UpdateItem TOKEN") { Ok(()) } else { Err(calls) }
    })
    .await;
    story.quiet().await;
    let mut steps = Steps::begin(meter);
    let job = story.job_for("e1", "APP-1", 1).await;
    steps.attempt(&story, &job, &completed("f1", 7)).await;
    steps.took(TRIGGER, "tickets");
    steps.check("a job of a ticket", IMPLEMENT);
    let taken = steps.taken;
    story.end().await;
    taken
}

async fn a_review(meter: &Meter) -> BTreeMap<&'static str, Asked> {
    let world = World::of(Setup { before_dynamodb: Some(meter.between()), ..Setup::default() }).await;
    world.by_hand("acme").await;
    let review = anns_review(&world.story, world.number, "change.txt").await;
    let head = world.story.pulls().await.remove(0)["head"].take();
    let mut body = world.review(review, "submitted", "changes_requested");
    body["pull_request"]["head"] = head;
    world.story.quiet().await;
    let mut steps = Steps::begin(meter);
    let (_, said) = world.send("acme", EVENT, &body).await;
    assert_eq!(said["code"], "accepted", "{said}");
    let job = JobId::new(said["job"].as_str().unwrap()).unwrap();
    let is_told = async |version: u64| {
        until("its pull request says so", async || {
            let told = world.story.item(&format!("PR#gh1#{}#{}", world.repository, world.number), "PR").await;
            let is_told = told["note_version"] == version && told["noted_version"] == version;
            if is_told { Ok(()) } else { Err(told.to_string()) }
        })
        .await;
        world.story.quiet().await;
    };
    is_told(1).await;
    world.story.task_of(&job, 1).await;
    world.story.quiet().await;
    steps.took(READ, "effects");
    // Push as a runner would: the note on the pull request belongs to the commit.
    let files = [("change.txt", "two\n", false)];
    let head = world.story.local.forge().commit(REPOSITORY, BRANCH, "pullyard-bot", &files).await.unwrap();
    let mut finish = completed("f1", world.number);
    finish.result.as_mut().unwrap().head = head;
    steps.attempt(&world.story, &job, &finish).await;
    is_told(2).await;
    steps.is_still().await;
    steps.took(TRIGGER, "webhook");
    steps.took(TOLD, "effects");
    steps.check("a revise job", REVISE);
    let taken = steps.taken;
    world.story.end().await;
    taken
}

fn calls(asked: &Asked) -> String {
    let mut counted = BTreeMap::<(bool, String), usize>::new();
    for (call, units) in &asked.calls {
        let is_write = !Meter::is_read(call);
        *counted.entry((is_write, format!("`{call}` {units}"))).or_default() += 1;
    }
    let line = |((_, call), count): (&(bool, String), &usize)| match count {
        1 => call.clone(),
        _ => format!("{count} × {call}"),
    };
    counted.iter().map(line).collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn request_units_of_each_step_are_documented() {
    let (meter, other) = (Meter::start().await, Meter::start().await);
    let ticket = Steps { meter: &meter, taken: a_ticket(&meter).await };
    let revise = Steps { meter: &other, taken: a_review(&other).await };
    let mut page = "# Request units\n\nGenerated by `tests/figures/steps.rs`: the capacity that the embedded DynamoDB returns for each call of a job on Fargate.\nThe agent of this job prints nothing, and its patch is stored.\ndocs/capacity.md turns these sums into dollars.\n\n## By step\n\n| step | a ticket's job: write units | read units | a revise job: write units | read units |\n|---|---|---|---|---|\n".to_owned();
    for step in STEPS {
        writeln!(page, "| {step} | {} | {} |", ticket.cells(step), revise.cells(step)).unwrap();
    }
    let (of_ticket, of_revise) = (ticket.all().units, revise.all().units);
    writeln!(
        page,
        "| **together** | **{}** | **{}** | **{}** | **{}** |\n",
        of_ticket.written, of_ticket.read, of_revise.written, of_revise.read
    )
    .unwrap();
    writeln!(
        page,
        "- Live events are not included. A batch takes one write unit per compressed KB; batches come every 500 ms while a person reads the events, else every 10 s or 64 KB. A quiet agent sends a heartbeat every 10 s instead: {} write units and {} read units.\n- The first call of a minute with a token, and the first delivery of a minute of a webhook, take one more write unit.\n- A repeated start, a claim by a self-hosted runner, a pause and a retry are not included.\n",
        BEAT.written, BEAT.read,
    )
    .unwrap();
    page.push_str("## What is asked\n\nEach call with the kinds of items that it is about and its units: a read of half a unit is an eventually consistent one, and what is not found by such a read is asked for again.\n");
    for (what, steps) in [("A ticket's job", &ticket), ("A revise job", &revise)] {
        write!(page, "\n### {what}\n\n| step | calls |\n|---|---|\n").unwrap();
        for step in STEPS.into_iter().filter(|step| steps.taken.contains_key(step)) {
            writeln!(page, "| {step} | {} |", calls(&steps.taken[step])).unwrap();
        }
    }
    keep::keep("tests/figures/request_units.txt", &page);
}
