//! What the items look like: keys from hostile text, sizes, types, the table itself, and its lists.

use crate::sample::{self, at};
use crate::world::{Item, Items, TABLE, World, alone, count, fence, of_ticket, word};
use aws_sdk_dynamodb::types::{AttributeValue, KeySchemaElement, ProjectionType};
use pullyard_domain::budget::Budget;
use pullyard_domain::decision::Reason;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{ClassId, EventId, IntegrationId, ProjectId, TicketKey};
use pullyard_domain::job::{DispatchFault, End, EndedBy, Job, Replies, Revises, Status};
use pullyard_domain::select::Needs;
use pullyard_domain::ticket::{Badge, LastJob, LastOutcome, Move, Target, Ticket};
use pullyard_store::{Batch, Error, Request, Trigger, WorkKey, Write};
use std::collections::{BTreeMap, BTreeSet, HashSet};

// Keys.

/// Ticket keys that would merge, break a key or a cursor if they stood in it as they are.
fn hostile() -> Vec<String> {
    let mut keys = [
        "APP-1",
        "app-1",
        "A#1",
        "A%231",
        "A%1",
        "50 %",
        "a|b|c",
        "a/b",
        "a+b",
        "ü",
        "日本#1",
        "e\u{301}",
        "é",
        "'\"",
        "TICKET",
        "#",
        "%",
        "\u{1f980}",
        "\u{202e}abc",
        "{\"a\":1}",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("\u{1f980}".repeat(64));
    keys
}

#[tokio::test]
async fn every_ticket_key_names_its_own_ticket_and_reads_back() {
    let world = World::new().await;
    let mut expected = HashSet::new();
    for key in hostile() {
        let mut ticket = sample::ticket(&key);
        ticket.want(None, Some(Badge::AiFailed), None);
        world.applies(world.store.update_ticket(&ticket)).await;
        let event = sample::event(&key, "evt-0", at(1), "Todo");
        world.store.store_text(&event).await.unwrap();
        expected.insert(WorkKey::Ticket(sample::project(), sample::ticket_key(&key)));
    }
    for key in hostile() {
        assert_eq!(world.ticket(&key).await.key.as_str(), key);
        assert_eq!(world.text(&key).await.unwrap().title, format!("{key} evt-0"));
    }
    assert_eq!(world.items().await.len(), 2 * hostile().len());
    assert_eq!(world.all_due(at(0)).await.into_iter().collect::<HashSet<_>>(), expected);
}

#[tokio::test]
async fn a_ticket_of_one_project_is_no_ticket_of_another() {
    let world = World::new().await;
    world.applies(world.store.update_ticket(&sample::ticket("APP-1"))).await;
    let other = ProjectId::new("acme-2").unwrap();
    assert_eq!(world.store.ticket(&other, &sample::ticket_key("APP-1")).await.unwrap(), None);
    let mut ticket = sample::ticket("APP-1");
    ticket.project = other;
    world.applies(world.store.update_ticket(&ticket)).await;
    assert_eq!(world.items().await.len(), 2);
}

#[tokio::test]
async fn callers_and_keys_of_requests_never_run_together() {
    let world = World::new().await;
    let longest = "\u{1f980}".repeat(128);
    let requests = [("a", "b#c"), ("a#b", "c"), ("a%23b", "c"), ("a", &longest)];
    for (number, (caller, key)) in requests.iter().enumerate() {
        let job = sample::job(&format!("job-{number}"));
        let request = Request { caller: (*caller).into(), ..sample::request(key, at(0)) };
        let trigger = Trigger { request: Some(&request), ..alone(&job) };
        world.applies(world.store.trigger(&trigger)).await;
    }
    for (number, (caller, key)) in requests.iter().enumerate() {
        let stored = world.store.request(caller, &sample::event_id(key), at(1)).await.unwrap();
        assert_eq!(stored.unwrap().1, sample::job_id(&format!("job-{number}")));
    }
}

#[tokio::test]
async fn runners_names_never_run_together() {
    let world = World::new().await;
    for (number, name) in ["kite", "Kite", "kite#", "kite%23", "kite NAME", "凧"].iter().enumerate() {
        let runner = sample::runner(&format!("r{number}"), 1);
        let profile = sample::profile(&runner, name);
        world.applies(world.store.register(&crate::world::first_time(&runner, &profile))).await;
    }
}

#[tokio::test]
async fn pull_requests_of_two_forges_never_run_together() {
    let world = World::new().await;
    let job = sample::job("one");
    for (integration, repository, number) in [("gh1", 1, 11), ("gh1", 11, 1), ("gh2", 1, 11), ("gh1", u64::MAX, 1)] {
        let mut link = sample::pull_request(&job, number);
        link.id.integration = IntegrationId::new(integration).unwrap();
        link.id.repository = repository;
        world.applies(world.store.link_if_unlinked(&link)).await;
        let stored = world.store.pull_request(&link.id).await.unwrap().unwrap();
        assert_eq!(stored.id, link.id);
    }
}

// Types.

/// One item of every kind, each attribute of which is there in some item.
pub(crate) async fn everything() -> World {
    let world = World::new().await;
    world.applies(world.store.put_project(&sample::settings_of("acme"))).await;
    world.applies(world.store.put_integration(&sample::forge("gh1"))).await;
    world.applies(world.store.put_repository(&sample::repository(99, "acme/app"))).await;
    world.applies(world.store.put_token(&sample::token("abc", "laptop"))).await;
    world.applies(world.store.note_token_use("abc", at(5))).await;
    world.applies(world.store.use_sign_in("one", at(600))).await;
    let (class, labels) = (ClassId::of("acme", "command", &BTreeSet::new()), BTreeSet::new());
    let capability = "command".into();
    world.store.note_class(&sample::project(), &class, &Needs { capability, labels }).await.unwrap();
    let runner = world.registered(&sample::runner("kite", 3)).await;

    let event = sample::event("APP-1", "evt-1", at(1), "AI Processing");
    world.store.snapshot(&event).await.unwrap();
    world.store.store_text(&event).await.unwrap();
    let (job, ticket) = sample::planned(&world.ticket("APP-1").await, "one");
    world.store.freeze_context(&job.id, &sample::context("Fix it.")).await.unwrap();
    let budget = Budget { jobs_per_day: Some(3), ..Budget::default() };
    let job = Job { reserved: budget.reserve(at(0)), ..job };
    let charge = budget.charge(&job);
    let trigger = Trigger {
        pull_request: None,
        charge: charge.as_ref(),
        delivery: Some(&sample::accepted(&job)),
        request: Some(&sample::request("key", at(0))),
        ..of_ticket(&job, &ticket)
    };
    world.applies(world.store.trigger(&trigger)).await;
    let mut refused = sample::refused("evt-2", at(2));
    refused.facts = Some(pullyard_domain::facts::Recorded {
        v: 1,
        decided_at: at(2),
        occurred_at: at(1),
        actor: None,
        status: "Todo".into(),
        previous_status: None,
        status_before: None,
        seen: Some((at(1), Some(sample::event_id("evt-1")))),
        active_job: None,
        trigger: None,
        auto_create: Some(false),
        held_by: None,
        repository: None,
        today: None,
    });
    world.applies(world.store.record(&refused)).await;
    world.store.note_repeat(&refused.id, at(3)).await.unwrap();

    let batch = Batch { job: &job.id, attempt: 1, first: 1, at: at(60), events: &["event"] };
    world.applies(world.store.store_events(&batch)).await;
    let job = world.claimed(&world.job(&job).await, &sample::claim_by(&runner, &job, "c1")).await;
    let job = world.progressed(&job, Status::Executing).await;
    world.requeued(&job).await;
    world.applies(world.store.note_late_result(&job.id, 1, &sample::result(7))).await;
    let job = world.claimed(&world.job(&job).await, &sample::claim_by(&runner, &world.job(&job).await, "c2")).await;
    let job = world.progressed(&job, Status::Syncing).await;
    let ending = world.completing(&job).await;
    world.applies(world.store.end(&ending.ended())).await;
    let job = world.running("APP-2", Status::Executing).await;
    let ending = world.ending(&job, crate::world::failed(), at(300)).await;
    world.applies(world.store.end(&ending.ended())).await;
    world.running_on(&runner, "APP-3", Status::Syncing).await;
    let (waits, held) = (crate::reviews::waits("r1"), crate::reviews::held("r1"));
    world.applies(world.store.remember_review(&waits, &held)).await;
    world
}

/// What kind of item a key names.
pub(crate) fn kind(pk: &str, sk: &str) -> String {
    let first = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
    match first(pk).as_str() {
        "EVENTS" => "EVENTS".into(),
        "RUNNERS" => "RUNNERS".into(),
        "BUDGET" => "BUDGET".into(),
        _ => first(sk),
    }
}

/// Calls `see` for every attribute, however deep, with its path.
fn attributes(item: &Item, see: &mut impl FnMut(&str, &AttributeValue)) {
    fn walk(path: &str, value: &AttributeValue, see: &mut impl FnMut(&str, &AttributeValue)) {
        see(path, value);
        match value {
            AttributeValue::M(map) => map.iter().for_each(|(name, value)| walk(&format!("{path}.{name}"), value, see)),
            AttributeValue::L(list) => list.iter().for_each(|value| walk(path, value, see)),
            _ => {}
        }
    }
    item.iter().for_each(|(name, value)| walk(name, value, see));
}

fn kinds(items: &Items, has: impl Fn(&Item) -> bool) -> BTreeSet<String> {
    let having = items.iter().filter(|(_, item)| has(item));
    having.map(|((pk, sk), _)| kind(pk, sk)).collect()
}

#[tokio::test]
async fn every_kind_of_item_is_known_here() {
    let items = everything().await.items().await;
    let expected = [
        "ATTEMPT",
        "BUDGET",
        "CLASS",
        "CONTEXT",
        "DELIVERY",
        "EVENTS",
        "IDEMPOTENCY",
        "INTEGRATION",
        "JOB",
        "NAME",
        "PR",
        "PROFILE",
        "REPO",
        "REPONAME",
        "REVIEW",
        "RUNNERS",
        "SETTINGS",
        "SIGNIN",
        "TEXT",
        "TICKET",
        "TOKEN",
    ];
    assert_eq!(kinds(&items, |_| true), expected.map(str::to_owned).into());
}

#[tokio::test]
async fn nothing_is_stored_as_null() {
    for ((pk, sk), item) in everything().await.items().await {
        attributes(&item, &mut |path, value| assert!(!value.is_null(), "{pk} / {sk}: {path}"));
    }
}

#[tokio::test]
async fn every_time_is_a_number() {
    let times = [
        "at",
        "created",
        "ready_since",
        "started",
        "due",
        "push_until",
        "ended_at",
        "seen_at",
        "last_heartbeat",
        "last_used",
        "expires",
        "expires_at",
        "ws",
        "seen",
        "decided_at",
        "occurred_at",
    ];
    let mut met = BTreeSet::new();
    for ((pk, sk), item) in everything().await.items().await {
        attributes(&item, &mut |path, value| {
            let name = path.rsplit('.').next().unwrap_or(path);
            // The recorded `seen` is a time and an event.
            if times.contains(&name) && path != "facts.seen" {
                assert!(value.is_n() || value.is_l(), "{pk} / {sk}: {path} is {value:?}");
                met.insert(name.to_owned());
            } else if let (AttributeValue::S(text), false) = (value, path == "sk") {
                assert!(!text.starts_with("2026-11-"), "{pk} / {sk}: {path} is {text}");
            }
        });
    }
    assert_eq!(met, times.map(str::to_owned).into(), "each was met");
}

#[tokio::test]
async fn only_what_may_go_has_an_end() {
    let items = everything().await.items().await;
    let ends = kinds(&items, |item| item.contains_key("expires"));
    assert_eq!(ends, ["ATTEMPT", "BUDGET", "DELIVERY", "EVENTS", "IDEMPOTENCY", "SIGNIN"].map(str::to_owned).into());
    for ((pk, sk), item) in &items {
        let Some(end) = count(item, "expires") else { continue };
        let begin = at(0).millis() / 1_000;
        let days = match kind(pk, sk).as_str() {
            // Its own module says how long.
            "SIGNIN" | "BUDGET" => continue,
            "IDEMPOTENCY" => 1,
            "DELIVERY" => 30,
            _ => 90,
        };
        let slack = 3_600;
        assert!((days * 86_400..days * 86_400 + slack).contains(&(end - begin)), "{pk} / {sk}: {end}");
    }
}

#[tokio::test]
async fn what_coordinates_has_a_revision() {
    let items = everything().await.items().await;
    let revised = kinds(&items, |item| item.contains_key("rev"));
    assert_eq!(revised, ["JOB", "PR", "SETTINGS", "TICKET"].map(str::to_owned).into());
    let first = kinds(&items, |item| count(item, "rev").is_some_and(|rev| rev < 1));
    assert!(first.is_empty(), "a stored revision is at least 1: {first:?}");
}

#[tokio::test]
async fn indexes_hold_only_what_they_are_for() {
    let world = everything().await;
    let items = world.items().await;
    let work = kinds(&items, |item| item.contains_key("wk"));
    assert_eq!(work, ["JOB", "TICKET"].map(str::to_owned).into());
    let lists = kinds(&items, |item| item.contains_key("lk"));
    assert_eq!(
        lists,
        ["DELIVERY", "INTEGRATION", "JOB", "PR", "SETTINGS", "TICKET", "TOKEN"].map(str::to_owned).into()
    );
    for ((pk, sk), item) in &items {
        assert_eq!(item.contains_key("wk"), item.contains_key("ws"), "{pk} / {sk}");
        assert_eq!(item.contains_key("lk"), item.contains_key("ls"), "{pk} / {sk}");
    }
}

// Sizes.

/// DynamoDB's own arithmetic: names and values; about half a byte per digit; a map or a list costs 3
/// bytes and 1 more per element.
pub(crate) fn size(item: &Item) -> usize {
    fn value(of: &AttributeValue) -> usize {
        match of {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.trim_end_matches('0').len().div_ceil(2) + 1,
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
            AttributeValue::M(map) => 3 + map.iter().map(|(name, of)| name.len() + value(of) + 1).sum::<usize>(),
            AttributeValue::L(list) => 3 + list.iter().map(|of| value(of) + 1).sum::<usize>(),
            other => panic!("not stored here: {other:?}"),
        }
    }
    item.iter().map(|(name, of)| name.len() + value(of)).sum()
}

/// The revisions of one usual job with everything that usually happens to one, by what they are called.
async fn usual_life(world: &World) -> BTreeMap<String, (usize, usize)> {
    let mut sizes = BTreeMap::new();
    let mut ticket = sample::ticket("APP-17");
    ticket.pull_request = Some(pullyard_domain::pull_request::PullRequestLink {
        id: sample::result(230).pull_request(&sample::integration(), 99),
        url: sample::result(230).url,
        branch: "pullyard/acme/app-17-1".into(),
    });
    ticket.shown.pull_request = ticket.pull_request.clone();
    ticket.last_job = Some(LastJob { id: sample::job_id("earlier"), outcome: LastOutcome::Failed });
    world.applies(world.store.update_ticket(&ticket)).await;
    let (mut job, ticket) = sample::planned(&world.ticket("APP-17").await, "one");
    job.retry_of = Some(sample::job_id("earlier"));
    world.applies(world.store.trigger(&of_ticket(&job, &ticket))).await;
    let mut job = world.job(&job).await;
    let task = sample::claim_by_task(&job, "x").task.unwrap();
    measure(world, &mut sizes, "made").await;
    job = written(world, &mut sizes, "started", job.dispatched(at(1)).unwrap()).await;
    let fault = DispatchFault::Capacity { since: at(2), times: 1 };
    job = written(world, &mut sizes, "no capacity", job.start_failed(1, 1, fault, at(2)).unwrap()).await;
    job = written(world, &mut sizes, "started again", job.dispatched(at(9)).unwrap()).await;
    job = written(world, &mut sizes, "start named", job.start_named(1, 2, &task).unwrap()).await;
    let claim = sample::claim_by_task(&job, "01k5zq0000000000000000000c");
    job = written(world, &mut sizes, "claimed", job.claimed(&claim, at(60)).unwrap()).await;
    let job = world.progressed(&job, Status::Syncing).await;
    measure(world, &mut sizes, "syncing").await;
    let cancel = pullyard_domain::job::Cancel::new("ana", Some("the wrong ticket"), at(100));
    let job = written(world, &mut sizes, "to be cancelled", job.cancelled(cancel, at(100)).unwrap()).await;
    let finish = sample::finish("01k5zq0000000000000000000f");
    let done = job.finished(&fence(&job), &finish, End::Completed(sample::result(231)), at(900)).unwrap();
    let ending = world.ending_as(&job, done, at(900)).await;
    world.applies(world.store.end(&ending.ended())).await;
    measure(world, &mut sizes, "completed").await;
    sizes
}

async fn written(world: &World, sizes: &mut BTreeMap<String, (usize, usize)>, name: &str, job: Job) -> Job {
    world.applies(world.store.update_job(&job)).await;
    measure(world, sizes, name).await;
    world.job(&job).await
}

/// Sizes of the JOB and its TICKET.
async fn measure(world: &World, sizes: &mut BTreeMap<String, (usize, usize)>, name: &str) {
    let (job, ticket) = (world.item("JOB#", "JOB").await, world.item("TICKET#", "TICKET").await);
    sizes.insert(name.into(), (size(&job), size(&ticket)));
}

#[tokio::test]
async fn usual_jobs_and_tickets_cost_one_write_unit() {
    let world = World::new().await;
    let sizes = usual_life(&world).await;
    println!("JOB and TICKET: {sizes:?}");
    for (state, (job, ticket)) in sizes {
        assert!(job <= 1_024, "JOB {state}: {job} bytes");
        assert!(ticket <= 1_024, "TICKET {state}: {ticket} bytes");
    }
}

/// The widest text of so many characters.
pub(crate) fn wide(characters: usize) -> String {
    "\u{1f980}".repeat(characters)
}

/// Every field as large as whoever writes it may make it.
fn largest_job() -> Job {
    let slug = "p".repeat(40);
    let failure = || {
        let (agent, exit, last_words) = (wide(500), wide(500), wide(500));
        Failure::AgentFailed { agent, exit, last_words }
    };
    let mut job = sample::job("one");
    job.project = ProjectId::new(slug.clone()).unwrap();
    job.integration = IntegrationId::new(slug).unwrap();
    job.ticket = Some(TicketKey::new(wide(64)).unwrap());
    job.branch = "b".repeat(120);
    // Either or: a job that revises a pull request continues none.
    let (number, branch) = (u64::MAX, "b".repeat(244));
    let review = Some(pullyard_domain::id::ReviewId::new(u64::MAX.to_string()).unwrap());
    job.revises = Some(Revises { number, branch, head: "f".repeat(64), review });
    job.repository = u64::MAX;
    let refused = DispatchFault::Refused { reason: wide(500), times: 1 };
    job.rev = 1;
    let job = job.dispatched(at(0)).unwrap().start_failed(1, 1, refused, at(0)).unwrap();
    let fault = job.dispatch.fault.clone();
    let mut job = job.claimed(&sample::claim_by_task(&job, &"c".repeat(64)), at(0)).unwrap();
    // A start that named its task keeps it; its fault is cleared by the claim and only kept here.
    job.dispatch.task = job.run.as_ref().and_then(|run| run.task.clone());
    let task = job.dispatch.task.clone().unwrap();
    let job = job.container_died(&task, failure(), at(0)).unwrap();
    let finish = sample::finish(&"f".repeat(64));
    let result = pullyard_domain::job::JobResult {
        branch: "b".repeat(244),
        url: format!("https://{}", "u".repeat(200)),
        replies: Some(Replies { answered: u32::MAX, failed: u32::MAX }),
        ..sample::result(u64::MAX)
    };
    let mut job = job.finished(&fence(&job), &finish, End::Failed(failure(), Some(result)), at(0)).unwrap();
    job.dispatch.fault = fault;
    // Who cancelled is kept only where there is neither failure nor result, which are larger.
    job.retry_of = Some(job.id.clone());
    job.rev = 0;
    job
}

#[tokio::test]
async fn even_the_largest_job_and_ticket_stay_small() {
    let world = World::new().await;
    let job = largest_job();
    assert!(matches!(&job.ended_by, Some(EndedBy { finish: Some(_), .. })));
    world.applies(world.store.trigger(&alone(&job))).await;

    let link = pullyard_domain::pull_request::PullRequestLink {
        id: sample::result(u64::MAX).pull_request(&job.integration, u64::MAX),
        url: format!("https://{}", "u".repeat(200)),
        branch: "b".repeat(244),
    };
    let entry = pullyard_domain::ticket::Entry { at: at(0), event: EventId::new(wide(128)).unwrap() };
    let mut ticket = Ticket {
        project: job.project.clone(),
        key: TicketKey::new(wide(64)).unwrap(),
        status: wide(64),
        seen_event: Some(entry.event.clone()),
        written: Some(wide(64)),
        last_entry: Some(entry.clone()),
        again: Some(entry),
        active_job: Some(job.id.clone()),
        found_in: Some(wide(64)),
        last_job: Some(LastJob { id: job.id.clone(), outcome: LastOutcome::Completed }),
        not_before: Some(at(0)),
        ..sample::ticket("APP-1")
    };
    let to = Move { to: Target::Completion, expected: wide(64) };
    ticket.want(Some(to), Some(Badge::AiFailed), Some(link.clone()));
    ticket.shown.badge = Some(Badge::AiFailed);
    ticket.shown.pull_request = Some(link);
    world.applies(world.store.update_ticket(&ticket)).await;

    let (job, ticket) = (size(&world.item("JOB#", "JOB").await), size(&world.item("TICKET#", "TICKET").await));
    println!("largest JOB {job} bytes, largest TICKET {ticket} bytes");
    assert!(job <= 8 * 1_024, "{job}");
    assert!(ticket <= 8 * 1_024, "{ticket}");
}

// The table.

fn elements(schema: &[KeySchemaElement]) -> Vec<(String, String)> {
    let element = |element: &KeySchemaElement| (element.attribute_name.clone(), element.key_type.to_string());
    schema.iter().map(element).collect()
}

#[tokio::test]
async fn the_table_is_as_the_design_says() {
    let world = World::new().await;
    let answer = world.client.describe_table().table_name(TABLE).send().await.unwrap();
    let table = answer.table.unwrap();
    let hash_and_range =
        |hash: &str, range: &str| vec![(hash.to_owned(), "HASH".to_owned()), (range.to_owned(), "RANGE".to_owned())];
    assert_eq!(elements(table.key_schema()), hash_and_range("pk", "sk"));
    let types: BTreeMap<_, _> = table
        .attribute_definitions()
        .iter()
        .map(|attribute| (attribute.attribute_name.as_str(), attribute.attribute_type.as_str()))
        .collect();
    assert_eq!(types, [("pk", "S"), ("sk", "S"), ("wk", "S"), ("ws", "N"), ("lk", "S"), ("ls", "S")].into());
    let indexes: BTreeMap<_, _> = table
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let projection = index.projection.as_ref().and_then(|projection| projection.projection_type.clone());
            assert_eq!(projection, Some(ProjectionType::KeysOnly));
            (index.index_name.clone().unwrap(), elements(index.key_schema()))
        })
        .collect();
    let expected = [("work", hash_and_range("wk", "ws")), ("list", hash_and_range("lk", "ls"))];
    assert_eq!(indexes, expected.map(|(name, keys)| (name.to_owned(), keys)).into());
    let billing = table.billing_mode_summary.and_then(|billing| billing.billing_mode);
    assert_eq!(billing.map(|mode| mode.to_string()), Some("PAY_PER_REQUEST".into()));
    assert!(table.local_secondary_indexes.unwrap_or_default().is_empty());

    let answer = world.client.describe_time_to_live().table_name(TABLE).send().await.unwrap();
    let ttl = answer.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name.as_deref(), Some("expires"));
    assert_eq!(ttl.time_to_live_status.map(|status| status.to_string()), Some("ENABLED".into()));
}

