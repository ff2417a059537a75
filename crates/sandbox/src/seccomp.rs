//! The system calls that no command may make.
//!
//! A debugger (gdb, strace) therefore does not work in a sandbox.

use crate::error::Error;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sockets {
    /// The network is a namespace, or free.
    All,
    /// Without a network namespace, datagrams could reach any DNS server.
    NoDatagrams,
    /// At levels that show the machine's files, a socket of D-Bus or Docker would lead out.
    OnlyTcp,
}

/// Each number with the name of its constant, because an engine of containers reads names.
macro_rules! with_names {
    ($($(#[$on:meta])* libc::$call:ident),* $(,)?) => { &[$($(#[$on])* (stringify!($call), libc::$call)),*] };
}

#[rustfmt::skip]
const DENIED: &[(&str, c_long)] = with_names![
    // Other processes, and keys of the kernel.
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise,
    libc::SYS_kcmp, libc::SYS_pidfd_getfd, libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl,
    // Large parts of the kernel that no build needs.
    libc::SYS_bpf, libc::SYS_userfaultfd, libc::SYS_perf_event_open, libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_fanotify_init, libc::SYS_open_by_handle_at,
    libc::SYS_personality,
    // Mounts and namespaces.
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_setns, libc::SYS_unshare,
    libc::SYS_open_tree, libc::SYS_move_mount, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount,
    libc::SYS_fspick, libc::SYS_mount_setattr,
    // The machine itself.
    libc::SYS_kexec_load, libc::SYS_kexec_file_load, libc::SYS_init_module, libc::SYS_finit_module,
    libc::SYS_delete_module, libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_acct,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_adjtimex, libc::SYS_clock_adjtime,
    libc::SYS_quotactl, libc::SYS_quotactl_fd, libc::SYS_syslog,
    #[cfg(target_arch = "x86_64")] libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")] libc::SYS_ioperm,
];

const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// System calls from this number on belong to the x32 interface of x86-64.
const X32_BIT: u32 = 0x4000_0000;

type Compiled<T> = Result<T, seccompiler::BackendError>;

/// The programs in the order in which they are loaded.
/// Errors: this architecture has no filter; only x86-64 and aarch64 do.
pub(crate) fn filters(sockets: Sockets) -> Result<Vec<BpfProgram>, Error> {
    let compiled = TargetArch::try_from(std::env::consts::ARCH).and_then(|arch| compile(sockets, arch));
    let denied =
        compiled.map_err(|error| Error::NotStarted(format!("cannot compile the system call filter: {error}")))?;
    Ok(vec![denied, by_number()])
}

/// The same programs as the kernel and bubblewrap read them.
pub(crate) fn to_bytes(program: &BpfProgram) -> Vec<u8> {
    let bytes = |line: &sock_filter| {
        let [code0, code1] = line.code.to_ne_bytes();
        let [k0, k1, k2, k3] = line.k.to_ne_bytes();
        [code0, code1, line.jt, line.jf, k0, k1, k2, k3]
    };
    program.iter().flat_map(bytes).collect()
}

/// The same rules as podman and docker read them. The engine fails x32 calls and other architectures itself.
pub(crate) fn to_profile() -> String {
    let denied = |names: &[&str], code: i32, args: Value| json!({ "names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": code, "args": args });
    let masked = |index: u8, mask: u32, value: u32| json!([{ "index": index, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" }]);
    let names: Vec<&str> = DENIED.iter().filter_map(|(name, _)| name.strip_prefix("SYS_")).collect();
    let mut rules = vec![denied(&names, libc::EPERM, json!([])), denied(&["clone3"], libc::ENOSYS, json!([]))];
    let flags = NAMESPACE_FLAGS.iter().map(|flag| masked(0, *flag as u32, *flag as u32));
    rules.extend(flags.map(|args| denied(&["clone"], libc::EPERM, args)));
    let terminal_input = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];
    rules.extend(terminal_input.map(|call| denied(&["ioctl"], libc::EPERM, masked(1, u32::MAX, call))));
    // A rule cannot exclude several values of one argument, so each other family has a rule of its own.
    let others = (0..libc::AF_NETLINK).filter(|family| !FAMILIES.contains(family));
    let others = others.map(|family| json!([{ "index": 0, "value": family, "op": "SCMP_CMP_EQ" }]));
    let newer = json!([{ "index": 0, "value": libc::AF_NETLINK, "op": "SCMP_CMP_GT" }]);
    rules.extend(others.chain([newer]).map(|args| denied(&["socket"], libc::EPERM, args)));
    let architecture = if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" };
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": [architecture], "syscalls": rules }).to_string()
}

fn compile(allowed: Sockets, arch: TargetArch) -> Compiled<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = DENIED.iter().map(|(_, call)| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, NAMESPACE_FLAGS.iter().map(|flag| has_flag(0, *flag)).collect::<Compiled<_>>()?);
    // Only the low half counts for the kernel. Source: CVE-2019-7303.
    let terminal_input = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];
    rules.insert(
        libc::SYS_ioctl,
        terminal_input.iter().map(|call| rule(&[(1, SeccompCmpOp::Eq, *call)])).collect::<Compiled<_>>()?,
    );
    let is_excluded = |family: &&libc::c_int| allowed == Sockets::OnlyTcp && **family == libc::AF_UNIX;
    let families = FAMILIES.iter().filter(|family| !is_excluded(family));
    let others: Vec<_> = families.map(|family| (0, SeccompCmpOp::Ne, *family as u32)).collect();
    let mut sockets = vec![rule(&others)?];
    if allowed != Sockets::All {
        let datagram = (1, SeccompCmpOp::MaskedEq(0xf), libc::SOCK_DGRAM as u32);
        for family in [libc::AF_INET, libc::AF_INET6] {
            sockets.push(rule(&[(0, SeccompCmpOp::Eq, family as u32), datagram.clone()])?);
        }
    }
    rules.insert(libc::SYS_socket, sockets);
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    // The program kills a process that uses another architecture's numbers.
    SeccompFilter::new(rules, SeccompAction::Allow, denied, arch)?.try_into()
}

fn has_flag(argument: u8, flag: i32) -> Compiled<SeccompRule> {
    rule(&[(argument, SeccompCmpOp::MaskedEq(flag as u32 as u64), flag as u32)])
}

fn rule(conditions: &[(u8, SeccompCmpOp, u32)]) -> Compiled<SeccompRule> {
    let conditions = conditions.iter().map(|(argument, compare, value)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, compare.clone(), u64::from(*value))
    });
    SeccompRule::new(conditions.collect::<Compiled<_>>()?)
}

/// Fails `clone3` with ENOSYS, so that the C library uses `clone`, whose flags a filter can read. Fails x32 calls.
/// The other program, which compares the architecture, has priority.
fn by_number() -> BpfProgram {
    const LOAD_NUMBER: u16 = 0x20;
    const JUMP_EQUAL: u16 = 0x15;
    const JUMP_GREATER_EQUAL: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let line = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        line(LOAD_NUMBER, 0, 0, 0),
        line(JUMP_EQUAL, 2, 0, libc::SYS_clone3 as u32),
        line(JUMP_GREATER_EQUAL, 2, 0, X32_BIT),
        line(RETURN, 0, 0, ALLOW),
        line(RETURN, 0, 0, ERRNO | libc::ENOSYS as u32),
        line(RETURN, 0, 0, ERRNO | libc::EPERM as u32),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compile_for_both_architectures() {
        for arch in [TargetArch::x86_64, TargetArch::aarch64] {
            for sockets in [Sockets::All, Sockets::NoDatagrams, Sockets::OnlyTcp] {
                let program = compile(sockets, arch).unwrap();
                assert!((100..4096).contains(&program.len()), "{}", program.len());
                assert_eq!(to_bytes(&program).len(), 8 * program.len());
            }
        }
    }
}
