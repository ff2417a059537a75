//! Generates docs/reference/config.md from the functions' table and the help of CLI and runner.

use super::{generated, table_cell};
use crate::cli::User;
use pullyard_entry::config::VARIABLES;
use std::fmt::Write as _;

/// Variables without a flag: name, reader, unit, default, description.
pub(super) const WITHOUT_A_FLAG: &[(&str, &str, &str, &str, &str)] = &[
    (
        "RUST_LOG",
        "every function, `up`, runner",
        "levels by target: `info,pullyard=debug`",
        "`info`",
        "What is logged.",
    ),
    ("NO_COLOR", "command line", "anything", "off", "No colours, unless `--color always`."),
    (
        "LC_ALL",
        "command line",
        "locale",
        "what LC_CTYPE says",
        "With LC_CTYPE and LANG: whether shapes beyond ASCII are shown.",
    ),
    ("LC_CTYPE", "command line", "locale", "what LANG says", "As LC_ALL, which is stronger."),
    ("LANG", "command line", "locale", "off: ASCII", "As LC_CTYPE, which is stronger."),
    ("XDG_CONFIG_HOME", "command line", "folder", "`~/.config`", "Where contexts are saved, in `pullyard/`."),
    (
        "HOME",
        "command line, runner",
        "folder",
        "off: no contexts are saved, and a runner works in the temporary folder",
        "Where the defaults of other folders are.",
    ),
    ("PULLYARD_BOOTSTRAP", "`run-job`", "token", "required", "The bootstrap token; never a flag."),
    ("PULLYARD_CLAIM", "`run-job`", "id", "a new one", "The claim that `start` made."),
    ("PULLYARD_INSTANCE", "`run-job`", "id", "a new one", "The process of the runner that made the claim."),
    (
        "PULLYARD_PARENT",
        "`run-job`",
        "process number",
        "off: it outlives who started it",
        "Set by `try` and `demo` as a flag: whose end is its end, too.",
    ),
    (
        "PULLYARD_PARENT_FOLDER",
        "`run-job`",
        "folder",
        "off: nothing is removed",
        "Set by `try` and `demo` as a flag: what it removes when it ended by that.",
    ),
    ("PULLYARD_TRACE_ID", "`run-job`", "id", "a new one", "What its start was part of, for its log and its calls."),
    (
        "PULLYARD_BUCKET_AWAY_SECS",
        "`run-job`",
        "seconds",
        "`60`",
        "For how long a bucket that is away is tried again with what an attempt leaves for the next one; a flag that its help leaves out.",
    ),
    ("_HANDLER", "every function", "name", "required", "Set by Lambda: which of the functions this process is."),
    (
        "AWS_SDK_UA_APP_ID",
        "every function",
        "name",
        "off: it has no name there",
        "Set by the template: what the function is called in the User-Agent of its calls to AWS.",
    ),
    (
        "AWS_PROFILE",
        "`init --stack`, `doctor --stack`",
        "name",
        "`default`",
        "Whose rights, and in which region, as of every program with AWS's SDK.",
    ),
    (
        "ECS_CONTAINER_METADATA_URI_V4",
        "`run-job`",
        "URL",
        "off: it is no task of ECS",
        "Set by ECS: which task this is.",
    ),
    (
        "PULLYARD_RUNNER_TOKEN",
        "`start`",
        "token",
        "required, or a file",
        "The runner token; also RUNNER_TOKEN. Never a flag.",
    ),
    (
        "HTTPS_PROXY",
        "command line, runner, git",
        "URL",
        "off: no proxy",
        "As everywhere, with HTTP_PROXY, ALL_PROXY and NO_PROXY, in capitals or not.",
    ),
    (
        "SSL_CERT_FILE",
        "runner, git",
        "file",
        "the system's",
        "Authorities to trust; also SSL_CERT_DIR, and GIT_SSL_CAINFO for git.",
    ),
    ("PULLYARD_CLAUDE_CODE", "runner", "file", "`claude` in PATH", "The program of Claude Code."),
    ("PULLYARD_CODEX", "runner", "file", "`codex` in PATH", "The program of Codex."),
    (
        "ANTHROPIC_API_KEY",
        "runner, for Claude Code",
        "key",
        "off: Claude Code has no key",
        "How Claude Code signs in; or CLAUDE_CODE_OAUTH_TOKEN, for a subscription.",
    ),
    ("ANTHROPIC_BASE_URL", "runner, for Claude Code", "URL", "Anthropic's", "Where its model is."),
    ("OPENAI_API_KEY", "runner, for Codex", "key", "off: Codex has no key", "How Codex signs in."),
    ("OPENAI_BASE_URL", "runner, for Codex", "URL", "OpenAI's", "Where its model is; counts with a key only."),
    (
        "PULLYARD_CODEX_AUTH",
        "runner, for Codex",
        "file",
        "off: Codex has no subscription",
        "An `auth.json` of a Codex that is signed in to a subscription; without a key.",
    ),
    (
        "PULLYARD_CODEX_PRICES",
        "runner, for Codex",
        "MODEL=INPUT/CACHED/OUTPUT,…",
        "our table",
        "What models cost that the table doesn't know, or at other prices; three more amounts are for requests with over \
         272,000 tokens of input. Units: US dollars for a million tokens.",
    ),
    (
        "NODE_EXTRA_CA_CERTS",
        "runner, for agents",
        "file",
        "off: those that the program has",
        "Further authorities to trust, as agents on Node.js are told.",
    ),
    ("PATH", "runner, demo forge", "folders", "the usual ones", "Where git and agents are found."),
];