#[tokio::test]
async fn a_table_that_is_there_is_left_as_it_is() {
    let world = World::new().await;
    world.triggered("APP-1").await;
    let before = world.items().await;
    world.store.create_table().await.unwrap();
    assert_eq!(world.items().await, before);
}

// Lists.

async fn create(world: &World, name: &str, second: u64) -> pullyard_domain::id::JobId {
    let job = sample::job_at(name, pullyard_domain::project::Compute::Fargate, at(second));
    assert_eq!(world.store.trigger(&alone(&job)).await.unwrap(), Write::Applied);
    job.id
}

#[tokio::test]
async fn a_page_goes_on_where_the_last_one_ended_though_jobs_arrive() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for second in 0..7 {
        // Two jobs of one millisecond: the order among them is the index's, but none is lost or doubled.
        for twin in ["a", "b"] {
            expected.push(create(&world, &format!("{second}-{twin}"), second).await);
        }
    }
    let (mut listed, mut cursor, mut pages) = (Vec::new(), None, 0);
    loop {
        let (ids, next) = world.store.job_ids(&sample::project(), cursor.as_deref(), 3).await.unwrap();
        assert!(ids.len() <= 3);
        listed.extend(ids);
        pages += 1;
        create(&world, &format!("new-{pages}"), 100 + pages).await;
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, 5);
    let seconds: Vec<_> = listed.iter().map(|id| expected.iter().position(|known| known == id).unwrap() / 2).collect();
    assert!(seconds.is_sorted_by(|newer, older| newer >= older), "{seconds:?}");
    assert_eq!(listed.iter().collect::<HashSet<_>>(), expected.iter().collect());
    assert_eq!(listed.len(), expected.len());
}

