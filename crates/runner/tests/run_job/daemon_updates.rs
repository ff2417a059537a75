//! Tests updates of the daemon from afar, with releases from a local server.

use crate::daemon_orders::{replace_program, stop};
use crate::prelude::*;
use crate::runner_api::{Call, Daemon, TOKEN, WAIT_FOR_GO_JOB};
#[cfg(target_os = "linux")]
use crate::stops::can_mount;
use crate::world::is_alive;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::extract::Path as UrlPath;
use axum::routing::get;
use base64::Engine as _;
use pullyard_protocol::runner::OrderState;
use sha2::{Digest, Sha256};

const PROGRAM: &str = env!("CARGO_BIN_EXE_pullyard-runner");
/// The release of [`PROGRAM`], which knows no other.
const BUILT: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone, Default)]
struct Files(Arc<Mutex<BTreeMap<String, Vec<u8>>>>, Arc<Mutex<Vec<String>>>);

/// A server of one release, and a machine whose owner allows updates.
struct World {
    machine: DaemonMachine,
    key: Ed25519KeyPair,
    files: Files,
    address: String,
}

/// Breaks a release.
type Change = fn(&World);

fn archive_name() -> String {
    format!("pullyard-runner-{}-unknown-linux-gnu.tar.gz", std::env::consts::ARCH)
}

fn pack(program: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, content) in [("LICENSE", &b"text"[..]), ("pullyard-runner", program)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, name, content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn new_key() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().unwrap()
}

fn to_pem(key: &Ed25519KeyPair) -> String {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let der = [&prefix[..], key.public_key().as_ref()].concat();
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

/// A program of the release 9.9.9.
fn script(version: &str, check: &str, start: &str) -> Vec<u8> {
    script_of("9.9.9", version, check, start)
}

fn script_of(release: &str, version: &str, check: &str, start: &str) -> Vec<u8> {
    format!(
        "#!/bin/sh
case $1 in
  --version) {version}; echo 'pullyard-runner {release} (test)' ;;
  check) {check} ;;
  *) {start} ;;
esac
"
    )
    .into_bytes()
}

/// Runs `command` in the first run of a script.
fn once(command: &str) -> String {
    format!("[ -e $HOME/ran ] || {{ touch $HOME/ran; {command}; }}")
}

fn run_built() -> String {
    // It must not follow the update, which would be this script again.
    format!("PULLYARD_ALLOW_REMOTE_UPDATE=false exec {PROGRAM} \"$@\"")
}

impl World {
    async fn new(job: &str) -> Self {
        let (machine, files, key) = (DaemonMachine::with_job_script(job).await, Files::default(), new_key());
        let routes = Router::new().route("/releases/{version}/{name}", get(send)).with_state(files.clone());
        let address = format!("{}/releases", serve(routes).await);
        std::fs::write(machine.dir.path().join("keys.pem"), to_pem(&new_key()) + &to_pem(&key)).unwrap();
        Self { machine, key, files, address }
    }

    async fn with_program(program: &[u8], version: &str) -> Self {
        let world = Self::new("exit 0").await;
        world.publish(version, pack(program));
        world
    }

    fn publish(&self, version: &str, archive: Vec<u8>) {
        let hash: String = Sha256::digest(&archive).iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{}  install.sh\n{hash}  {}\n", "0".repeat(64), archive_name()).into_bytes();
        self.put(version, "SHA256SUMS.sig", self.key.sign(&list).as_ref().to_vec());
        self.put(version, "SHA256SUMS", list);
        self.put(version, &archive_name(), archive);
    }

    fn put(&self, version: &str, name: &str, content: Vec<u8>) {
        self.files.0.lock().unwrap().insert(format!("{version}/{name}"), content);
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.files.0.lock().unwrap().get_mut(&format!("9.9.9/{name}")).unwrap());
    }

    fn downloads(&self) -> usize {
        self.files.1.lock().unwrap().len()
    }

    fn daemon(&self) -> Daemon {
        self.daemon_with(|_| ())
    }

    fn daemon_with(&self, change: impl FnOnce(&mut Command)) -> Daemon {
        self.machine.daemon_with(|command| {
            command.env("PULLYARD_ALLOW_REMOTE_UPDATE", "true");
            command.env("PULLYARD_RELEASES", &self.address);
            command.env("PULLYARD_RELEASE_KEYS", self.machine.dir.path().join("keys.pem"));
            change(command);
        })
    }

    fn programs_dir(&self) -> std::path::PathBuf {
        self.machine.work_dir().join("runners/kite.runner/programs")
    }

    fn programs(&self) -> BTreeSet<String> {
        list(&self.programs_dir())
    }
}

