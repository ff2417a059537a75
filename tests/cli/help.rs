//! Tests the CLI's help and its errors for lines that cannot be parsed.

use super::User;
use serde_json::{Value, json};

#[tokio::test]
async fn usage_error_with_json_prints_a_problem_document() {
    let user = User::new();
    for line in [&["frobnicate"][..], &["jobs", "list", "--status", "odd"], &["jobs", "cancel"], &["jobs", "--odd"]] {
        let plain = user.run(line).await.assert_exit(2, "error: ");
        assert_eq!(plain.out, "", "{line:?}");
        let ran = user.run(&[line, &["--json"]].concat()).await.assert_exit(2, "error: ");
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&said["status"], &said["code"]), (&json!(400), &json!("usage")), "{said}");
        let detail = said["detail"].as_str().unwrap();
        assert!(!detail.contains("error:") && !detail.contains("Usage") && !detail.contains('\n'), "{detail}");
    }
    let missing = user.run(&["jobs", "cancel", "--json"]).await;
    assert!(missing.out.contains("required arguments were not provided: <JOB>..."), "{missing:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&user.run(&["--help", "--json"]).await.assert_success()).ok(),
        None,
        "requested help is JSON"
    );
}

#[tokio::test]
async fn cli_without_arguments_lists_its_commands() {
    let mut user = User::new();
    user.set_env("PULLYARD_URL", "http://127.0.0.1:1");
    let ran = user.run(&[]).await.assert_exit(2, "Start:");
    assert!(ran.err.contains("Usage: pullyard") && !ran.err.contains("error:"), "{ran:?}");
}

fn listed_commands(help: &str) -> Vec<String> {
    assert!(!help.contains("\nOther:\n"), "a command has no group: {help}");
    let mut names = Vec::new();
    for heading in ["Commands:\n", "Start:\n", "Work:\n", "Set up:\n", "Operate:\n"] {
        let list = help.split_once(heading).map_or("", |(_, list)| list);
        let lines = list.lines().take_while(|line| line.starts_with(' '));
        let named = lines.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        names.extend(named.filter_map(|line| line.split(' ').next()).map(str::to_owned));
    }
    names
}

#[tokio::test]
async fn every_command_has_an_example() {
    let user = User::new();
    let (mut left, mut seen) = (vec![Vec::<String>::new()], 0);
    while let Some(command) = left.pop() {
        let words: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = user.run(&words).await.assert_success();
        let (own, examples) = help.split_once("Examples:").unwrap_or_else(|| panic!("{command:?}: {help}"));
        assert!(examples.contains("  pullyard "), "{command:?}: {examples}");
        left.extend(listed_commands(own).into_iter().map(|name| [command.clone(), vec![name]].concat()));
        seen += 1;
    }
    assert!(seen > 60, "{seen} commands");
}

#[tokio::test]
async fn completions_know_the_commands_in_every_shell() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(user.run(&["completions", shell]).await.assert_success().contains("deliveries"), "{shell}");
    }
}