#[tokio::test]
async fn a_cursor_that_no_page_gave_is_told_as_that() {
    let world = World::new().await;
    for cursor in ["", "x", "a|b|c"] {
        let error = world.store.job_ids(&sample::project(), Some(cursor), 3).await.unwrap_err();
        assert!(matches!(error, Error::BadCursor), "{cursor}: {error}");
    }
}

#[tokio::test]
async fn a_list_holds_the_jobs_of_its_own_project() {
    let world = World::new().await;
    create(&world, "one", 0).await;
    let mut foreign = sample::job("two");
    foreign.project = ProjectId::new("acme-2").unwrap();
    world.applies(world.store.trigger(&alone(&foreign))).await;
    let (ids, next) = world.store.job_ids(&foreign.project, None, 10).await.unwrap();
    assert_eq!((ids, next), (vec![foreign.id], None));
}

#[tokio::test]
async fn a_days_ledger_is_read_page_by_page() {
    let world = World::new().await;
    let mut expected = Vec::new();
    for n in 0..5u64 {
        let mut delivery = sample::refused(&format!("evt-{n}"), at(n));
        delivery.reason = Reason::Echo {};
        world.applies(world.store.record(&delivery)).await;
        expected.insert(0, delivery.id);
    }
    let (project, day) = (sample::project(), at(0).day());
    let (first, next) = world.store.delivery_ids(&project, &day, None, 2).await.unwrap();
    let (second, next) = world.store.delivery_ids(&project, &day, next.as_deref(), 2).await.unwrap();
    let (last, next) = world.store.delivery_ids(&project, &day, next.as_deref(), 2).await.unwrap();
    assert_eq!([first, second, last].concat(), expected);
    assert_eq!(next, None);
}

