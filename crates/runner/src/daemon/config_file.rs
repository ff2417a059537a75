//! Reads `runner.env`, lines of the form `NAME=value`, and adds them to this program's environment.
//! Values have no quotes, escapes or variables, so that compose's `env_file` reads the same values.

use super::child::INHERITED;
use super::file_source::FileSource;
use super::setting_names::{UNUSED, VARIABLES, same_setting, sets_something};
use crate::agent::agent_variables;
use crate::git::NETWORK_ENVIRONMENT;
use crate::process::root_folder::is_root;
use pullyard_sandbox::Containers;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const SYSTEM_FILE: &str = "/etc/pullyard-runner/runner.env";
/// Names of the variables that this program took from the file, set by itself.
const NAMES_FROM_FILE: &str = "PULLYARD_CONFIG_NAMES";
/// `--config none` reads no file.
pub(crate) const NO_FILE: &str = "none";
const MAX_BYTES: u64 = 1 << 20;

pub(crate) type Values = BTreeMap<String, String>;

/// The file of this user; of the machine for root. `None` without a home.
pub(crate) fn default_path() -> Option<PathBuf> {
    if is_root() { Some(SYSTEM_FILE.into()) } else { Some(config_folder()?.join("pullyard-runner/runner.env")) }
}

/// A variable of this process.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Whether this process has a variable that sets something.
fn is_set(name: &str) -> bool {
    variable(name).is_some_and(|value| sets_something(name, &value))
}

pub(crate) fn config_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))
}

/// Loads the named file, else the user's, else the machine's. `None` if no file is named and none exists.
/// Errors: a sentence for the user.
fn find(named: Option<&Path>) -> Result<Option<(PathBuf, Lines)>, String> {
    if named.is_some_and(|path| path.as_os_str() == NO_FILE) {
        return Ok(None);
    }
    if let Some(path) = named {
        let absent = || format!("There is no file {}. `pullyard-runner setup` writes one.", path.display());
        return load(path)?.ok_or_else(absent).map(|lines| Some((path.to_owned(), lines)));
    }
    // A user's runner does not need the machine's file, which may be root's.
    let system = || Some(PathBuf::from(SYSTEM_FILE)).filter(|path| File::open(path).is_ok());
    let path = default_path().filter(|path| path.exists()).or_else(system);
    match path {
        Some(path) => Ok(load(&path)?.map(|lines| (path, lines))),
        None => Ok(None),
    }
}

/// `None` if the file does not exist. Errors: a sentence for the user.
pub(crate) fn load(path: &Path) -> Result<Option<Lines>, String> {
    let shown = path.display();
    let failed = |error: io::Error| format!("Cannot read {shown}: {error}.");
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        result => result.map_err(failed)?,
    };
    let metadata = file.metadata().map_err(failed)?;
    let user = nix::unistd::geteuid().as_raw();
    if !metadata.is_file() || ![0, user].contains(&metadata.uid()) {
        return Err(format!("{shown} is refused: it must be a file of this user or root. Run `chown {user} {shown}`."));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(format!("{shown} is refused, because other users may read or write it. Run `chmod 600 {shown}`."));
    }
    let mut text = String::new();
    file.by_ref().take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    parse(&text).map(Some).map_err(|error| format!("{shown}: {error}"))
}

#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) values: Values,
    pub(crate) unknown: Vec<usize>,
}

/// Ignores unknown names, because the installed program reads the file before it starts the release of an update.
fn parse(text: &str) -> Result<Lines, String> {
    let Lines { mut values, mut unknown } = Lines::default();
    // Editors of Windows write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("Line {number} is not NAME=value."))?;
        let value = value.trim();
        if !known_names().any(|known| known == name) {
            unknown.push(number);
            continue;
        }
        check_value(value).map_err(|reason| format!("Line {number}: {name} {reason}"))?;
        if values.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(format!("Line {number} sets {name} again. Delete one of the lines."));
        }
    }
    Ok(Lines { values, unknown })
}

/// Variables that have an effect in this program, in git or in agents.
fn known_names() -> impl Iterator<Item = &'static str> {
    let settings = VARIABLES.iter().flat_map(|(_, names)| names.iter().copied());
    let shared = INHERITED.iter().chain(NETWORK_ENVIRONMENT).chain(&Containers::CLIENT_VARIABLES).copied();
    settings.chain(UNUSED.iter().map(|(name, _)| *name)).chain(agent_variables()).chain(shared)
}

/// Refuses the characters that compose or a shell would change. Errors: a fragment that follows the name.
pub(crate) fn check_value(value: &str) -> Result<(), String> {
    let is_special = |c: &char| c.is_control() || "\"'`\\$#".contains(*c);
    match value.chars().find(is_special) {
        Some(c) => Err(format!("contains {c:?}: quotes, backslashes, `$`, `#` and control characters are refused.")),
        None => Ok(()),
    }
}

