//! Builds bubblewrap's options for one command. Pure, apart from `System::read` and `find_program`.
//!
//! Bubblewrap gets them through a descriptor (`--args`), because its command line is readable inside the sandbox.
//! Source: bwrap(1), version 0.8.0.

use crate::diagnosis;
use crate::error::Error;
use crate::spec::{Access, Spec};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

const PROGRAMS: [&str; 4] =
    ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap", "/run/current-system/sw/bin/bwrap"];

const SHARED_MEMORY_BYTES: u64 = 64 << 20;

/// The user inside, so that agents which refuse to run as root do run.
const USER: &str = "1000";

/// The files in `/etc`, besides certificates and the like.
pub(crate) const ETC_FILES: [(&str, &str); 5] = [
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000:agent:/home/agent:/bin/sh\n"),
    ("/etc/group", "root:x:0:\nagent:x:1000:\n"),
    ("/etc/hosts", "127.0.0.1 localhost sandbox\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ("/etc/resolv.conf", ""),
];

pub(crate) const ETC_SHARED: [&str; 10] = [
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/os-release",
    "/etc/services",
];

const TOP_FOLDERS: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// This machine's system folders: real ones, and links of a merged `/usr` with their targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct System {
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
}

impl System {
    pub(crate) fn read() -> Self {
        let mut system = Self::default();
        for path in TOP_FOLDERS.map(PathBuf::from) {
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => system.folders.push(path),
                Ok(metadata) if metadata.is_symlink() => {
                    system.links.extend(fs::read_link(&path).ok().map(|target| (target, path)));
                }
                _ => {}
            }
        }
        // Debian's Java reads its settings there.
        let etc = fs::read_dir("/etc").into_iter().flatten().flatten();
        system
            .folders
            .extend(etc.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"java-")).map(|e| e.path()));
        system
    }
}

pub(crate) struct Descriptors {
    /// In the order of `ETC_FILES`.
    pub(crate) etc: Vec<RawFd>,
    pub(crate) filters: Vec<RawFd>,
}

/// Searches the system's program folders, never the worktree's `PATH`. Errors: bubblewrap is missing.
pub(crate) fn find_program() -> Result<PathBuf, Error> {
    let program = PROGRAMS.iter().map(PathBuf::from).find(|path| path.is_file());
    program.ok_or_else(|| Error::NoBubblewrap(diagnosis::install_command(Path::new("/"))))
}

#[derive(Default)]
struct Options(Vec<OsString>);

impl Options {
    fn add<const N: usize>(&mut self, words: [&OsStr; N]) {
        self.0.extend(words.map(OsStr::to_owned));
    }

    fn words<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn bind(&mut self, option: &str, host: &Path, inside: &Path) {
        self.add([option.as_ref(), host.as_ref(), inside.as_ref()]);
    }

    fn tmpfs(&mut self, mode: &str, bytes: u64, inside: &Path) {
        self.words(["--perms", mode, "--size", &bytes.to_string(), "--tmpfs"]);
        self.add([inside.as_ref()]);
    }
}

