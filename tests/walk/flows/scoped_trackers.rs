//! Flows of Jira and Linear: a project uses the tool, a dragged ticket's job fails, a poll finds a later move.

use super::{flow_after, with_a_forge};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base::TOOL_SECRET_NAME;
use crate::walk::http::{Request, delete, post, webhook_post};
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;
use pullyard_domain::ticket::Ticket;
use pullyard_fake_tracker::{BACKLOG, CREDENTIAL, DONE, PERSON, PROCESSING, State, TicketBody};
use pullyard_store::Store;

/// More than the interval of polls with a webhook.
const POLL: Duration = Duration::from_secs(301);

fn names(kind: &str) -> (&'static str, &'static str) {
    if kind == "jira" { ("PRJ", "PRJ-7") } else { ("ENG", "ENG-7") }
}

/// Changes the state of the tool, which uses the world's clock.
fn change_tool(world: &World, change: impl FnOnce(&mut State)) {
    let (fake, _) = world.tracker.as_ref().unwrap();
    let mut state = fake.state();
    state.set_now(world.clock.now().millis());
    change(&mut state);
}

fn store(world: &World) -> Store {
    (world.clients.store)(&world.aws.endpoints().dynamodb)
}

async fn load_ticket(world: &World, kind: &str) -> Option<Ticket> {
    let (project, key) = (ProjectId::new("acme").unwrap(), TicketKey::new(names(kind).1).unwrap());
    store(world).load_ticket(&project, &key).await.unwrap()
}

/// The ticket as the tool shows it.
pub(in crate::walk) fn view(state: &State) -> Value {
    let tickets = ["PRJ-7", "ENG-7"].into_iter().filter(|key| state.has_ticket(key)).map(|key| state.ticket(key));
    let show = |ticket: &pullyard_fake_tracker::Ticket| json!({ "status": ticket.status, "labels": ticket.labels, "comments": ticket.comments().len() });
    tickets.map(show).collect()
}

fn store_credential(kind: &'static str) -> Step {
    Step::act("somebody stores the credential", move |world| {
        let value = if kind == "jira" { CREDENTIAL } else { "lin_api_key" };
        async move {
            world.raw.put_secret(TOOL_SECRET_NAME, value).await;
            true
        }
        .boxed()
    })
}

fn add(kind: &'static str) -> Step {
    Step::call("somebody connects the tool", move |world| {
        let url = world.tracker.as_ref()?.1.url().to_owned();
        let new = json!({ "id": kind, "kind": kind, "url": url, "secret": TOOL_SECRET_NAME });
        Some(post("/v1/trackers", new).into())
    })
    .refused_on_repeat("409")
}

fn choose(kind: &'static str) -> Request {
    let choice = json!({
        "connection": kind, "scope": names(kind).0, "trigger": TRIGGER, "todo": "Backlog", "completion": REVIEW,
    });
    post("/v1/projects/acme/tracker", choice).put()
}

/// Notes the delivery about the move, which the tool sends once.
fn drag(kind: &'static str) -> Step {
    Step::act("somebody drags a ticket", move |world| {
        async move {
            world.clock.advance(Duration::from_secs(10));
            let key = names(kind).1;
            let connection = store(world).load_tracker(&IntegrationId::new(kind).unwrap()).await.unwrap().unwrap();
            let secrets = world.raw.secrets().await;
            let secret = secrets.iter().find(|secret| Some(&secret.name) == connection.hook_secret.as_ref()).unwrap();
            change_tool(world, |state| {
                state.add_ticket(key, "Greet", TicketBody::Empty, BACKLOG);
                state.move_ticket(key, PROCESSING, PERSON);
                let (headers, body) = state.delivery(key, &secret.value, state.now());
                world.note(
                    "delivery headers",
                    headers.into_iter().map(|(name, value)| json!([name, value])).collect::<Value>(),
                );
                world.note("delivery", String::from_utf8(body).unwrap());
            });
            true
        }
        .boxed()
    })
}

fn deliver(kind: &'static str) -> Step {
    Step::call("the tool sends its delivery", move |world| {
        let headers: Vec<(String, String)> = serde_json::from_str(&world.note_value("delivery headers")?).unwrap();
        let call = webhook_post(format!("/webhooks/{kind}/{kind}"), world.note_value("delivery")?);
        Some(headers.iter().fold(call, |call, (name, value)| call.header(name, value.as_str())).into())
    })
}

/// The next poll is due once the tool shows the failure. It finds Pullyard's own move.
fn wait_until_shown(kind: &'static str) -> Step {
    Step::act("the tool shows the failure", move |world| {
        async move {
            let ticket = load_ticket(world, kind).await;
            let is_shown = ticket.is_some_and(|ticket| ticket.active_job.is_none() && !ticket.is_unsynced());
            if is_shown {
                world.clock.advance(POLL);
            }
            is_shown
        }
        .boxed()
    })
}

fn drag_again(kind: &'static str) -> Step {
    Step::act("somebody drags it again, without a delivery", move |world| {
        world.clock.advance(POLL);
        change_tool(world, |state| state.move_ticket(names(kind).1, DONE, PERSON));
        async { true }.boxed()
    })
}

/// A look that failed is repeated by the next poll.
fn wait_until_read(kind: &'static str) -> Step {
    Step::act("the board shows the move", move |world| {
        async move { load_ticket(world, kind).await.is_some_and(|ticket| ticket.status == "Done") }.boxed()
    })
}

pub(in crate::walk) fn use_and_remove(kind: &'static str) -> Flow {
    let known = [attempt::start_task(), attempt::claim(), attempt::finish_failed()].map(Step::broken_elsewhere);
    let mut steps = vec![
        store_credential(kind),
        add(kind),
        Step::request("somebody tests it", post(format!("/v1/trackers/{kind}/test"), json!({}))).broken_elsewhere(),
        Step::request("a project uses it", choose(kind)),
        // A webhook that could not be installed is installed by a repeat.
        Step::request("a project uses it again", choose(kind)).broken_elsewhere(),
        drag(kind),
        deliver(kind),
        Step::messages(),
    ];
    steps.extend(known);
    steps.extend([
        Step::messages(),
        wait_until_shown(kind),
        Step::sweep("a sweep finds the poll").broken_elsewhere(),
        Step::messages().broken_elsewhere(),
        drag_again(kind),
        Step::sweep("a sweep finds the next poll").broken_elsewhere(),
        // The queue delivers a lost message again.
        Step::messages().without_repeat(WithoutRepeat::AlwaysRepeated),
        wait_until_read(kind),
        Step::request("the project returns to the board", delete("/v1/projects/acme/tracker")),
        Step::request("somebody deletes it", delete(format!("/v1/trackers/{kind}"))).refused_on_repeat("404"),
    ]);
    flow_after(
        match kind {
            "jira" => "a ticket of Jira fails and is polled",
            _ => "a ticket of Linear fails and is polled",
        },
        &["failed"],
        move |world| {
            world.note("tracker", kind);
            with_a_forge(world).boxed()
        },
        steps,
    )
}
