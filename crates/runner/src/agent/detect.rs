//! Finds the agents on this machine, by their settings or in `PATH`, and queries their versions.
//! The file that npm puts into `PATH` may be a stub whose program was never unpacked, or a script that needs Node.js.
//! The runner starts the native program instead, which is in a separate npm package for each platform.

use super::driver::Driver;
use super::drivers::DRIVERS;
use super::environment::Environment;
use crate::process::group::Group;
use crate::process::program;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Time limit for `--version`: the first start after a reboot reads the whole program.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_GRACE: Duration = Duration::from_secs(1);
const MAX_VERSION_BYTES: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct InstalledAgent {
    pub(crate) driver: &'static Driver,
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

/// Finds an agent and queries its version: for the runner's default capabilities, and before each job with an agent.
/// Errors: the reason why it cannot be used, as a fragment of a sentence.
pub(crate) async fn probe(driver: &'static Driver, environment: &Environment<'_>) -> Result<InstalledAgent, String> {
    let program = native_program(driver, locate(driver, environment)?);
    let version = query_version(&program, environment).await?;
    (driver.program.check_version)(&version).map_err(|reason| format!("{} {reason}", program.display()))?;
    Ok(InstalledAgent { driver, program, version })
}

/// Capabilities of this machine's agents, each with whether this process has a key for it. Starts no program.
pub fn list_local_agents() -> Vec<(&'static str, bool)> {
    let environment = Environment::from_process();
    let installed = DRIVERS.into_iter().filter(|driver| locate(driver, &environment).is_ok());
    installed.map(|driver| (driver.spec.code, driver.has_key(&environment))).collect()
}

fn locate(driver: &Driver, environment: &Environment<'_>) -> Result<PathBuf, String> {
    let variable = driver.program.variable;
    let path = environment.get("PATH");
    match environment.get(variable) {
        Some(setting) => {
            let setting = setting.into_string().map_err(|_| format!("{variable} is not text"))?;
            if setting.contains('/') && !setting.starts_with('/') {
                return Err(format!("{variable} is {setting}: use an absolute path"));
            }
            program::find_program(&setting, Path::new("/"), path.as_deref())
                .map_err(|reason| format!("{reason} ({variable})"))
        }
        None => program::find_program(driver.program.command, Path::new("/"), path.as_deref()),
    }
}

/// The native program for this machine from the file's npm package, or the file itself.
fn native_program(driver: &Driver, program: PathBuf) -> PathBuf {
    let (scope, name) = driver.program.package;
    let Ok(real) = program.canonicalize() else { return program };
    let is_package = |dir: &&Path| dir.ends_with(Path::new(scope).join(name));
    let Some(package) = real.ancestors().find(is_package) else { return program };
    // npm installs the platform's package next to this package, or in its own `node_modules`.
    let sibling = package.parent().map(Path::to_owned);
    let nested = package.join("node_modules").join(scope);
    let packages = [sibling, Some(nested)].into_iter().flatten().flat_map(|dir| {
        let platform = format!("{name}-{}-{}", system(), architecture());
        [format!("{platform}-musl"), platform].map(|package| dir.join(package))
    });
    packages
        .into_iter()
        .filter_map(|dir| (driver.program.find_in_package)(&dir))
        .find(|file| is_supported_libc(file))
        .unwrap_or(program)
}

/// Whether this machine can load the file: Claude Code's builds for musl need its loader, Codex's are static.
fn is_supported_libc(file: &Path) -> bool {
    let musl = file.components().any(|part| part.as_os_str().to_string_lossy().ends_with("-musl"));
    let is_static = file.to_string_lossy().contains("/vendor/");
    !musl || is_static || Path::new(&format!("/lib/ld-musl-{}.so.1", std::env::consts::ARCH)).exists()
}

fn system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
}

async fn query_version(program: &Path, environment: &Environment<'_>) -> Result<String, String> {
    let path = program.display();
    let mut command = Command::new(program);
    command
        .arg("--version")
        .env_clear()
        .envs(environment.inherited_variables())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("cannot start {path}: {error}"))?;
    let mut group = Group::from_child(&child).ok_or_else(|| format!("{path} has no process id"))?;
    let mut output = Vec::new();
    let read_and_wait = async {
        if let Some(out) = child.stdout.take() {
            let _ = out.take(MAX_VERSION_BYTES).read_to_end(&mut output).await;
        }
        child.wait().await
    };
    let result = timeout(VERSION_TIMEOUT, read_and_wait).await;
    // Stop the group even after an exit: the program may have started child processes.
    let _ = group.stop(&mut child, STOP_GRACE).await;
    match result {
        Err(_) => Err(format!("{path} did not answer `--version` within {} s", VERSION_TIMEOUT.as_secs())),
        Ok(Err(error)) => Err(format!("cannot wait for {path}: {error}")),
        Ok(Ok(status)) if !status.success() => Err(format!("{path} does not work: `--version` failed with {status}")),
        Ok(Ok(_)) => {
            parse_version_word(&String::from_utf8_lossy(&output)).ok_or_else(|| format!("{path} printed no version"))
        }
    }
}

