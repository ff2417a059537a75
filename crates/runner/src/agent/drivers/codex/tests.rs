//! Tests Codex's arguments, environment and files at its start.

use super::*;
use pullyard_domain::job::AgentWrites;
use std::os::unix::fs::{PermissionsExt, symlink};

fn codex(set: &[(&str, &str)]) -> Codex {
    isolated_codex(set, Isolation::None)
}

fn isolated_codex(set: &[(&str, &str)], isolation: Isolation) -> Codex {
    let read = |name: &str| set.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value));
    Codex::new("/bin/codex".into(), &Environment::from_fn(&read), isolation)
}

fn start(home: &Path) -> StartInput<'_> {
    StartInput {
        writes: AgentWrites::Tree,
        prompt: "Fix it.",
        instructions: "Use tabs.",
        session: None,
        model: None,
        remaining_turns: None,
        remaining_cost: None,
        home,
        host_home: None,
        tree: Path::new("/workspace"),
        model_port: None,
    }
}

fn args(launch: &Launch) -> Vec<String> {
    launch.args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
}

#[test]
fn launch_disables_network_features_and_hides_the_key() {
    let home = tempfile::tempdir().unwrap();
    let set = [
        ("OPENAI_API_KEY", "sk-test"),
        ("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"),
        ("AWS_REGION", "x"),
        ("TZ", "America/New_York"),
    ];
    let launch = codex(&set).prepare(&start(home.path())).unwrap();
    let expected = "exec --json --disable plugins --disable unbounded_connection_retries --disable apps \
                    --disable image_generation -c shell_environment_policy.inherit=\"core\" \
                    -c sandbox_mode=\"workspace-write\" -- -";
    assert_eq!(args(&launch).join(" "), expected);
    let names: Vec<_> = launch.env.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["CODEX_HOME", "TZ", "OPENAI_API_KEY"]);
    assert_eq!(launch.env[1].1, "UTC");
    assert_eq!(launch.input, b"Fix it.");
    let settings = || fs::read_to_string(home.path().join("codex/config.toml")).unwrap();
    let own = settings();
    assert!(own.contains("http://127.0.0.1:8080/v1") && own.contains("Use tabs.") && !own.contains("sk-test"));
    codex(&[("OPENAI_API_KEY", "sk-test")]).prepare(&start(home.path())).unwrap();
    assert!(settings().contains(Provider::OpenAi.spec().url));
}

#[test]
fn resume_keeps_model_and_disables_sandbox_when_isolated() {
    let home = tempfile::tempdir().unwrap();
    let resumed = StartInput { session: Some("01a1"), model: Some("gpt-5.5"), ..start(home.path()) };
    let args = args(&isolated_codex(&[], Isolation::External).prepare(&resumed).unwrap());
    assert_eq!(args.get(..2).unwrap(), ["exec", "resume"]);
    assert_eq!(args.get(args.len() - 4..).unwrap(), ["--model=gpt-5.5", "--", "01a1", "-"]);
    assert!(args.contains(&"sandbox_mode=\"danger-full-access\"".to_owned()));
    // `exec resume` rejects both options.
    assert!(args.iter().all(|arg| !arg.starts_with("--sandbox") && arg != "-C"), "{args:?}");
    assert!(!args.contains(&"--trust".to_owned()));
}

#[test]
fn subscription_is_copied_with_mode_0600_and_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let auth = dir.path().join("signed-in.json");
    fs::write(&auth, "{\"tokens\":1}").unwrap();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    let mut agent = codex(&[("PULLYARD_CODEX_AUTH", auth.to_str().unwrap())]);
    for _ in 0..2 {
        agent.prepare(&start(&home)).unwrap();
    }
    let copy = home.join("codex/auth.json");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "{\"tokens\":1}");
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(home.join("codex/config.toml")).unwrap().contains("model_provider"));
    // Codex may have refreshed the tokens in its copy, so the old ones do not replace it.
    fs::write(&copy, "{\"tokens\":2}").unwrap();
    agent.prepare(&start(&home)).unwrap();
    assert_eq!(fs::read_to_string(&copy).unwrap(), "{\"tokens\":2}");
    fs::remove_file(&copy).unwrap();
    fs::remove_file(&auth).unwrap();
    let missing = agent.prepare(&start(&home)).err().unwrap().to_string();
    assert!(missing.contains("PULLYARD_CODEX_AUTH names"), "{missing}");
}

