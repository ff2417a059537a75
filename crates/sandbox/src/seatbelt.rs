//! The profile and the command line of macOS's sandbox. Untested on a real machine.
//!
//! Source: sandbox-exec(1), and the profile of Codex (`seatbelt_base_policy.sbpl`).

use crate::spec::Spec;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Never searched for in `PATH`.
const PROGRAM: &str = "/usr/bin/sandbox-exec";

/// Processes, system folders, devices, and the two services that the C library needs.
const BASE: &str = "(version 1)
(deny default)
(allow process-exec)
(allow process-fork)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow sysctl-read)
(allow pseudo-tty)
(allow ipc-posix-sem)
(allow mach-lookup (global-name \"com.apple.system.opendirectoryd.libinfo\"))
(allow mach-lookup (global-name \"com.apple.cfprefsd.daemon\"))
(allow file-read-metadata)
(allow file-read* (literal \"/\") (subpath \"/usr\") (subpath \"/bin\") (subpath \"/sbin\") (subpath \"/System\"))
(allow file-read* (subpath \"/Library/Apple\") (subpath \"/Library/Developer\") (subpath \"/Library/Frameworks\"))
(allow file-read* (subpath \"/opt/homebrew\") (subpath \"/private/etc/ssl\") (literal \"/private/etc/hosts\"))
(allow file-read* file-write* (literal \"/dev/null\") (literal \"/dev/zero\") (literal \"/dev/tty\"))
(allow file-read* (literal \"/dev/random\") (literal \"/dev/urandom\"))
";

/// Paths are parameters, so that no path is parsed as a rule.
pub(crate) fn command(spec: &Spec, ports: &[u16]) -> Command {
    let writable: Vec<_> = spec.writable_paths().map(|path| resolve(path)).collect();
    let readable = spec.paths().map(|path| resolve(path)).filter(|path| !writable.contains(path));
    let mut profile = BASE.to_owned();
    let mut parameters = Vec::new();
    for (number, path) in readable.enumerate() {
        let _ = writeln!(profile, "(allow file-read* (subpath (param \"READ{number}\")))");
        parameters.push((format!("READ{number}="), path));
    }
    for (number, path) in writable.into_iter().enumerate() {
        let _ = writeln!(profile, "(allow file-read* file-write* (subpath (param \"WRITE{number}\")))");
        parameters.push((format!("WRITE{number}="), path));
    }
    for port in ports {
        let _ = writeln!(profile, "(allow network-outbound (remote ip \"localhost:{port}\"))");
    }
    let mut command = Command::new(PROGRAM);
    command.arg("-p").arg(profile);
    for (name, path) in parameters {
        let mut parameter = OsString::from(name);
        parameter.push(path);
        command.arg("-D").arg(parameter);
    }
    command.arg("--").arg(&spec.program).args(&spec.args);
    command
}

/// The sandbox compares real paths, and `/tmp` is a link on macOS.
fn resolve(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_allows_the_listed_places_and_ports() {
        let mut spec = Spec::new("/opt/agent/claude", "/jobs/1/tree", "/jobs/1/home");
        spec.args = vec!["-p".into()];
        spec.read_only = vec!["/opt/agent".into()];
        let command = command(&spec, &[4001, 4002]);
        let arguments: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(command.get_program(), "/usr/bin/sandbox-exec");
        let [flag, profile, rest @ ..] = &arguments[..] else { panic!("{arguments:?}") };
        let rules = "(allow file-read* (subpath (param \"READ0\")))
(allow file-read* file-write* (subpath (param \"WRITE0\")))
(allow file-read* file-write* (subpath (param \"WRITE1\")))
(allow network-outbound (remote ip \"localhost:4001\"))
(allow network-outbound (remote ip \"localhost:4002\"))
";
        assert_eq!((*flag, *profile), ("-p", format!("{BASE}{rules}").as_str()));
        let parameters = "-D READ0=/opt/agent -D WRITE0=/jobs/1/tree -D WRITE1=/jobs/1/home";
        assert_eq!(rest.join(" "), format!("{parameters} -- /opt/agent/claude -p"));
    }

    #[test]
    fn read_only_worktree_is_readable_only() {
        let mut spec = Spec::new("/bin/true", "/jobs/1/tree", "/jobs/1/home");
        spec.access = crate::spec::Access::ReadOnly;
        let text = format!("{:?}", command(&spec, &[]));
        assert!(text.contains("READ0=/jobs/1/tree") && text.contains("WRITE0=/jobs/1/home"), "{text}");
        assert!(!text.contains("WRITE1") && !text.contains("network"), "{text}");
    }
}
