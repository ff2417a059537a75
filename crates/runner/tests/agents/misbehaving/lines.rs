//! Tests malformed and unexpected output lines of an agent.

use super::stand_in::{StandIn, WELL};
use pullyard_protocol::event::EventKind;

const WORK: &str = "echo hello > greeting.txt";

#[tokio::test]
async fn odd_output_does_not_hide_a_success() {
    let garbage = r#"echo 'not json'; echo '{"type":'; echo '[1,2]'; echo 'null'; echo '{"type":"of-tomorrow","x":1}'
        echo '{"type":"assistant"}'; echo '{"type":"assistant","message":7}'; echo '{"type":"user","message":{"content":{}}}'
        printf '\377\376\n\n\r\n\t\n'; echo '{"type":"stream_event","event":null}'"#;
    let (first, second) = WELL.split_at(40);
    for does in [
        format!("{garbage}; {WORK}; @WELL@"),
        format!("{WORK}; printf '%s' '{first}'; sleep 0.3; echo '{second}'"),
        // Without a newline.
        format!("{WORK}; printf '%s' '{WELL}'"),
        format!("echo '{CALL}'; {WORK}; @WELL@; echo '{CAME_TO}'; cat > /dev/null"),
        format!("{WORK}; @WELL@; echo more; @BEGIN@"),
    ] {
        StandIn::that(&format!("@BEGIN@; {does}")).await.succeeds().await;
    }
}

#[tokio::test]
async fn run_without_a_valid_end_fails() {
    let half = WELL.split_at(WELL.len() - 20).0;
    let error = WELL.replace("\"is_error\":false", "\"is_error\":true");
    for does in [
        WORK.to_owned(),
        format!("@BEGIN@; {WORK}"),
        format!("@BEGIN@; {WORK}; printf '%s' '{half}'"),
        format!("@BEGIN@; {WORK}; echo '{error}'"),
        format!("@BEGIN@; {WORK}; @WELL@; exit 3"),
        // For example by the kernel's out-of-memory killer.
        format!("@BEGIN@; {WORK}; @WELL@; kill -9 $$"),
    ] {
        assert_eq!(StandIn::that(&does).await.fails().await, "agent_failed", "{does}");
    }
}

#[tokio::test]
async fn raw_nul_lines_are_skipped_and_escaped_nul_is_kept() {
    let says = |id: &str| {
        let content = r#"[{"type":"text","text":"a\u0000b"}]"#;
        format!(r#"{{"type":"assistant","message":{{"id":"{id}","content":{content}}}}}"#)
    };
    // As a JSON escape, and as a raw byte, which is invalid JSON.
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
async fn program_without_whole_lines_is_a_stall() {
    for does in ["while :; do printf x; sleep 0.05; done", "exec >&- 2>&-; while :; do sleep 0.1; done"] {
        let one = StandIn::that(&format!("@BEGIN@; {does}")).await;
        one.world.api.assign(|job| job.limits.stall_secs = 2);
        assert_eq!(one.fails().await, "stalled", "{does}");
    }
}

const CALL: &str =
    r#"{"type":"assistant","message":{"id":"a","content":[{"type":"tool_use","id":"t","name":"Bash","input":{}}]}}"#;
const CAME_TO: &str =
    r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"made"}]}}"#;

#[tokio::test]
async fn unconfirmed_usage_limit_is_verified_by_a_second_start() {
    let claims = r#"if [ ! -e @DIR@/once ]; then touch @DIR@/once
        echo '{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1935903600}}'
        echo '{"type":"result","subtype":"success","is_error":true,"result":"You have hit your session limit"}'; fi"#;
    let one = StandIn::that(&format!("@BEGIN@; {claims}; {WORK}; @WELL@")).await;
    let (finish, ran) = one.run().await;
    assert!(finish.result.is_some(), "{finish:?} {}", ran.log);
    assert_eq!(finish.work.unwrap().starts, 2, "{}", ran.log);
    one.end();
}
