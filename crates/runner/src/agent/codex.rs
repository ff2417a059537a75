//! Codex: how it is started so that nothing but the model is called and nothing of the repository decides
//! over it. What its lines mean is in `lines`, what it writes beside them in `rollout`, what tokens cost in
//! `prices`.

mod config;
mod lines;
mod prices;
mod rollout;

use super::adapter::{Adapter, InputEnds, Launch};
use super::environment::{CODEX_AUTH, CODEX_PRICES, Environment, OPENAI_KEY, OPENAI_URL};
use super::installed::Installed;
use super::sign::Tokens;
use super::start::Start;
use crate::options::Isolation;
use crate::workspace::{private_dirs, private_file};
use lines::Lines;
use prices::Prices;
use rollout::Rollouts;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Codex as this machine has it.
pub(super) struct Codex {
    installed: Installed,
    env: Vec<(&'static str, OsString)>,
    /// A key, and where it is for.
    key: Option<OsString>,
    url: Option<String>,
    /// A file that holds a subscription's tokens.
    auth: Option<PathBuf>,
    prices: Prices,
    /// What earlier starts counted, so that no token is counted twice.
    counted: Arc<Mutex<Rollouts>>,
}

impl Codex {
    pub(super) fn new(installed: Installed, environment: &Environment<'_>) -> Self {
        let told = environment.get(CODEX_PRICES).and_then(|prices| prices.into_string().ok());
        Self {
            installed,
            env: environment.network(),
            key: environment.get(OPENAI_KEY),
            url: environment.get(OPENAI_URL).and_then(|url| url.into_string().ok()),
            auth: environment.get(CODEX_AUTH).map(PathBuf::from),
            prices: Prices::with(told.as_deref().unwrap_or_default()),
            counted: Arc::default(),
        }
    }
}

impl Adapter for Codex {
    fn capability(&self) -> &'static str {
        self.installed.known.capability()
    }

    fn name(&self) -> &'static str {
        self.installed.known.name()
    }

    fn program(&self) -> PathBuf {
        self.installed.program.clone()
    }

    fn version(&self) -> Option<String> {
        Some(self.installed.version.clone())
    }

    fn goes_on(&mut self, tokens: Tokens) {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).goes_on(tokens);
    }

    fn prepare(&mut self, start: &Start<'_>) -> io::Result<Launch> {
        // Not below the folder for temporary files: it makes no helpers there.
        let home = start.home.join("codex");
        private_dirs(&home)?;
        let sign_in = match (&self.key, &self.auth) {
            (Some(_), _) => config::SignIn::Key { url: self.url.as_deref() },
            (None, Some(auth)) => {
                let own = home.join("auth.json");
                // Once: what it got in their place since counts, and the first ones may be spent.
                if own.symlink_metadata().is_err() {
                    copy_secret(auth, &own)?;
                }
                config::SignIn::Subscription
            }
            (None, None) => config::SignIn::Nothing,
        };
        fs::write(home.join("config.toml"), config::file(&sign_in, start.instructions, start.tree))?;
        let mut args = vec![OsString::from("exec")];
        let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
        if start.session.is_some() {
            add(&["resume"]);
        }
        add(&["--json", "--disable", "plugins", "--disable", "unbounded_connection_retries"]);
        // With a subscription, what its account is connected to would be the agent's as well, and what draws for it.
        add(&["--disable", "apps", "--disable", "image_generation"]);
        // Commands of the agent don't see the model's key.
        add(&["-c", "shell_environment_policy.inherit=\"core\""]);
        // Its own sandbox where nothing else is around it; in a container it could not even be made.
        add(&[
            "-c",
            match start.isolation {
                Isolation::None => "sandbox_mode=\"workspace-write\"",
                Isolation::External => "sandbox_mode=\"danger-full-access\"",
            },
        ]);
        if let Some(model) = start.model {
            add(&[&format!("--model={model}")]);
        }
        // What is asked comes from standard input.
        match start.session {
            Some(session) => add(&["--", session, "-"]),
            None => add(&["--", "-"]),
        }
        let mut env = self.env.clone();
        env.push(("CODEX_HOME", home.clone().into()));
        // It says in its own time when its account's limit ends.
        env.push(("TZ", "UTC".into()));
        env.extend(self.key.clone().map(|key| (OPENAI_KEY, key)));
        let sessions = home.join("sessions");
        let counted = Arc::clone(&self.counted);
        counted.lock().unwrap_or_else(PoisonError::into_inner).begin(&sessions);
        Ok(Launch {
            args,
            env,
            input: start.prompt.as_bytes().to_vec(),
            input_ends: InputEnds::AfterPrompt,
            reader: Box::new(Lines::new(start.tree, Arc::clone(&counted))),
            meter: Some(Box::new(rollout::Look::new(sessions, counted, self.prices.clone()))),
        })
    }

    fn instruction_files(&self) -> &'static [&'static str] {
        &["AGENTS.md"]
    }

    fn says_its_end(&self) -> bool {
        true
    }
}

/// A copy that only this user can read, from its first byte on.
fn copy_secret(from: &Path, to: &Path) -> io::Result<()> {
    let secret = fs::read(from).map_err(|error| {
        io::Error::new(error.kind(), format!("{CODEX_AUTH} names {}, which can't be read: {error}", from.display()))
    })?;
    private_file(to, &secret)
}

/// For tests of what lines mean elsewhere.
#[cfg(test)]
pub(super) fn lines_for_tests(tree: &Path) -> impl super::adapter::Reader + use<> {
    Lines::new(tree, Arc::default())
}

#[cfg(test)]
mod tests;
