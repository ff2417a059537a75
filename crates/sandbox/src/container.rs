//! Starts containers of podman and docker. Each runs one command, and starts before that command is known.
//!
//! The runner's own program is the container's first process (`contained`). It connects to a socket in a mounted folder,
//! and gets the command, its standard streams and its environment there. The engine knows neither the command nor its
//! input and output. The container ends when its connection ends, also if the runner dies.

use crate::containers::{Containers, LABEL, PROGRAM};
use crate::engine::Engine;
use crate::error::Error;
use crate::launch::HELPER_WORD;
use crate::level::Level;
use crate::limits::SHARED_ACCOUNT_THREADS;
use crate::running::is_readable_within;
use crate::seccomp;
use crate::spec::{Access, Limits, Spec};
use nix::sys::resource::{Resource, getrlimit};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// The socket's path in the container, where its folder is mounted.
pub(crate) const SOCKET: &str = "/run/pullyard/start";
const FOLDER: &str = "/run/pullyard";
const START_LIMIT: Duration = Duration::from_secs(30);
/// SELinux is off, because it would deny the mounted folders and the socket. The other levels do not use it either.
const OPTIONS: &str = "run --detach --pull never --read-only --cap-drop ALL --security-opt no-new-privileges \
    --security-opt label=disable --shm-size 64m --ipc private --hostname sandbox --workdir / --stop-timeout 1";
/// How often a container that does not connect is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A container whose first process waits for its command. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Container {
    engine: Engine,
    name: String,
    folder: PathBuf,
    pub(crate) mounts: Vec<OsString>,
    pub(crate) connection: Option<UnixStream>,
}

impl Container {
    /// Blocks for about half a second.
    pub(crate) fn start(
        engine: &Engine,
        containers: &Containers,
        (uid, gid): (u32, u32),
        limits: &Limits,
        helper: &Path,
        mounts: Vec<OsString>,
    ) -> Result<Self, Error> {
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let name = format!("pullyard-{:x}-{:x}", std::process::id(), since_epoch.as_nanos());
        let to_error = |error| Error::io(format!("prepare a container in {}", containers.folder.display()))(error);
        DirBuilder::new().recursive(true).mode(0o700).create(&containers.folder).map_err(to_error)?;
        let folder = fs::canonicalize(&containers.folder).map_err(to_error)?.join(&name);
        let helper = fs::canonicalize(helper).map_err(to_error)?;
        let listener = prepare_folder(&folder, (uid, gid)).map_err(to_error)?;
        let options = Arguments { name: &name, folder: &folder, helper: &helper, user: (uid, gid), mounts: &mounts };
        let arguments = options.to_words(engine.level, containers, limits);
        let mut container = Self { engine: engine.clone(), name, folder: folder.clone(), mounts, connection: None };
        let output = engine.run(&arguments).map_err(Error::io(format!("start {}", engine.level)))?;
        if !output.status.success() {
            return Err(Error::NotStarted(engine.explain(&output.stderr, &containers.image)));
        }
        container.connection = Some(container.accept(&listener, &containers.image)?);
        Ok(container)
    }