#[tokio::test]
async fn what_is_longest_due_is_found_first_and_a_limit_holds() {
    let world = World::new().await;
    let mut by_shard: BTreeMap<u8, Vec<WorkKey>> = BTreeMap::new();
    for second in 0..40 {
        let id = create(&world, &format!("job-{second}"), second).await;
        let item = world.store.job(&id).await.unwrap().unwrap();
        let shard = pullyard_domain::due::shard(&format!("JOB#{}", item.id));
        by_shard.entry(shard).or_default().push(WorkKey::Job(id));
    }
    let late = at(1_000_000);
    for (shard, expected) in by_shard {
        assert_eq!(world.store.due(shard, late, 100).await.unwrap(), expected);
        assert_eq!(world.store.due(shard, late, 1).await.unwrap(), expected[..1]);
    }
    assert_eq!(world.all_due(at(59)).await, [], "the first is due after a minute");
    assert_eq!(world.all_due(at(60)).await.len(), 1);
}

#[tokio::test]
async fn a_job_says_which_partition_it_is_due_in() {
    let world = World::new().await;
    let job = world.triggered("APP-1").await;
    let item = world.item("JOB#", "JOB").await;
    let shard = pullyard_domain::due::shard(&format!("JOB#{}", job.id));
    assert_eq!(word(&item, "wk"), format!("DUE#{shard}"));
}