#[test]
fn sandboxed_subscription_leaves_its_tokens_outside() {
    let dir = tempfile::tempdir().unwrap();
    let auth = dir.path().join("signed-in.json");
    fs::write(&auth, r#"{"tokens":{"access_token":"real-token","account_id":"real-account"}}"#).unwrap();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    let mut agent = codex(&[("PULLYARD_CODEX_AUTH", auth.to_str().unwrap())]);
    let Some(Upstream { base_url, key: Key::ChatGpt { token, account }, .. }) = agent.model_upstream().unwrap() else {
        panic!("no provider with the sign-in");
    };
    assert_eq!(
        (base_url.as_str(), token.as_str(), account.as_str()),
        (sign_in::CHATGPT_URL, "real-token", "real-account")
    );
    agent.prepare(&StartInput { model_port: Some(9), ..start(&home) }).unwrap();
    let [auth, config] =
        ["auth.json", "config.toml"].map(|name| fs::read_to_string(home.join("codex").join(name)).unwrap());
    assert!(!auth.contains("real-") && auth.contains("placeholder"), "{auth}");
    assert!(config.contains("base_url = \"http://127.0.0.1:9/v1\"\nrequires_openai_auth = true"), "{config}");
}

#[test]
fn link_or_pipe_at_the_settings_file_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (home, victim) = (dir.path().join("home"), dir.path().join("victim"));
    fs::create_dir(&home).unwrap();
    fs::write(&victim, "mine").unwrap();
    let mut agent = codex(&[]);
    agent.prepare(&start(&home)).unwrap();
    let settings = home.join("codex/config.toml");
    let original = fs::read_to_string(&settings).unwrap();

    fs::remove_file(&settings).unwrap();
    symlink(&victim, &settings).unwrap();
    agent.prepare(&start(&home)).unwrap();
    assert!(settings.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(&settings).unwrap(), original);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");

    fs::remove_file(&settings).unwrap();
    nix::unistd::mkfifo(&settings, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // An open reader lets a faulty write succeed, so that the test fails instead of hanging.
    let _reader = fs::OpenOptions::new().read(true).write(true).open(&settings).unwrap();
    agent.prepare(&start(&home)).unwrap();
    assert!(settings.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read_to_string(&settings).unwrap(), original);
    assert_eq!(settings.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn link_at_home_and_folder_at_settings_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let [home, elsewhere, auth] = ["home", "elsewhere", "signed-in.json"].map(|name| dir.path().join(name));
    [&home, &elsewhere].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
    fs::write(&auth, "{\"tokens\":1}").unwrap();
    let own = home.join("codex");
    symlink(&elsewhere, &own).unwrap();
    let mut agent = codex(&[("PULLYARD_CODEX_AUTH", auth.to_str().unwrap())]);
    agent.prepare(&start(&home)).unwrap();
    assert!(own.symlink_metadata().unwrap().is_dir() && own.join("auth.json").is_file());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "a secret was written elsewhere");

    let settings = own.join("config.toml");
    let original = fs::read_to_string(&settings).unwrap();
    fs::remove_file(&settings).unwrap();
    fs::create_dir_all(settings.join("inner")).unwrap();
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o500)).unwrap();
    symlink(&elsewhere, settings.join("inner/link")).unwrap();
    agent.prepare(&start(&home)).unwrap();
    assert_eq!(fs::read_to_string(&settings).unwrap(), original);
    assert!(elsewhere.is_dir());
}

#[test]
fn skill_mentions_in_the_prompt_are_escaped() {
    let home = tempfile::tempdir().unwrap();
    let with_mention = StartInput { prompt: "> Use $evil.", ..start(home.path()) };
    let launch = codex(&[]).prepare(&with_mention).unwrap();
    let input = String::from_utf8(launch.input).unwrap();
    assert!(input.ends_with("> Use $\u{2060}evil."), "{input}");
}
