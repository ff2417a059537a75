//! Tests jobs of kind `resolve`: one agent reviews, another fixes, and a report lists the result of each finding.

use crate::agent_reviews::{FEATURE, REPOSITORY, add_pull_request, number, posted};
use crate::checks::with_checks;
use crate::gate::{Break, Gate};
use crate::prelude::*;
use crate::revise::commit_file;
use crate::sandbox::{lacks_programs, open_folder};
use crate::world::{RunResult, World};
use pullyard_domain::review::output::{FindingPlace, JobOutput, PostedReview};
use pullyard_domain::review::report::review_output::ThreadState;
use pullyard_forge::ReviewState;

/// Two findings at the changed line, one outside the diff, and one below the severity that is fixed.
/// The outer braces are missing.
const FINDINGS: &str = r#"
    {"path":"README.md","line":3,"severity":"high","category":"bug","title":"Rude","body":"It is.","suggestion":"Hi."},
    {"path":"README.md","line":3,"severity":"medium","category":"tests","title":"No test","body":"There is none."},
    {"path":"README.md","line":99,"severity":"critical","category":"bug","title":"Far away","body":"There."},
    {"path":"README.md","line":3,"severity":"low","category":"docs","title":"Short","body":"So short.""#;
const VERDICTS: &str = r#"{"v":1,"findings":[
    {"index":0,"verdict":"fixed","text":"Polite <!-- hidden -->now."},{"index":1,"verdict":"declined","text":"It needs none."}]}"#;
const FIX: &str = "printf '# App\\n\\nIt greets you.\\n' > README.md";

/// An agent whose first run reports the findings and whose second run executes `fix`.
fn agent(findings: &str, fix: &str) -> String {
    format!(
        r#"if [ -e @DIR@/next.sh ]; then . @DIR@/next.sh; exit; fi
           cat > @DIR@/prompt
           if [ -e .pullyard/input/diff.patch ]; then
             echo review >> @DIR@/runs; echo dirt > dirt.txt; rm -f README.md; touch $HOME/planted
             cat > .pullyard/output.json <<'END'
             {{"v":1,"summary":"Some problems.","findings":[{findings}]}}
END
           else
             echo fix >> @DIR@/runs; rm -rf @DIR@/input; cp -r .pullyard/input @DIR@/; ls -A $HOME > @DIR@/home; {fix}
             [ -e .pullyard/output.json ] || cat > .pullyard/output.json <<'END'
             {VERDICTS}
END
           fi"#
    )
}

fn all_findings() -> String {
    format!("{FINDINGS}}}")
}

async fn resolving(world: World) -> World {
    let world = add_pull_request(world).await;
    world.api.change_assignment(|job| job.kind = JobKind::Resolve);
    world
}

async fn world(findings: &str, fix: &str) -> World {
    resolving(World::with_agent(&agent(findings, fix)).await).await
}

fn output_of(finish: &FinishRequest) -> PostedReview {
    match &finish.output {
        Some(JobOutput::Review(posted)) => posted.clone(),
        other => panic!("no review: {other:?}"),
    }
}

fn runs(world: &World) -> String {
    std::fs::read_to_string(world.outside_path("runs")).unwrap_or_default().replace('\n', " ")
}

fn subjects(world: &World, since: &str) -> Vec<String> {
    let log = world.git_line(&["log", "--format=%s", &format!("{since}..{FEATURE}")]);
    log.lines().map(str::to_owned).collect()
}

async fn completes(world: &World) -> (Option<String>, PostedReview) {
    let finish = world.completes().await;
    let output = output_of(&finish);
    (finish.result.map(|result| result.head), output)
}

