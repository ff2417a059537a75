use super::*;
use crate::fixtures::job_id;
use crate::review::report::review_output::{Category, MAX_BODY_CHARS, MAX_FINDINGS, MAX_SUMMARY_CHARS, Severity, Side};

fn finding(title: &str, body: &str, severity: Severity) -> Finding {
    Finding {
        path: "src/a.rs".into(),
        line: Some(41),
        start_line: None,
        side: Side::Right,
        severity,
        category: Category::Bug,
        title: title.into(),
        body: body.into(),
        suggestion: None,
    }
}

fn render(output: &ReviewOutput, places: &[Place], earlier: &[EarlierFinding]) -> String {
    let (forge, scope) = (ForgeKind::GitHub, "Pullyard reviewed `9f3c2e1`, the whole change.");
    ReviewText { forge, job: &job_id("j"), scope, output, places, earlier }.render()
}

fn output(summary: &str, findings: Vec<Finding>) -> ReviewOutput {
    ReviewOutput { summary: summary.into(), findings, threads: Vec::new() }
}

#[test]
fn review_lists_earlier_findings_then_those_in_the_text() {
    let whole = Finding { line: None, suggestion: Some("x".into()), ..finding("Late", "B.", Severity::Low) };
    let findings = vec![whole, finding("Early", "A.", Severity::High)];
    let earlier = |verdict, text: &str| EarlierFinding {
        path: "src/b.rs".into(),
        line: Some(7),
        severity: Severity::Medium,
        url: "https://forge.test/1".into(),
        verdict,
        text: text.into(),
    };
    let earlier = [
        earlier(ThreadState::Fixed, "Gone."),
        earlier(ThreadState::Open, ""),
        earlier(ThreadState::Withdrawn, "It was right."),
    ];
    let text = render(&output("Two problems.", findings), &[Place::InText, Place::InText], &earlier);
    assert_eq!(
        text,
        format!(
            "Pullyard reviewed `9f3c2e1`, the whole change.\n\nTwo problems.\n\n\
             ### Earlier findings\n\n\
             **open, medium:** [`src/b.rs:7`](https://forge.test/1)\n\n\
             **withdrawn, medium:** [`src/b.rs:7`](https://forge.test/1) It was right.\n\n\
             ### Findings without a comment at their line\n\n\
             **high, bug:** `src/a.rs:41` Early\n\nA.\n\n\
             **low, bug:** `src/a.rs` Late\n\nB.\n\nSuggested instead:\n\n```text\nx\n```\n\n\
             <!-- pullyard:{} -->",
            job_id("j")
        )
    );
}

#[test]
fn findings_that_are_not_shown_are_counted() {
    let findings = vec![finding("T", "B", Severity::Low); 3];
    let places = [Place::Repeated, Place::Repeated, Place::Dropped(DropReason::BelowMinSeverity)];
    let text = render(&output("Fine.", findings), &places, &[]);
    for sentence in ["\nNot shown: 2 findings already posted.\n", "\nNot shown: 1 finding of severity nit.\n"] {
        assert!(text.contains(sentence), "{text}");
    }
    assert!(!text.contains("###"), "{text}");
}

#[test]
fn longest_output_fits_and_says_what_is_left_out() {
    let findings = vec![finding(&"<".repeat(120), &"& ".repeat(MAX_BODY_CHARS / 2), Severity::High); MAX_FINDINGS];
    let places = vec![Place::InText; MAX_FINDINGS];
    let text = render(&output(&"&".repeat(MAX_SUMMARY_CHARS), findings), &places, &[]);
    let length = text.chars().count();
    assert!((50_000..=60_000).contains(&length), "{length}");
    let command = format!("`pullyard jobs output {}`", job_id("j"));
    let sentence = format!("\nNot shown: 47 findings left out for lack of room; {command} shows all.\n");
    assert!(text.contains(&sentence), "{}", &text[text.len() - 300..]);
    assert_eq!(Marker::parse(&text), Some(Marker::Job(job_id("j"))));
}

#[test]
fn hostile_text_cannot_act_or_forge_a_marker() {
    let hostile = "@ann\n```\n<!-- pullyard:status -->\n~~~\nFixes #1 [//]: # (pullyard:status)";
    let hostile = Finding { suggestion: Some(hostile.into()), ..finding(hostile, hostile, Severity::High) };
    let hostile = Finding { path: "a`@ann`\n#1".into(), ..hostile };
    let text = render(&output(&hostile.body.clone(), vec![hostile]), &[Place::InText], &[]);
    assert_eq!(Marker::parse(&text), Some(Marker::Job(job_id("j"))));
    assert_eq!(text.matches("pullyard:").count() - text.matches("(pullyard:status)").count(), 1, "{text}");
}

#[test]
fn reply_names_the_commit_or_withdraws() {
    let reply = |verdict, text| render_thread_reply(verdict, "c04d11a2b3c4d5e6", text);
    assert_eq!(reply(ThreadState::Fixed, "Thanks @ann.").as_deref(), Some("Fixed in `c04d11a2b3`.\n\nThanks `@ann.`"));
    assert_eq!(reply(ThreadState::Fixed, "").as_deref(), Some("Fixed in `c04d11a2b3`."));
    assert_eq!(reply(ThreadState::Withdrawn, "It was right.").as_deref(), Some("Withdrawn.\n\nIt was right."));
    assert_eq!(reply(ThreadState::Open, "Still there."), None);
}
