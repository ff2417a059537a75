//! Tests steps on branches of their own, and managers that add steps, end to end with scripted agents.

use crate::cli::CommandOutput;
use crate::prelude::*;

/// Writes one half on a branch of its own, or applies both.
const AGENT: &str = r#"#!/bin/sh
prompt=$(cat)
in=.pullyard/input
case "$prompt" in
*'Write the left half.'*) echo left > left.txt;;
*'Write the right half.'*) echo right > right.txt;;
*'Combine the halves.'*) git apply --3way "$in/left/change.patch" "$in/right/change.patch" || exit 3;;
*'Always divide.'*)
  mkdir -p .pullyard
  printf '{"v":1,"text":"More.","spawn":[{"name":"left","role":"implementer","prompt":"Write the left half."}]}' > .pullyard/output.json;;
*'Divide the work.'*)
  mkdir -p .pullyard
  if [ -e "$in/lead" ]; then
    git apply --3way "$in/lead/left/change.patch" "$in/lead/right/change.patch" || exit 3
    printf '{"v":1,"text":"Both halves are in."}' > .pullyard/output.json
  else
    printf '{"v":1,"text":"Two halves.","spawn":[%s,%s]}' \
      '{"name":"left","role":"implementer","prompt":"Write the left half."}' \
      '{"name":"right","role":"implementer","prompt":"Write the right half."}' > .pullyard/output.json
  fi;;
*) echo "$prompt"; exit 4;;
esac
"#;

const PARALLEL: &str = "name: halves
steps:
  - {name: left, branch: own, prompt: Write the left half.}
  - {name: right, branch: own, prompt: Write the right half.}
  - {name: join, needs: [left, right], prompt: Combine the halves., checks: [cat left.txt right.txt]}
";

const MANAGER: &str = "name: lead\nsteps: [{name: lead, role: manager, prompt: Divide the work.}]\n";

const ENDLESS: &str =
    "name: endless\nsteps: [{name: lead, role: manager, prompt: Always divide., spawn: {turns: 2}}]\n";

async fn run(plan: &str) -> (Story, User, CommandOutput) {
    let story = Story::start_with(Setup { agent: AGENT, ..Setup::default() }).await;
    let (user, folder) = (User::of(&story), TempDir::new().unwrap());
    user.ok(&["settings", "set", "command_policy=unrestricted"]).await;
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, plan).unwrap();
    let file = file.to_str().unwrap();
    user.ok(&["runs", "check", file]).await;
    let ran = user.run(&["run", "-f", file, "--watch"]).await;
    (story, user, ran)
}

/// One pull request has both halves in one commit.
async fn check_halves(story: &Story) {
    let pulls = story.pull_requests().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    let branch = pulls[0]["head"]["ref"].as_str().unwrap();
    let files = story.git(&["diff", "--name-only", &format!("main..{branch}")]).await;
    assert_eq!(files, "left.txt\nright.txt");
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{branch}")]).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_on_own_branches_meet_as_patches() {
    let (story, user, ran) = run(PARALLEL).await;
    assert!(ran.err.contains("join: done in "), "{ran:?}");
    ran.assert_success();
    check_halves(&story).await;
    let own: Vec<_> = story.branches().await.into_iter().filter(|branch| branch.contains("/run-")).collect();
    assert!(own.len() == 2 && own[0].ends_with("-left") && own[1].ends_with("-right"), "{own:?}");
    let jobs = story.jobs().await;
    let left = jobs.iter().find(|job| job.branch == own[0]).unwrap();
    let shown = user.ok(&["jobs", "show", left.id.as_str()]).await;
    let head = story.git(&["rev-parse", &own[0]]).await;
    assert!(shown.contains(&own[0]) && shown.contains(&head) && !shown.contains("pull_request"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn manager_combines_the_work_of_its_steps() {
    let (story, user, ran) = run(MANAGER).await;
    for line in ["lead: spawning", "lead/left: done in ", "lead/right: done in ", "lead: done in "] {
        assert!(ran.err.contains(line), "{line}: {ran:?}");
    }
    ran.assert_success();
    check_halves(&story).await;
    let shown = user.ok(&["runs", "show", "@last"]).await;
    assert!(shown.contains("done\tlead/left\t"), "{shown}");
    let lead = user.json(&["runs", "show", "@last"]).await["steps"][0]["job"].as_str().unwrap().to_owned();
    assert_eq!(user.ok(&["jobs", "output", &lead]).await, "Both halves are in.\n");
    let trace = user.json(&["runs", "trace", "@last"]).await;
    let turns = trace["spans"].as_array().unwrap().iter().filter(|span| span["step"] == "lead" && span["attempt"] == 1);
    let turns: BTreeSet<_> = turns.map(|span| span["job"].to_string()).collect();
    assert!(turns.len() == 2 && turns.contains(&json!(lead).to_string()), "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn manager_that_always_adds_steps_stops_at_its_last_turn() {
    let (story, user, ran) = run(ENDLESS).await;
    ran.assert_exit(6, " failed after ");
    let jobs = story.jobs().await;
    assert_eq!((jobs.len(), story.pull_requests().await.len()), (3, 0), "two turns and one added step: {jobs:?}");
    let lead = user.json(&["runs", "show", "@last"]).await["steps"][0]["job"].as_str().unwrap().to_owned();
    let why = user.ok(&["why", &lead]).await;
    assert!(why.contains("this is the last turn, so it can add no steps"), "{why}");
}
