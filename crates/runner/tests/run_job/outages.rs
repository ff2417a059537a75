//! Tests services that do not answer for longer than a request is retried.

use crate::prelude::*;
use crate::sources::{check_url, start_server};
use crate::world::World;
use crate::yields::WORKING_AGENT;

#[tokio::test]
async fn unreachable_forge_is_reported_with_its_cause() {
    let down = start_server(StatusCode::BAD_GATEWAY, "text/plain", "upstream").await;
    tokio::join!(
        check_url(|_| down, "source_unreachable", "502"),
        check_url(|_| "http://127.0.0.1:1/acme/app.git".into(), "source_unreachable", "Failed to connect"),
        // The `ext::` transport would run a command and is refused.
        check_url(|_| "ext::sh -c true".into(), "source_unreachable", ""),
    );
}

#[tokio::test]
async fn checkpoint_upload_is_retried_longer_than_others() {
    let world = World::with_agent(WORKING_AGENT).await;
    let runner = world.spawn(|_| ());
    world.api.wait_for_text("waiting").await;
    world.api.change_script(|script| {
        script.pause = true;
        // Two uploads are given up after four tries each.
        script.lost_answers.insert("put", 13);
    });
    let ran = wait_for_exit(runner).await;
    assert_eq!((ran.code, world.api.yields().len()), (Some(0), 1), "{}", ran.log);
    let sent = |name: &str| world.api.calls("put").iter().filter(|call| call.body == name).count();
    assert_eq!((sent("agent-output.jsonl"), sent("checkpoint.tar.zst")), (4, 6), "{}", ran.log);
    assert!(world.api.bucket_object("checkpoint.tar.zst").is_some(), "{}", ran.log);
}
