//! Tests that every command in the documentation and in help sentences exists with its flags.

use crate::prelude::*;
use pullyard_domain::run::{RunFailureCause, StepExplanation, StepWait};
use pullyard_domain::text::code::Row;
use pullyard_domain::text::denial::Denial;
use pullyard_domain::text::wait::Wait;

const DOCUMENTS: [(&str, &str); 23] = [
    ("README.md", include_str!("../README.md")),
    ("infra/README.md", include_str!("../infra/README.md")),
    ("docs/analyses.md", include_str!("../docs/analyses.md")),
    ("docs/clients.md", include_str!("../docs/clients.md")),
    ("docs/coming-from/ai-review.md", include_str!("../docs/coming-from/ai-review.md")),
    ("docs/coming-from/oversight.md", include_str!("../docs/coming-from/oversight.md")),
    ("docs/coming-from/spawnd.md", include_str!("../docs/coming-from/spawnd.md")),
    ("docs/coming-from/spedy.md", include_str!("../docs/coming-from/spedy.md")),
    ("docs/agents.md", include_str!("../docs/agents.md")),
    ("docs/checks.md", include_str!("../docs/checks.md")),
    ("docs/first-account.md", include_str!("../docs/first-account.md")),
    ("docs/forges.md", include_str!("../docs/forges.md")),
    ("docs/notifications.md", include_str!("../docs/notifications.md")),
    ("docs/operations.md", include_str!("../docs/operations.md")),
    ("docs/plans.md", include_str!("../docs/plans.md")),
    ("docs/protocol.md", include_str!("../docs/protocol.md")),
    ("docs/reviews.md", include_str!("../docs/reviews.md")),
    ("docs/runner.md", include_str!("../docs/runner.md")),
    ("docs/schedules.md", include_str!("../docs/schedules.md")),
    ("docs/status.md", include_str!("../docs/status.md")),
    ("docs/team-on-github.md", include_str!("../docs/team-on-github.md")),
    ("docs/up.md", include_str!("../docs/up.md")),
    ("SECURITY.md", include_str!("../SECURITY.md")),
];

#[derive(Default)]
struct HelpCache {
    texts: BTreeMap<Vec<String>, String>,
}

impl HelpCache {
    async fn of(&mut self, user: &User, words: &[&str], line: &str) -> String {
        let key: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        if !self.texts.contains_key(&key) {
            let ran = user.run(&[&["help"], words].concat()).await;
            assert_eq!(ran.code, 0, "{line}: {ran:?}");
            self.texts.insert(key.clone(), ran.out);
        }
        self.texts[&key].clone()
    }

    async fn check(&mut self, user: &User, line: &str) {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let Some(first) = words.first().filter(|word| is_name(word)) else { return };
        let mut help = self.of(user, &[first], line).await;
        for depth in 2..=3 {
            let last = words.get(depth - 1).filter(|word| is_name(word) && help.contains("\nCommands:"));
            let Some(_) = last else { break };
            help = self.of(user, &words[..depth], line).await;
        }
        // Flags after `--agent-command` belong to the agent.
        for flag in words.iter().take_while(|word| **word != "--agent-command").filter(|word| word.starts_with("--")) {
            let name = flag.split('=').next().unwrap_or(flag);
            assert!(help.contains(name), "{line}: there is no {name}");
        }
    }
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') && !word.starts_with('-')
}

/// Every `pullyard …` between backticks, and every command line of a code block.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let (mut found, mut in_block) = (Vec::new(), false);
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let line = line.trim_start_matches(['$', ' ', '(']).replace("cargo run -- ", "pullyard ");
            let line = line.replace("pullyard-runner ", "pullyard runner ").replace("umask 077; ", "");
            found.extend(line.starts_with("pullyard ").then(|| line.split(" #").next().unwrap_or_default().to_owned()));
        } else {
            found.extend(
                line.split('`').skip(1).step_by(2).filter(|code| code.starts_with("pullyard ")).map(String::from),
            );
        }
    }
    found
}

#[tokio::test]
async fn every_documented_command_exists_with_its_flags() {
    let (user, mut helps) = (User::new(), HelpCache::default());
    for (document, text) in DOCUMENTS {
        let commands = commands(text);
        assert!(document == "SECURITY.md" || commands.len() >= 3, "{document}: {commands:?}");
        for line in commands {
            helps.check(&user, &line).await;
        }
    }
}

#[tokio::test]
async fn every_command_in_a_help_sentence_exists_with_its_flags() {
    let (user, mut helps) = (User::new(), HelpCache::default());
    let rows: [&[Row]; 4] = [&Reason::rows(), &Wait::rows(), &Failure::rows(), &Denial::rows()];
    let of_runs: [&[Row]; 3] = [&StepWait::rows(), &StepExplanation::rows(), &RunFailureCause::rows()];
    let rows = rows.into_iter().chain(of_runs);
    for row in rows.flatten() {
        for line in commands(row.help) {
            helps.check(&user, &line).await;
        }
        assert!(!row.help.contains("Retry"), "{}: help mentions a button: {}", row.code, row.help);
        assert!(!row.help.contains("Settings →"), "{}: help mentions a missing page: {}", row.code, row.help);
    }
}