/// All options, each with its values, in the order of the mounts: the last mount at a path wins.
pub(crate) fn options(
    spec: &Spec,
    env: &[(OsString, OsString)],
    system: &System,
    descriptors: &Descriptors,
) -> Vec<OsString> {
    let mut options = Options::default();
    options.words(["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]);
    options.words(["--unshare-cgroup-try", "--disable-userns", "--uid", USER, "--gid", USER]);
    options.words(["--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]);
    for (name, value) in env {
        options.add(["--setenv".as_ref(), name, value]);
    }
    for folder in &system.folders {
        options.bind("--ro-bind", folder, folder);
    }
    for (target, link) in &system.links {
        options.bind("--symlink", target, link);
    }
    for ((path, _), descriptor) in ETC_FILES.iter().zip(&descriptors.etc) {
        options.words(["--perms", "0644", "--file", &descriptor.to_string(), path]);
    }
    for path in ETC_SHARED {
        options.words(["--ro-bind-try", path, path]);
    }
    let limits = &spec.limits;
    options.words(["--proc", "/proc", "--dev", "/dev"]);
    options.tmpfs("1777", SHARED_MEMORY_BYTES, Path::new("/dev/shm"));
    options.tmpfs("1777", limits.tmp_bytes, Path::new("/tmp"));
    options.bind("--bind", &spec.home, &spec.home);
    let worktree = match spec.access {
        Access::ReadWrite => "--bind",
        Access::ReadOnly => "--ro-bind",
    };
    options.bind(worktree, &spec.worktree, &spec.worktree);
    for path in &spec.writable {
        options.bind("--bind", path, path);
    }
    for path in &spec.read_only {
        options.bind("--ro-bind", path, path);
    }
    options.words(["--remount-ro", "/", "--chdir"]);
    options.add([spec.worktree.as_ref()]);
    for descriptor in &descriptors.filters {
        options.words(["--add-seccomp-fd", &descriptor.to_string()]);
    }
    options.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;

    fn options_of(spec: &Spec) -> String {
        let system = System { folders: vec!["/usr".into()], links: vec![("usr/bin".into(), "/bin".into())] };
        let descriptors = Descriptors { etc: vec![7, 8, 9, 10, 11], filters: vec![12, 13] };
        let env = spec.environment(Level::Bubblewrap);
        let arguments = options(spec, &env, &system, &descriptors);
        arguments.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ").replace(" --", "\n--")
    }

    #[test]
    fn options_show_only_the_listed_places() {
        let mut spec = Spec::new("/opt/agent/claude", "/jobs/1/work", "/jobs/1/home");
        spec.env = vec![("ANTHROPIC_API_KEY".into(), "placeholder".into())];
        spec.read_only = vec!["/opt/agent".into()];
        let expected = "--unshare-user
--unshare-ipc
--unshare-pid
--unshare-net
--unshare-uts
--unshare-cgroup-try
--disable-userns
--uid 1000
--gid 1000
--hostname sandbox
--die-with-parent
--new-session
--cap-drop ALL
--clearenv
--setenv PATH /usr/local/bin:/usr/bin:/bin
--setenv HOME /jobs/1/home
--setenv USER agent
--setenv LANG C.UTF-8
--setenv TMPDIR /tmp
--setenv ANTHROPIC_API_KEY placeholder
--ro-bind /usr /usr
--symlink usr/bin /bin
--perms 0644
--file 7 /etc/passwd
--perms 0644
--file 8 /etc/group
--perms 0644
--file 9 /etc/hosts
--perms 0644
--file 10 /etc/nsswitch.conf
--perms 0644
--file 11 /etc/resolv.conf
--ro-bind-try /etc/ssl/certs /etc/ssl/certs
--ro-bind-try /etc/ssl/openssl.cnf /etc/ssl/openssl.cnf
--ro-bind-try /etc/pki/tls/certs /etc/pki/tls/certs
--ro-bind-try /etc/pki/ca-trust/extracted /etc/pki/ca-trust/extracted
--ro-bind-try /etc/alternatives /etc/alternatives
--ro-bind-try /etc/ld.so.cache /etc/ld.so.cache
--ro-bind-try /etc/ld.so.conf /etc/ld.so.conf
--ro-bind-try /etc/ld.so.conf.d /etc/ld.so.conf.d
--ro-bind-try /etc/os-release /etc/os-release
--ro-bind-try /etc/services /etc/services
--proc /proc
--dev /dev
--perms 1777
--size 67108864
--tmpfs /dev/shm
--perms 1777
--size 1073741824
--tmpfs /tmp
--bind /jobs/1/home /jobs/1/home
--bind /jobs/1/work /jobs/1/work
--ro-bind /opt/agent /opt/agent
--remount-ro /
--chdir /jobs/1/work
--add-seccomp-fd 12
--add-seccomp-fd 13";
        assert_eq!(options_of(&spec), expected);
    }

    #[test]
    fn read_only_worktree_is_bound_so() {
        let mut spec = Spec::new("/bin/true", "/jobs/1/work", "/jobs/1/home");
        spec.access = Access::ReadOnly;
        let options = options_of(&spec);
        assert!(options.contains("--ro-bind /jobs/1/work /jobs/1/work\n"), "{options}");
    }
}
