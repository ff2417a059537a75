//! Single promises of a command in bubblewrap, and its start and end.

use crate::world::{HELPER, Job, LIMIT, has_bubblewrap, is_root};
use pullyard_sandbox::{Access, Error, Level, Limits, Ports, Spec};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn job() -> Option<Job> {
    has_bubblewrap().then(|| Job::new(Level::Bubblewrap))
}

#[test]
fn command_sees_only_the_listed_places_and_variables() {
    let Some(job) = job() else { return };
    let mut spec =
        job.shell("env | sort; pwd; cat ../cache/crate; echo; ls -A / .. /run 2>/dev/null; id -u; echo $$ > file");
    spec.env = vec![("KEY".into(), "placeholder".into())];
    let output = job.output(&spec);
    let text = String::from_utf8(output.stdout).unwrap();
    let (work, home) = (job.path("work").display().to_string(), format!("HOME={}", job.path("home").display()));
    for line in [&work, &home, "KEY=placeholder", "TMPDIR=/tmp", "cached", "cache", "1000"] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    for hidden in ["root", "var", "opt", "mnt", "srv", "sys", "CARGO_MANIFEST_DIR"] {
        assert!(
            !text.lines().any(|found| found == hidden || found.starts_with(&format!("{hidden}="))),
            "{hidden}: {text}"
        );
    }
    assert!(fs::read_to_string(job.path("work/file")).is_ok());
}

#[test]
fn first_process_shows_no_options_and_no_variables() {
    let Some(job) = job() else { return };
    let text = job.read("tr '\\0' ' ' < /proc/1/cmdline; echo; cat /proc/1/environ; ls /proc/self/fd | wc -l");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains(" --args ") && !text.contains("--bind") && !text.contains("HOME="), "{text}");
    // Three streams, and the listing's own descriptor.
    assert_eq!(lines[1..], ["4"], "{text}");
}

#[test]
fn exit_code_of_the_command_passes_through() {
    let Some(job) = job() else { return };
    for (script, code) in [("exit 7", 7), ("kill -9 $$", 137), ("true", 0)] {
        assert_eq!(job.output(&job.shell(script)).status.code(), Some(code), "{script}");
    }
    let missing = Spec { program: "/no/such/program".into(), ..job.shell("") };
    let output = job.output(&missing);
    assert_eq!(output.status.code(), Some(126));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot start"), "{output:?}");
}

#[test]
fn sandbox_that_cannot_be_created_is_an_error() {
    let Some(job) = job() else { return };
    let mut spec = job.shell("true");
    spec.read_only = vec![job.path("cache/crate")];
    let prepared = job.sandbox.prepare(&spec, Ports::none()).unwrap();
    fs::remove_file(job.path("cache/crate")).unwrap();
    let result = prepared.spawn(|mut command| command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn());
    let (child, start) = result.unwrap();
    assert!(matches!(start.finish(LIMIT), Err(Error::NotStarted(_))));
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("bwrap: "), "{output:?}");
}

#[test]
fn read_only_worktree_cannot_be_changed() {
    let Some(job) = job() else { return };
    fs::write(job.path("work/file"), "before").unwrap();
    let mut spec = job.shell("(echo after > file) 2>&1; (rm file) 2>&1; (touch new) 2>&1; cat file; echo x > ~/notes");
    spec.access = Access::ReadOnly;
    let output = job.output(&spec);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.matches("Read-only file system").count() == 3, "{text}");
    assert!(text.ends_with("before") && job.path("home/notes").exists() && !job.path("work/new").exists());
}

#[test]
fn ports_inside_reach_the_runner() {
    let Some(job) = job() else { return };
    let ports = job.sandbox.reserve_ports(2).unwrap();
    let [model, egress] = ports.numbers()[..] else { panic!("{ports:?}") };
    let script = format!(
        "for port in {model} {egress}; do
             bash -c \"exec 3<>/dev/tcp/127.0.0.1/$port; echo hello >&3; head -n1 <&3\"; done"
    );
    let (child, mut running) = job.start(&job.shell(&script), ports);
    for (listener, answer) in std::mem::take(&mut running.listeners).iter().zip(["model\n", "egress\n"]) {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
        stream.write_all(answer.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"model\negress\n", "{output:?}");
}

#[test]
fn limits_hold_inside() {
    let Some(job) = job() else { return };
    let script = "ulimit -c; (head -c 3000000 /dev/zero > big) 2>&1; wc -c < big
        (head -c 9000000 /dev/zero > /tmp/t) 2>&1; true";
    let mut spec = job.shell(script);
    spec.limits = Limits { file_bytes: 2 << 20, tmp_bytes: 1 << 20, ..Limits::default() };
    let output = job.output(&spec);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("0\n") && text.contains("\n2097152\n"), "{text}");
    assert!(text.contains("No space left"), "{text}");
}