#[tokio::test(flavor = "multi_thread")]
async fn fixed_findings_are_pushed_and_the_others_are_posted() {
    let world = world(&all_findings(), FIX).await;
    let before = world.branch_head(FEATURE).unwrap();
    let finish = world.completes().await;
    let (result, output) = (finish.result.clone().unwrap(), output_of(&finish));
    assert_eq!((result.pull_request.as_ref().unwrap().number, result.files, result.insertions), (number(&world), 1, 1));
    let head = world.branch_head(FEATURE).unwrap();
    assert_eq!((&result.head, world.git_line(&["rev-parse", &format!("{head}^")])), (&head, before.clone()));
    // Neither the reviewing agent's changes nor the files of Pullyard are published.
    assert_eq!(world.git_line(&["diff", "--name-only", &before, &head]), "README.md");
    assert_eq!(world.file_at(&head, "README.md").unwrap(), "# App\n\nIt greets you.\n");
    assert_eq!(subjects(&world, &before), ["Revise APP-17: Greet"]);
    assert_eq!(runs(&world), "review fix ");
    let inputs: Vec<_> = std::fs::read_dir(world.outside_path("input")).unwrap().collect();
    assert_eq!(inputs.len(), 1, "no text of strangers reaches the agent that writes: {inputs:?}");
    assert_eq!(std::fs::read_to_string(world.outside_path("home")).unwrap(), "");
    let list: Value =
        serde_json::from_slice(&std::fs::read(world.outside_path("input/findings.json")).unwrap()).unwrap();
    let indexes: Vec<_> = list.as_array().unwrap().iter().map(|entry| entry["index"].clone()).collect();
    assert_eq!(indexes, [0, 1, 2]);
    assert_eq!(list[0]["finding"]["title"], "Rude");

    use FindingPlace::{InText, Inline};
    assert_eq!((output.places.as_slice(), output.head.as_str()), ([Inline, InText, Inline].as_slice(), head.as_str()));
    let sentence = "Fixed 1 of 4 findings. Posted 2 findings inline and 1 in the text. Worst: critical.";
    assert_eq!((output.fixed, output.counts().sentence().as_str()), (1, sentence));
    let short = &head[..10];
    let fixed = format!("Fixed in {short}:\n\n- high, README.md: Rude Polite ");
    assert!(output.review.summary.starts_with(&fixed), "{}", output.review.summary);
    let (reviews, comments) = posted(&world).await;
    let [review] = reviews.as_slice() else { panic!("{reviews:?}") };
    assert_eq!(review.state, ReviewState::Commented);
    assert!(review.body.starts_with(&format!("Pushed `{short}` after a review")), "{}", review.body);
    assert!(review.body.contains(&fixed) && !review.body.contains("hidden -->"), "{}", review.body);
    assert!(review.body.contains("There.\n\nNot fixed."), "{}", review.body);
    let bodies: Vec<_> = comments.iter().map(|comment| comment.body.as_str()).collect();
    assert!(bodies.len() == 2 && bodies[0].contains("Not changed. It needs none."), "{bodies:?}");
    assert!(bodies[1].contains("So short.") && !bodies[1].contains("Not fixed."), "{bodies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn review_without_a_finding_to_fix_starts_no_second_agent() {
    let low = r#"{"path":"README.md","line":3,"severity":"low","category":"docs","title":"Short","body":"So."}"#;
    let world = world(low, FIX).await;
    let before = world.branch_head(FEATURE);
    let (head, output) = completes(&world).await;
    assert_eq!((head, output.places.as_slice()), (None, [FindingPlace::Inline].as_slice()));
    assert_eq!((runs(&world).as_str(), world.branch_head(FEATURE)), ("review ", before));
    assert_eq!(posted(&world).await.0.len(), 1);
    // The posted report lists the finding as open, so a second attempt must not fix it.
    world.api.next_attempt(|_| ());
    let (head, output) = completes(&world).await;
    assert_eq!((runs(&world).as_str(), head, output.adopted), ("review ", None, true));
    assert_eq!(posted(&world).await.0.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn instructions_start_the_second_agent_without_findings() {
    let world = world("", FIX).await;
    world.api.change_assignment(|job| job.has_instructions = true);
    let (head, _) = completes(&world).await;
    assert_eq!((runs(&world).as_str(), head), ("review fix ", world.branch_head(FEATURE)));
    let prompt = std::fs::read_to_string(world.outside_path("prompt")).unwrap();
    assert!(prompt.starts_with("Write a greeting."), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_findings_are_posted_without_a_push() {
    let world = world(&all_findings(), "true").await;
    let before = world.branch_head(FEATURE);
    let (head, output) = completes(&world).await;
    assert_eq!((head, world.branch_head(FEATURE)), (None, before));
    assert_eq!(output.review.summary, "Some problems.", "nothing is fixed without a commit");
    assert!(output.review.findings[0].body.contains("Not fixed. Polite"), "{:?}", output.review);
    assert_eq!(posted(&world).await.0.len(), 1);
}

const THREE_FILES: &str = "mkdir src; echo 1 > src/a.rs; echo 2 > src/b.rs; echo 3 > c.txt; rm README.md";

#[tokio::test(flavor = "multi_thread")]
async fn planned_commits_end_with_the_checked_tree() {
    let plan = r#"{"v":1,"commits":[
        {"message":"Add sources\n\nPullyard-Job: job_x/1","paths":["./src"]},{"message":"Empty","paths":["gone.rs"]},
        {"message":"Close #12","paths":["README.md"]},{"message":"The rest","paths":["src/a.rs"]}]}"#;
    let fix = format!("{THREE_FILES}\ncat > .pullyard/commits.json <<'END'\n{plan}\nEND\n");
    let world =
        with_checks(&agent(&all_findings(), &fix), &["ls > @DIR@/checked; ls src >> @DIR@/checked"], |_| ()).await;
    let world = resolving(world).await;
    let before = world.branch_head(FEATURE).unwrap();
    let finish = world.completes().await;
    assert_eq!(finish.result.unwrap().files, 4);
    assert_eq!(subjects(&world, &before), ["The rest", "Close #\u{2060}12", "Add sources"]);
    let changed = |commit: &str| world.git_line(&["diff-tree", "--no-commit-id", "-r", "--name-status", commit]);
    assert_eq!(changed(&format!("{FEATURE}~2")), "A\tsrc/a.rs\nA\tsrc/b.rs");
    assert_eq!((changed(&format!("{FEATURE}~1")), changed(FEATURE)), ("D\tREADME.md".into(), "A\tc.txt".into()));
    let checked = std::fs::read_to_string(world.outside_path("checked")).unwrap();
    let pushed = world.git_line(&["ls-tree", "--name-only", FEATURE]);
    assert_eq!(checked.replace("\na.rs\nb.rs\n", ""), pushed, "the pushed tree is the checked one");
    let trailers = |commit: &str| world.git_line(&["log", "-1", "--format=%(trailers:only)", commit]);
    let job = world.api.assignment().job;
    assert_eq!(trailers(&format!("{FEATURE}~2")), format!("Pullyard-Job: {job}/1\nPullyard-Agent: command"));
    assert!(trailers(FEATURE).ends_with("Pullyard-Checks: passed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_plan_makes_one_commit() {
    for (plan, fault) in [
        ("{", "EOF while parsing an object"),
        (r#"{"v":1,"commits":[{"message":"m","path":"src"}]}"#, "unknown field `path`"),
    ] {
        let fix = format!("{THREE_FILES}\ncat > .pullyard/commits.json <<'END'\n{plan}\nEND\n");
        let world = world(&all_findings(), &fix).await;
        let before = world.branch_head(FEATURE).unwrap();
        completes(&world).await;
        assert_eq!(subjects(&world, &before), ["Revise APP-17: Greet"]);
        let log: String = world.api.events().into_iter().filter_map(|event| event.text).collect();
        assert!(log.contains(&format!("The agent's file `.pullyard/commits.json` is ignored: {fault}")), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_check_is_repaired_or_publishes_nothing() {
    let fix = r#"if [ -e fixed.txt ]; then touch repaired.txt; else touch fixed.txt; fi"#;
    let check = &["test -e repaired.txt || { touch junk.txt; exit 3; }"];
    for (repair, pushes) in [(true, true), (false, false)] {
        let world = with_checks(&agent(&all_findings(), fix), check, |all| all.checks.repair = repair).await;
        let world = resolving(world).await;
        let before = world.branch_head(FEATURE).unwrap();
        if pushes {
            let (_, output) = completes(&world).await;
            assert_eq!((output.places.len(), runs(&world).as_str()), (3, "review fix fix "));
            assert_eq!(world.git_line(&["diff", "--name-only", &before, FEATURE]), "fixed.txt\nrepaired.txt");
        } else {
            assert_eq!(world.fails().await, "checks_failed");
            assert_eq!((world.branch_head(FEATURE).unwrap(), posted(&world).await.0.len()), (before, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fix_is_rebased_onto_a_concurrent_push_which_is_not_reviewed() {
    let fix = format!("echo waiting; while [ ! -e @DIR@/go ]; do sleep 0.02; done; {FIX}");
    let world = world(&all_findings(), &fix).await;
    let seen = world.branch_head(FEATURE).unwrap();
    let theirs = world.run_with_change(async || commit_file(&world, FEATURE, "theirs.txt", "theirs\n")).await;
    let finish = world.api.only_finish();
    let head = finish.result.as_ref().unwrap().head.clone();
    assert_eq!(world.git_line(&["rev-parse", &format!("{head}^")]), theirs);
    let output = output_of(&finish);
    assert_eq!((output.head, output.places.len()), (seen, 3));
    assert!(posted(&world).await.0[0].body.contains(&head[..10]));
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_finding_is_fixed_and_its_thread_gets_an_answer() {
    let world = world(&all_findings(), "true").await;
    completes(&world).await;
    let (_, comments) = posted(&world).await;
    let ran = run_second_job(&world, |_| ()).await;
    let finish = world.api.finishes().pop().unwrap();
    let output = output_of(&finish);
    let fixed: Vec<_> = output.earlier.iter().map(|finding| finding.verdict).collect();
    assert_eq!(fixed, [ThreadState::Fixed, ThreadState::Open, ThreadState::Open], "{}", ran.log);
    let list: Value =
        serde_json::from_slice(&std::fs::read(world.outside_path("input/findings.json")).unwrap()).unwrap();
    assert!(list[0]["finding"]["body"].as_str().unwrap().contains("Rude"), "{list}");
    assert_eq!(list.as_array().unwrap().len(), 2, "a low finding is not worth a fix: {list}");
    let (reviews, all) = posted(&world).await;
    let reports = reviews.iter().filter(|review| !review.body.is_empty());
    assert_eq!(reports.count(), 2);
    let reply = all.iter().find(|comment| comment.in_reply_to == Some(comments[0].id)).unwrap();
    let head = finish.result.unwrap().head;
    assert!(reply.body.starts_with(&format!("Fixed in `{}`.\n\nPolite", &head[..10])), "{}", reply.body);
}

/// Runs another job, whose review has no new findings. Its fix is for index 0, the first finding that is still open.
async fn run_second_job(world: &World, change: impl Fn(&mut Assignment)) -> RunResult {
    let next = agent("", &format!("{FIX}\n")).replace("@DIR@", world.outside_path("").to_str().unwrap());
    let next = next.split_once("fi\n").unwrap().1;
    std::fs::write(world.outside_path("next.sh"), next).unwrap();
    world.api.next_attempt(|job| {
        (job.job, job.attempt) = (JobId::new(format!("job_{}", "b".repeat(26))).unwrap(), 1);
        change(job);
    });
    world.run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_findings_are_not_fixed_if_our_account_is_hidden() {
    let world = world(&all_findings(), "true").await;
    completes(&world).await;
    // Without a known account, a copied marker of a stranger looks the same.
    let ran = run_second_job(&world, |job| job.repository.account = None).await;
    assert_eq!((ran.code, runs(&world).as_str()), (Some(0), "review fix review "), "{}", ran.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_repository_are_neither_verdicts_nor_changed() {
    let world = world(&all_findings(), &format!("{FIX}; ls -A .pullyard > @DIR@/seen")).await;
    commit_file(&world, FEATURE, ".pullyard/output.json", VERDICTS);
    commit_file(&world, FEATURE, ".pullyard/notes.md", "Kept.\n");
    let before = world.branch_head(FEATURE).unwrap();
    let (head, output) = completes(&world).await;
    assert_eq!(world.git_line(&["diff", "--name-only", &before, &head.unwrap()]), "README.md");
    assert_eq!(output.places.len(), 4, "a stranger may have committed the file");
    assert_eq!(std::fs::read_to_string(world.outside_path("seen")).unwrap(), "input\n");
}

/// The runner dies between the push and the report, or after the report.
#[tokio::test(flavor = "multi_thread")]
async fn lost_attempt_is_adopted_and_reported_once() {
    for (reported, kill) in [(false, Break::KilledBefore), (true, Break::KilledAfter)] {
        let world = world(&all_findings(), FIX).await;
        let (url, call) = (world.forge.api_url(), format!("POST /api/v3/repos/{REPOSITORY}/pulls/{{id}}/reviews"));
        let gate = Gate::start(&url, Some(((call, 1), kill))).await;
        world.api.change_assignment(|job| job.repository.api_url = gate.replace_address(&url));
        let mut runner = world.spawn(|_| ());
        gate.wait_for_fatal_call().await;
        runner.kill().await.unwrap();
        let pushed = world.branch_head(FEATURE).unwrap();
        world.api.next_attempt(|_| ());
        let ran = world.run().await;
        let finish = world.api.finishes().pop().unwrap_or_else(|| panic!("{}", ran.log));
        let output = output_of(&finish);
        assert_eq!((output.adopted, output.places.len()), (true, 0));
        assert_eq!(output.review.summary.contains("Its findings are lost"), !reported);
        assert_eq!((finish.result.unwrap().head, world.branch_head(FEATURE)), (pushed.clone(), Some(pushed)));
        assert_eq!(runs(&world), "review fix ", "no agent works again");
        let (posted, _) = posted(&world).await;
        let [review] = posted.as_slice() else { panic!("{posted:?}") };
        assert_eq!(review.body.contains("Its findings are lost"), !reported, "{}", review.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxed_agents_share_neither_home_nor_rights() {
    if lacks_programs() {
        return;
    }
    let script = r#"if [ -e .pullyard/input/diff.patch ]; then
            touch $HOME/planted $TMPDIR/planted; echo x > README.md; echo x > new.txt
            echo '{"v":1,"summary":"One.","findings":[{"path":"README.md","line":3,"severity":"high","category":"bug","title":"T","body":"B."}]}' > .pullyard/output.json
        else
            cat README.md > seen.txt; ls -A . $HOME $TMPDIR > files.txt; echo fixed > README.md
        fi; exit 0"#;
    for isolation in ["bubblewrap", "landlock"] {
        let world = resolving(World::with_agent(script).await).await;
        open_folder(world.dir.path());
        let ran = world.run_under("PULLYARD_ISOLATION", isolation).await;
        assert_eq!(ran.code, Some(0), "{isolation}: {}", ran.log);
        let head = world.api.only_finish().result.unwrap_or_else(|| panic!("{isolation}: {}", ran.log)).head;
        let file = |path: &str| world.file_at(&head, path).unwrap();
        assert_eq!((file("seen.txt").as_str(), file("README.md").as_str()), ("# App\n\nIt greets.\n", "fixed\n"));
        let files = file("files.txt");
        assert!(!files.contains("planted") && !files.contains("new.txt"), "{isolation}: {files}");
    }
}