    fn accept(&self, listener: &UnixListener, image: &str) -> Result<UnixStream, Error> {
        let to_error = |error: io::Error| Error::io("wait for the container")(error);
        let until = Instant::now() + START_LIMIT;
        while Instant::now() < until {
            if is_readable_within(listener, POLL_INTERVAL).map_err(to_error)? {
                return Ok(listener.accept().map_err(to_error)?.0);
            }
            let state = self.engine.run_words(["inspect", "--format", "{{.State.Running}}", &self.name]);
            if state.map_err(to_error)?.stdout.trim_ascii() != b"true" {
                let logs = self.engine.run_words(["logs", &self.name]).map_err(to_error)?;
                return Err(Error::NotStarted(self.engine.explain(&[logs.stdout, logs.stderr].concat(), image)));
            }
        }
        Err(Error::NotStarted("the container was not complete in time".into()))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Closing the connection ends the processes, so that the engine need not wait for them.
        drop(self.connection.take());
        self.engine.remove(&self.name);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder that the container gets: the socket, and files for the engine.
fn prepare_folder(folder: &Path, (uid, gid): (u32, u32)) -> io::Result<UnixListener> {
    // The command's account must enter it. Other users of this machine cannot enter the folder above.
    DirBuilder::new().mode(0o755).create(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let files = [
        ("passwd", format!("root:x:0:0:root:/root:/bin/sh\nagent:x:{uid}:{gid}:agent:/home/agent:/bin/sh\n")),
        ("group", format!("root:x:0:\nagent:x:{gid}:\n")),
        ("seccomp.json", seccomp::to_profile()),
    ];
    for (name, content) in files {
        fs::write(folder.join(name), content)?;
        fs::set_permissions(folder.join(name), Permissions::from_mode(0o644))?;
    }
    let socket = folder.join("start");
    let listener = UnixListener::bind(&socket)?;
    fs::set_permissions(&socket, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// The mounts of a command's files and folders.
/// Errors: a path that the engines cannot read.
pub(crate) fn mounts(spec: &Spec) -> Result<Vec<OsString>, Error> {
    let paths = [(&spec.worktree, spec.access), (&spec.home, Access::ReadWrite)];
    let paths = paths.into_iter().chain(spec.writable.iter().map(|path| (path, Access::ReadWrite)));
    let paths = paths.chain(spec.read_only.iter().map(|path| (path, Access::ReadOnly)));
    paths.map(|(path, access)| mount(path, path, access)).collect()
}

fn mount(host: &Path, inside: &Path, access: Access) -> Result<OsString, Error> {
    if [host, inside].iter().any(|path| path.as_os_str().as_encoded_bytes().iter().any(|byte| b",\"\n".contains(byte)))
    {
        return Err(Error::InvalidSpec(format!("{} has a comma or a quote in its path", host.display())));
    }
    let mut option = OsString::from("type=bind,src=");
    option.push(host);
    option.push(",dst=");
    option.push(inside);
    option.push(if access == Access::ReadOnly { ",readonly" } else { "" });
    Ok(option)
}

struct Arguments<'a> {
    name: &'a str,
    folder: &'a Path,
    helper: &'a Path,
    user: (u32, u32),
    mounts: &'a [OsString],
}

impl Arguments<'_> {
    /// `run` with its options, which both engines read alike. Pure, apart from this process's limits.
    fn to_words(&self, level: Level, containers: &Containers, limits: &Limits) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = OPTIONS.split_whitespace().map(Into::into).collect();
        let mut add = |option: &str, value: &dyn AsRef<std::ffi::OsStr>| {
            arguments.extend([option.into(), value.as_ref().to_owned()]);
        };
        add("--name", &self.name);
        add("--label", &format!("{LABEL}={}", containers.label));
        add("--network", &containers.network);
        let mut filter = OsString::from("seccomp=");
        filter.push(self.folder.join("seccomp.json"));
        add("--security-opt", &filter);
        add("--pids-limit", &limits.threads.to_string());
        let memory = format!("{}b", containers.memory_bytes);
        add("--memory", &memory);
        add("--memory-swap", &memory);
        if let Some(percent) = containers.cpu_percent {
            add("--cpus", &format!("{}.{:02}", percent / 100, percent % 100));
        }
        // The engines' own limits may be above this machine's.
        let nproc = (Resource::RLIMIT_NPROC, SHARED_ACCOUNT_THREADS);
        for (name, (resource, value)) in [("nofile", (Resource::RLIMIT_NOFILE, limits.open_files)), ("nproc", nproc)] {
            let value = getrlimit(resource).map_or(value, |(_, hard)| value.min(hard));
            add("--ulimit", &format!("{name}={value}:{value}"));
        }
        let (uid, gid) = self.user;
        add("--user", &format!("{uid}:{gid}"));
        add("--tmpfs", &format!("/tmp:rw,exec,nosuid,nodev,mode=1777,size={}", limits.tmp_bytes));
        add("--entrypoint", &PROGRAM);
        let base = [
            (self.folder.to_owned(), FOLDER),
            (self.folder.join("passwd"), "/etc/passwd"),
            (self.folder.join("group"), "/etc/group"),
            (self.helper.to_owned(), PROGRAM),
        ];
        for mount in base.iter().filter_map(|(host, inside)| mount(host, Path::new(inside), Access::ReadOnly).ok()) {
            add("--mount", &mount);
        }
        for mount in self.mounts {
            add("--mount", mount);
        }
        if level == Level::Podman {
            arguments.extend(["--read-only-tmpfs=false", "--http-proxy=false"].map(OsString::from));
            if uid != 0 && nix::unistd::geteuid().as_raw() == uid {
                arguments.extend(["--userns", "keep-id"].map(OsString::from));
            }
        }
        arguments.extend([containers.image.clone().into(), HELPER_WORD.into(), "contained".into()]);
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_at(level: Level) -> String {
        let containers = Containers {
            image: "executor:1".into(),
            network: "none".into(),
            host: Some("unix:///engine.sock".into()),
            memory_bytes: 2 << 30,
            cpu_percent: Some(150),
            time_limit: None,
            pool: 0,
            label: "ins_1".into(),
            folder: "/work/containers".into(),
        };
        let mut spec = Spec::new("/bin/true", "/work/1/tree", "/work/1/home");
        spec.read_only = vec!["/opt/go".into()];
        let mounts = mounts(&spec).unwrap();
        let (folder, helper) = (Path::new("/work/containers/c"), Path::new("/usr/bin/pullyard-runner"));
        let options = Arguments { name: "c", folder, helper, user: (7, 8), mounts: &mounts };
        let arguments = options.to_words(level, &containers, &spec.limits);
        let arguments = Engine { level, host: containers.host }.options().into_iter().chain(arguments);
        let text =
            arguments.map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ").replace(" --", "\n--");
        // They depend on this machine.
        text.lines().filter(|line| !line.starts_with("--ulimit")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn engines_get_the_same_options_and_only_the_listed_places() {
        let expected = "--log-level error
--host unix:///engine.sock run
--detach
--pull never
--read-only
--cap-drop ALL
--security-opt no-new-privileges
--security-opt label=disable
--shm-size 64m
--ipc private
--hostname sandbox
--workdir /
--stop-timeout 1
--name c
--label pullyard.runner=ins_1
--network none
--security-opt seccomp=/work/containers/c/seccomp.json
--pids-limit 4096
--memory 2147483648b
--memory-swap 2147483648b
--cpus 1.50
--user 7:8
--tmpfs /tmp:rw,exec,nosuid,nodev,mode=1777,size=1073741824
--entrypoint /run/pullyard-program
--mount type=bind,src=/work/containers/c,dst=/run/pullyard,readonly
--mount type=bind,src=/work/containers/c/passwd,dst=/etc/passwd,readonly
--mount type=bind,src=/work/containers/c/group,dst=/etc/group,readonly
--mount type=bind,src=/usr/bin/pullyard-runner,dst=/run/pullyard-program,readonly
--mount type=bind,src=/work/1/tree,dst=/work/1/tree
--mount type=bind,src=/work/1/home,dst=/work/1/home
--mount type=bind,src=/opt/go,dst=/opt/go,readonly executor:1 sandbox-helper contained";
        assert_eq!(words_at(Level::Docker), expected);
        let podman = expected
            .replace("--host unix", "--url unix")
            .replace(" executor:1", "\n--read-only-tmpfs=false\n--http-proxy=false executor:1");
        assert_eq!(words_at(Level::Podman), podman);
    }

    #[test]
    fn path_with_a_comma_is_refused() {
        assert!(mount(Path::new("/a,readonly"), Path::new("/b"), Access::ReadWrite).is_err());
    }
}