#[test]
fn process_over_its_memory_limit_gets_no_memory() {
    let Some(job) = job() else { return };
    // The shell holds the line in memory.
    let read = |mib: u64| {
        let mut spec = job.shell("line=$(head -c 64000000 /dev/zero | tr '\\0' x) && echo ${#line}");
        spec.limits.process_bytes = Some(mib << 20);
        job.output(&spec)
    };
    assert_eq!(read(1024).stdout, b"64000000\n");
    let output = read(32);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn kernel_kills_sandboxed_processes_first() {
    for level in [Level::Bubblewrap, Level::External] {
        if level == Level::Bubblewrap && !has_bubblewrap() {
            continue;
        }
        assert_eq!(Job::new(level).read("cat /proc/self/oom_score_adj"), "1000\n", "{level}");
    }
}

#[test]
fn account_of_a_job_has_few_processes() {
    let Some(job) = job().filter(|_| is_root()) else { return };
    let mut spec = job.shell("i=0; while [ $i -lt 60 ]; do sleep 1000 & i=$((i+1)); done; echo all");
    spec.limits.threads = 40;
    let output = job.output(&spec);
    assert!(output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("fork"), "{output:?}");
}

#[test]
fn command_can_handle_the_request_to_end() {
    let Some(job) = job() else { return };
    let script = "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let (mut child, running) = job.start(&job.shell(script), Ports::none());
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line == "ready\n" && running.terminate());
    output.read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("ready\nbye\n", Some(9)));
    assert!(running.wait_ended(LIMIT));
}

#[test]
fn killed_sandbox_leaves_no_process() {
    let Some(job) = job() else { return };
    let script = "(setsid sh -c 'trap \"\" TERM HUP; echo ready; sleep 1000' &) ; sleep 1000";
    let (mut child, running) = job.start(&job.shell(script), Ports::none());
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    running.kill();
    assert!(running.wait_ended(LIMIT));
    // Every process held the output open.
    assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(child.wait().unwrap().code(), Some(137));
}

#[test]
fn sandbox_ends_when_its_runner_is_killed() {
    let Some(job) = job() else { return };
    let (work, home) = (job.path("work"), job.path("home"));
    let script = "(setsid sleep 1000 &); echo ready; sleep 1000";
    let mut runner = Command::new(HELPER)
        .args(["run", "bubblewrap"])
        .args([work, home])
        .args(["/bin/sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(runner.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    runner.kill().unwrap();
    runner.wait().unwrap();
    // The end of the output means that no process holds it.
    assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn root_gives_the_worktree_away_and_takes_it_back() {
    let Some(job) = job().filter(|_| is_root()) else { return };
    let uid = job.sandbox.account_uid().unwrap();
    job.read(
        "mkdir -p a/b && cp /bin/true a/b/tool && chmod 4755 a/b/tool && ln -s /etc/passwd a/link && ln -s / root",
    );
    assert_eq!(fs::metadata(job.path("work/a/b/tool")).unwrap().uid(), uid);
    job.sandbox.chown_to_runner(&job.path("work")).unwrap();
    let tool = fs::metadata(job.path("work/a/b/tool")).unwrap();
    assert_eq!((tool.uid(), tool.mode() & 0o7777), (0, 0o755));
    assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), 0);
}

#[test]
fn jobs_of_root_have_different_accounts() {
    let Some(first) = job().filter(|_| is_root()) else { return };
    let second = Job::new(Level::Bubblewrap);
    assert_ne!(first.sandbox.account_uid(), second.sandbox.account_uid());
}

#[test]
fn folder_that_the_account_cannot_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let Some(job) = job().filter(|_| is_root()) else { return };
    fs::set_permissions(job.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = job.sandbox.prepare(&job.shell("true"), Ports::none()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

/// Prints the time to start and end `/bin/true` at each level: the median of 40.
#[test]
#[ignore = "a figure, not a promise"]
fn start_times_of_each_level() {
    for level in Level::ALL.into_iter().filter(|level| *level != Level::Seatbelt) {
        let job = Job::new(level);
        let spec = Spec { program: "/bin/true".into(), args: Vec::new(), ..job.shell("") };
        let mut times: Vec<_> = (0..40)
            .map(|_| {
                let start = Instant::now();
                let (mut child, _running) = job.start(&spec, job.sandbox.reserve_ports(2).unwrap());
                child.wait().unwrap();
                start.elapsed()
            })
            .collect();
        println!("{level}: {:.1} ms", median_ms(&mut times));
    }
    let plain = |_| {
        let start = Instant::now();
        Command::new("/bin/true").status().unwrap();
        start.elapsed()
    };
    println!("without this library: {:.1} ms", median_ms(&mut (0..40).map(plain).collect::<Vec<_>>()));
}

fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}
