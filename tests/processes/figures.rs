//! What each function takes, measured, beside Node.js with the same calls; `.ci/functions-figures` runs it.
//!
//! Everything goes over TLS on loopback. CPU and memory are the function's own process's. The embedded
//! services stand behind all of them alike, so their time is in every wall time.

use super::recorder::Recorder;
use super::tls::Tls;
use super::{killed, processes};
use crate::functions::setup;
use crate::story::{Setup, Story};
use pullyard_emulator::Endpoints;
use pullyard_emulator::lambda::runtime::{Deployed, Runtime, Usage};
use pullyard_local::Local;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const COLD: usize = 20;
const WARM: usize = 200;

/// What one function took.
#[derive(Default)]
struct Taken {
    init: Vec<f64>,
    cpu: Vec<f64>,
    first: Vec<f64>,
    warm: Vec<f64>,
    peak: Vec<f64>,
}

/// The value that a share of them does not exceed.
fn at(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { init, cpu, first, warm, peak } = self;
        write!(f, "{:.1} | {:.1} | {:.1} | ", at(init, 0.5), at(cpu, 0.5), at(first, 0.5))?;
        write!(f, "{:.2} | {:.2} | {:.1}", at(warm, 0.5), at(warm, 0.99), at(peak, 1.0))
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// One cold start, its first event, and some warm ones; then its process is killed.
async fn measure(runtime: &Runtime, warm: usize, taken: &mut Taken, mut event: impl FnMut() -> Value) {
    let begun = Instant::now();
    let invoked = runtime.invoke(&event()).await;
    let wall = begun.elapsed();
    invoked.answer.unwrap();
    assert!(invoked.cold);
    let environment = invoked.environment.unwrap();
    environment.rests().await;
    taken.init.push(ms(environment.init));
    taken.first.push(ms(wall));
    taken.cpu.push(ms(Usage::of(environment.pid).unwrap().cpu));
    for _ in 0..warm {
        let event = event();
        let begun = Instant::now();
        let invoked = runtime.invoke(&event).await;
        taken.warm.push(ms(begun.elapsed()));
        invoked.answer.unwrap();
        environment.rests().await;
    }
    taken.peak.push(Usage::of(environment.pid).unwrap().peak_rss_kib as f64 / 1024.0);
    killed(environment.pid).await;
}

/// An event of `events/`, as it is kept, for this story.
fn kept(story: &Story, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(format!("{name}.json"));
    std::fs::read_to_string(path).unwrap().replace("<admin>", story.local.admin_token())
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The function in JavaScript, which makes these calls.
fn node(folder: &Path, program: String, tls: &Tls, calls: &[Value]) -> Runtime {
    let file = folder.join("calls.json");
    std::fs::write(&file, json!(calls).to_string()).unwrap();
    let (dynamodb, sqs) = tls.dynamodb_and_sqs();
    let told = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Runtime::deploy(Deployed {
        name: "node".into(),
        handler: "index.handler".into(),
        command: vec!["node".into(), program],
        environment: vec![
            told("CALLS", &file.display().to_string()),
            told("PULLYARD_DYNAMODB_ENDPOINT", dynamodb),
            told("PULLYARD_SQS_ENDPOINT", sqs),
            told("NODE_EXTRA_CA_CERTS", &tls.authority().display().to_string()),
        ],
        timeout: Duration::from_secs(29),
        memory_mb: 256,
        most: 1,
        log: folder.join("node.log"),
    })
}

/// The services, with a recorder before those that Node.js calls, too.
async fn recorded(recorder: &Recorder, local: &Local) -> Endpoints {
    let at = local.aws().endpoints().clone();
    Endpoints { dynamodb: recorder.before(&at.dynamodb).await, sqs: recorder.before(&at.sqs).await, ..at }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; `.ci/functions-figures` runs it"]
async fn what_each_function_takes_beside_node_with_the_same_calls() {
    let folder = TempDir::new().unwrap();
    let tls = Tls::start(folder.path()).await;
    let functions = processes(tls.environment());
    let recorder = Recorder::default();
    let story = Story::prepared(Setup { functions, ..setup() }, async |local| {
        tls.stands_before(&recorded(&recorder, local).await);
    })
    .await;
    let job = story.job_for("figures", "FIG-0", 1).await;
    let entered = kept(&story, "tickets.entered");
    let mut n = 0;
    let mut next = || {
        n += 1;
        read(&entered.replace("ENT-1", &format!("ENT-{n}")).replace("ent-1", &format!("ent-{n}")))
    };
    let runtime = |name: &str| story.local.deployed(name).unwrap();

    println!(
        "| function | init ms | CPU ms to the end of the first event | wall ms | warm p50 ms | p99 ms | peak MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (name, event) in [
        ("api", "api.no_route"),
        ("pages", "pages.sign_in"),
        ("webhook", "webhook.unknown_hook_base64"),
        ("dispatcher", "dispatcher.one"),
        ("effects", "effects.one"),
        ("tasks", "tasks.foreign_unknown_job"),
        ("sweeper", "sweeper.scheduled"),
    ] {
        // What has no route, sent to one that reads the table.
        let event = kept(&story, event).replace("<job>", job.as_str()).replace("<ticket>", "FIG-0");
        let event = read(&event.replace(r#"ath": "/""#, r#"ath": "/v1/projects""#));
        let mut taken = Taken::default();
        for environment in story.local.processes_of(name) {
            killed(environment.pid).await;
        }
        for round in 0..COLD {
            measure(&runtime(name), if round == 0 { WARM } else { 0 }, &mut taken, || event.clone()).await;
        }
        println!("| {name} | {taken} |");
    }

    // A ticket that starts a job, and the very calls of it from Node.js, by turns.
    let tickets = runtime("tickets");
    for environment in story.local.processes_of("tickets") {
        killed(environment.pid).await;
    }
    recorder.begin();
    tickets.invoke(&next()).await.answer.unwrap();
    let calls = recorder.end();
    killed(story.local.processes_of("tickets")[0].pid).await;
    let names = calls.iter().map(|call| call["operation"].as_str().unwrap()).collect::<Vec<_>>().join(", ");
    let mut ours = Taken::default();
    let mut theirs = Taken::default();
    let bundle = std::env::var("PULLYARD_NODE").ok().map(|program| node(folder.path(), program, &tls, &calls));
    let mut count = 0;
    for round in 0..COLD {
        let warm = if round == 0 { WARM } else { 0 };
        measure(&tickets, warm, &mut ours, &mut next).await;
        if let Some(bundle) = &bundle {
            let event = || {
                count += 1;
                json!({ "n": count })
            };
            measure(bundle, warm, &mut theirs, event).await;
        }
    }
    println!("| tickets | {ours} |");
    if bundle.is_some() {
        println!("| Node.js, the calls of tickets | {theirs} |");
        println!("\nCPU: {:.1} times less than Node.js", at(&theirs.cpu, 0.5) / at(&ours.cpu, 0.5));
    }
    println!("The calls of tickets: {names}");
    story.end().await;
}
