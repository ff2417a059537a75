//! Compares the cost of a pull request's second review with the first, by an agent that counts tokens.

use crate::prelude::*;
use std::fmt::Write as _;

/// Reads its prompt, each input file, and each file of the diff, each in a turn of its own. Four bytes are a token, and
/// a turn sends all earlier ones again from the model's cache. Prices in dollars per million tokens: 3.75 for new, 0.30
/// for cached, and 15 for 200 written tokens in each turn.
const AGENT: &str = r#"cat > @DIR@/prompt
    changed=$(sed -n 's|^+++ b/||p' .pullyard/input/diff.patch)
    wc -c @DIR@/prompt .pullyard/input/* $changed | grep -v ' total$' | awk '
      { cached += context; new += $1 / 4; context += $1 / 4; turns++ }
      END {
        cost = new * 3.75 + cached * 0.30 + turns * 200 * 15
        printf "%d %d %d\n", new, cached, turns >> "@DIR@/tokens"
        printf "{\"kind\":\"usage\",\"turns\":%d,\"cost_usd_micros\":%d}\n", turns, cost
      }'
    finding='{"path":"src/f0.rs","line":10,"severity":"high","category":"bug","title":"T","body":"B"}'
    [ ! -e .pullyard/input/threads.json ] || finding=
    printf '{"v":1,"summary":"S","findings":[%s]}' "$finding" > .pullyard/output.json"#;

/// Every tenth line is changed.
fn code(is_changed: bool) -> String {
    let mut text = String::new();
    for line in 1..=200 {
        let mark = if is_changed && line % 10 == 0 { "changed" } else { "as before" };
        writeln!(text, "let number_{line} = compute({line}); // {mark}").unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn second_review_costs_a_fifth_of_the_first() {
    let (story, dir) = (Story::start_with(Setup::default()).await, TempDir::new().unwrap());
    let script = AGENT.replace("@DIR@", &dir.path().display().to_string());
    story.set_agent_command(&["sh", "-c", &script]).await;
    let commit = async |branch: &str, numbers: std::ops::Range<usize>, text: &str| {
        let names: Vec<_> = numbers.map(|number| format!("src/f{number}.rs")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), text, false)).collect();
        story.local.forge().commit(REPOSITORY, branch, "pullyard-bot", &files).await.unwrap();
    };
    commit("main", 0..20, &code(false)).await;
    commit("feature", 0..20, &code(true)).await;
    let body = json!({ "title": "Change 20 files", "head": "feature", "base": "main", "body": "" });
    let number = story.call_forge(Method::POST, "/pulls", body).await["number"].as_u64().unwrap();
    let wish = json!({ "project": "acme", "repository": REPOSITORY, "number": number });
    let wish = serde_json::from_value(wish).unwrap();
    let review = async || {
        let job = story.api.review_pull_request(&wish, None).await.unwrap().job.unwrap();
        assert_eq!(story.wait_for_end(&job).await.status, JobStatus::Completed);
        let attempts = story.api.attempts(&job).await.unwrap().attempts;
        attempts.iter().filter_map(|attempt| attempt.spent_usd_micros).sum::<u64>()
    };
    let first = review().await;
    commit("feature", 3..4, &code(true).replace("compute(7)", "compute(8)")).await;
    let second = review().await;
    let tokens = std::fs::read_to_string(dir.path().join("tokens")).unwrap();
    println!("new tokens, cached tokens, turns:\n{tokens}micros of a dollar: {first}, then {second}");
    assert_eq!(tokens.lines().count(), 2);
    assert!(0 < second && second * 5 < first, "{first}, then {second}: {tokens}");
}
