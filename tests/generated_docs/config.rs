//! Generates docs/reference/config.md from the functions' table and the help of CLI and runner.

use super::{generated, table_cell};
use crate::prelude::*;
use pullyard_entry::Config;

/// The rows of the functions, with the default as the third column.
const FUNCTION_VARIABLES: &str = "\
| `PULLYARD_TABLE` | name | required | all | The table; also the prefix of user secrets. |
| `PULLYARD_DISPATCH_QUEUE_URL` | URL | required | all that create or sweep jobs | The queue that starts tasks. |
| `PULLYARD_EFFECTS_QUEUE_URL` | URL | required | all that change tickets or reviews | The FIFO queue that settles tickets, reads reviews and moves runs. |
| `PULLYARD_CALLS_QUEUE_URL` | URL | required | all that change tickets or reviews | The FIFO queue of calls to addresses of users: notices, ticket tools, polls, texts on pull requests. |
| `PULLYARD_DISPATCH_DLQ_URL` | URL | required | api | The dead-letter queue of the dispatch queue. |
| `PULLYARD_EFFECTS_DLQ_URL` | URL | required | api | The dead-letter queue of the effects queue. |
| `PULLYARD_CALLS_DLQ_URL` | URL | required | api | The dead-letter queue of the queue of calls. |
| `PULLYARD_UNDELIVERED_DLQ_URL` | URL | required | api | The queue of task state changes that did not reach the tasks function or failed in it. |
| `PULLYARD_SUBMISSIONS_QUEUE_URL` | URL | off: programs submit by the API only | api | The queue of submissions, to which dead letters return. |
| `PULLYARD_SUBMISSIONS_DLQ_URL` | URL | off: programs submit by the API only | api | Its dead-letter queue. |
| `PULLYARD_CLUSTER` | name or ARN | required | dispatcher | The ECS cluster of tasks. |
| `PULLYARD_TASK_DEFINITIONS` | `small=F,medium=F,large=F`, each F a family, or family:revision | required | dispatcher | The task definition that runs a job, for each size. |
| `PULLYARD_SUBNETS` | ids, separated by commas | off: tasks start without a network configuration | dispatcher | The subnets of tasks. |
| `PULLYARD_SECURITY_GROUPS` | ids, separated by commas | the VPC's default one | dispatcher | The security groups of tasks. |
| `PULLYARD_PUBLIC_IP` | `true` or anything else | `false` | dispatcher | Whether tasks get a public address. |
| `PULLYARD_KEY_SECRET` | name of a secret | required | api, pages, dispatcher | The key that signs the tokens of attempts, sessions and sign-in links. |
| `PULLYARD_API_URL` | URL | required | api, dispatcher, effects, pages | The base URL of the API and the pages; also used in links and as the origin of forms. |
| `PULLYARD_TASK_ISOLATION` | `external`, `bubblewrap` or `none` | `external` | dispatcher, api, pages | The isolation that tasks receive: a container of their own, a sandbox of this machine, or none. |
| `PULLYARD_ONE_MACHINE` | `true` or anything else | `false` | api, pages | Whether one process serves everything and tasks are processes of its machine, where frequent requests are free. |
| `PULLYARD_ARTIFACTS_BUCKET` | name | required | api, pages | The bucket of artifacts. |
| `PULLYARD_KMS_KEY` | ARN of a key | AWS's own key | api | The KMS key of new user secrets; existing secrets retain their key. |
| `PULLYARD_TAGS` | `KEY=VALUE`, separated by commas | off: no tags | api | The tags of new user secrets and mailboxes of runners; existing ones retain theirs. |
| `PULLYARD_OUTBOUND_ALLOW` | ranges of addresses, separated by commas: `10.20.0.0/16,fd00::/8` | off: the public internet only | all | The private addresses that users may give for notifications and ticket tools. |
| `PULLYARD_DEPLOYMENT` | name | off: no metrics | all | The deployment name of the metrics: the stack's name. |
| `PULLYARD_DYNAMODB_ENDPOINT` | URL | AWS's own | all | The URL of DynamoDB; for local systems. |
| `PULLYARD_SQS_ENDPOINT` | URL | AWS's own | all | The URL of SQS; for local systems. |
| `PULLYARD_ECS_ENDPOINT` | URL | AWS's own | dispatcher | The URL of ECS; for local systems. |
| `PULLYARD_SECRETSMANAGER_ENDPOINT` | URL | AWS's own | all | The URL of Secrets Manager; for local systems. |
| `PULLYARD_S3_ENDPOINT` | URL | AWS's own | api, pages | The URL of S3; for local systems. |
";

