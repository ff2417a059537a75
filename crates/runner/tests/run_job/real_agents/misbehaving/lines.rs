//! Tests malformed and unexpected output lines of an agent.

use super::fake_agent::{FakeAgent, SUCCESS_RESULT};
use pullyard_protocol::event::EventKind;

const WORK: &str = "echo hello > greeting.txt";

#[tokio::test]
async fn odd_output_does_not_hide_a_success() {
    let garbage = r#"echo 'not json'; echo '{"type":'; echo '[1,2]'; echo 'null'; echo '{"type":"of-tomorrow","x":1}'
        echo '{"type":"assistant"}'; echo '{"type":"assistant","message":7}'; echo '{"type":"user","message":{"content":{}}}'
        printf '\377\376\n\n\r\n\t\n'; echo '{"type":"stream_event","event":null}'"#;
    let (first, second) = SUCCESS_RESULT.split_at(40);
    for does in [
        format!("{garbage}; {WORK}; @WELL@"),
        format!("{WORK}; printf '%s' '{first}'; sleep 0.3; echo '{second}'"),
        // Without a newline.
        format!("{WORK}; printf '%s' '{SUCCESS_RESULT}'"),
        format!("echo '{TOOL_CALL}'; {WORK}; @WELL@; echo '{TOOL_RESULT}'; cat > /dev/null"),
        format!("{WORK}; @WELL@; echo more; @BEGIN@"),
    ] {
        FakeAgent::with_script(&format!("@BEGIN@; {does}")).await.run_to_success().await;
    }
}

#[tokio::test]
async fn run_without_a_valid_end_fails() {
    let half = SUCCESS_RESULT.split_at(SUCCESS_RESULT.len() - 20).0;
    let error = SUCCESS_RESULT.replace("\"is_error\":false", "\"is_error\":true");
    for does in [
        WORK.to_owned(),
        format!("@BEGIN@; {WORK}"),
        format!("@BEGIN@; {WORK}; printf '%s' '{half}'"),
        format!("@BEGIN@; {WORK}; echo '{error}'"),
        format!("@BEGIN@; {WORK}; @WELL@; exit 3"),
        // For example by the kernel's out-of-memory killer.
        format!("@BEGIN@; {WORK}; @WELL@; kill -9 $$"),
    ] {
        assert_eq!(FakeAgent::with_script(&does).await.run_to_failure().await, "agent_failed", "{does}");
    }
}

#[tokio::test]
async fn raw_nul_lines_are_skipped_and_escaped_nul_is_kept() {
    let text_line = |id: &str| {
        let content = r#"[{"type":"text","text":"a\u0000b"}]"#;
        format!(r#"{{"type":"assistant","message":{{"id":"{id}","content":{content}}}}}"#)
    };
    // As a JSON escape, and as a raw byte, which is invalid JSON.
    let (written, bare) = (text_line("y"), text_line("z").replace(r"\u0000", r"'; printf '\0'; printf '%s' '"));
    let zeros = format!(r"printf '\0\0\n'; printf '%s' '{bare}'; echo; printf '%s\n' '{written}'");
    let agent = FakeAgent::with_script(&format!(r"@BEGIN@; {zeros}; {WORK}; @WELL@; printf '\0'")).await;
    let (finish, ran) = agent.run().await;
    assert!(finish.result.is_some(), "{finish:?} {}", ran.log);
    let texts = agent.world.api.events().into_iter().filter(|event| event.kind == EventKind::Text);
    let texts: Vec<_> = texts.filter_map(|event| event.text).collect();
    assert_eq!(texts, ["a\0b"]);
    agent.check_end();
}

#[tokio::test]
async fn program_without_whole_lines_is_a_stall() {
    for does in ["while :; do printf x; sleep 0.05; done", "exec >&- 2>&-; while :; do sleep 0.1; done"] {
        let agent = FakeAgent::with_script(&format!("@BEGIN@; {does}")).await;
        agent.world.api.change_assignment(|job| job.limits.stall_secs = 2);
        assert_eq!(agent.run_to_failure().await, "stalled", "{does}");
    }
}

const TOOL_CALL: &str =
    r#"{"type":"assistant","message":{"id":"a","content":[{"type":"tool_use","id":"t","name":"Bash","input":{}}]}}"#;
const TOOL_RESULT: &str =
    r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"made"}]}}"#;

#[tokio::test]
async fn unconfirmed_usage_limit_is_verified_by_a_second_start() {
    let claims = r#"if [ ! -e @DIR@/once ]; then touch @DIR@/once
        echo '{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1935903600}}'
        echo '{"type":"result","subtype":"success","is_error":true,"result":"You have hit your session limit"}'; fi"#;
    let agent = FakeAgent::with_script(&format!("@BEGIN@; {claims}; {WORK}; @WELL@")).await;
    let (finish, ran) = agent.run().await;
    assert!(finish.result.is_some(), "{finish:?} {}", ran.log);
    assert_eq!(finish.work.unwrap().starts, 2, "{}", ran.log);
    agent.check_end();
}
