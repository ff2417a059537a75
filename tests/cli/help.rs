//! Tests the CLI's help and its errors for lines that cannot be parsed.

use super::User;
use crate::prelude::*;

#[tokio::test]
async fn usage_error_with_json_prints_a_problem_document() {
    let user = User::new();
    for line in [&["frobnicate"][..], &["jobs", "list", "--status", "odd"], &["jobs", "cancel"], &["jobs", "--odd"]] {
        let plain = user.run(line).await.assert_exit(2, "error: ");
        assert_eq!(plain.out, "", "{line:?}");
        let ran = user.run(&[line, &["--json"]].concat()).await.assert_exit(2, "error: ");
        let problem: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&problem["status"], &problem["code"]), (&json!(400), &json!("usage")), "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(!detail.contains("error:") && !detail.contains("Usage") && !detail.contains('\n'), "{detail}");
    }
    let missing = user.run(&["jobs", "cancel", "--json"]).await;
    assert!(missing.out.contains("required arguments were not provided: <JOB>..."), "{missing:?}");
    assert_eq!(
        serde_json::from_str::<Value>(&user.ok(&["--help", "--json"]).await).ok(),
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
    let (mut pending, mut seen) = (vec![Vec::<String>::new()], 0);
    while let Some(command) = pending.pop() {
        let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = user.ok(&arguments).await;
        let (own, examples) = help.split_once("Examples:").unwrap_or_else(|| panic!("{command:?}: {help}"));
        assert!(examples.contains("  pullyard "), "{command:?}: {examples}");
        pending.extend(listed_commands(own).into_iter().map(|name| [command.clone(), vec![name]].concat()));
        seen += 1;
    }
    assert!(seen > 60, "{seen} commands");
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_know_commands_and_live_names() {
    let story = Story::start_with_waiting_tasks().await;
    story.create_job("e1", "APP-1", 1).await;
    story.send_ticket_event("e2", "$(reboot)", TODO, 2).await;
    let mut user = User::of(&story);
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(user.ok(&["completions", shell]).await.contains("PULLYARD_COMPLETE"), "{shell}");
    }
    user.set_env("PULLYARD_COMPLETE", "fish");
    for (line, name, absent) in [
        (&["jobs", "sh"][..], "show\t", "cancel"),
        (&["jobs", "show", ""], "Waiting, About APP-1", "reboot"),
        (&["tickets", "show", ""], "APP-1\t", "reboot"),
        (&["jobs", "--project", "a"], "acme", "APP-1"),
        (&["jobs", "--status", "fai"], "failed", "ready"),
        (&["repos", "set", "acme/"], REPOSITORY, "APP-1"),
        (&["version", "--"], "--json", "--status"),
    ] {
        let out = user.ok(&[&["--", "pullyard"], line].concat()).await;
        assert!(out.contains(name) && !out.contains(absent), "{line:?}: {out}");
    }
    user.set_env("PULLYARD_URL", "http://127.0.0.1:1");
    let silent = user.run(&["--", "pullyard", "jobs", "show", ""]).await;
    assert_eq!((silent.code, silent.err.as_str()), (0, ""), "{silent:?}");
}

#[tokio::test]
async fn man_page_of_each_command_has_its_examples() {
    let (user, folder) = (User::new(), TempDir::new().unwrap());
    let folder = folder.path().join("man1");
    user.run(&["man", folder.to_str().unwrap()]).await.assert_exit(0, " pages into ");
    let pages = std::fs::read_dir(&folder).unwrap().map(|page| page.unwrap().path()).collect::<Vec<_>>();
    assert!(pages.len() > 60, "{pages:?}");
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(text.contains(".SH EXAMPLES\n.nf\n") && text.contains("pullyard "), "{page:?}: {text}");
    }
    let page = std::fs::read_to_string(folder.join("pullyard-jobs-cancel.1")).unwrap();
    assert!(page.contains("jobs cancel") && page.contains("\\-\\-project"), "{page}");
}
