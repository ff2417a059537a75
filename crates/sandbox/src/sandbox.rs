//! Prepares commands at an isolation level, for the account of a job.

use crate::account::{self, Account, AccountLease};
use crate::bubblewrap::{self, Descriptors, ETC_FILES, System};
use crate::container::{self, Container};
use crate::containers::Containers;
use crate::engine::Engine;
use crate::error::Error;
use crate::landlock::{Rules, Strictness};
use crate::launch::{Confinement, FIRST_FILE, HELPER_WORD, ORDERS, OWN_PROGRAM, Orders, Privileges, SOCKET, Target};
use crate::level::Level;
use crate::ownership;
use crate::ports::Ports;
use crate::running::{Cleanup, PendingStart, Prepared};
use crate::seccomp::{self, Sockets};
use crate::spec::Spec;
use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, memfd_create};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Starts commands at one level. One value per job: it holds the job's account.
#[derive(Debug)]
pub struct Sandbox {
    level: Level,
    /// A program that calls `run_helper`.
    pub(crate) helper: PathBuf,
    bubblewrap: Option<PathBuf>,
    lease: Option<Arc<AccountLease>>,
    engine: Option<(Engine, Containers)>,
    /// Containers that wait for a command; `None` once the job ended.
    waiting: Mutex<Option<Vec<Container>>>,
}

impl Sandbox {
    /// Uses this process's own program as helper, so its `main` must call `run_helper`.
    pub fn new(level: Level) -> Result<Self, Error> {
        Self::with_helper(level, "/proc/self/exe".into())
    }

    /// Errors: the level's system, program or account is missing.
    pub fn with_helper(level: Level, helper: PathBuf) -> Result<Self, Error> {
        if level == Level::Seatbelt {
            return Err(Error::NeedsMacOs(level.as_str()));
        }
        let bubblewrap = if level == Level::Bubblewrap { Some(bubblewrap::find_program()?) } else { None };
        let lease = match level {
            Level::None => None,
            // A task may be root without these rights.
            Level::External if !account::can_change_user() => None,
            Level::External => match AccountLease::acquire() {
                // A container may have too few users, or no folder for the locks. The check shows that none is used.
                Err(Error::NoUserId(_) | Error::Io { .. }) => None,
                lease => lease?,
            },
            _ => AccountLease::acquire()?,
        };
        let lease = lease.map(Arc::new);
        Ok(Self { level, helper, bubblewrap, lease, engine: None, waiting: Mutex::new(Some(Vec::new())) })
    }

    /// Sets the image and the limits, which `podman` and `docker` need.
    /// Errors: the engine's program is missing.
    pub fn in_containers(mut self, containers: Containers) -> Result<Self, Error> {
        self.engine = Some((Engine::find(self.level, &containers)?, containers));
        Ok(self)
    }

    pub fn level(&self) -> Level {
        self.level
    }

    /// The user id of commands, if it is not this process's.
    pub fn account_uid(&self) -> Option<u32> {
        self.account().map(|account| account.uid)
    }

    fn account(&self) -> Option<Account> {
        self.lease.as_ref().map(|lease| lease.account)
    }

    /// Changes the owner of a folder to the commands' account, before a command and after the runner wrote into it.
    pub fn chown_to_account(&self, folder: &Path) -> Result<(), Error> {
        self.account().map_or(Ok(()), |account| ownership::change_owner(folder, account))
    }

    /// Changes the owner of a folder back, after its last command has ended. Follows no link, but the links stay: the
    /// runner must not follow them either when it reads or writes there.
    /// Errors: a folder whose path is too long. Remove it then.
    pub fn chown_to_runner(&self, folder: &Path) -> Result<(), Error> {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        self.account().map_or(Ok(()), |_| ownership::change_owner(folder, Account { uid, gid }))
    }

    /// Reserves ports of 127.0.0.1 for the model's proxy and the egress proxy, so that the command's environment can
    /// name them. `Running` returns their listeners. At most two.
    pub fn reserve_ports(&self, count: usize) -> Result<Ports, Error> {
        if self.level.has_mounts() { Ok(Ports::inside(count)) } else { Ports::bind(count) }
    }