const AGENT_VARIABLES: &[(&str, &str)] = &[
    ("PULLYARD_JOB", "The job's id."),
    ("PULLYARD_KIND", "What kind of work it is."),
    ("PULLYARD_TICKET", "The ticket's key; empty for a job without one."),
    (
        "PULLYARD_SESSION",
        "The session that it goes on with, or else the job; only where the job was paused, asked something, was spoken to or waited for its model before.",
    ),
];

struct HelpVariable {
    names: Vec<String>,
    flag: String,
    unit: String,
    default: String,
    says: String,
}

/// Splits the default, at the end of the first sentence, from the description of a flag.
fn split_default(says: &str) -> Option<(String, String)> {
    let end = says.find(". ").unwrap_or(says.len());
    let (sentence, rest) = says.split_at(end);
    let (head, last) = sentence.rsplit_once("; ")?;
    let words = last.strip_suffix("if not given").or_else(|| last.strip_suffix("when not given"));
    let words = words.or_else(|| last.starts_with("required").then_some(last))?;
    Some((words.trim().trim_end_matches(',').to_owned(), format!("{head}{rest}")))
}

/// The flags of a help that have an environment variable. Continuation lines are indented.
fn help_variables(help: &str) -> Vec<HelpVariable> {
    let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or_default();
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let words = line.trim_start();
        if words.starts_with("--") || (words.starts_with('-') && words.contains(", --")) {
            blocks.push((words.to_owned(), String::new()));
        } else if line.starts_with("          ")
            && let Some((_, text)) = blocks.last_mut()
        {
            text.push(' ');
            text.push_str(words);
        }
    }
    let between = |text: &str, start: &str| {
        text.split_once(start).and_then(|(_, rest)| rest.split_once(']')).map(|(inside, _)| inside.trim().to_owned())
    };
    let read = |(head, text): (String, String)| {
        let names = between(&text, "[env: ")?;
        let names = names.split(',').map(|name| name.trim().trim_end_matches('=').to_owned()).collect();
        let flag = head.split_whitespace().find(|word| word.starts_with("--"))?.to_owned();
        let unit =
            head.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("set or not", |(unit, _)| unit);
        let says = text.split(" [").next().unwrap_or_default().split(" Possible values").next().unwrap_or_default();
        let says = says.trim().trim_end_matches('.').to_owned();
        let plain = if let Some(value) = between(&text, "[default: ") {
            format!("`{value}`")
        } else if usage.split_whitespace().any(|word| word == flag) {
            "required".to_owned()
        } else if unit == "set or not" {
            "off".to_owned()
        } else {
            String::new()
        };
        let (default, says) =
            if plain.is_empty() { split_default(&says).unwrap_or((plain, says)) } else { (plain, says) };
        Some(HelpVariable { names, flag, unit: unit.to_lowercase(), default, says })
    };
    blocks.into_iter().filter_map(read).collect()
}

