//! Tests that only the folder of a forge, agent, provider, job kind or ticket tool contains its name.
//!
//! An exception lists another file and the exact number of its lines that contain the name.

use crate::prelude::*;

/// A set of variants, such as the forges. The test counts lines that contain one of `words`, ignoring case.
struct Shelf {
    name: &'static str,
    words: &'static [&'static str],
    /// Path prefixes that may contain the names.
    homes: &'static [&'static str],
    /// Other files and their number of matching lines, grouped by reason.
    exceptions: &'static [(&'static str, &'static [(&'static str, usize)])],
}

/// Crates that only tests and demonstrations use.
const UNCHECKED_CRATES: [&str; 9] = [
    "demo_model",
    "emulator",
    "fake_forge",
    "fake_tracker",
    "loopback",
    "models",
    "simulation",
    "test_script",
    "testkit",
];

const SHELVES: [Shelf; 5] = [
    Shelf {
        name: "forge",
        words: &["github", "bitbucket"],
        homes: &[
            "crates/domain/src/project/forge",
            "crates/forge/src/github",
            "crates/forge/src/bitbucket",
            "crates/forge/src/forge.rs",
            "crates/forge/src/lib.rs",
            "crates/local_forge/",
        ],
        exceptions: &[
            (
                "the local world",
                &[
                    ("crates/cli/src/demo/scenario.rs", 1),
                    ("crates/cli/src/try_job.rs", 6),
                    ("crates/cli/src/up.rs", 1),
                ],
            ),
            (
                "Apps are GitHub's own",
                &[
                    ("crates/control/src/admin/connect_app.rs", 11),
                    ("crates/control/src/admin/connect_with_value.rs", 4),
                    ("crates/control/src/hooks/app.rs", 4),
                    ("crates/control/src/lib.rs", 3),
                    ("crates/protocol/src/client/operator.rs", 3),
                    ("crates/protocol/src/integration.rs", 4),
                    ("functions/api/src/lib.rs", 3),
                    ("functions/api/src/routes/github_apps.rs", 4),
                    ("functions/pages/src/setup/repositories/connect_app.rs", 15),
                    ("functions/pages/templates/connect_app.html", 7),
                    ("crates/control/src/forge.rs", 4),
                    ("functions/pages/src/setup/start/choices.rs", 1),
                    ("functions/pages/templates/repositories.html", 1),
                    ("functions/pages/templates/start_repository.html", 2),
                    ("functions/pages/templates/webhook_new.html", 1),
                    ("functions/pages/src/setup/repositories/connection.rs", 2),
                ],
            ),
            (
                "sentences and facts of one forge",
                &[
                    ("crates/domain/src/project/commits.rs", 1),
                    ("crates/domain/src/project/tracker.rs", 2),
                    ("crates/domain/src/project/tracker/issues.rs", 2),
                    ("crates/domain/src/text/decision.rs", 1),
                    // The events that start a template.
                    ("crates/domain/src/project/template.rs", 1),
                    ("crates/domain/src/project/plan/starts.rs", 9),
                    ("crates/runner/src/git/protected.rs", 2),
                    ("crates/runner/src/secrets/redact/shapes.rs", 1),
                    ("crates/cli/src/runner.rs", 1),
                    ("crates/runner/src/daemon/setting_names.rs", 2),
                    ("functions/pages/templates/repository_form.html", 1),
                ],
            ),
            (
                "help, descriptions and examples",
                &[
                    ("crates/cli/src/client/init.rs", 5),
                    ("crates/cli/src/client/integrations.rs", 8),
                    ("crates/cli/src/client/pulls/revise.rs", 1),
                    ("crates/cli/src/client/pulls.rs", 2),
                    ("crates/cli/src/client/repositories.rs", 1),
                    ("crates/cli/src/client/secrets.rs", 5),
                    ("crates/cli/src/client/trackers.rs", 2),
                    ("crates/cli/src/client/why.rs", 1),
                    ("crates/domain/src/project.rs", 1),
                    ("crates/protocol/src/project.rs", 3),
                    ("crates/domain/src/fixtures.rs", 1),
                    ("crates/domain/src/text.rs", 1),
                    ("crates/runner/src/git/test_world.rs", 1),
                ],
            ),
        ],
    },
    Shelf {
        name: "agent",
        words: &["claude", "codex"],
        homes: &["crates/domain/src/agent", "crates/runner/src/agent/drivers"],
        exceptions: &[
            (
                "examples in the help",
                &[
                    ("crates/cli/src/client/breakers.rs", 2),
                    ("crates/cli/src/client/init.rs", 1),
                    ("crates/cli/src/client/jobs/create.rs", 1),
                    ("crates/cli/src/client/projects.rs", 1),
                    ("crates/cli/src/client/repositories/commands.rs", 1),
                    ("crates/cli/src/client/repositories.rs", 3),
                    ("crates/cli/src/client/runs/contributor.yaml", 2),
                    ("crates/domain/src/project/plan/contributor.json", 2),
                    ("crates/cli/src/demo.rs", 1),
                    ("crates/cli/src/try_job.rs", 1),
                    ("crates/domain/src/project/plan.rs", 1),
                ],
            ),
            ("settings of keys", &[("crates/protocol/src/setting/table.rs", 4)]),
            (
                "names of other programs",
                &[("crates/domain/src/project/plan/old_names.rs", 1), ("crates/runner/src/daemon/setting_names.rs", 2)],
            ),
            ("a variable for all agents", &[("crates/runner/src/agent/environment.rs", 1)]),
            ("shares the escape of characters", &[("crates/runner/src/agent/prompt_escape.rs", 2)]),
        ],
    },
    Shelf {
        name: "provider",
        words: &["anthropic", "openai"],
        homes: &["crates/domain/src/agent", "crates/runner/src/agent/drivers", "crates/agent_proxy/"],
        exceptions: &[
            (
                "examples",
                &[
                    ("crates/cli/src/client/secrets.rs", 5),
                    ("crates/cli/src/demo.rs", 1),
                    ("crates/domain/src/project/secret.rs", 1),
                    ("functions/pages/templates/secrets.html", 1),
                ],
            ),
            ("settings of keys", &[("crates/protocol/src/setting/table.rs", 2)]),
            ("tests a key at its provider", &[("crates/forge/src/model_key.rs", 6)]),
        ],
    },
    Shelf {
        name: "kind",
        words: &[
            "jobkind::implement",
            "jobkind::revise",
            "jobkind::read",
            "jobkind::review",
            "jobkind::resolve",
            "jobkind::analysis",
        ],
        homes: &["crates/domain/src/job/kind", "crates/domain/src/kinds"],
        exceptions: &[
            ("stories of the demo", &[("crates/cli/src/demo/follow.rs", 2), ("crates/cli/src/demo/review.rs", 2)]),
            (
                "users choose between a change and an answer",
                &[("crates/cli/src/client/jobs/create.rs", 1), ("functions/pages/templates/job_new.html", 2)],
            ),
            (
                "users ask an agent for a review, or to resolve threads",
                &[
                    ("crates/control/src/review/create_agent_review.rs", 1),
                    ("crates/control/src/review/request.rs", 1),
                    ("crates/domain/src/review/outcome.rs", 1),
                    ("crates/runner/src/checkpoint/create.rs", 1),
                    ("crates/runner/src/checkpoint/restore.rs", 1),
                    ("crates/runner/src/job/deliver/review/resolve.rs", 1),
                    ("crates/runner/src/job/work.rs", 2),
                ],
            ),
            (
                "an analysis belongs to a repository",
                &[
                    ("crates/control/src/jobs/finish_job.rs", 1),
                    ("crates/control/src/jobs/retry_job.rs", 2),
                    ("crates/control/src/jobs/start_analysis.rs", 1),
                    ("crates/domain/src/job/retry.rs", 1),
                    ("functions/pages/src/job/output.rs", 1),
                ],
            ),
            ("the output of each kind", &[("crates/control/src/attempt/finish.rs", 2)]),
        ],
    },
    Shelf {
        name: "tool",
        words: &["source::board", "source::tickettool", "jira", "linear"],
        homes: &["crates/domain/src/project/tracker", "crates/domain/src/project/source.rs", "crates/tracker/"],
        exceptions: &[
            (
                "help, examples and hints",
                &[
                    ("crates/cli/src/client/trackers.rs", 10),
                    ("crates/protocol/src/tracker.rs", 3),
                    ("functions/pages/templates/trackers.html", 4),
                ],
            ),
            (
                "tools with an account and webhooks of their own",
                &[
                    ("crates/control/src/host_rest.rs", 1),
                    ("crates/control/src/trackers/add.rs", 3),
                    ("crates/control/src/trackers/tool.rs", 2),
                ],
            ),
            (
                "creates events of its own tool",
                &[
                    ("crates/control/src/admin/record_unreadable.rs", 1),
                    ("crates/control/src/tickets/board.rs", 1),
                    ("crates/control/src/tickets/create_ticket.rs", 1),
                    ("crates/control/src/tickets/settle_ticket.rs", 1),
                    ("crates/control/src/tickets/write_to_tool.rs", 2),
                    ("crates/control/src/trackers/look.rs", 1),
                    ("crates/entry/src/ticket_event.rs", 1),
                ],
            ),
            ("makes events for tests", &[("crates/domain/src/fixtures.rs", 1)]),
        ],
    },
];

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true if entry.file_name() == "tests" => {}
            true => list_files(&entry.path(), files),
            false if entry.file_name() == "tests.rs" => {}
            false if entry.path().extension().is_some_and(|kind| kind == "csv") => {}
            false => files.push(entry.path()),
        }
    }
}

