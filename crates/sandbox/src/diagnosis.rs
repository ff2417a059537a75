//! Names the setting of this machine that forbids a sandbox, and the command that helps.

use std::fs;
use std::path::Path;

/// Parts of bubblewrap's messages when the machine denies it a namespace or a mount in one.
const DENIALS: [&str; 8] =
    ["namespace", "uid map", "gid map", "loopback", "pivot_root", "Can't mount", "slave", "sysctl"];

const PROFILE: &str = "/etc/apparmor.d/bwrap";

/// Explains bubblewrap's failure in one sentence, from its error output and this machine's settings below `root`.
pub(crate) fn explain(output: &str, root: &Path) -> String {
    let setting = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default().trim().to_owned();
    let exists = |path: &str| root.join(path).exists();
    let message = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").trim();
    let cause = if message.contains("Unknown option") {
        "bubblewrap is too old: install version 0.8.0 or newer"
    } else if !DENIALS.iter().any(|part| message.contains(part)) {
        "bubblewrap failed"
    } else if setting("proc/sys/user/max_user_namespaces") == "0" {
        "this machine allows no user namespaces: `sysctl user.max_user_namespaces=15000`, or `external` in a container"
    } else if exists(".dockerenv") || exists("run/.containerenv") {
        "this container allows no namespaces: run the runner outside of it, or set its isolation to `external`"
    } else if setting("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return format!(
            "AppArmor forbids bubblewrap user namespaces: allow them for it alone with `printf 'abi <abi/4.0>,\\n\
             include <tunables/global>\\nprofile bwrap /usr/bin/bwrap flags=(unconfined) {{\\n  userns,\\n}}\\n' > \
             {PROFILE} && apparmor_parser -r {PROFILE}` ({message})"
        );
    } else if setting("proc/sys/kernel/unprivileged_userns_clone") == "0" {
        "this machine allows user namespaces for root only: `sysctl kernel.unprivileged_userns_clone=1`"
    } else {
        "this machine denies namespaces to bubblewrap"
    };
    format!("{cause} ({message})")
}

const INSTALLERS: [(&str, &str); 5] = [
    ("usr/bin/apt", "apt install bubblewrap"),
    ("usr/bin/dnf", "dnf install bubblewrap"),
    ("usr/bin/pacman", "pacman -S bubblewrap"),
    ("usr/bin/zypper", "zypper install bubblewrap"),
    ("sbin/apk", "apk add bubblewrap"),
];

pub(crate) fn install_command(root: &Path) -> &'static str {
    let installer = INSTALLERS.iter().find(|(program, _)| root.join(program).exists());
    installer.map_or("apt install bubblewrap", |(_, command)| command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: &[(&str, &str)], output: &str, expected: &str) {
        let root = tempfile::tempdir().unwrap();
        for (path, value) in settings {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{value}\n")).unwrap();
        }
        let sentence = explain(output, root.path());
        assert!(sentence.contains(expected) && sentence.ends_with(&format!("({output})")), "{sentence}");
    }

    #[test]
    fn refusal_names_the_setting_that_forbids_namespaces() {
        let permission = "bwrap: setting up uid map: Permission denied";
        let apparmor = ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1");
        let allowed = ("proc/sys/user/max_user_namespaces", "96365");
        check(&[allowed, apparmor], permission, "apparmor_parser -r");
        let address = "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted";
        check(&[allowed, apparmor], address, "apparmor_parser -r");
        let none = "bwrap: Creating new namespace failed: nesting depth or /proc/sys/user/max_*_namespaces exceeded";
        check(&[("proc/sys/user/max_user_namespaces", "0")], none, "sysctl user.max_user_namespaces=");
        let debian = ("proc/sys/kernel/unprivileged_userns_clone", "0");
        let denied = "bwrap: No permissions to create new namespace";
        check(&[allowed, debian], denied, "sysctl kernel.unprivileged_userns_clone=1");
        // The machine's setting is visible in its containers.
        check(&[allowed, apparmor, (".dockerenv", "")], denied, "`external`");
        check(&[allowed], "bwrap: Unknown option --disable-userns", "0.8.0");
        check(&[(".dockerenv", "")], "bwrap: Can't find source path /x: Permission denied", "bubblewrap failed");
    }
    #[test]
    fn missing_bubblewrap_names_the_package_manager() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(install_command(root.path()), "apt install bubblewrap");
        fs::create_dir_all(root.path().join("sbin")).unwrap();
        fs::write(root.path().join("sbin/apk"), "").unwrap();
        assert_eq!(install_command(root.path()), "apk add bubblewrap");
    }
}
