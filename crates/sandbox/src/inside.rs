//! The canaries: attacks that run inside the sandbox and report whether they succeeded.
//!
//! Each prints one line when it ran. A canary that did not run is therefore never counted as quiet.

use crate::launch::HELPER_WORD;
use crate::promises::Canary;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::kill;
use nix::sys::{personality, ptrace};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// A variable of the launcher, which no command may get.
pub(crate) const KEY_VARIABLE: &str = "SANDBOX_CANARY_KEY";
pub(crate) const BAIT_VARIABLE: &str = "SANDBOX_CANARY_BAIT";
pub(crate) const FIRED: &str = "fired";
pub(crate) const QUIET: &str = "quiet";
pub(crate) const END: &str = "end";
pub(crate) const PROOF: &str = "proof";

const SETTINGS: [&str; 3] = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger"];

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Targets {
    pub(crate) nonce: String,
    pub(crate) host_file: PathBuf,
    pub(crate) host_folder: PathBuf,
    /// Folders with keys: the one of the check, and the runner's.
    pub(crate) ssh_folders: Vec<PathBuf>,
    pub(crate) tcp_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) socket_name: String,
    pub(crate) bait: u32,
    pub(crate) worktree: PathBuf,
    /// The port of a proxy, which must be reachable.
    pub(crate) proxy_port: u16,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let targets = args.first().and_then(|text| serde_json::from_slice(text.as_encoded_bytes()).ok());
    let Some(targets) = targets else {
        eprintln!("pullyard: the canaries have no targets");
        return ExitCode::FAILURE;
    };
    match report(&targets) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pullyard: the canaries cannot run: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(targets: &Targets) -> io::Result<()> {
    fs::write(targets.worktree.join(PROOF), &targets.nonce)?;
    let mut proxy = TcpStream::connect(("127.0.0.1", targets.proxy_port))?;
    proxy.write_all(targets.nonce.as_bytes())?;
    for canary in Canary::ALL {
        let outcome = if has_fired(*canary, targets) { FIRED } else { QUIET };
        println!("{canary} {outcome}");
    }
    println!("{END} {}", targets.nonce);
    Ok(())
}

fn has_fired(canary: Canary, targets: &Targets) -> bool {
    match canary {
        Canary::HostRead => fs::read_to_string(&targets.host_file).is_ok_and(|text| text == targets.nonce),
        Canary::HostWrite => File::create(targets.host_folder.join("written")).is_ok(),
        Canary::SshFolder => targets.ssh_folders.iter().any(|folder| fs::read_dir(folder).is_ok()),
        Canary::OtherProcesses => has_variable(BAIT_VARIABLE, &targets.nonce),
        // Another check's key does not count.
        Canary::KeyInEnvironment => {
            std::env::var_os(KEY_VARIABLE).is_some() || has_variable(KEY_VARIABLE, &targets.nonce)
        }
        Canary::InheritedFiles => has_more_files(),
        Canary::NetworkTcp => TcpStream::connect(("127.0.0.1", targets.tcp_port)).is_ok(),
        Canary::NetworkUdp => sends_datagram(targets).is_ok_and(|()| false),
        Canary::HostSocket => connects_to_socket(&targets.socket_name).is_ok(),
        Canary::KernelSettings => SETTINGS.iter().any(|path| OpenOptions::new().write(true).open(path).is_ok()),
        Canary::Ptrace => debugs_child().unwrap_or(false),
        Canary::Namespaces => helper("namespaces").status().is_ok_and(|status| status.success()),
        Canary::Signal => i32::try_from(targets.bait).is_ok_and(|bait| kill(Pid::from_raw(bait), None).is_ok()),
        Canary::Privileges => status_value("NoNewPrivs") != Some(1) || status_value("CapEff") != Some(0),
        Canary::SystemCalls => status_value("Seccomp") != Some(2) || personality::get().is_ok(),
        // The check sees from outside whether the process outlives this one.
        Canary::Orphan => {
            let _ = helper("orphan").process_group(0).spawn();
            false
        }
    }
}

/// A hidden command of this program, which works also if the program has no path here.
fn helper(command: &str) -> Command {
    let mut helper = Command::new("/proc/self/exe");
    helper.args([HELPER_WORD, command]);
    helper
}

pub(crate) fn wait_for_input() -> ExitCode {
    let _ = io::stdin().read_to_end(&mut Vec::new());
    ExitCode::SUCCESS
}

pub(crate) fn try_namespaces() -> ExitCode {
    if unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).is_ok() {
        return ExitCode::SUCCESS;
    }
    let result = mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::empty(), None::<&Path>);
    if result.is_ok() {
        let _ = nix::mount::umount("/tmp");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

/// In the environment of any process that this one sees.
fn has_variable(name: &str, nonce: &str) -> bool {
    let entry = format!("{name}={nonce}");
    fs::read_dir("/proc").into_iter().flatten().flatten().any(|process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
    })
}

fn has_more_files() -> bool {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // The listing itself needs one descriptor, the connection to the proxy another.
    numbers.filter(|number| *number > 2).count() > 2
}

/// The check receives it outside.
fn sends_datagram(targets: &Targets) -> io::Result<()> {
    UdpSocket::bind("127.0.0.1:0")?.send_to(targets.nonce.as_bytes(), ("127.0.0.1", targets.udp_port))?;
    Ok(())
}

fn connects_to_socket(name: &str) -> io::Result<()> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).map(drop)
}

fn debugs_child() -> io::Result<bool> {
    let mut child = helper("bait").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let is_attached = i32::try_from(child.id()).is_ok_and(|pid| ptrace::attach(Pid::from_raw(pid)).is_ok());
    child.kill()?;
    child.wait()?;
    Ok(is_attached)
}

/// A value of this process's status; capabilities are hexadecimal.
fn status_value(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
    u64::from_str_radix(value, 16).ok()
}