/// Returns the lines of a file without test modules and comments. Doc comments are included if `--help` or OpenAPI
/// shows them.
fn shipped_lines(path: &str, text: &str) -> Vec<String> {
    let shipped = text.find("#[cfg(test)]\nmod ").filter(|at| text[*at..].lines().nth(1).unwrap().ends_with('{'));
    let shows_comments = path.starts_with("crates/cli/") || text.contains("JsonSchema");
    let is_shipped = |line: &&str| {
        let line = line.trim_start();
        !line.starts_with("//") && !line.starts_with("{#") || line.starts_with("///") && shows_comments
    };
    text[..shipped.unwrap_or(text.len())].lines().filter(is_shipped).map(str::to_lowercase).collect()
}

fn shipped_files() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut files = Vec::new();
    for parent in ["crates", "functions"] {
        for entry in std::fs::read_dir(root.join(parent)).unwrap().map(Result::unwrap) {
            if !UNCHECKED_CRATES.iter().any(|name| entry.file_name() == *name) {
                list_files(&entry.path().join("src"), &mut files);
                list_files(&entry.path().join("templates"), &mut files);
            }
        }
    }
    let lines = |file: PathBuf| {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let lines = shipped_lines(&path, &std::fs::read_to_string(file).unwrap());
        (path, lines)
    };
    files.into_iter().map(lines).collect()
}