    /// Errors: a description that is unsafe, or a folder that the account cannot enter.
    pub fn prepare(&self, spec: &Spec, ports: Ports) -> Result<Prepared, Error> {
        spec.validate()?;
        // An engine that is root mounts every folder.
        if let Some(account) = self.account().filter(|_| !self.level.is_container()) {
            spec.paths().try_for_each(|path| check_reachable(path, account))?;
        }
        let to_error = |error| Error::io("prepare a command")(error);
        let (ours, theirs) = UnixStream::pair().map_err(to_error)?;
        let own_program = File::open(&self.helper).map_err(to_error)?;
        let mut files = Vec::new();
        let mut container = None;
        let orders = match &self.bubblewrap {
            Some(bubblewrap) => self.bubblewrap_orders(bubblewrap, spec, &ports, &mut files)?,
            None if self.level.is_container() => {
                let new_container = container.insert(self.take_container(spec)?);
                files.extend(new_container.connection.take().map(OwnedFd::from));
                self.container_orders(spec, &ports)
            }
            None => self.direct_orders(spec, &ports),
        };
        let orders = serde_json::to_vec(&orders).map_err(|error| to_error(error.into()))?;
        let inherited = [
            (ORDERS, memory_file(&orders).map_err(to_error)?),
            (SOCKET, theirs.into()),
            (OWN_PROGRAM, own_program.into()),
        ];
        let inherited = inherited.into_iter().chain((FIRST_FILE..).zip(files));
        let inherited = inherited.map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd }).collect();
        let mut command = Command::new(&self.helper);
        command.args([HELPER_WORD, "launch"]).env_clear();
        command.fd_mappings(inherited).map_err(|error| to_error(io::Error::other(error)))?;
        let account = self.lease.clone().filter(|_| !self.level.has_mounts());
        let has_namespace = self.level.has_mounts();
        let cleanup = Cleanup { account, helper: self.helper.clone(), has_namespace, _container: container };
        Ok(Prepared { command, start: PendingStart { socket: ours, ports, cleanup } })
    }

    /// Starts containers for later commands with the same paths, as many as `Containers::pool`. Blocks.
    /// A failure is not reported: the next `prepare` reports it.
    pub fn prepare_ahead(&self, spec: &Spec) {
        let Some((_, Containers { pool, .. })) = &self.engine else { return };
        let Ok(mounts) = container::mounts(spec) else { return };
        for _ in 0..*pool {
            // Locked during the start, because the next command would otherwise start another one at the same time.
            let mut waiting = self.waiting();
            let Some(waiting) = waiting.as_mut() else { return };
            if waiting.iter().filter(|container| container.mounts == mounts).count() >= *pool {
                return;
            }
            match self.start_container(spec, mounts.clone()) {
                Ok(container) => waiting.push(container),
                Err(_) => return,
            }
        }
    }

    /// Removes the containers that wait, after the last command. Blocks.
    pub fn discard_prepared(&self) {
        drop(self.waiting().take());
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Vec<Container>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_container(&self, spec: &Spec) -> Result<Container, Error> {
        let mounts = container::mounts(spec)?;
        let prepared = self.waiting().as_mut().and_then(|waiting| {
            let index = waiting.iter().position(|container| container.mounts == mounts)?;
            Some(waiting.swap_remove(index))
        });
        prepared.map_or_else(|| self.start_container(spec, mounts), Ok)
    }

    fn start_container(&self, spec: &Spec, mounts: Vec<OsString>) -> Result<Container, Error> {
        let (engine, containers) = self.engine.as_ref().ok_or(Error::NoImage(self.level.as_str()))?;
        let own = Account { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
        let Account { uid, gid } = self.account().unwrap_or(own);
        Container::start(engine, containers, (uid, gid), &spec.limits, &self.helper, mounts)
    }

    fn container_orders(&self, spec: &Spec, ports: &Ports) -> Orders {
        let limit = self.engine.as_ref().and_then(|(_, containers)| containers.time_limit);
        let target = Target::Container {
            folder: spec.worktree.clone(),
            ports: ports.numbers.clone(),
            time_limit_secs: limit.map(|limit| limit.as_secs()),
        };
        self.orders(spec, target)
    }

    fn orders(&self, spec: &Spec, target: Target) -> Orders {
        let mut limits = spec.limits.clone();
        if self.level.is_container() {
            limits.process_bytes = Some(u64::MAX);
        }
        Orders {
            parent: std::process::id(),
            account: self.account(),
            privileges: if self.level == Level::None { Privileges::Retain } else { Privileges::Drop },
            limits,
            target,
            program: spec.program.clone(),
            args: spec.args.clone(),
            env: spec.environment(self.level),
        }
    }

    fn bubblewrap_orders(
        &self,
        bubblewrap: &Path,
        spec: &Spec,
        ports: &Ports,
        files: &mut Vec<OwnedFd>,
    ) -> Result<Orders, Error> {
        let mut next = FIRST_FILE;
        let mut add = |content: &[u8]| -> Result<RawFd, Error> {
            files.push(memory_file(content).map_err(Error::io("prepare a command"))?);
            next += 1;
            Ok(next - 1)
        };
        let etc = ETC_FILES.iter().map(|(_, content)| add(content.as_bytes())).collect::<Result<_, _>>()?;
        let filters = seccomp::filters(Sockets::All)?;
        let filters = filters.iter().map(|filter| add(&seccomp::to_bytes(filter))).collect::<Result<_, _>>()?;
        let env = spec.environment(self.level);
        let descriptors = Descriptors { etc, filters };
        let options = bubblewrap::options(spec, &env, &System::read(), &descriptors);
        let options: Vec<u8> = options.iter().flat_map(|word| [word.as_encoded_bytes(), b"\0"].concat()).collect();
        let options = add(&options)?;
        let mut args: Vec<OsString> = vec!["--args".into(), options.to_string().into(), "--".into()];
        // The path leads to the inherited file, so the runner's program needs no mount.
        args.extend([format!("/proc/self/fd/{OWN_PROGRAM}").into(), HELPER_WORD.into(), "enter".into()]);
        args.extend(ports.numbers.iter().map(|port| port.to_string().into()));
        args.extend(["--".into(), spec.program.clone().into()]);
        args.extend(spec.args.iter().cloned());
        let target = Target::Bubblewrap { last_descriptor: options };
        // Bubblewrap sets the variables from its options, because its own environment is readable in `/proc`.
        Ok(Orders { program: bubblewrap.to_owned(), args, env: Vec::new(), ..self.orders(spec, target) })
    }

    fn direct_orders(&self, spec: &Spec, ports: &Ports) -> Orders {
        let strictness = match self.level {
            Level::Landlock => Some(Strictness::Required),
            Level::External => Some(Strictness::BestEffort),
            Level::None | Level::Seatbelt | Level::Bubblewrap | Level::Podman | Level::Docker => None,
        };
        let is_strict = strictness == Some(Strictness::Required);
        let confinement = strictness.map(|strictness| Confinement {
            rules: Rules {
                strictness,
                read: spec.paths().cloned().collect(),
                write: spec.writable_paths().cloned().collect(),
                ports: (is_strict || !ports.numbers.is_empty()).then(|| ports.numbers.clone()),
            },
            sockets: match (is_strict, ports.numbers.is_empty()) {
                (true, _) => Sockets::OnlyTcp,
                (false, false) => Sockets::NoDatagrams,
                (false, true) => Sockets::All,
            },
        });
        self.orders(spec, Target::Command { folder: spec.worktree.clone(), confinement })
    }
}

fn memory_file(content: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("pullyard", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file.into())
}

/// Whether the account can enter every folder above this path. Otherwise bubblewrap reports a missing folder.
fn check_reachable(path: &Path, account: Account) -> Result<(), Error> {
    for folder in path.ancestors().skip(1) {
        let metadata = fs::metadata(folder).map_err(Error::io(format!("read {}", folder.display())))?;
        let enter = match () {
            () if metadata.uid() == account.uid => 0o100,
            () if metadata.gid() == account.gid => 0o010,
            () => 0o001,
        };
        if metadata.permissions().mode() & enter == 0 {
            return Err(Error::Unreachable { folder: folder.to_owned(), path: path.to_owned() });
        }
    }
    Ok(())
}
