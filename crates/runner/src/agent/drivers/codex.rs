//! Starts Codex so that it calls the model only and ignores the repository's settings.
//! `lines` parses its output, `rollout` its session files.

mod config;
mod lines;
mod rollout;
mod session;
mod sign_in;
mod version;

use crate::Isolation;
use crate::agent::adapter::{Adapter, Launch, ReadFiles, StartInput};
use crate::agent::agent_event::Tokens;
use crate::agent::driver::{Driver, Program};
use crate::agent::environment::Environment;
use crate::agent::host_profile::HostProfile;
use crate::agent::model_route::PLACEHOLDER_KEY;
use crate::agent::prices::{BilledTokens, Prices};
use crate::agent::prompt_escape;
use crate::git::workspace::disk::{create_private_dir, write_private_file};
use crate::process::program::executable_file;
use config::ModelProvider;
use lines::ExecJsonParser;
use pullyard_agent_proxy::model::{Key, Upstream};
use pullyard_domain::agent::{ModelKey, Provider, codex};
use rollout::{RolloutReader, Rollouts};
use sign_in::CODEX_AUTH;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub(super) const DRIVER: Driver = Driver {
    spec: &codex::AGENT,
    program: Program {
        command: "codex",
        variable: "PULLYARD_CODEX",
        package: ("@openai", "codex"),
        find_in_package: |package: &Path| {
            let builds = fs::read_dir(package.join("vendor")).ok()?;
            builds.flatten().find_map(|build| executable_file(build.path().join("bin/codex")))
        },
        check_version: version::check_version,
    },
    instruction_files: &["AGENTS.md"],
    token_file: "codex/auth.json",
    session: session::SESSION,
    create: |program, environment, isolation| Box::new(Codex::new(program, environment, isolation)),
};

const PROFILE: HostProfile = HostProfile { folder: ".codex", entries: &["AGENTS.md", "rules"] };

const OPENAI_KEY: &str = ModelKey::OpenaiApiKey.spec().variable;
const OPENAI_URL: &str = Provider::OpenAi.spec().url_variable;

/// With a subscription, Codex would also offer the account's connected apps and image generation. The policy hides the
/// model's key from the agent's commands.
const COMMON_ARGS: &str = "--disable plugins --disable unbounded_connection_retries --disable apps \
    --disable image_generation -c shell_environment_policy.inherit=\"core\"";

struct Codex {
    program: PathBuf,
    env: Vec<(&'static str, OsString)>,
    sandbox_mode: &'static str,
    key: Option<OsString>,
    url: Option<String>,
    auth: Option<PathBuf>,
    prices: Prices,
    /// The usage of earlier starts, so that no token counts twice.
    rollouts: Arc<Mutex<Rollouts>>,
}

impl Codex {
    fn new(program: PathBuf, environment: &Environment<'_>, isolation: Isolation) -> Self {
        Self {
            program,
            env: environment.network(isolation),
            // Codex's own sandbox cannot be created inside another sandbox.
            sandbox_mode: if isolation == Isolation::None { "workspace-write" } else { "danger-full-access" },
            key: environment.get(OPENAI_KEY),
            url: environment.get(OPENAI_URL).and_then(|url| url.into_string().ok()),
            auth: environment.get(CODEX_AUTH).map(PathBuf::from),
            prices: Prices::from_environment(environment),
            rollouts: Arc::default(),
        }
    }
}

impl Adapter for Codex {
    fn model_upstream(&self) -> Result<Option<Upstream>, String> {
        let (key, base_url) = match (self.key.as_ref().and_then(|key| key.to_str()), &self.auth) {
            (Some(key), _) => (Key::Bearer(key.to_owned()), self.url.as_deref().unwrap_or(Provider::OpenAi.spec().url)),
            (None, Some(auth)) => (sign_in::load_key(auth, SystemTime::now().into())?, sign_in::CHATGPT_URL),
            (None, None) => return Ok(None),
        };
        Ok(Some(Upstream { provider: Provider::OpenAi, base_url: base_url.to_owned(), key }))
    }

    fn set_resumed_tokens(&mut self, tokens: Tokens) {
        self.rollouts.lock().unwrap_or_else(PoisonError::into_inner).thread_count.tokens = tokens;
    }