#[test]
fn each_variant_is_named_in_its_own_folder() {
    let files = shipped_files();
    assert!(files.len() > 500, "{} files", files.len());
    let mut wrong = Vec::new();
    for shelf in &SHELVES {
        let is_named = |line: &String| shelf.words.iter().any(|word| line.contains(word));
        let count = |lines: &Vec<String>| lines.iter().filter(|line| is_named(line)).count();
        let mut found: BTreeMap<_, _> = files.iter().map(|(path, lines)| (path.as_str(), count(lines))).collect();
        found.retain(|path, lines| *lines > 0 && !shelf.homes.iter().any(|home| path.starts_with(home)));
        for (path, lines) in shelf.exceptions.iter().flat_map(|(_, files)| *files) {
            match found.remove(path).unwrap_or_default() {
                now if now < *lines => {
                    wrong.push(format!("{path} names {}s in {now} lines: lower its exception from {lines}", shelf.name))
                }
                now if now > *lines => {
                    wrong.push(format!(
                        "{path} names a {} in {now} lines, not {lines}: use a field of its row",
                        shelf.name
                    ));
                }
                _ => {}
            }
        }
        let new = |(path, lines)| format!("{path} names a {} in {lines} lines: use a field of its row", shelf.name);
        wrong.extend(found.into_iter().map(new));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crate_forge_uses_only_four_types_of_the_domain() {
    let files = shipped_files();
    let lines = files.iter().filter(|(path, _)| path.starts_with("crates/forge/")).flat_map(|(_, lines)| lines);
    let uses: Vec<_> = lines.filter(|line| line.contains("pullyard_domain::")).collect();
    assert!(!uses.is_empty());
    let allowed = [
        "pullyard_domain::project::forge::forgekind",
        "pullyard_domain::agent::provider",
        "pullyard_domain::review::pull_request::mergemethod",
        "pullyard_domain::text::host::{exchangelog, exchanges}",
    ];
    let others: Vec<_> = uses.iter().filter(|line| !allowed.iter().any(|name| line.contains(name))).collect();
    assert!(others.is_empty(), "{others:?}");
}