/// The end of the page: variables without a flag, and those of the agent.
const END_OF_PAGE: &str = "
## Without a flag

| variable | read by | value | default | meaning |
|---|---|---|---|---|
| `RUST_LOG` | every function, `up`, runner | levels by target: `info,pullyard=debug` | `info` | Log filter. |
| `NO_COLOR` | command line | anything | off | No colours, unless `--color always`. |
| `PULLYARD_COMPLETE` | command line | shell | off | Complete the line after `--`. Set by the scripts of `pullyard completions`. |
| `LC_ALL` | command line | locale | the value of LC_CTYPE | Together with LC_CTYPE and LANG: whether output may have non-ASCII symbols. |
| `LC_CTYPE` | command line | locale | the value of LANG | As LC_ALL, which has precedence. |
| `LANG` | command line | locale | off: ASCII | As LC_CTYPE, which has precedence. |
| `XDG_CONFIG_HOME` | command line | folder | `~/.config` | Folder of the saved contexts, in `pullyard/`. |
| `HOME` | command line, runner | folder | off: no contexts are saved, and a runner works in the temporary folder | Parent of the default folders. |
| `PULLYARD_BOOTSTRAP` | `run-job` | token | required | The bootstrap token; never a flag. |
| `PULLYARD_CLAIM` | `run-job` | id | a new one | The claim that `start` made. |
| `PULLYARD_ISOLATION_CHECK` | `run-job` | text | the job checks | Result of the check of the isolation. Set by `start` and `up`. |
| `PULLYARD_CONTAINERS` | `run-job` | JSON | no containers | Image and limits of containers. Set by `start`. |
| `PULLYARD_LOG_COPY` | `run-job` | file | off: no copy | Copy of the job's log. Set by `start`. |
| `PULLYARD_CONFIG_NAMES` | `start`, `check`, `config` | names | off: no file | Variables that the program took from `runner.env`. Set by the program itself. |
| `PULLYARD_RELEASES` | the build of the programs | URL | off: the programs know no release | The address of releases, which the page Add runner shows. Set by `infra/release --address`. |
| `PULLYARD_INSTANCE` | `run-job` | id | a new one | The process of the runner that made the claim. |
| `PULLYARD_PARENT` | `run-job` | process number | off: the job outlives its parent process | Stop when this process exits. Set by `try` and `demo` as a flag. |
| `PULLYARD_PARENT_FOLDER` | `run-job` | folder | off: no folder is removed | Folder to remove when that process has exited. Set by `try` and `demo` as a flag. |
| `PULLYARD_TRACE_ID` | `run-job` | id | a new one | Trace id of the dispatch, for logs and API calls. |
| `PULLYARD_BUCKET_AWAY_SECS` | `run-job` | seconds | `60` | Time to retry an unreachable bucket for a checkpoint. Also a flag that the help omits. |
| `PULLYARD_FORGE_AWAY_SECS` | `run-job` | seconds | `3600` | Time to wait for an unavailable forge, before the agent starts and after it has worked. Also a flag that the help omits. |
| `_HANDLER` | every function | name | required | The function that this process serves. Set by Lambda. |
| `AWS_SDK_UA_APP_ID` | every function | name | off: calls do not name the function | The function's name in the User-Agent of its AWS calls. Set by the template. |
| `AWS_PROFILE` | `init --stack`, `doctor --stack` | name | `default` | AWS credentials and region, as for every program with the AWS SDK. |
| `ECS_CONTAINER_METADATA_URI_V4` | `run-job` | URL | off: the process is not an ECS task | URL of the task's metadata. Set by ECS. |
| `PULLYARD_RUNNER_TOKEN` | `start` | token | required, or a file | The runner token; also RUNNER_TOKEN. Never a flag. |
| `PULLYARD_FORGE_TOKEN` | `start`, `check`, `run-job` | token | off: no token of its own | The runner's token of the forge; also GITHUB_TOKEN, with --forge-api-url. Never a flag. |
| `PULLYARD_RUNNER_IMAGE` | `start` | any text | off: not an image | The program belongs to a container image. Set by the image. |
| `HTTPS_PROXY` | command line, runner, git | URL | off: no proxy | Proxy, as usual; also HTTP_PROXY, ALL_PROXY and NO_PROXY, in upper or lower case. |
| `SSL_CERT_FILE` | runner, git | file | the system's | Authorities to trust; also SSL_CERT_DIR, and GIT_SSL_CAINFO for git. |
| `PULLYARD_CLAUDE_CODE` | runner | file | `claude` in PATH | Path of Claude Code. |
| `PULLYARD_CODEX` | runner | file | `codex` in PATH | Path of Codex. |
| `ANTHROPIC_API_KEY` | runner, for Claude Code | key | off: Claude Code has no key | Claude Code's API key; or CLAUDE_CODE_OAUTH_TOKEN, for a subscription. |
| `ANTHROPIC_BASE_URL` | runner, for Claude Code | URL | Anthropic's | Base URL of its model. |
| `OPENAI_API_KEY` | runner, for Codex | key | off: Codex has no key | Codex's API key. |
| `OPENAI_BASE_URL` | runner, for Codex | URL | OpenAI's | Base URL of its model; ignored without a key. |
| `PULLYARD_CODEX_AUTH` | runner, for Codex | file | off: Codex has no subscription | `auth.json` of a Codex with a subscription; ignored if there is a key. |
| `PULLYARD_CODEX_PRICES` | runner, for Codex | MODEL=INPUT/CACHED/OUTPUT,… | our table | Prices of models that the table lacks or has differently; three more amounts are for requests with over 272,000 input tokens. Units: US dollars for a million tokens. |
| `NODE_EXTRA_CA_CERTS` | runner, for agents | file | off: the agent's built-in authorities | Additional authorities for agents on Node.js. |
| `PATH` | runner, local forge | folders | the usual ones | Folders with git and the agents. |

