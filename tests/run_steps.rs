//! Tests the steps of a run end to end: each reads the results of earlier ones, and all share one pull request.

use crate::prelude::*;
use crate::story::wait_until;
use pullyard_protocol::attempt::FinishResult;

/// Plans, writes the word of the plan, requests a change, and fixes the word. Each step proves which data it received.
const AGENT: &str = r#"#!/bin/sh
prompt=$(cat)
case "$prompt" in
*'End with one of these outcomes'*)
  git diff origin/main...HEAD | grep -q '^+draft' || exit 3
  printf '{"v":1,"outcome":"changes_requested","text":"The word is wrong."}' > .pullyard/output.json;;
*'Change no file'*) printf '{"v":1,"text":"The word is draft."}' > .pullyard/output.json;;
*'The word is draft.'*) case "$prompt" in *'````text
Retry on 503
; rm -rf x
$(id)
```
````'*) echo draft > word.txt;; esac;;
*'outcome `changes_requested`'*'The word is wrong.'*) grep -q draft word.txt && echo final > word.txt;;
*) echo "$prompt"; sleep 60;;
esac
"#;

/// Ends the fence of a careless prompt, and runs where a shell reads it.
const TASK: &str = "Retry on 503\n; rm -rf x\n$(id)\n```";

const PLAN: &str = "name: contributor
parameters:
  task: {type: text, required: true}
steps:
  - {name: plan, role: planner, prompt: Write down how.}
  - {name: implement, role: implementer, needs: [plan], prompt: Do it.,
     checks: [grep draft word.txt, 'printf %s \"$PULLYARD_PARAM_TASK\"']}
  - {name: review, role: reviewer, needs: [implement], prompt: Name each fault.}
  - {name: fix, role: fixer, needs: [review], when: {review: changes_requested}, prompt: Repair it., checks: [grep final word.txt]}
";

async fn begin(plan: &str) -> (Story, User, TempDir, String) {
    let story = Story::start_with(Setup { agent: AGENT, ..Setup::default() }).await;
    let (user, folder) = (User::of(&story), TempDir::new().unwrap());
    user.ok(&["settings", "set", "command_policy=unrestricted"]).await;
    let file = folder.path().join("plan.yaml");
    std::fs::write(&file, plan).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (story, user, folder, file)
}

/// The newest job with this status.
async fn wait_for(story: &Story, status: JobStatus) -> Job {
    wait_until("the job of a step has its status", async || {
        let jobs = story.jobs().await;
        jobs.iter().find(|job| job.status == status).cloned().ok_or_else(|| format!("{jobs:?}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn requested_change_is_a_second_commit_of_the_pull_request() {
    let (story, user, _folder, file) = begin(PLAN).await;
    let ran = user.run(&["run", "-f", &file, "--param", &format!("task={TASK}"), "--watch"]).await;
    assert!(ran.err.contains("review: changes_requested in ") && ran.err.contains("fix: done in "), "{ran:?}");
    ran.assert_success();
    let pulls = story.pull_requests().await;
    assert_eq!((pulls.len(), &pulls[0]["title"]), (1, &json!("contributor: Retry on 503")));
    let branch = pulls[0]["head"]["ref"].as_str().unwrap();
    assert!(branch.starts_with("pullyard/acme/"), "{branch}");
    let subjects = story.git(&["log", "--format=%s", &format!("main..{branch}")]).await;
    assert_eq!(subjects, "fix: contributor: Retry on 503\ncontributor: Retry on 503");
    assert_eq!(story.git(&["show", &format!("{branch}:word.txt")]).await, "final");
    let jobs = story.jobs().await;
    assert_eq!(jobs.iter().find(|job| job.status != JobStatus::Completed), None);
    let job = jobs.iter().find(|job| job.step.as_deref() == Some("implement")).unwrap();
    let printed = user.ok(&["jobs", "checks", job.id.as_str(), "--output", "check-2.txt"]).await;
    assert_eq!(printed.trim_end(), TASK);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_run_stops_its_agent_and_its_job_is_not_retried() {
    let (story, user, _folder, file) = begin("name: slow\nsteps: [{name: wait, prompt: Sleep.}]\n").await;
    user.ok(&["run", "-f", &file]).await;
    let job = wait_for(&story, JobStatus::Executing).await;
    user.ok(&["runs", "cancel", "@last", "--yes"]).await;
    wait_for(&story, JobStatus::Cancelled).await;
    user.run(&["jobs", "retry", job.id.as_str()]).await.assert_exit(3, "`pullyard runs resume ");
    let ran = user.run(&["runs", "watch", "@last"]).await;
    ran.assert_exit(6, " cancelled after ");
    assert_eq!(story.branches().await, [""; 0]);
    user.ok(&["runs", "resume", "@last"]).await;
    wait_for(&story, JobStatus::Executing).await;
    user.ok(&["runs", "cancel", "@last", "--yes"]).await;
}

/// As a runner that publishes the commit of the job before.
#[tokio::test(flavor = "multi_thread")]
async fn retry_of_an_own_branch_names_the_branch_of_its_commit() {
    let (story, user) = Story::with_user().await;
    let step = json!({ "name": "left", "branch": "own", "retries": 1, "prompt": "Write a line." });
    let plan = json!({ "project": "acme", "plan": { "name": "half", "steps": [step] } });
    let run = story.api.start_run(&serde_json::from_value(plan).unwrap(), None).await.unwrap().id;
    let job_of_step = async |count: u32| {
        wait_until("the step has its job", async || {
            let step = story.api.run(&run).await.unwrap().steps.remove(0);
            step.job.clone().filter(|_| step.jobs == count).ok_or_else(|| format!("{step:?}"))
        })
        .await
    };
    let first = job_of_step(1).await;
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    client.finish(&failed_finish("f1")).await.unwrap();
    let branch = story.api.job(&first).await.unwrap().branch;
    let second = job_of_step(2).await;
    let (_, client) = story.claim(&second, "c2").await.unwrap();
    enter_phases(&client, Phase::Syncing).await;
    let finish = completed_finish("f2", 1);
    let own = |result: FinishResult| FinishResult { branch: branch.clone(), pull_request: None, ..result };
    client.finish(&FinishRequest { result: finish.result.map(own), ..finish }).await.unwrap();
    let second = story.wait_for_job(&second, has_status(JobStatus::Completed)).await;
    assert_eq!(second.branch, branch);
    let shown = user.ok(&["jobs", "show", second.id.as_str()]).await;
    assert!(shown.contains(&format!("\nbranch\t{branch}\n")), "{shown}");
    let why = user.ok(&["why", second.id.as_str()]).await;
    assert!(why.contains(&format!("a commit on the branch {branch}: 1 file changed.")), "{why}");
}
