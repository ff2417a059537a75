//! Tests a runner that is killed while it checks or pushes. The next attempt does the work once.
//! `stops` covers kills during the agent's work.

use crate::prelude::*;
use crate::world::World;
use tokio::time::timeout;

const WAIT_LIMIT: Duration = Duration::from_secs(120);
const COUNTING_AGENT: &str = "cat > /dev/null; echo asked >> @DIR@/asked; echo hello > greeting.txt";

async fn wait_until(condition: &str, is_so: impl Fn() -> bool) {
    let look = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WAIT_LIMIT, look).await.unwrap_or_else(|_| panic!("{condition}"));
}

async fn assert_done_once_by_next_attempt(world: &World, agent_starts: usize) {
    world.api.change_assignment(|job| job.attempt = 2);
    let finish = world.completes().await;
    assert_eq!(Some(finish.result.unwrap().head), world.branch_head(BRANCH));
    assert_eq!(world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
    assert_eq!(world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
    assert!(world.open_pull_request(BRANCH).await.is_some());
    let times = std::fs::read_to_string(world.outside_path("asked")).unwrap_or_default().lines().count();
    assert_eq!(times, agent_starts, "number of agent starts");
    assert_eq!(world.leftover_processes(), [""; 0]);
    assert!(world.worktrees().is_empty());
}

/// A shell line that creates a file and then waits for the file `go`.
fn wait_for_go_command(world: &World, name: &str) -> String {
    let (begun, go) = (world.outside_path(name), world.outside_path("go"));
    format!("echo > {}; while [ ! -e {} ]; do sleep 0.05; done", begun.display(), go.display())
}

#[tokio::test]
async fn kill_during_a_check_leaves_no_process_and_no_push() {
    let world = with_checks(COUNTING_AGENT, &[], |_| ()).await;
    let check = wait_for_go_command(&world, "checking");
    world.api.change_assignment(|job| job.commands.as_mut().unwrap().checks.commands = vec![check]);
    let mut runner = world.spawn(|_| ());
    wait_for_file(&world.outside_path("checking")).await;
    runner.kill().await.unwrap();
    assert_eq!((world.api.finishes().len(), world.branch_head(BRANCH)), (0, None));
    world.api.change_assignment(|job| {
        job.commands.as_mut().unwrap().checks.commands = vec!["grep hello greeting.txt".into()]
    });
    assert_done_once_by_next_attempt(&world, 2).await;
    let checks = world.api.only_finish().work.unwrap().checks;
    assert_eq!(checks.iter().map(|run| run.command.as_str()).collect::<Vec<_>>(), ["grep hello greeting.txt"]);
}

async fn world_killed_during_push() -> World {
    let world = World::with_agent(COUNTING_AGENT).await;
    let first = world.outside_path("first");
    let waits = wait_for_go_command(&world, "pushing");
    let script = format!("mkdir {} 2> /dev/null || exit 0; {waits}", first.display());
    install_hook(&world, "pre-receive", &script);
    let mut runner = world.spawn(|_| ());
    wait_for_file(&world.outside_path("pushing")).await;
    runner.kill().await.unwrap();
    assert_eq!((world.api.finishes().len(), world.branch_head(BRANCH)), (0, None));
    assert!(forge_git_runs(&forge_folder(&world)), "the forge does not process the push");
    world
}

fn forge_folder(world: &World) -> String {
    world.dir.path().join("forge").display().to_string()
}

#[tokio::test]
async fn push_that_lands_after_a_kill_is_adopted() {
    let world = world_killed_during_push().await;
    std::fs::write(world.outside_path("go"), "").unwrap();
    wait_until("the push did not land", || world.branch_head(BRANCH).is_some()).await;
    let landed = world.branch_head(BRANCH);
    assert_done_once_by_next_attempt(&world, 1).await;
    assert_eq!(world.branch_head(BRANCH), landed);
}

#[tokio::test]
async fn late_push_of_a_killed_runner_moves_nothing() {
    let world = world_killed_during_push().await;
    assert_done_once_by_next_attempt(&world, 2).await;
    let pushed = world.branch_head(BRANCH);
    // The forge now continues the first push, unless it gave up.
    std::fs::write(world.outside_path("go"), "").unwrap();
    wait_until("the forge goes on with a push", || !forge_git_runs(&forge_folder(&world))).await;
    assert_eq!(world.branch_head(BRANCH), pushed);
}

/// Whether a git process of the forge has this in its environment; zombies have none.
fn forge_git_runs(mark: &str) -> bool {
    let processes = std::fs::read_dir(Path::new("/proc")).into_iter().flatten().flatten();
    processes.map(|process| std::fs::read(process.path().join("environ")).unwrap_or_default()).any(|environ| {
        String::from_utf8_lossy(&environ)
            .split('\0')
            .any(|variable| variable.starts_with("GIT_") && variable.contains(mark))
    })
}