fn parse_version_word(output: &str) -> Option<String> {
    let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    output.split_whitespace().find(is_version).map(|word| word.chars().take(64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::drivers::find_driver;
    use pullyard_test_script::write_script;
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::symlink;

    async fn check(code: &str, set: &[(&str, &Path)]) -> Result<InstalledAgent, String> {
        let set: Vec<(String, OsString)> =
            set.iter().map(|(name, value)| ((*name).to_owned(), value.as_os_str().to_owned())).collect();
        let read = |name: &str| set.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone());
        probe(find_driver(code).unwrap(), &Environment::from_fn(&read)).await
    }

    #[tokio::test]
    async fn setting_precedes_the_path_lookup() {
        let dir = tempfile::tempdir().unwrap();
        write_script(dir.path().join("path/claude"), "echo '1.0.1 (Claude Code)'");
        write_script(dir.path().join("own/claude-nightly"), "echo '2.1.197 (Claude Code)'");
        let (path, own) = (dir.path().join("path"), dir.path().join("own/claude-nightly"));
        let installed = check("claude_code", &[("PATH", &path)]).await.unwrap();
        assert_eq!((installed.version.as_str(), installed.program), ("1.0.1", path.join("claude")));
        let installed = check("claude_code", &[("PATH", &path), ("PULLYARD_CLAUDE_CODE", &own)]).await.unwrap();
        assert_eq!(installed.version, "2.1.197");
        assert!(check("codex", &[("PATH", &path)]).await.unwrap_err().contains("codex is not in the runner's path"));
        let wrong = check("codex", &[("PULLYARD_CODEX", Path::new("bin/codex"))]).await;
        assert!(wrong.unwrap_err().contains("use an absolute path"));
    }

    #[tokio::test]
    async fn npm_stub_resolves_to_the_native_program() {
        let dir = tempfile::tempdir().unwrap();
        let modules = dir.path().join("node_modules");
        let platform = format!("{}-{}", system(), architecture());
        write_script(modules.join("@anthropic-ai/claude-code/bin/claude.exe"), "echo 'not installed' >&2; exit 1");
        let native = modules.join(format!("@anthropic-ai/claude-code-{platform}/claude"));
        write_script(&native, "echo '2.1.197 (Claude Code)'");
        write_script(modules.join("@openai/codex/bin/codex.js"), "exit 1");
        let nested = format!("@openai/codex/node_modules/@openai/codex-{platform}/vendor/some-triple/bin/codex");
        write_script(modules.join(nested), "echo codex-cli 0.169.0");
        let bin = modules.join(".bin");
        fs::create_dir_all(&bin).unwrap();
        symlink("../@anthropic-ai/claude-code/bin/claude.exe", bin.join("claude")).unwrap();
        symlink("../@openai/codex/bin/codex.js", bin.join("codex")).unwrap();
        let claude = check("claude_code", &[("PATH", &bin)]).await.unwrap();
        assert_eq!((claude.version.as_str(), claude.program), ("2.1.197", native.canonicalize().unwrap()));
        assert_eq!(check("codex", &[("PATH", &bin)]).await.unwrap().version, "0.169.0");
    }

    #[tokio::test]
    async fn old_or_broken_program_is_rejected() {
        let dir = tempfile::tempdir().unwrap();
        for (script, reason) in [
            ("exit 1", "does not work"),
            ("echo hello", "printed no version"),
            ("echo codex-cli 0.147.0", "is 0.147.0: update it to 0.148.0 or newer"),
        ] {
            let program = dir.path().join("codex");
            write_script(&program, script);
            let result = check("codex", &[("PULLYARD_CODEX", &program)]).await;
            assert!(result.unwrap_err().contains(reason), "{script}");
        }
    }

    #[tokio::test]
    async fn version_probe_sees_only_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let (program, env_file) = (dir.path().join("claude"), dir.path().join("env"));
        write_script(&program, &format!("env > {}; echo '2.1.197 (Claude Code)'", env_file.display()));
        let (path, key) = (Path::new("/usr/bin:/bin"), Path::new("sk-planted"));
        let set = [("PATH", path), ("PULLYARD_CLAUDE_CODE", program.as_path()), ("ANTHROPIC_API_KEY", key)];
        check("claude_code", &set).await.unwrap();
        let env = fs::read_to_string(env_file).unwrap();
        let names = env.lines().filter_map(|line| line.split_once('=').map(|(name, _)| name));
        let extra: Vec<&str> = names.filter(|name| !["PATH", "PWD", "OLDPWD", "SHLVL", "_"].contains(name)).collect();
        assert!(extra.is_empty() && env.contains("PATH=/usr/bin:/bin"), "{env}");
    }
}
