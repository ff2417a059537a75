//! Measures the CPU, memory and time of each function; `.ci/functions-figures` runs it.
//!
//! All calls use TLS on loopback. CPU and memory exclude the embedded services; wall times include them.

use super::tls::Tls;
use super::{kill_and_wait, processes};
use crate::functions::setup;
use crate::prelude::*;
use crate::webhooks::{BRANCH, SECRET, World, signature};
use pullyard_domain::ticket::Badge;
use pullyard_testkit::lambda::{Runtime, Usage};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;

const COLD: usize = 20;
const WARM: usize = 200;
const EVENTS: usize = 3 + COLD + WARM;
const COLUMNS: &str =
    "init ms | CPU ms to the end of the first event | init and first event ms | warm p50 ms | p99 ms | peak MiB";

type Events<'a> = Box<dyn FnMut() -> Value + 'a>;

#[derive(Default)]
struct Measurements {
    init: Vec<f64>,
    cpu: Vec<f64>,
    first: Vec<f64>,
    warm: Vec<f64>,
    peak: Vec<f64>,
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

impl fmt::Display for Measurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { init, cpu, first, warm, peak } = self;
        write!(f, "{:.1} | {:.1} | {:.1} | ", percentile(init, 0.5), percentile(cpu, 0.5), percentile(first, 0.5))?;
        write!(f, "{:.2} | {:.2} | {:.1}", percentile(warm, 0.5), percentile(warm, 0.99), percentile(peak, 1.0))
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

async fn measure(runtime: &Runtime, warm: usize, measurements: &mut Measurements, mut event: impl FnMut() -> Value) {
    let begun = Instant::now();
    let invoked = runtime.invoke(&event()).await;
    let wall = begun.elapsed();
    invoked.answer.unwrap();
    assert!(invoked.cold_start);
    let environment = invoked.environment.unwrap();
    environment.wait_until_idle().await;
    measurements.init.push(ms(environment.init));
    measurements.first.push(ms(wall));
    measurements.cpu.push(ms(Usage::read(environment.pid).unwrap().cpu));
    for _ in 0..warm {
        let event = event();
        let begun = Instant::now();
        let invoked = runtime.invoke(&event).await;
        measurements.warm.push(ms(begun.elapsed()));
        invoked.answer.unwrap();
        environment.wait_until_idle().await;
    }
    measurements.peak.push(Usage::read(environment.pid).unwrap().peak_rss_kib as f64 / 1024.0);
    kill_and_wait(environment.pid).await;
}

fn event_file(story: &Story, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(format!("{name}.json"));
    std::fs::read_to_string(path).unwrap().replace("<admin>", story.local.admin_token())
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn review(world: &World, template: &str, number: u64) -> Value {
    let mut event = read(template);
    let mut body = world.review(90_000 + number, "submitted", "changes_requested");
    body["pull_request"]["number"] = number.into();
    body["pull_request"]["head"]["ref"] = branch(number).into();
    let body = body.to_string();
    event["headers"]["x-hub-signature-256"] = signature(SECRET, body.as_bytes()).into();
    event["body"] = body.into();
    event["isBase64Encoded"] = false.into();
    event
}

fn branch(number: u64) -> String {
    format!("{BRANCH}-{number}")
}

/// Events with work to do; each can be used once.
#[derive(Default)]
struct Work {
    /// For jobs without a task.
    starts: VecDeque<Value>,
    tickets: VecDeque<Value>,
    /// For tasks that died before their claim.
    deaths: VecDeque<Value>,
}

impl Work {
    async fn prepare(story: &Story) -> Self {
        let (store, mut work) = (story.store().await, Self::default());
        for n in 0..EVENTS {
            let (key, other) = (format!("RUN-{n}"), format!("DIE-{n}"));
            let job = story.create_job(&format!("run-{n}"), &key, 1).await;
            work.starts.push_back(read(&event_file(story, "dispatcher.one").replace("<job>", job.as_str())));

            let named = TicketKey::new(key.as_str()).unwrap();
            let mut ticket = store.load_ticket(&story.project, &named).await.unwrap().unwrap();
            ticket.request_state(None, Some(Badge::AiWaiting), None);
            assert_eq!(store.update_ticket(&ticket).await.unwrap(), Write::Applied);
            work.tickets.push_back(read(&event_file(story, "effects.one").replace("<ticket>", &key)));

            let job = story.create_job(&format!("die-{n}"), &other, 1).await;
            let task = format!("arn:aws:ecs:eu-central-1:123456789012:task/pullyard/{n:032x}");
            let pending = store.load_job(&job).await.unwrap().unwrap().begin_dispatch(story.clock.now()).unwrap();
            let started = pending.set_task(pending.attempt + 1, pending.dispatch.number, &task).unwrap();
            assert_eq!(store.update_job(&started).await.unwrap(), Write::Applied);
            let died = event_file(story, "tasks.stopped_before_the_claim");
            work.deaths.push_back(read(&died.replace("<job>", job.as_str()).replace("<task>", &task)));
        }
        work
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; `.ci/functions-figures` runs it"]
async fn functions_are_measured() {
    let folder = TempDir::new().unwrap();
    let tls = Tls::start(folder.path()).await;
    let functions = processes(tls.environment());
    let world = World::with_prepared(Setup { functions, ..setup() }, async |local| {
        tls.connect(local.function_endpoints());
    })
    .await;
    world.install_by_hand("acme").await;
    let story = &world.story;
    for number in 1_000..1_000 + EVENTS as u64 {
        world.link(number, &format!("APP-{number}"), &branch(number), &"a".repeat(40)).await;
    }
    let event = |name: &str| event_file(story, name);
    let same = |name: &str| {
        let event = read(&event(name));
        Box::new(move || event.clone()) as Events
    };
    let work = RefCell::new(Work::default());
    let mut entered = 0;
    let mut enters = || {
        entered += 1;
        read(
            &event("tickets.entered")
                .replace("ENT-1", &format!("ENT-{entered}"))
                .replace("ent-1", &format!("ent-{entered}")),
        )
    };
    let delivery = event("webhook.unknown_hook_base64").replace("/webhooks/github/nobody", "/webhooks/github/acme");
    let mut number = 999;
    let mut change_request = || {
        number += 1;
        review(&world, &delivery, number)
    };
    // The event without a route, changed to a route that reads the table.
    let lists = read(&event("api.no_route").replace(r#"ath": "/""#, r#"ath": "/v1/projects""#));
    let subjects: Vec<(&str, &str, Events<'_>)> = vec![
        // First, while the sweeper has little work.
        ("sweeper", "a round", same("sweeper.scheduled")),
        ("webhook", "a review that starts a job", Box::new(&mut change_request)),
        ("tickets", "a ticket that starts a job", Box::new(&mut enters)),
        ("api", "list projects", Box::new(move || lists.clone())),
        ("pages", "sign in", same("pages.sign_in")),
        ("dispatcher", "a job that gets a task", Box::new(|| work.borrow_mut().starts.pop_front().unwrap())),
        ("effects", "a ticket that is written back", Box::new(|| work.borrow_mut().tickets.pop_front().unwrap())),
        ("tasks", "a task that died", Box::new(|| work.borrow_mut().deaths.pop_front().unwrap())),
    ];
    println!("| function | event | {COLUMNS} |\n|---|---|---|---|---|---|---|---|");
    for (name, description, mut event) in subjects {
        if name == "dispatcher" {
            // Prepared late, because the sweeper would find all of this work.
            work.replace(Work::prepare(story).await);
            // Running tasks would distort the measurement.
            story.local.aws().ecs().queue_outcomes(vec![RunTaskOutcome::StaysPending; 4 * EVENTS]);
        }
        let runtime = story.function_runtime(name);
        for environment in story.function_processes(name) {
            kill_and_wait(environment.pid).await;
        }
        // Warm up: the first event finds the leftovers of earlier ones.
        runtime.invoke(&event()).await.answer.unwrap();
        kill_and_wait(story.function_processes(name)[0].pid).await;
        let mut ours = Measurements::default();
        for round in 0..COLD {
            let warm = if round == 0 { WARM } else { 0 };
            measure(&runtime, warm, &mut ours, &mut event).await;
        }
        println!("| {name} | {description} | {ours} |");
    }
    world.story.shut_down().await;
}