## Variables of the agent

| variable | meaning |
|---|---|
| `PULLYARD_JOB` | The job's id. |
| `PULLYARD_KIND` | The kind of job. |
| `PULLYARD_TICKET` | The ticket's key; empty for a job without one. |
| `PULLYARD_SESSION` | The session to continue, or the job's id if there is none. Set only with a session of an earlier attempt or input from users. |
";

struct HelpVariable {
    names: Vec<String>,
    flag: String,
    unit: String,
    default: String,
    description: String,
}

/// Splits the default, at the end of the first sentence, from the description of a flag.
fn split_default(description: &str) -> Option<(String, String)> {
    let end = description.find(". ").unwrap_or(description.len());
    let (sentence, later_text) = description.split_at(end);
    if let Some((head, default)) = sentence.strip_suffix(')').and_then(|text| text.rsplit_once(" (default: ")) {
        return Some((default.to_owned(), format!("{head}{later_text}")));
    }
    let (head, last) = sentence.rsplit_once("; ")?;
    let default = last.strip_suffix("if not given").or_else(|| last.strip_suffix("when not given"));
    let default = default.or_else(|| last.starts_with("required").then_some(last))?;
    Some((default.trim().trim_end_matches(',').to_owned(), format!("{head}{later_text}")))
}

/// The flags of a help that have an environment variable. Continuation lines are indented.
fn help_variables(help: &str) -> Vec<HelpVariable> {
    let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or_default();
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let content = line.trim_start();
        if content.starts_with("--") || (content.starts_with('-') && content.contains(", --")) {
            blocks.push((content.to_owned(), String::new()));
        } else if line.starts_with("          ")
            && let Some((_, text)) = blocks.last_mut()
        {
            text.push(' ');
            text.push_str(content);
        }
    }
    let in_brackets = |text: &str, start: &str| {
        text.split_once(start).and_then(|(_, rest)| rest.split_once(']')).map(|(inside, _)| inside.trim().to_owned())
    };
    let parse_block = |(head, text): (String, String)| {
        let names = in_brackets(&text, "[env: ")?;
        let names = names.split(',').map(|name| name.trim().trim_end_matches('=').to_owned()).collect();
        let flag = head.split_whitespace().find(|part| part.starts_with("--"))?.to_owned();
        let unit =
            head.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("set or not", |(unit, _)| unit);
        let description = text.split(" [").next().unwrap_or_default();
        let description = description.split(" Possible values").next().unwrap_or_default();
        let description = description.trim().trim_end_matches('.').to_owned();
        let (default, description) = if let Some(value) = in_brackets(&text, "[default: ") {
            (format!("`{value}`"), description)
        } else if usage.split_whitespace().any(|part| part == flag) {
            ("required".to_owned(), description)
        } else if unit == "set or not" {
            ("off".to_owned(), description)
        } else {
            split_default(&description).unwrap_or((String::new(), description))
        };
        Some(HelpVariable { names, flag, unit: unit.to_lowercase(), default, description })
    };
    blocks.into_iter().filter_map(parse_block).collect()
}