fn list(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

async fn send(State(files): State<Files>, UrlPath((version, name)): UrlPath<(String, String)>) -> Response {
    files.1.lock().unwrap().push(name.clone());
    let file = files.0.lock().unwrap().get(&format!("{version}/{name}")).cloned();
    match file {
        // An unfinished download.
        Some(content) if content.is_empty() => std::future::pending().await,
        Some(content) => content.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn program_of(daemon: &Daemon) -> std::path::PathBuf {
    std::fs::read_link(format!("/proc/{}/exe", daemon.pid())).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn update_waits_for_jobs_and_starts_the_new_program() {
    let world = World::new(WAIT_FOR_GO_JOB).await;
    world.publish(BUILT, pack(&std::fs::read(PROGRAM).unwrap()));
    let api = &world.machine.runner_api;
    api.add_jobs(&[job("a")]);
    let daemon = world.daemon();
    let running = world.machine.pid_of(&job("a")).await;
    assert_eq!(api.last_call("register").body["updates"], "allowed");
    api.order("o1", Some(BUILT));
    api.wait_for_draining().await;
    // A claim may be on its way.
    api.wait_for_next_call("heartbeat").await;
    api.add_jobs(&[job("b")]);
    let claims = api.calls("claim").len();
    api.wait_for_next_call("heartbeat").await;
    assert!(is_alive(&running.to_string()));
    assert_eq!((world.downloads(), api.calls("claim").len()), (3, claims), "it waits");
    world.machine.release_jobs();
    let report = api.wait_for_order("o1").await;
    assert_eq!((report.state, report.reason), (OrderState::Done, None));
    let installed = world.programs_dir().join(BUILT).join("pullyard-runner");
    assert_eq!(program_of(&daemon), installed.canonicalize().unwrap());
    // The new program registered as the same instance, without a sign-off.
    let instances: BTreeSet<_> = api.calls("register").iter().map(|call| call.body["instance"].to_string()).collect();
    assert_eq!((instances.len(), api.calls("register").len(), api.has_signed_off()), (1, 2, false));
    world.machine.pid_of(&job("b")).await;
    stop(daemon).await;

    let next = world.daemon();
    api.wait_for_next_call("register").await;
    assert_eq!(program_of(&next), installed.canonicalize().unwrap(), "a later start follows the update");
    stop(next).await;
    let gull = world.daemon_with(|command| _ = command.args(["--name", "gull"]));
    api.wait_for_next_call("register").await;
    assert_ne!(program_of(&gull), installed.canonicalize().unwrap(), "another runner of the work folder");
    stop(gull).await;
    let owners = world.machine.daemon();
    api.wait_for_next_call("register").await;
    assert_ne!(program_of(&owners), installed.canonicalize().unwrap(), "the owner allows no updates any more");
    assert_eq!(api.last_call("register").body["updates"], "denied");
    stop(owners).await;
}

/// A failed update leaves the old program, which claims jobs again.
async fn check_refused(world: &World, change: impl FnOnce(&mut Command), expected: &str) {
    let api = &world.machine.runner_api;
    let daemon = world.daemon_with(change);
    api.wait_for_next_call("heartbeat").await;
    let before = program_of(&daemon);
    let id = format!("after-{}-registrations", api.calls("register").len());
    api.order(&id, Some("9.9.9"));
    let report = api.wait_for_order(&id).await;
    let reason = report.reason.unwrap();
    assert!(report.state == OrderState::Failed && reason.contains(expected), "{expected}: {reason}");
    assert_eq!(program_of(&daemon), before, "{expected}");
    // A daemon may have its own mounts.
    let root = format!("/proc/{}/root{}", daemon.pid(), world.machine.work_dir().display());
    let runner = Path::new(&root).join("runners/kite.runner");
    assert!(list(&runner).contains("instance.json"), "{expected}");
    let programs = list(&runner.join("programs"));
    assert!(!programs.contains("9.9.9") && !programs.contains("current"), "{expected}");
    let claims = api.calls("claim").len();
    api.wait_for(|calls| calls.iter().filter(|call| call.route == "claim").count() > claims).await;
    assert_eq!(api.last_call("register").body["version"], BUILT, "{expected}");
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_that_is_not_the_signed_one_is_refused() {
    let signed = "is not signed by a known key; the update was refused. 0.1.0 continues.";
    let cases: [(&str, Change); 8] = [
        (signed, |world| world.change("SHA256SUMS.sig", |bytes| bytes[9] ^= 1)),
        (signed, |world| world.change("SHA256SUMS", |bytes| bytes[70] ^= 1)),
        (signed, |world| world.change("SHA256SUMS.sig", |bytes| *bytes = vec![0; 64])),
        ("is larger than 64 bytes", |world| world.change("SHA256SUMS.sig", |bytes| bytes.push(0))),
        ("is damaged or was replaced: expected ", |world| world.change(&archive_name(), |bytes| bytes[40] ^= 1)),
        ("is damaged or was replaced: expected ", |world| world.change(&archive_name(), |bytes| bytes.truncate(50))),
        ("Cannot unpack the release 9.9.9", |world| {
            let archive = pack(b"program");
            world.publish("9.9.9", archive[..archive.len() / 2].to_vec());
        }),
        ("404 Not Found", |world| drop(world.files.0.lock().unwrap().remove("9.9.9/SHA256SUMS.sig"))),
    ];
    for (expected, break_release) in cases {
        let world = World::with_program(&script(":", "exit 0", &run_built()), "9.9.9").await;
        break_release(&world);
        check_refused(&world, |_| (), expected).await;
    }
    let world = World::with_program(b"", "9.9.9").await;
    std::fs::write(world.machine.dir.path().join("keys.pem"), to_pem(&new_key())).unwrap();
    check_refused(&world, |_| (), signed).await;
    check_refused(&world, |command| _ = command.env_remove("PULLYARD_RELEASE_KEYS"), "knows no release key").await;
    check_refused(&world, |command| _ = command.env_remove("PULLYARD_RELEASES"), "knows no release address").await;
    let machine = &world.machine;
    let daemon = machine.daemon_args(&["--allow-remote-update=false"]);
    machine.runner_api.order("o2", Some("9.9.9"));
    let report = machine.runner_api.wait_for_order("o2").await;
    assert!(report.reason.unwrap().contains("--allow-remote-update"));
    stop(daemon).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn update_on_a_full_disk_leaves_the_old_program() {
    if !can_mount() {
        return;
    }
    // Larger than the disk.
    let program = [script(":", "exit 0", "exit 9"), vec![b'#'; 9 << 20]].concat();
    let world = World::with_program(&program, "9.9.9").await;
    let api = &world.machine.runner_api;
    let runner = world.machine.dir.path().join("runner.sh");
    let mount = |more: &str| {
        let mount = format!("mount -t tmpfs -o size=8m,mode=700 tmpfs $PULLYARD_WORK_DIR && {more} && exec \"$@\"");
        let unshare = format!("exec unshare --user --map-root-user --mount sh -c '{mount}' sh {PROGRAM} \"$@\"");
        pullyard_test_script::write_script(&runner, &unshare);
    };
    // The old program claims a job again only if the disk has its reserve again.
    mount(":");
    let expected = "Cannot unpack the release 9.9.9: No space left on device";
    check_refused(&world, |command| replace_program(command, &runner), expected).await;
    mount("head -c 7900k /dev/zero > $PULLYARD_WORK_DIR/big");
    let downloads = world.downloads();
    let daemon = world.daemon_with(|command| replace_program(command, &runner));
    api.order("o2", Some("9.9.9"));
    let reason = api.wait_for_order("o2").await.reason.unwrap();
    assert!(reason.starts_with("The work folder's disk has too little space: it has 0 MB left"), "{reason}");
    assert_eq!(world.downloads(), downloads);
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn program_that_fails_its_check_is_removed() {
    let check = "echo starting; echo no such library >&2; exit 3";
    let world = World::with_program(&script(":", check, "exit 9"), "9.9.9").await;
    let api = &world.machine.runner_api;
    let daemon = world.daemon();
    // A drain of an administrator outlives the update.
    api.script(|script| script.drain = true);
    api.wait_for_next_call("heartbeat").await;
    api.order("o1", Some("9.9.9"));
    let reason = api.wait_for_order("o1").await.reason.unwrap();
    assert!(reason.contains("no such library 0.1.0 continues."), "{reason}");
    assert!(!world.programs().contains("9.9.9"));
    assert!(api.wait_for_next_call("heartbeat").await.has_flag("draining"));
    stop(daemon).await;
    let world = World::with_program(&script("echo pullyard-runner 0.0.1; exit 0", "exit 0", "exit 0"), "9.9.9").await;
    check_refused(&world, |_| (), "contains another program: pullyard-runner 0.0.1").await;
    let world = World::with_program(&script(":", "sleep 600", "exit 9"), "9.9.9").await;
    let expected = "`check` did not end within 0 s. 0.1.0 continues.";
    check_refused(&world, |command| _ = command.args(["--update-limit-secs", "0"]), expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_is_killed_at_any_step_ends() {
    let (run, kill_daemon) = (run_built(), "kill -9 $PPID; sleep 600");
    // `--version` has no environment.
    let steps = [
        ("download", script_of(BUILT, ":", "exit 0", &run)),
        ("unpacked", script_of(BUILT, kill_daemon, "exit 0", &run)),
        ("check", script_of(BUILT, ":", kill_daemon, &run)),
        ("replaced", script_of(BUILT, ":", "exit 0", &format!("{}; echo > $HOME/again; {run}", once("kill -9 $$")))),
    ];
    for (step, program) in steps {
        let world = World::with_program(&program, BUILT).await;
        let api = &world.machine.runner_api;
        if step == "download" {
            world.put(BUILT, &archive_name(), Vec::new());
        }
        let daemon = world.daemon();
        api.order("o1", Some(BUILT));
        if step == "download" {
            let waits = async {
                while !world.files.1.lock().unwrap().contains(&archive_name()) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), waits).await.unwrap();
            daemon.signal(Signal::SIGKILL);
            world.publish(BUILT, pack(&program));
        }
        let (code, log) = daemon.wait_for_exit().await;
        assert_eq!(code, None, "{step}: {log}");
        let next = world.daemon();
        let report = api.wait_for_order("o1").await;
        let is_done = step == "replaced";
        let reason = (!is_done).then(|| "The runner or the control plane was started anew; order it again.".to_owned());
        let state = if is_done { OrderState::Done } else { OrderState::Failed };
        assert_eq!((report.state, report.reason), (state, reason), "{step}");
        assert_eq!(world.programs().contains("current"), is_done, "{step}");
        assert_eq!(world.machine.dir.path().join("again").exists(), is_done, "{step}");
        stop(next).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn program_that_starts_in_vain_is_given_up() {
    let world = World::with_program(&script(":", "exit 0", "exit 7"), "9.9.9").await;
    let api = &world.machine.runner_api;
    api.order("o1", Some("9.9.9"));
    for start in 1..=3 {
        let (code, log) = world.daemon().wait_for_exit().await;
        assert_eq!(code, Some(7), "{start}: {log}");
    }
    // The report survives a start that does not deliver it.
    api.script(|script| _ = script.refusals.insert("register", (403, "forbidden")));
    let (code, log) = world.daemon().wait_for_exit().await;
    assert!(code == Some(4) && log.contains("9.9.9 started 3 times"), "{log}");
    api.script(|script| script.refusals.clear());
    let daemon = world.daemon();
    check_not_started(&world).await;
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn program_that_hangs_is_killed_and_given_up() {
    // The program finds the process that watches it, whose arguments are empty for a moment while it starts.
    let watch = "until grep -l 'watch-updat[e]' /proc/[0-9]*/cmdline > $HOME/watches; do sleep 0.01; done
        for file in $(cat $HOME/watches); do cat ${file%cmdline}environ; done > $HOME/environ";
    let hangs_at_once = (format!("{watch}; exec sleep 600"), &[None::<i32>][..]);
    // The owner's program starts the new one again, and watches that start too.
    let hangs_later = (format!("{}; {watch}; exec sleep 600", once("exit 7")), &[Some(7), None][..]);
    for (start, exits) in [hangs_at_once, hangs_later] {
        let world = World::with_program(&script(":", "exit 0", &start), "9.9.9").await;
        let daemon = || world.daemon_with(|command| _ = command.args(["--update-limit-secs", "10"]));
        world.machine.runner_api.order("o1", Some("9.9.9"));
        for expected in exits {
            let (code, log) = daemon().wait_for_exit().await;
            let is_killed = log.contains("was answered within 10 s; killed it");
            assert_eq!((code, is_killed), (*expected, expected.is_none()), "{log}");
        }
        let read = |name: &str| std::fs::read_to_string(world.machine.dir.path().join(name)).unwrap();
        assert!(!read("watches").is_empty() && !read("environ").contains(TOKEN), "the watch has secrets");
        let daemon = daemon();
        check_not_started(&world).await;
        assert_eq!(program_of(&daemon), Path::new(PROGRAM).canonicalize().unwrap());
        stop(daemon).await;
    }
}

async fn check_not_started(world: &World) {
    let report = world.machine.runner_api.wait_for_order("o1").await;
    let expected = "9.9.9 did not start; 0.1.0 continues.";
    assert_eq!((report.state, report.reason.as_deref()), (OrderState::Failed, Some(expected)));
    assert!(!world.programs().contains("current"));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_program_starts_if_the_new_one_cannot_be_executed() {
    // The second check is the last one.
    let check = "[ ! -e $HOME/tried ] || chmod 600 $0; touch $HOME/tried";
    let world = World::with_program(&script(":", check, "exit 9"), "9.9.9").await;
    world.machine.runner_api.order("o1", Some("9.9.9"));
    let (code, log) = world.daemon().wait_for_exit().await;
    assert!(code == Some(1) && log.contains("Cannot start "), "{log}");
    let daemon = world.daemon();
    check_not_started(&world).await;
    assert_eq!(program_of(&daemon), Path::new(PROGRAM).canonicalize().unwrap());
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn update_whose_order_cannot_be_stored_changes_nothing() {
    let check = "mkdir -p $HOME/work/runners/kite.runner/order.draft";
    let world = World::with_program(&script(":", check, "exit 9"), "9.9.9").await;
    check_refused(&world, |_| (), "The update failed to ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_older_than_the_owners_is_refused() {
    let world = World::with_program(b"", "0.0.9").await;
    let api = &world.machine.runner_api;
    let daemon = world.daemon();
    api.order("o1", Some("0.0.9"));
    let reason = api.wait_for_order("o1").await.reason.unwrap();
    assert!(reason.contains("installed 0.1.0; install 0.0.9 on its machine"), "{reason}");
    assert_eq!(world.downloads(), 0);
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_program_exits_so_that_it_starts_again() {
    let world = World::new("exit 0").await;
    world.publish(BUILT, pack(&std::fs::read(PROGRAM).unwrap()));
    let api = &world.machine.runner_api;
    let daemon = world.daemon();
    api.wait_for_next_call("heartbeat").await;
    // From its registration on, the control plane refuses the new program.
    api.script(|script| _ = script.refusals.insert("register", (403, "forbidden")));
    api.order("o1", Some(BUILT));
    let (code, log) = daemon.wait_for_exit().await;
    assert!(code == Some(1) && log.contains("does not allow this"), "not 4, with which systemd stops: {log}");
    let (code, log) = world.daemon().wait_for_exit().await;
    assert_eq!(code, Some(1), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn update_is_done_only_after_its_confirmation() {
    let world = World::new("exit 0").await;
    world.publish(BUILT, pack(&std::fs::read(PROGRAM).unwrap()));
    let api = &world.machine.runner_api;
    let daemon = world.daemon();
    api.wait_for_next_call("heartbeat").await;
    // The new program waits, until its confirmation cannot be written.
    api.script(|script| _ = script.refusals.insert("register", (503, "busy")));
    api.order("o1", Some(BUILT));
    api.wait_for_next_call("register").await;
    let draft = world.programs_dir().join("current.draft");
    std::fs::create_dir(&draft).unwrap();
    api.script(|script| script.refusals.clear());
    for _ in 0..3 {
        api.wait_for_next_call("heartbeat").await;
    }
    assert_eq!(api.last_call("heartbeat").body.get("order"), None);
    std::fs::remove_dir(&draft).unwrap();
    assert_eq!(api.wait_for_order("o1").await.state, OrderState::Done);
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_outlive_an_older_control_plane_during_an_update() {
    let world = World::new(WAIT_FOR_GO_JOB).await;
    world.publish(BUILT, pack(&std::fs::read(PROGRAM).unwrap()));
    let api = &world.machine.runner_api;
    api.add_jobs(&[job("a")]);
    let daemon = world.daemon();
    world.machine.pid_of(&job("a")).await;
    api.order("o1", Some(BUILT));
    api.wait_for_draining().await;
    api.script(|script| script.is_older = true);
    api.wait_for_next_call("heartbeat").await;
    let is_plain =
        |call: &Call| call.route == "heartbeat" && call.body.get("order").is_none() && !call.active().is_empty();
    let plain = |calls: &[Call]| calls.iter().filter(|call| is_plain(call) && call.has_flag("draining")).count();
    api.wait_for(|calls| plain(calls) > 1).await;
    api.script(|script| script.is_older = false);
    world.machine.release_jobs();
    assert_eq!(api.wait_for_order("o1").await.state, OrderState::Done);
    stop(daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updated_runner_registers_with_an_older_control_plane() {
    let world = World::new("exit 0").await;
    world.publish(BUILT, pack(&std::fs::read(PROGRAM).unwrap()));
    let api = &world.machine.runner_api;
    api.order("o1", Some(BUILT));
    let daemon = world.daemon();
    assert_eq!(api.wait_for_order("o1").await.state, OrderState::Done);
    stop(daemon).await;
    api.script(|script| script.is_older = true);
    let daemon = world.daemon();
    api.wait_for_next_call("heartbeat").await;
    assert_eq!(api.last_call("register").body.get("updates"), None);
    stop(daemon).await;
}
