//! Tests how the runner's settings are read from flags, environment and files.

use super::*;
use crate::daemon::file_source::FileSource;
use crate::daemon::setting_names::{UNUSED, VARIABLES};
use std::collections::{BTreeMap, BTreeSet};

const TOKEN: &str = "rnt_a3f8c1d9e4b7a3f8c1d9e4b7a3f8c1d9";

fn parse(flags: &[(&str, &str)], environment: &[(&str, &str)]) -> ParsedSettings {
    let environment: BTreeMap<String, String> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let flag = |(name, value): &(&str, &str)| (name.trim_start_matches('-').to_owned(), (*value).to_owned());
    let flags = flags.iter().map(flag).collect();
    let file = FileSource::default();
    let environment = |name: &str| environment.get(name).cloned();
    Settings::parse(&SettingSources { flags, file, environment: &environment, saved_api_url: None })
}

fn row_of(parsed: &ParsedSettings, name: &str) -> (String, String) {
    let row = parsed.rows.iter().find(|row| row.name == name).unwrap();
    (row.value.clone(), row.source.clone())
}

fn error_text(parsed: &ParsedSettings) -> String {
    parsed.errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn variable_names_of_other_runners_are_accepted() {
    let parsed = parse(
        &[],
        &[
            ("RUNNER_SERVER_URL", "http://your-server-host:3000/"),
            ("RUNNER_TOKEN", TOKEN),
            ("RUNNER_NAME", "prod-runner-1"),
            ("RUNNER_MAX_CONCURRENT_JOBS", "3"),
            ("RUNNER_POLL_INTERVAL_MS", "3000"),
            ("RUNNER_POLL_TIMEOUT_MS", "15000"),
            ("RUNNER_HEARTBEAT_INTERVAL_MS", "10000"),
            ("RUNNER_REQUEST_TIMEOUT_MS", "5000"),
            ("DOCKER_WORKSPACE_BASE", "/srv/work"),
            ("SPAWND_RUNTIME_ISOLATION", "vm"),
            ("RUNNER_CLONE_DEPTH", "1"),
            ("DOCKER_POOL_SIZE", "2"),
            ("DOCKER_HOST", "unix:///run/docker.sock"),
        ],
    );
    assert_eq!(error_text(&parsed), "");
    let Settings { api_url, token, name, slots, work_dir, isolation, .. } = &parsed.settings;
    assert_eq!(
        (api_url.as_str(), token.as_str(), name.as_str()),
        ("http://your-server-host:3000", TOKEN, "prod-runner-1")
    );
    assert_eq!((*slots, *isolation, work_dir.as_path()), (3, Some(Isolation::External), "/srv/work".as_ref()));
    assert_eq!(parsed.settings.poll_interval, Some(Duration::from_secs(3)));
    assert_eq!(parsed.settings.poll_timeout, Duration::from_secs(15));
    assert_eq!(parsed.settings.heartbeat_interval, Some(Duration::from_secs(10)));
    assert_eq!(parsed.settings.request_timeout, Duration::from_secs(5));
    assert_eq!(parsed.unused_variables.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["DOCKER_POOL_SIZE"]);
    assert_eq!(parsed.settings.clone_depth, Some(1));
    assert_eq!(row_of(&parsed, "slots"), ("3".into(), "RUNNER_MAX_CONCURRENT_JOBS".into()));
}

#[test]
fn folders_of_other_runners_are_used_or_named() {
    for name in ["DOCKER_WORKSPACE_BASE", "OVERSIGHT_REPO_DIR", "SPAWND_SCRATCH_ROOT"] {
        let parsed = parse(&[], &[(name, "/srv/cache")]);
        assert_eq!(row_of(&parsed, "work-dir"), ("/srv/cache".into(), name.into()));
        assert_eq!(parsed.settings.work_dir, Path::new("/srv/cache"));
    }
    let unused = ["RUNNER_USER_ID", "SPAWND_SOURCE_CACHE_ROOT", "SPAWND_CODEX_AUTH_DIR"];
    for name in unused.into_iter().chain(["SPAWND_GITHUB_TOKEN", "SPAWND_GIT_ASKPASS"]) {
        let parsed = parse(&[], &[(name, "secret")]);
        let names = parsed.unused_variables.iter().map(|(name, _)| *name);
        assert_eq!(names.collect::<Vec<_>>(), [name]);
        assert!(parsed.rows.iter().all(|row| !row.value.contains("secret")), "{name}");
    }
}

#[test]
fn names_of_container_settings_have_an_effect() {
    let set = [
        ("DOCKER_MEMORY_LIMIT", "2g"),
        ("DOCKER_CPU_LIMIT", "1.5"),
        ("DOCKER_NETWORK_MODE", "bridge"),
        ("DOCKER_TIMEOUT_SECONDS", "600"),
        ("DOCKER_POOL_SIZE", "2"),
        ("DOCKER_HOST", "tcp://engine:2375"),
        ("DOCKER_EXECUTOR_IMAGE", "executor:latest"),
    ];
    let parsed = parse(&[("--isolation", "docker")], &set);
    let containers = parsed.settings.containers.unwrap();
    assert_eq!((containers.memory_bytes, containers.cpu_percent, containers.pool), (2 << 30, Some(150), 2));
    assert_eq!((containers.network.as_str(), containers.image.as_str()), ("bridge", "executor:latest"));
    assert_eq!(containers.time_limit, Some(Duration::from_secs(600)));
    assert_eq!((containers.host.as_deref(), parsed.unused_variables.len()), (Some("tcp://engine:2375"), 0));
    assert!(error_text(&parse(&[("--isolation", "podman")], &set[..6])).contains("--container-image"));
    let hosts = parse(&[("--isolation", "podman"), ("--container-network", "host")], &set[6..]);
    assert!(error_text(&hosts).contains("is no sandbox"));
}

#[test]
fn container_image_chooses_the_installed_engine() {
    let dir = tempfile::tempdir().unwrap();
    let isolation = |engines: &[&str], more: &[(&str, &str)]| {
        let bin = dir.path().join(engines.join("-"));
        std::fs::create_dir_all(&bin).unwrap();
        engines.iter().for_each(|engine| pullyard_test_script::write_script(bin.join(engine), "exit 0"));
        let set = [&[("PATH", bin.to_str().unwrap()), ("DOCKER_EXECUTOR_IMAGE", "executor:latest")], more].concat();
        row_of(&parse(&[], &set), "isolation").0
    };
    assert_eq!(isolation(&["docker", "podman"], &[]), "docker");
    assert_eq!(isolation(&["podman"], &[]), "podman");
    assert_eq!(isolation(&[], &[]), "docker");
    assert_eq!(isolation(&["podman"], &[("PULLYARD_ISOLATION", "none")]), "none");
}

#[test]
fn oversight_cli_chooses_the_capabilities() {
    let capabilities = |value| parse(&[], &[("OVERSIGHT_CLI", value)]);
    let words = |value| Vec::from_iter(capabilities(value).settings.capabilities);
    assert_eq!(
        (words("claude"), words("codex")),
        (vec!["claude_code".to_owned(), "command".to_owned()], vec!["codex".to_owned(), "command".to_owned()],)
    );
    assert!(capabilities("claude").unused_variables.is_empty());
    let other = capabilities("/usr/bin/gemini");
    assert_eq!((words("gemini"), other.settings.has_explicit_capabilities), (vec!["command".to_owned()], false));
    assert_eq!(other.unused_variables, [("OVERSIGHT_CLI", "use `claude`, `codex` or --capabilities")]);
}

#[test]
fn flag_precedes_own_variable_and_foreign_variable() {
    let environment = [("PULLYARD_RUNNER_NAME", "ours"), ("RUNNER_NAME", "theirs")];
    assert_eq!(row_of(&parse(&[("--name", "flag")], &environment), "name"), ("flag".into(), "--name".into()));
    assert_eq!(row_of(&parse(&[], &environment), "name"), ("ours".into(), "PULLYARD_RUNNER_NAME".into()));
    assert_eq!(row_of(&parse(&[], &environment[1..]), "name"), ("theirs".into(), "RUNNER_NAME".into()));
    assert_eq!(row_of(&parse(&[("--name", " ")], &[("RUNNER_NAME", "")]), "name").1, "default");
}

#[test]
fn saved_url_is_used_without_flag_and_variable() {
    let row = |variable: Option<&str>| {
        let environment = |name: &str| variable.filter(|_| name == "PULLYARD_API_URL").map(str::to_owned);
        let saved = SettingValue { value: "http://saved".into(), source: "context work".into() };
        let sources = SettingSources {
            flags: BTreeMap::new(),
            file: FileSource::default(),
            environment: &environment,
            saved_api_url: Some(saved),
        };
        row_of(&Settings::parse(&sources), "api-url")
    };
    assert_eq!(row(None), ("http://saved".into(), "context work".into()));
    assert_eq!(row(Some("http://set")), ("http://set".into(), "PULLYARD_API_URL".into()));
}

#[test]
fn all_faults_are_reported_without_the_token() {
    let parsed = parse(
        &[("--slots", "13"), ("--capabilities", "command,gemini"), ("--isolation", "maybe")],
        &[("RUNNER_TOKEN", "pyt_secret"), ("RUNNER_NAME", "a b"), ("RUNNER_POLL_INTERVAL_MS", "soon")],
    );
    let errors = error_text(&parsed);
    for part in [
        "URL is missing",
        "--slots is 13",
        "claude_code",
        "`maybe` is no isolation level",
        "RUNNER_TOKEN",
        "`a b`",
        "soon",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(!errors.contains("secret") && parsed.rows.iter().all(|row| !row.value.contains("secret")));
    assert_eq!(parsed.errors.iter().filter(|error| error.is_token_error).count(), 1);
}

#[test]
fn isolation_is_the_sandbox_when_unset() {
    let parsed = parse(&[], &[]);
    assert_eq!(row_of(&parsed, "isolation"), ("auto".into(), "default".into()));
    if cfg!(target_os = "linux") {
        assert_eq!(parsed.settings.isolation, Some(Isolation::Bubblewrap));
    } else {
        assert!(error_text(&parsed).contains("`external` or `none`"));
    }
}

#[test]
fn missing_settings_name_their_variables() {
    let errors = error_text(&parse(&[], &[]));
    for part in ["PULLYARD_API_URL", "PULLYARD_RUNNER_TOKEN or RUNNER_TOKEN"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn token_is_read_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let path = path.to_str().unwrap();
    let parsed = parse(&[("--token-file", path)], &[]);
    assert_eq!(parsed.settings.token, TOKEN);
    assert_eq!(row_of(&parsed, "token").0, "rnt_a3f8…");
    assert!(error_text(&parse(&[("--token-file", "/nowhere/x")], &[])).contains("/nowhere/x"));
}

#[test]
fn setting_names_are_unique() {
    let mut names = BTreeSet::new();
    for (name, variables) in VARIABLES {
        assert!(names.insert(name) && variables.iter().all(|variable| names.insert(variable)), "{name}");
    }
    assert!(UNUSED.iter().all(|(name, _)| names.insert(name)));
}

#[test]
fn values_are_accepted_up_to_their_bounds() {
    let (long, too_long) = ("n".repeat(64), "n".repeat(65));
    for (flag, valid, invalid) in [
        ("--slots", ["1", "12"], ["0", "13"]),
        ("--poll-interval-ms", ["1", "3600000"], ["0", "3600001"]),
        ("--poll-timeout-ms", ["1", "3600000"], ["0", "3600001"]),
        ("--heartbeat-interval-ms", ["1", "3600000"], ["0", "3600001"]),
        ("--offline-after-secs", ["90", "3600"], ["89", "3601"]),
        ("--request-timeout-ms", ["1", "3600000"], ["0", "3600001"]),
        ("--keep-logs", ["1", "100000"], ["0", "100001"]),
        ("--stop-grace-secs", ["0", "3600"], ["-1", "3601"]),
        ("--disk-limit", ["64m", "16384g"], ["63m", "unlimited"]),
        ("--process-memory", ["4g", "unlimited"], ["63m", "lots"]),
        ("--name", ["a.B-c_1", &long], ["a/b", &too_long]),
        ("--labels", ["gpu, eu", &long], ["a b", &too_long]),
        ("--api-url", ["http://h", "https://h/x/"], ["https://", "http:///x"]),
        ("--isolation", ["none", "jail"], ["None", "lxc"]),
        ("--log-dir", ["/logs", "/a b"], ["logs", "./logs"]),
    ] {
        let is_reported = |value: &str| error_text(&parse(&[(flag, value)], &[])).contains(value);
        for value in valid {
            assert!(!is_reported(value), "{flag} {value}");
        }
        for value in invalid {
            assert!(is_reported(value), "{flag} {value}");
        }
    }
}

#[test]
fn unset_settings_have_defaults() {
    let Settings { slots, labels, capabilities, poll_interval, heartbeat_interval, .. } = &parse(&[], &[]).settings;
    assert_eq!((*slots, labels.len(), *poll_interval, *heartbeat_interval), (1, 0, None, None));
    assert_eq!(*capabilities, BTreeSet::from(["command".to_owned()]));
    let Settings { poll_timeout, request_timeout, keep_logs, stop_grace, .. } = parse(&[], &[]).settings;
    let secs = Duration::from_secs;
    assert_eq!((poll_timeout, request_timeout, keep_logs, stop_grace), (secs(20), secs(20), 50, secs(10)));
}

#[test]
fn work_folder_default_is_the_first_absolute_path() {
    let set = [("STATE_DIRECTORY", "/var/lib/x"), ("XDG_STATE_HOME", "/state"), ("HOME", "/home/me")];
    let default_dirs = |set: &[(&str, &str)]| {
        let environment = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        [false, true].map(|is_root| default_work_dir(&environment, is_root).display().to_string())
    };
    let root = "/var/lib/pullyard-jobs/runner";
    assert_eq!(default_dirs(&set), ["/var/lib/x", "/var/lib/x"]);
    // The accounts of agents cannot enter folders of root.
    assert_eq!(default_dirs(&set[1..]), ["/state/pullyard-runner", root]);
    assert_eq!(default_dirs(&set[2..]), ["/home/me/.local/state/pullyard-runner", root]);
    let relative = [("STATE_DIRECTORY", "here"), ("HOME", "/home/me")];
    assert_eq!(default_dirs(&relative), ["/home/me/.local/state/pullyard-runner", root]);
}

#[test]
fn token_is_shown_by_its_prefix_only() {
    for short in ["rnt_a3f8c1d9", "rnt_secret!", "pyt_a3f8c1d9e4b7a3f8c1d9e4b7a3f8c1d9"] {
        assert_eq!(row_of(&parse(&[], &[("RUNNER_TOKEN", short)]), "token").0, "…", "{short}");
    }
    let odd = parse(&[], &[("RUNNER_TOKEN", "rnt_a3f8-c1d9e4b7a3f8c1d9e4b7a3f8c1d9")]);
    assert!(
        odd.errors.iter().any(|error| error.is_token_error) && !error_text(&odd).contains("c1d9"),
        "{}",
        error_text(&odd)
    );
}