fn table(page: &mut String, variables: &[HelpVariable]) {
    page.push_str("| variable | flag | value | default | meaning |\n|---|---|---|---|---|\n");
    for HelpVariable { names, flag, unit, default, description } in variables {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        writeln!(
            page,
            "| {names} | `{flag}` | {} | {} | {} |",
            table_cell(unit),
            table_cell(default),
            table_cell(description)
        )
        .unwrap();
    }
}

pub(super) async fn page() -> String {
    let user = User::new();
    let help = async |arguments: &[&str]| user.ok(&[&["help"], arguments].concat()).await;
    let mut page = String::from(
        "# Configuration\n\nGenerated by `tests/generated_docs/config.rs`: each environment variable with its reader, unit and default.\nSettings of a project are in the table, not in the environment: `pullyard settings`.\nA default of `off` names the disabled feature; a variable without a default is `required`.\n\n## Functions\n\n`crates/entry/src/config.rs` reads them all; the column \"used by\" names the functions that use one.\nAn empty variable counts as not set.\n\n| variable | value | default | used by | meaning |\n|---|---|---|---|---|\n",
    );
    page.push_str(FUNCTION_VARIABLES);
    page.push_str("\nRegion and credentials are AWS's own (`AWS_REGION`, the function's role).\n\n## Command line\n\nA flag overrides a variable, and a variable overrides the saved context.\n\n");
    let global = help_variables(&help(&["status"]).await);
    table(&mut page, &global);
    let is_global = |variable: &HelpVariable| global.iter().any(|other| other.flag == variable.flag);
    let not_global = |variables: Vec<HelpVariable>| {
        variables.into_iter().filter(|variable| !is_global(variable)).collect::<Vec<_>>()
    };
    page.push_str("\n### `pullyard up`\n\n");
    table(&mut page, &not_global(help_variables(&help(&["up"]).await)));
    page.push_str("\n## Runner\n\n### `pullyard-runner start`, `check`, `config`\n\nSeveral names in one row are aliases. If several are set, the first counts.\n\n");
    table(&mut page, &not_global(help_variables(&help(&["runner", "start"]).await)));
    page.push_str("\n### `pullyard-runner run-job`\n\nECS and `start` set these.\n\n");
    table(&mut page, &not_global(help_variables(&help(&["runner", "run-job"]).await)));
    page.push_str(END_OF_PAGE);
    page
}

/// The default of each variable of the functions, by name.
fn function_variables() -> BTreeMap<&'static str, &'static str> {
    let name_and_default = |row: &'static str| {
        let cells = row.split(" | ").collect::<Vec<_>>();
        (cells[0].trim_matches(['|', ' ', '`']), cells[2])
    };
    FUNCTION_VARIABLES.lines().map(name_and_default).collect()
}

#[test]
fn functions_read_exactly_the_variables_of_the_table() {
    let read = std::cell::RefCell::new(BTreeSet::new());
    let value = |name| match name {
        "PULLYARD_TASK_DEFINITIONS" => "small=s,medium=m,large=l",
        "PULLYARD_OUTBOUND_ALLOW" => "10.0.0.0/8",
        "PULLYARD_TAGS" => "project=x",
        _ => "x",
    };
    Config::from_vars(|name| {
        read.borrow_mut().insert(name);
        Some(value(name).into())
    })
    .unwrap();
    let documented = function_variables();
    assert_eq!(read.into_inner(), documented.keys().copied().collect::<BTreeSet<_>>());
    for (variable, default) in documented {
        let without = Config::from_vars(|name| (name != variable).then(|| value(name).into()));
        assert_eq!(without.is_err(), default == "required", "requirement of {variable}");
    }
}

/// `sam local invoke` uses the template's value of a variable that the file lacks.
#[test]
fn sam_variables_are_exactly_those_of_the_functions() {
    let file: Value = serde_json::from_str(include_str!("../../events/env.json")).unwrap();
    let names = file["Parameters"].as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>();
    assert_eq!(names, function_variables().into_keys().collect::<BTreeSet<_>>());
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
