//! Checks a level at the runner's start: runs the canaries with the real command line.
//!
//! No canary fires in a sandbox that fails to start. The canaries therefore prove that they ran: they write a file into
//! the worktree, connect to the proxy's port, and print one line each.

use crate::diagnosis;
use crate::error::Error;
use crate::inside::{BAIT_VARIABLE, END, FIRED, KEY_VARIABLE, PROOF, QUIET, Targets};
use crate::launch::HELPER_WORD;
use crate::level::Level;
use crate::promises::Canary;
use crate::report::{Outcome, Report, Verdict};
use crate::running::Running;
use crate::sandbox::Sandbox;
use crate::spec::Spec;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(5);
/// Time for the canaries' child processes to end, also on a busy machine.
const ORPHAN_LIMIT: Duration = Duration::from_secs(3);
/// Enough of an error output to explain a failure. Units: bytes.
const MAX_ERROR_BYTES: u64 = 4096;

impl Sandbox {
    /// Runs the canaries in a new folder below `folder`, which is removed. Blocks for at most 5 seconds, and before that
    /// until a container has started. Starts processes from this thread, which must live until the end.
    pub fn check(&self, folder: &Path) -> Report {
        let mut report = Report {
            level: self.level(),
            verdict: Verdict::Passed,
            outcomes: BTreeMap::new(),
            limits: if self.level().is_container() { "limits: per command" } else { "limits: per process" },
            parts: String::new(),
        };
        match self.run_canaries(folder) {
            Ok((outcomes, landlock)) => {
                report.outcomes = outcomes;
                report.parts = landlock.map(|version| self.describe_parts(version)).unwrap_or_default();
            }
            Err(reason) => report.verdict = Verdict::Invalid(reason),
        }
        let broken: Vec<_> = report.fired().into_iter().filter(|canary| self.level().prevents(*canary)).collect();
        if !broken.is_empty() {
            report.verdict = Verdict::Broken(broken);
        }
        report
    }

    fn describe_parts(&self, landlock: u32) -> String {
        let user = match self.account_uid() {
            Some(uid) => format!("user {uid}"),
            None => "the runner's user".to_owned(),
        };
        let landlock = match landlock {
            0 => "no Landlock in this kernel".to_owned(),
            1..=3 => format!("Landlock {landlock} for files only"),
            _ => format!("Landlock {landlock} for files and ports"),
        };
        format!("{user}, {landlock}, ")
    }

    fn run_canaries(&self, folder: &Path) -> Result<(BTreeMap<Canary, Outcome>, Option<u32>), String> {
        let host =
            HostTargets::create(folder, &self.helper).map_err(|error| format!("the check has no targets: {error}"))?;
        let message = |error: Error| error.to_string();
        let mut spec = Spec::new("/proc/self/exe", host.folder.join("work"), host.folder.join("home"));
        if self.level() == Level::Landlock {
            let program = fs::canonicalize(&self.helper).map_err(|error| error.to_string())?;
            spec.read_only.push(program);
        }
        let ports = self.reserve_ports(1).map_err(message)?;
        let proxy_port = *ports.numbers().first().ok_or("it has no port")?;
        let targets = host.targets(proxy_port).map_err(|error| error.to_string())?;
        let targets = serde_json::to_string(&targets).map_err(|error| error.to_string())?;
        spec.args = [HELPER_WORD, "canaries", &targets].map(Into::into).to_vec();
        for name in ["work", "home"] {
            self.chown_to_account(&host.folder.join(name)).map_err(message)?;
        }
        let prepared = self.prepare(&spec, ports).map_err(message)?;
        let until = Instant::now() + LIMIT;
        let spawn_result = prepared.spawn(|mut command| {
            command.env(KEY_VARIABLE, &host.nonce).process_group(0);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
        });
        let (mut child, start) = spawn_result.map_err(message)?;
        let lines = child.stdout.take().map(read_lines).ok_or("it has no output")?;
        // Open until the end, because the orphan of the canary runs until its input is closed.
        let input = child.stdin.take();
        let running = start.finish(until.saturating_duration_since(Instant::now()));
        let result = match &running {
            Ok(running) => host.watch(&mut child, running, &lines, until),
            Err(error) => Err(error.to_string()),
        };
        if let Ok(running) = &running {
            running.kill();
        }
        drop(input);
        let _ = child.kill();
        let errors = child.stderr.take().map(read_errors).unwrap_or_default();
        let _ = child.wait();
        let outcomes = result.map_err(|reason| match self.level() {
            Level::Bubblewrap if running.is_err() && !errors.is_empty() => diagnosis::explain(&errors, Path::new("/")),
            // The launcher reports its failure twice.
            _ if errors.is_empty() || reason.ends_with(errors.trim_start_matches("pullyard: ")) => reason,
            _ => format!("{reason} ({})", errors.trim()),
        });
        for name in ["work", "home"] {
            self.chown_to_runner(&host.folder.join(name)).map_err(message)?;
        }
        Ok((outcomes?, running.ok().and_then(|running| running.landlock)))
    }
}

struct HostTargets {
    folder: PathBuf,
    nonce: String,
    tcp: TcpListener,
    udp: UdpSocket,
    socket: UnixListener,
    bait: Child,
}

