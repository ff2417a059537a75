//! Lines that nobody should write.

use super::stand_in::{StandIn, WELL};
use pullyard_protocol::event::EventKind;

const WORK: &str = "echo hello > greeting.txt";

#[tokio::test]
async fn garbage_between_its_lines_changes_nothing() {
    let garbage = r#"echo 'not json'; echo '{"type":'; echo '[1,2]'; echo 'null'; echo '{"type":"of-tomorrow","x":1}'
        echo '{"type":"assistant"}'; echo '{"type":"assistant","message":7}'; echo '{"type":"user","message":{"content":{}}}'
        printf '\377\376\n\n\r\n\t\n'; echo '{"type":"stream_event","event":null}'"#;
    StandIn::that(&format!("@BEGIN@; {garbage}; {WORK}; @WELL@")).await.succeeds().await;
}

#[tokio::test]
async fn zeros_between_its_lines_and_in_them_change_nothing() {
    let says = |id: &str| {
        let content = r#"[{"type":"text","text":"a\u0000b"}]"#;
        format!(r#"{{"type":"assistant","message":{{"id":"{id}","content":{content}}}}}"#)
    };
    // As JSON writes it, and as a byte, which JSON does not have.
    let (written, bare) = (says("y"), says("z").replace(r"\u0000", r"'; printf '\0'; printf '%s' '"));
    let zeros = format!(r"printf '\0\0\n'; printf '%s' '{bare}'; echo; printf '%s\n' '{written}'");
    let one = StandIn::that(&format!(r"@BEGIN@; {zeros}; {WORK}; @WELL@; printf '\0'")).await;
    let (finish, ran) = one.run().await;
    assert!(finish.result.is_some(), "{finish:?} {}", ran.log);
    let texts = one.world.api.events().into_iter().filter(|event| event.kind == EventKind::Text);
    let texts: Vec<_> = texts.filter_map(|event| event.text).collect();
    assert_eq!(texts, ["a\0b"]);
    one.end();
}

#[tokio::test]
async fn a_line_that_never_ends_is_no_sign_of_life() {
    let one = StandIn::that("@BEGIN@; while :; do printf x; sleep 0.05; done").await;
    one.world.api.assign(|job| job.limits.stall_secs = 2);
    assert_eq!(one.fails().await, "stalled");
}

#[tokio::test]
async fn a_line_in_two_halves_is_one_line() {
    let (first, second) = WELL.split_at(40);
    let does = format!("@BEGIN@; {WORK}; printf '%s' '{first}'; sleep 0.3; echo '{second}'");
    StandIn::that(&does).await.succeeds().await;
}

#[tokio::test]
async fn a_last_line_without_an_end_counts() {
    StandIn::that(&format!("@BEGIN@; {WORK}; printf '%s' '{WELL}'")).await.succeeds().await;
}

#[tokio::test]
async fn half_a_last_line_is_none() {
    let half = WELL.split_at(WELL.len() - 20).0;
    let code = StandIn::that(&format!("@BEGIN@; {WORK}; printf '%s' '{half}'")).await.fails().await;
    assert_eq!(code, "agent_failed");
}

#[tokio::test]
async fn a_line_of_twenty_megabytes_is_survived() {
    let long = r#"printf '{"type":"assistant","message":{"id":"a","content":[{"type":"text","text":"'
        head -c 20000000 /dev/zero | tr '\0' x; echo '"}]}}'"#;
    let one = StandIn::that(&format!("@BEGIN@; {long}; {WORK}; @WELL@")).await;
    let (finish, ran) = one.run().await;
    assert!(finish.result.is_some(), "{finish:?} {}", ran.log);
    for call in one.world.api.calls("events") {
        assert!(call.body.to_string().len() < 500_000);
    }
    one.end();
}

#[tokio::test]
async fn a_good_exit_without_a_last_word_is_no_success() {
    assert_eq!(StandIn::that(&format!("@BEGIN@; {WORK}")).await.fails().await, "agent_failed");
    assert_eq!(StandIn::that(WORK).await.fails().await, "agent_failed");
}

#[tokio::test]
async fn a_good_last_word_with_a_bad_exit_is_no_success() {
    assert_eq!(StandIn::that(&format!("@BEGIN@; {WORK}; @WELL@; exit 3")).await.fails().await, "agent_failed");
}

#[tokio::test]
async fn who_is_killed_right_after_a_good_last_word_is_no_success() {
    // As where the machine has no more memory.
    let one = StandIn::that(&format!("@BEGIN@; {WORK}; @WELL@; kill -9 $$")).await;
    assert_eq!(one.fails().await, "agent_failed");
}

/// It calls for a tool; and what that came to.
const CALL: &str =
    r#"{"type":"assistant","message":{"id":"a","content":[{"type":"tool_use","id":"t","name":"Bash","input":{}}]}}"#;
const CAME_TO: &str =
    r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"made"}]}}"#;

#[tokio::test]
async fn a_tool_that_ends_after_its_last_word_changes_nothing() {
    let does = format!("@BEGIN@; echo '{CALL}'; {WORK}; @WELL@; echo '{CAME_TO}'; cat > /dev/null");
    StandIn::that(&does).await.succeeds().await;
}

#[tokio::test]
async fn a_success_that_is_an_error_is_no_success() {
    let error = WELL.replace("\"is_error\":false", "\"is_error\":true");
    assert_eq!(StandIn::that(&format!("@BEGIN@; {WORK}; echo '{error}'")).await.fails().await, "agent_failed");
}

#[tokio::test]
async fn a_limit_that_a_tool_says_in_its_name_is_asked_about_by_another_start() {
    let claims = r#"if [ ! -e @DIR@/once ]; then touch @DIR@/once
        echo '{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1935903600}}'
        echo '{"type":"result","subtype":"success","is_error":true,"result":"You have hit your session limit"}'; fi"#;
    let one = StandIn::that(&format!("@BEGIN@; {claims}; {WORK}; @WELL@")).await;
    let (finish, ran) = one.run().await;
    assert!(finish.result.is_some(), "{finish:?} {}", ran.log);
    assert_eq!(finish.work.unwrap().starts, 2, "{}", ran.log);
    one.end();
}

#[tokio::test]
async fn what_it_says_after_its_last_word_changes_nothing() {
    StandIn::that(&format!("@BEGIN@; {WORK}; @WELL@; echo more; @BEGIN@")).await.succeeds().await;
}

#[tokio::test]
async fn standard_error_is_kept_as_a_log() {
    let one = StandIn::that(&format!("@BEGIN@; {WORK}; echo 'a word of warning' >&2; @WELL@")).await;
    let (finish, ran) = one.run().await;
    assert!(finish.result.is_some(), "{finish:?} {}", ran.log);
    let logs = one.world.api.events().into_iter().filter(|event| event.kind == EventKind::Log);
    assert!(logs.filter_map(|event| event.text).any(|text| text.contains("a word of warning")));
    one.end();
}

#[tokio::test]
async fn a_program_that_says_no_version_is_not_installed() {
    let one = StandIn::that("exit 1").await;
    std::fs::write(one.world.outside("claude"), "#!/bin/sh\nexit 1\n").unwrap();
    assert_eq!(one.fails().await, "agent_missing");
}
