//! The whole set of canaries, with and without a sandbox.

use crate::world::{HELPER, Job, folder, has_bubblewrap, is_root, unprivileged};
use pullyard_sandbox::{Canary, Level, Outcome};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// These need no sandbox: every command starts with an environment and descriptors of its own.
const ALWAYS_QUIET: [Canary; 2] = [Canary::KeyInEnvironment, Canary::InheritedFiles];

/// The result of a check: whether the level is usable, each outcome, and the sentence.
type CheckResult = (bool, BTreeMap<Canary, Outcome>, String);

/// As this user and, if this user is root, as an unprivileged one.
fn check_as_both(level: Level) -> Vec<CheckResult> {
    std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| check_as_unprivileged(level));
        let own = check_as_self(level);
        std::iter::once(own).chain(unprivileged.join().unwrap()).collect()
    })
}

fn check_as_self(level: Level) -> CheckResult {
    let job = Job::new(level);
    let report = job.sandbox.check(job.folder.path());
    (report.is_usable(), report.outcomes.clone(), report.to_string())
}

/// `None` if this user is not root.
fn check_as_unprivileged(level: Level) -> Option<CheckResult> {
    let folder = folder();
    let mut command = unprivileged(folder.path())?;
    let output = command.args(["check", level.as_str()]).arg(folder.path().join("own")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let outcome = |line: &str| {
        let canary = *Canary::ALL.iter().find(|canary| line.split(' ').next() == Some(canary.name()))?;
        Some((canary, if line.contains(" Fired ") { Outcome::Fired } else { Outcome::Quiet }))
    };
    Some((output.status.success(), text.lines().filter_map(outcome).collect(), text))
}

fn fired(outcomes: &BTreeMap<Canary, Outcome>) -> Vec<Canary> {
    assert_eq!(outcomes.len(), Canary::ALL.len(), "{outcomes:?}");
    outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Fired).map(|(canary, _)| *canary).collect()
}

#[test]
fn no_canary_fires_in_bubblewrap() {
    if !has_bubblewrap() {
        return;
    }
    for (is_usable, outcomes, text) in check_as_both(Level::Bubblewrap) {
        assert!(is_usable, "{text}");
        assert_eq!(fired(&outcomes), [], "{text}");
    }
}

#[test]
fn every_canary_fires_without_a_sandbox() {
    // Only root may write the kernel's settings.
    let expected = |may_write: bool| {
        let fires =
            |canary: &Canary| !ALWAYS_QUIET.contains(canary) && (may_write || *canary != Canary::KernelSettings);
        Canary::ALL.iter().copied().filter(fires).collect::<Vec<_>>()
    };
    for (n, (_, outcomes, text)) in check_as_both(Level::None).iter().enumerate() {
        assert_eq!(fired(outcomes), expected(n == 0 && is_root()), "{text}");
    }
}

#[test]
fn canaries_that_need_no_sandbox_can_fire() {
    let folder = folder();
    std::fs::create_dir_all(folder.path().join("open")).unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let targets = json!({
        "nonce": "n", "host_file": "/none", "host_folder": "/none", "ssh_folders": [], "tcp_port": 1, "udp_port": 1,
        "socket_name": "none", "bait": 4_000_000, "worktree": folder.path(),
        "proxy_port": proxy.local_addr().unwrap().port(),
    });
    // The shell leaves a descriptor open.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec 9</dev/null; exec \"$@\"", "-", HELPER, "sandbox-helper", "canaries"]);
    let output = shell.arg(targets.to_string()).env("SANDBOX_CANARY_KEY", "x").stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for canary in ALWAYS_QUIET {
        assert!(text.contains(&format!("{canary} fired\n")), "{text}");
    }
}

#[test]
fn weaker_levels_keep_their_promises() {
    for level in [Level::External, Level::Landlock] {
        for (is_usable, outcomes, text) in check_as_both(level) {
            if level == Level::Landlock && text.contains("Linux 6.7 or newer") {
                eprintln!("skipped: {text}");
                continue;
            }
            assert!(is_usable, "{text}");
            let broken = fired(&outcomes).into_iter().filter(|canary| level.prevents(*canary));
            assert_eq!(broken.count(), 0, "{text}");
        }
    }
}

#[test]
fn check_is_invalid_when_user_namespaces_are_off() {
    let folder = folder();
    let Some(helper) = unprivileged(folder.path()).filter(|_| has_bubblewrap()) else { return };
    let helper: Vec<_> = helper.get_args().map(ToOwned::to_owned).collect();
    // A user namespace in which a user without rights may create no other one.
    let script =
        "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps -all --inh-caps -all -- \"$@\"";
    let (setpriv, program) = helper.split_at(helper.len() - 1);
    let mut command = Command::new("setpriv");
    command.args(setpriv).args(["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "--"]);
    command.args(["/bin/sh", "-c", script, "-"]).args(program).args(["check", "bubblewrap"]);
    let output = command.arg(folder.path().join("own")).current_dir("/").output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(!output.status.success() && text.contains("`sysctl user.max_user_namespaces=15000`"), "{output:?}");
    assert_eq!(std::fs::read_dir(folder.path().join("own")).unwrap().count(), 0);
}

#[test]
fn check_removes_its_folder() {
    let job = Job::new(Level::None);
    let before = names(job.folder.path());
    job.sandbox.check(job.folder.path());
    assert_eq!(names(job.folder.path()), before);
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}