impl HostTargets {
    fn create(parent: &Path, helper: &Path) -> io::Result<Self> {
        let mut random = [0; 16];
        fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = fs::canonicalize(parent)?.join(format!("sandbox-check-{nonce}"));
        // Every user may read and write the targets, so that only the sandbox can protect them.
        for name in ["", "work", "home", "ssh/.ssh"] {
            DirBuilder::new().recursive(true).mode(0o755).create(folder.join(name))?;
            fs::set_permissions(folder.join(name), Permissions::from_mode(0o755))?;
        }
        DirBuilder::new().create(folder.join("open"))?;
        fs::set_permissions(folder.join("open"), Permissions::from_mode(0o777))?;
        fs::write(folder.join("secret"), &nonce)?;
        fs::set_permissions(folder.join("secret"), Permissions::from_mode(0o644))?;
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        let socket = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&nonce)?)?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        let bait = Command::new(helper)
            .args([HELPER_WORD, "bait"])
            .env(BAIT_VARIABLE, &nonce)
            .stdin(Stdio::piped())
            .spawn()?;
        Ok(Self { folder, nonce, tcp, udp, socket, bait })
    }

    fn targets(&self, proxy_port: u16) -> io::Result<Targets> {
        let own_ssh = std::env::home_dir().map(|home| home.join(".ssh"));
        let socket_name = self.socket.local_addr()?;
        let socket_name = socket_name.as_abstract_name().map(|name| String::from_utf8_lossy(name).into_owned());
        Ok(Targets {
            nonce: self.nonce.clone(),
            host_file: self.folder.join("secret"),
            host_folder: self.folder.join("open"),
            ssh_folders: [self.folder.join("ssh/.ssh")].into_iter().chain(own_ssh).collect(),
            tcp_port: self.tcp.local_addr()?.port(),
            udp_port: self.udp.local_addr()?.port(),
            socket_name: socket_name.unwrap_or_default(),
            bait: self.bait.id(),
            worktree: self.folder.join("work"),
            proxy_port,
        })
    }

    fn watch(
        &self,
        child: &mut Child,
        running: &Running,
        lines: &Receiver<String>,
        until: Instant,
    ) -> Result<BTreeMap<Canary, Outcome>, String> {
        let mut outcomes = BTreeMap::new();
        let end = format!("{END} {}", self.nonce);
        loop {
            let line = lines.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.map_err(|error| match error {
                RecvTimeoutError::Timeout => "the canaries took too long",
                RecvTimeoutError::Disconnected => "the canaries ended too early",
            })?;
            if line == end {
                break;
            }
            let (name, outcome) = line.split_once(' ').unwrap_or_default();
            let outcome = match outcome {
                FIRED => Outcome::Fired,
                QUIET => Outcome::Quiet,
                _ => return Err("the canaries report something else".into()),
            };
            outcomes.extend(Canary::from_name(name).map(|canary| (canary, outcome)));
        }
        while !matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            if Instant::now() > until {
                return Err("the canaries took too long".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // Kill the remaining processes, as after every command. An orphan that survives keeps the output open.
        running.kill();
        if lines.recv_timeout(ORPHAN_LIMIT) == Err(RecvTimeoutError::Timeout) {
            outcomes.insert(Canary::Orphan, Outcome::Fired);
        }
        self.add_visible_effects(&mut outcomes);
        self.verify_proof(running)?;
        match Canary::ALL.iter().find(|canary| !outcomes.contains_key(canary)) {
            Some(missing) => Err(format!("the canary {missing} did not run")),
            None => Ok(outcomes),
        }
    }

    /// Adds the attacks whose effects are visible outside the sandbox, even if the canary reported a failure.
    fn add_visible_effects(&self, outcomes: &mut BTreeMap<Canary, Outcome>) {
        let traces = [
            (Canary::HostWrite, self.folder.join("open/written").exists()),
            (Canary::NetworkTcp, self.tcp.accept().is_ok()),
            (Canary::NetworkUdp, self.udp.recv(&mut [0; 64]).is_ok()),
        ];
        outcomes.extend(traces.into_iter().filter(|(_, fired)| *fired).map(|(canary, _)| (canary, Outcome::Fired)));
    }

    fn verify_proof(&self, running: &Running) -> Result<(), String> {
        if fs::read_to_string(self.folder.join("work").join(PROOF)).ok().as_ref() != Some(&self.nonce) {
            return Err("the canaries could not write into the worktree".into());
        }
        let proxy = running.listeners.first().ok_or("the proxy has no port")?;
        let connection = proxy.set_nonblocking(true).and_then(|()| proxy.accept());
        let mut text = String::new();
        let result = connection.and_then(|(mut stream, _)| {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(ORPHAN_LIMIT))?;
            stream.read_to_string(&mut text)
        });
        match result {
            Ok(_) if text == self.nonce => Ok(()),
            _ => Err("the canaries could not reach the proxy".into()),
        }
    }
}

impl Drop for HostTargets {
    fn drop(&mut self) {
        let _ = self.bait.kill();
        let _ = self.bait.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Reads on a separate thread, because an orphan of the canaries may keep the output open.
fn read_lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn read_errors(output: impl Read) -> String {
    let mut text = Vec::new();
    // The processes have ended, so this does not wait.
    let _ = output.take(MAX_ERROR_BYTES).read_to_end(&mut text);
    String::from_utf8_lossy(&text).trim().to_owned()
}