/// The values of the file that apply: those whose setting has neither a flag nor a variable. Programs read proxies
/// under names in upper and in lower case, so both are one setting.
fn applicable(file: &Values, flags: &BTreeMap<String, String>, variables: &BTreeSet<String>) -> Values {
    let has_variable = |name: &str| variables.iter().any(|variable| variable.eq_ignore_ascii_case(name));
    let is_overridden = |name: &str| {
        has_variable(name)
            || same_setting(name).any(|(setting, variables)| {
                flags.contains_key(setting) || variables.iter().any(|variable| has_variable(variable))
            })
    };
    let values = file.iter().filter(|(name, value)| !value.is_empty() && !is_overridden(name));
    values.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Starts this program again with the variables of the file, unless it has them: git, agents and the HTTP client read
/// variables of the process. A program that is started again later reads the file again.
/// Errors: a sentence for the user.
pub(crate) fn enter(named: Option<&Path>, flags: &BTreeMap<String, String>) -> Result<FileSource, String> {
    let Some((path, Lines { values, unknown })) = find(named)? else { return Ok(FileSource::default()) };
    let earlier = std::env::var(NAMES_FROM_FILE).unwrap_or_default();
    let earlier: BTreeSet<&str> = earlier.split(',').filter(|name| !name.is_empty()).collect();
    // Each process has a `PATH`, which would hide that of the file.
    let is_own = |name: &String| !earlier.contains(name.as_str()) && name != "PATH" && is_set(name);
    let own = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let own: BTreeSet<String> = own.filter(is_own).collect();
    let values = applicable(&values, flags, &own);
    let is_current = |(name, value): (&String, &String)| std::env::var(name).is_ok_and(|current| current == *value);
    if earlier.len() == values.len() && values.iter().all(|one| earlier.contains(one.0.as_str()) && is_current(one)) {
        return Ok(FileSource { path, names: values.into_keys().collect(), unknown });
    }
    let failed = |error: io::Error| format!("Cannot start this program with {}: {error}.", path.display());
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    let mut arguments = std::env::args_os();
    command.arg0(arguments.next().unwrap_or_default()).args(arguments);
    // Without the file's `PATH`, its last value remains: the service manager's own is gone.
    for name in earlier.into_iter().filter(|name| *name != "PATH") {
        command.env_remove(name);
    }
    let names: Vec<&str> = values.keys().map(String::as_str).collect();
    command.env(NAMES_FROM_FILE, names.join(",")).envs(&values);
    Err(failed(command.exec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[(&str, &str)], &str>) {
        let parsed = parse(text).map(|lines| lines.values);
        match expected {
            Ok(pairs) => {
                let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                assert_eq!(parsed, Ok(pairs), "{text}");
            }
            Err(part) => assert!(parsed.as_ref().is_err_and(|error| error.contains(part)), "{text}: {parsed:?}"),
        }
    }

    #[test]
    fn lines_are_names_with_plain_values() {
        let text = "# comment\n\n PULLYARD_RUNNER_SLOTS = 3\n";
        check(text, Ok(&[]));
        check("PULLYARD_RUNNER_SLOTS=3\r\nHTTPS_PROXY=\n", Ok(&[("PULLYARD_RUNNER_SLOTS", "3"), ("HTTPS_PROXY", "")]));
        check("\u{feff}PULLYARD_RUNNER_NAME=kite\r\n", Ok(&[("PULLYARD_RUNNER_NAME", "kite")]));
        check("PULLYARD_RUNNER_LABELS= gpu,eu ", Ok(&[("PULLYARD_RUNNER_LABELS", "gpu,eu")]));
        check("RUNNER_NAME", Err("Line 1 is not NAME=value"));
        check("RUNNER_NAME=a\nRUNNER_NAME=b", Err("Line 2 sets RUNNER_NAME again"));
        let unknown = parse("RUNNER_NAME=a\n\nPULLYARD_LATER=b\nexport RUNNER_NAME=c").unwrap();
        assert_eq!((unknown.unknown, unknown.values.len()), (vec![3, 4], 1));
        for value in ["\"a\"", "a'b", "a\\b", "$HOME", "a #b", "a`b", "a\tb"] {
            check(&format!("RUNNER_NAME={value}"), Err("RUNNER_NAME contains"));
        }
    }

    #[test]
    fn flags_and_variables_precede_each_name_of_a_setting() {
        let names = ["PULLYARD_RUNNER_NAME", "PULLYARD_RUNNER_TOKEN", "HTTPS_PROXY", "PULLYARD_RUNNER_SLOTS"];
        let file: Values = names.map(|name| (name.to_owned(), "x".to_owned())).into();
        let remaining = |flags: &[&str], variables: &[&str]| {
            let flags = flags.iter().map(|name| ((*name).to_owned(), "y".to_owned())).collect();
            let variables = variables.iter().map(|name| (*name).to_owned()).collect();
            let values = applicable(&file, &flags, &variables);
            names.into_iter().filter(|name| !values.contains_key(*name)).collect::<Vec<_>>()
        };
        assert!(remaining(&[], &[]).is_empty());
        assert_eq!(remaining(&["slots"], &["RUNNER_NAME"]), ["PULLYARD_RUNNER_NAME", "PULLYARD_RUNNER_SLOTS"]);
        assert_eq!(remaining(&["token-file"], &["https_proxy"]), names[1..3]);
        assert_eq!(remaining(&[], &["PULLYARD_RUNNER_TOKEN_FILE", "HTTPS_PROXY"]), names[1..3]);
    }
}
