//! Tests a runner that is killed while it checks or pushes. The next attempt does the work once.
//! `stops` covers kills during the agent's work.

use crate::checks::with_checks;
use crate::plane::appears;
use crate::publish::hook;
use crate::world::{BRANCH, World};
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(120);
const GREET: &str = "cat > /dev/null; echo asked >> @DIR@/asked; echo hello > greeting.txt";

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let look = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("{what}"));
}

async fn is_done_once_by_the_next(world: &World, asked: usize) {
    world.api.assign(|job| job.attempt = 2);
    let finish = world.completes().await;
    assert_eq!(Some(finish.result.unwrap().head), world.head(BRANCH));
    assert_eq!(world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]), "1");
    assert_eq!(world.file(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
    assert!(world.open_pull_request(BRANCH).await.is_some());
    let times = std::fs::read_to_string(world.outside("asked")).unwrap_or_default().lines().count();
    assert_eq!(times, asked, "number of agent starts");
    assert_eq!(world.left_running(), [""; 0]);
    assert!(world.worktrees().is_empty());
}

/// A shell line that creates a file and then waits for the file `go`.
fn waits(world: &World, name: &str) -> String {
    let (begun, go) = (world.outside(name), world.outside("go"));
    format!("echo > {}; while [ ! -e {} ]; do sleep 0.05; done", begun.display(), go.display())
}

#[tokio::test]
async fn kill_during_a_check_leaves_no_process_and_no_push() {
    let world = with_checks(GREET, &[], |_| ()).await;
    let check = waits(&world, "checking");
    world.api.assign(|job| job.commands.as_mut().unwrap().checks.commands = vec![check]);
    let mut runner = world.spawn(|_| ());
    appears(&world.outside("checking")).await;
    runner.kill().await.unwrap();
    assert_eq!((world.api.finishes().len(), world.head(BRANCH)), (0, None));
    world.api.assign(|job| job.commands.as_mut().unwrap().checks.commands = vec!["grep hello greeting.txt".into()]);
    is_done_once_by_the_next(&world, 2).await;
    let checks = world.api.finish().work.unwrap().checks;
    assert_eq!(checks.iter().map(|run| run.command.as_str()).collect::<Vec<_>>(), ["grep hello greeting.txt"]);
}

/// A world whose runner was killed during its first push, inside the forge's hook. Later pushes skip the hook.
async fn killed_in_its_push() -> World {
    let world = World::with_agent(GREET).await;
    let first = world.outside("first");
    let waits = waits(&world, "pushing");
    let script = format!("mkdir {} 2> /dev/null || exit 0; {waits}", first.display());
    hook(&world, "pre-receive", &script);
    let mut runner = world.spawn(|_| ());
    appears(&world.outside("pushing")).await;
    runner.kill().await.unwrap();
    assert_eq!((world.api.finishes().len(), world.head(BRANCH)), (0, None));
    assert!(is_at_work(&forge(&world)), "the forge does not process the push");
    world
}

/// The folder of the forge's repositories, which its git processes have in their environment.
fn forge(world: &World) -> String {
    world.dir.path().join("forge").display().to_string()
}

#[tokio::test]
async fn push_that_lands_after_a_kill_is_adopted() {
    let world = killed_in_its_push().await;
    std::fs::write(world.outside("go"), "").unwrap();
    until("the push did not land", || world.head(BRANCH).is_some()).await;
    let landed = world.head(BRANCH);
    is_done_once_by_the_next(&world, 1).await;
    assert_eq!(world.head(BRANCH), landed);
}

#[tokio::test]
async fn late_push_of_a_killed_runner_moves_nothing() {
    let world = killed_in_its_push().await;
    is_done_once_by_the_next(&world, 2).await;
    let pushed = world.head(BRANCH);
    // The forge now continues the first push, unless it gave up.
    std::fs::write(world.outside("go"), "").unwrap();
    until("the forge goes on with a push", || !is_at_work(&forge(&world))).await;
    assert_eq!(world.head(BRANCH), pushed);
}

/// Whether a git process of the forge has this in its environment; zombies have none.
fn is_at_work(mark: &str) -> bool {
    let processes = std::fs::read_dir(Path::new("/proc")).into_iter().flatten().flatten();
    processes.map(|process| std::fs::read(process.path().join("environ")).unwrap_or_default()).any(|environ| {
        String::from_utf8_lossy(&environ)
            .split('\0')
            .any(|variable| variable.starts_with("GIT_") && variable.contains(mark))
    })
}
