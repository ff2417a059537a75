//! Tests plan files by the command line, without a server.

use crate::cli::User;
use crate::prelude::*;

fn write(folder: &TempDir, text: &str) -> String {
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn first_plan_is_printed_edited_and_checked_without_a_server() {
    let (user, folder) = (User::new(), TempDir::new().unwrap());
    let plan = user.ok(&["runs", "init"]).await;
    let file = write(&folder, &plan);
    assert_eq!(user.ok(&["runs", "check", &file]).await, format!("{file}: 4 steps, no fault\n"));

    let old = plan.replace("role: fixer", "use_role: fixer");
    let file = write(&folder, &old);
    let ran = user.run(&["runs", "check", &file]).await.assert_exit(1, "error: the plan has 1 fault");
    assert_eq!(ran.out, format!("{file}:22:5  /steps/3/use_role  `use_role` is `role` here\n"));

    let misspelt = plan.replace("needs: [review]", "needs: [reviw]");
    let file = write(&folder, &misspelt);
    let ran = user.run(&["runs", "check", &file]).await.assert_exit(1, "error: the plan has 1 fault");
    let fault = "there is no step `reviw`; did you mean `review`?";
    assert_eq!(ran.out, format!("{file}:23:13  /steps/3/needs/0  {fault}\n"));

    let ran = user.run_with(&["runs", "check", "-", "--json"], &misspelt).await.assert_exit(1, "");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["file"], &report["count"]), (&json!("stdin"), &json!(1)));
    let first = json!({ "line": 23, "column": 13, "pointer": "/steps/3/needs/0", "fault": fault });
    assert_eq!(report["faults"][0], first);
}

#[tokio::test]
async fn unreadable_or_hostile_plan_is_refused_at_its_first_breach() {
    let (user, folder) = (User::new(), TempDir::new().unwrap());
    for (text, says) in [
        (format!("a: &a [lol]\nb: [{}]\n", "*a, ".repeat(9_000)), ":1:7  anchors are not allowed"),
        ("- ".repeat(20), ":1:25  use at most 12 levels"),
        ("x".repeat(64 * 1024 + 1), ":1:1  a plan has at most 64 KiB"),
        ("name: a\nname: b\n".into(), ":2:1  `name` is set twice"),
        ("steps: [\n".into(), "this is not YAML"),
        ("\u{1b}[31m: 1\n".into(), "  "),
    ] {
        let ran = user.run(&["runs", "check", &write(&folder, &text)]).await.assert_exit(1, "the plan has");
        assert!(ran.out.contains(says) && !ran.out.contains('\u{1b}'), "{ran:?}");
    }
    let many: String = (0..30).map(|key| format!("key{key}: 1\n")).collect();
    let ran = user.run(&["runs", "check", &write(&folder, &many)]).await;
    let ran = ran.assert_exit(1, "the plan has 32 faults; the first 20 are listed");
    assert_eq!(ran.out.lines().count(), 20);
    user.run(&["runs", "check", "/missing.yaml"]).await.assert_exit(1, "can't read /missing.yaml");
}

const SPAWND_PAGE: &str = include_str!("../docs/coming-from/spawnd.md");

/// The documents' own plans and their tables of keys follow the program.
#[tokio::test]
async fn documented_plans_have_no_fault() {
    let (user, folder) = (User::new(), TempDir::new().unwrap());
    for page in [include_str!("../docs/plans.md"), SPAWND_PAGE] {
        let plans: Vec<&str> = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!plans.is_empty());
        for plan in plans {
            user.ok(&["runs", "check", &write(&folder, plan)]).await;
        }
    }
}

#[tokio::test]
async fn keys_of_spawnd_are_renamed_or_refused_as_its_page_says() {
    let (user, folder) = (User::new(), TempDir::new().unwrap());
    for (key, fault) in [
        ("depends_on", "`depends_on` is `needs` here"),
        ("use_role", "`use_role` is `role` here"),
        ("check", "`check` is `checks` here"),
        ("runtime", "`runtime` is `agent` here"),
        ("max_cost_usd", "`max_cost_usd` is `limits.cost_usd` here"),
        ("write_allowed", "`write_allowed` is `sandbox` here"),
        ("source_repo", "`source_repo` is `repository` here"),
        ("worktree_setup", "`worktree_setup` is `setup` here"),
        ("env_refs", "clone and push use the integration's token; setup gets no secret yet"),
        ("mcp_servers", "a plan names no MCP servers"),
        ("cache", "setup has no cache yet"),
        ("cache_paths", "setup has no cache yet"),
    ] {
        let plan = write(&folder, &format!("name: a\nsteps: [{{name: b, prompt: c, {key}: d}}]\n"));
        let ran = user.run(&["runs", "check", &plan]).await.assert_exit(1, "the plan has 1 fault");
        let is_listed = [format!("`{key}"), format!(".{key}`")].iter().any(|name| SPAWND_PAGE.contains(name));
        assert!(ran.out.contains(fault) && is_listed, "{ran:?}");
        if fault.ends_with(" yet") {
            let sentence = fault.rsplit("; ").next().unwrap();
            assert!(SPAWND_PAGE.contains(sentence), "{sentence}");
        }
    }
    let nested =
        "name: a\nsteps: [{name: b, prompt: c}]\norchestration: {git: {env_refs: [T]}, worktree_setup: {cache: x}}\n";
    let ran = user.run(&["runs", "check", &write(&folder, nested)]).await.assert_exit(1, "the plan has 5 faults");
    for key in ["/orchestration/git/env_refs ", "/orchestration/worktree_setup/cache "] {
        assert!(ran.out.contains(key), "{ran:?}");
    }
}