fn table(page: &mut String, all: &[HelpVariable]) {
    page.push_str("| variable | flag | value | default | what it says |\n|---|---|---|---|---|\n");
    for HelpVariable { names, flag, unit, default, says } in all {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        writeln!(
            page,
            "| {names} | `{flag}` | {} | {} | {} |",
            table_cell(unit),
            table_cell(default),
            table_cell(says)
        )
        .unwrap();
    }
}

pub(super) async fn page() -> String {
    let user = User::new();
    let help = async |words: &[&str]| user.run(&[&["help"], words].concat()).await.assert_success();
    let mut page = String::from(
        "# Configuration\n\nGenerated by `tests/generated_docs/config.rs`: every environment variable with its reader, unit and default.\nSettings of a project are in the table, not in the environment: `pullyard settings`.\n`off` as a default names the feature that is then off; a variable without a default is `required`.\n\n## Functions\n\n`crates/entry/src/config.rs` reads them all; the column \"used by\" names the functions that use one.\nAn empty variable counts as not set.\n\n| variable | value | default | used by | what it says |\n|---|---|---|---|---|\n",
    );
    for variable in VARIABLES {
        let default = variable.default.unwrap_or("required");
        let (unit, says) = (table_cell(variable.unit), table_cell(variable.description));
        writeln!(page, "| `{}` | {unit} | {default} | {} | {says} |", variable.name, variable.used_by).unwrap();
    }
    page.push_str("\nRegion and credentials are AWS's own (`AWS_REGION`, the function's role).\n\n## Command line\n\nA flag overrides a variable, and a variable overrides the saved context.\n\n");
    let global = help_variables(&help(&["status"]).await);
    table(&mut page, &global);
    page.push_str("\n### `pullyard up`\n\n");
    let own = help_variables(&help(&["up"]).await).into_iter();
    table(&mut page, &own.filter(|one| !global.iter().any(|all| all.flag == one.flag)).collect::<Vec<_>>());
    page.push_str("\n## Runner\n\n### `pullyard-runner start`, `check`, `config`\n\nSeveral names in one row are aliases; the first one that is set counts.\n\n");
    let not_global = |all: Vec<HelpVariable>| {
        all.into_iter().filter(|one| !global.iter().any(|other| other.flag == one.flag)).collect::<Vec<_>>()
    };
    table(&mut page, &not_global(help_variables(&help(&["runner", "start"]).await)));
    page.push_str("\n### `pullyard-runner run-job`\n\nECS and `start` set these.\n\n");
    table(&mut page, &not_global(help_variables(&help(&["runner", "run-job"]).await)));
    page.push_str(
        "\n## Without a flag\n\n| variable | read by | value | default | what it says |\n|---|---|---|---|---|\n",
    );
    for (name, reader, unit, default, says) in WITHOUT_A_FLAG {
        writeln!(page, "| `{name}` | {reader} | {unit} | {default} | {says} |").unwrap();
    }
    page.push_str("\n## Variables of the agent\n\n| variable | what it says |\n|---|---|\n");
    for (name, says) in AGENT_VARIABLES {
        writeln!(page, "| `{name}` | {says} |").unwrap();
    }
    page
}

#[tokio::test]
async fn config_page_matches_the_variables_of_the_programs() {
    generated::compare_or_write("docs/reference/config.md", &page().await);
}

/// A default of "none" would not show whether the variable is required.
#[tokio::test]
async fn every_variable_has_a_default_or_is_required() {
    let page = page().await;
    let (tables, _) = page.split_once("## Variables of the agent").unwrap();
    let mut column = 0;
    for row in tables.lines().filter(|line| line.starts_with('|')) {
        let cells = row.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect::<Vec<_>>();
        if let Some(head) = cells.iter().position(|cell| *cell == "default") {
            column = head;
        } else if !row.starts_with("|---") {
            let cell = cells[column];
            assert!(!cell.is_empty() && !cell.starts_with("none") && !cell.starts_with("not set"), "{row}");
        }
    }
}