    fn prepare(&mut self, start: &StartInput<'_>) -> io::Result<Launch> {
        // Codex creates no helpers below a folder for temporary files.
        let home = start.home.join("codex");
        // An earlier agent may have put a link here, which would lead a secret elsewhere.
        create_private_dir(&home)?;
        let proxy_url = start.model_port.map(|port| format!("http://127.0.0.1:{port}/v1"));
        let provider = match (&self.key, &self.auth, &proxy_url) {
            (Some(_), ..) => {
                let url = proxy_url.as_deref().or(self.url.as_deref()).unwrap_or(Provider::OpenAi.spec().url);
                Some(ModelProvider { url, has_key: true })
            }
            (None, Some(_), Some(url)) => {
                write_private_file(
                    &home.join("auth.json"),
                    sign_in::render_placeholder(SystemTime::now().into()).as_bytes(),
                )?;
                Some(ModelProvider { url, has_key: false })
            }
            (None, Some(auth), None) => {
                let copy = home.join("auth.json");
                // Copied once: Codex renews the tokens in this file, and the original ones may be used up.
                if copy.symlink_metadata().is_err() {
                    copy_secret(auth, &copy)?;
                }
                None
            }
            // Codex reports itself that it is not signed in.
            (None, None, _) => None,
        };
        // An earlier agent may have put a link, a pipe or a folder here. `write_private_file` replaces it.
        let mut settings = config::render_config(provider, start.instructions, start.tree);
        if let Some(host_home) = &start.host_home {
            PROFILE.copy(host_home, &home)?;
            settings = config::merge(host_home, &PROFILE.file(host_home.path, "config.toml"), &settings)?;
        }
        write_private_file(&home.join("config.toml"), settings.as_bytes())?;
        let mut env = self.env.clone();
        env.push(("CODEX_HOME", home.clone().into()));
        // Codex reports the end of an account limit in its local time.
        env.push(("TZ", "UTC".into()));
        let key = self.key.clone().map(|key| if proxy_url.is_some() { PLACEHOLDER_KEY.into() } else { key });
        env.extend(key.map(|key| (OPENAI_KEY, key)));
        let sessions = home.join("sessions");
        {
            let mut rollouts = self.rollouts.lock().unwrap_or_else(PoisonError::into_inner);
            rollouts.begin_start(&sessions);
            if start.session.is_none() {
                rollouts.thread_count = BilledTokens::default();
            }
        }
        let mut rollouts = RolloutReader::new(sessions, Arc::clone(&self.rollouts), self.prices.clone());
        Ok(Launch {
            program: self.program.clone(),
            args: exec_args(start, self.sandbox_mode),
            env,
            // `codex exec -` reads the prompt from standard input.
            input: prompt_escape::escape_for_codex(start.prompt).into_owned().into_bytes(),
            input_encoder: None,
            reader: Box::new(ExecJsonParser::new(start.tree, Arc::clone(&self.rollouts))),
            side_events: Some(Box::new(move |read| match read {
                ReadFiles::New => rollouts.poll(),
                ReadFiles::Last => rollouts.finish(),
            })),
        })
    }
}

fn exec_args(start: &StartInput<'_>, sandbox_mode: &str) -> Vec<OsString> {
    let mut args = vec!["exec"];
    if start.session.is_some() {
        args.push("resume");
    }
    args.push("--json");
    args.extend(COMMON_ARGS.split_whitespace());
    if start.model_port.is_some() {
        // The model's proxy reads the requests.
        args.extend(["--disable", "enable_request_compression"]);
    }
    let sandbox = format!("sandbox_mode=\"{sandbox_mode}\"");
    args.extend(["-c", &sandbox]);
    let model = start.model.map(|model| format!("--model={model}"));
    args.extend(model.as_deref());
    match start.session {
        Some(session) => args.extend(["--", session, "-"]),
        None => args.extend(["--", "-"]),
    }
    args.into_iter().map(OsString::from).collect()
}

fn copy_secret(from: &Path, to: &Path) -> io::Result<()> {
    let secret = fs::read(from).map_err(|error| {
        io::Error::new(error.kind(), format!("{CODEX_AUTH} names {}, which can't be read: {error}", from.display()))
    })?;
    write_private_file(to, &secret)
}

#[cfg(test)]
pub(in crate::agent) fn test_reader(tree: &Path) -> impl crate::agent::adapter::LineParser + use<> {
    ExecJsonParser::new(tree, Arc::default())
}

#[cfg(test)]
mod tests;
