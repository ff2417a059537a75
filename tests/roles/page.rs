//! Generates `docs/reference/roles.md` from the list.

use super::aws_calls::{CALLS, EXTRA_ACTIONS, EXTRA_OF_ALL, KMS_ACTIONS, SERVICE_ROLE_ACTIONS, kms_services};
use super::items::{LIMITED_READERS, TOKEN_USE_ATTRIBUTES, TOKEN_USE_WRITERS, WRITERS};
use crate::calls::FUNCTIONS;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "\
# What each function may do on AWS

Every function has a role of its own, and every role allows what is in these tables and nothing else.
Generated from `tests/roles/aws_calls.rs`: `PULLYARD_WRITE_PAPERS=1 cargo test -p pullyard-cli --test system roles::`.

- What functions ask for is recorded while the tests run, as IAM would be asked: an action for each item of a transaction, an ARN for each index.
- A test whose functions ask for anything else fails; `.ci/roles` says what in this list no test asks for.
- `tests/roles.rs` compares this list with the roles of `infra/functions.yaml`, both ways, as they would be deployed.
- `tests/roles/attacker.rs` says what nobody can do: no function but the dispatcher touches tasks, none reads a secret that was not set through Pullyard, none makes or deletes a table, a queue or a task definition, and none but api makes a token or connects a forge.

A task has no rights on AWS at all: it has no role, and asks the API.
On AWS, the User-Agent of every call names its function (`AWS_SDK_UA_APP_ID`), so CloudTrail does, too.
";

const ITEMS: &str = "
## Which items of the table each function writes

By what their partition key begins with (`dynamodb:LeadingKeys`), from `tests/roles/items.rs`; what is recorded is held against it, too.
Whoever takes over a function can change what it changes anyway; tokens are made by api alone, and which of them was the first is written by no function.
";

const OTHERS: &str = "
## Roles that no function has

AWS's own services have them; nothing of ours gets their credentials.

| role | action | on | why |
|---|---|---|---|
";

fn render_page() -> String {
    let mut page = HEAD.to_owned();
    for function in FUNCTIONS {
        let _ = write!(page, "\n## {function}\n\n| action | on | index | why |\n|---|---|---|---|\n");
        for (_, action, what, why) in CALLS.iter().filter(|(of, ..)| *of == function) {
            let (on, index) = what.page_text();
            let _ = writeln!(page, "| `{action}` | {on} | {index} | {why} |");
        }
    }
    page.push_str(ITEMS);
    let _ =
        write!(page, "\n| items | what | {} |\n|---|---|{}\n", FUNCTIONS.join(" | "), "---|".repeat(FUNCTIONS.len()));
    for (items, what, writers) in WRITERS {
        let marks = FUNCTIONS.map(|function| if writers.contains(&function) { "x" } else { "" });
        let _ = writeln!(page, "| `{items}` | {what} | {} |", marks.join(" | "));
    }
    let _ = writeln!(
        page,
        "\n- {} note when a token was used: an update of `TOKEN#` that names {} and nothing else, so it can make no token and change none.",
        TOKEN_USE_WRITERS.join(" and "),
        TOKEN_USE_ATTRIBUTES.map(|attribute| format!("`{attribute}`")).join(", "),
    );
    let everything = FUNCTIONS.into_iter().filter(|function| LIMITED_READERS.iter().all(|(of, _)| of != function));
    let _ = writeln!(
        page,
        "- {} show people everything and read every item; the others read, by the same key, of the table itself:",
        everything.collect::<Vec<_>>().join(" and ")
    );
    for (function, items) in LIMITED_READERS {
        let items = items.iter().map(|items| format!("`{items}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "  - {function} reads {items} only.");
    }
    page.push_str(
        "- The indexes hold keys and nothing else, under keys of their own, so reading them is not limited so: the list of tokens is one of hashes.\n",
    );
    page.push_str(
        "\n## What is allowed and never asked for by our code\n\n| function | action | on | why |\n|---|---|---|---|\n",
    );
    for (action, on, why) in EXTRA_OF_ALL {
        let on = if *on == "*" { "`*`" } else { "its own log" };
        let _ = writeln!(page, "| every one | `{action}` | {on} | {why} |");
    }
    for (function, action, on, why) in EXTRA_ACTIONS {
        let on = on.trim_start_matches(':').replacen("pullyard", "{stack}", 1);
        let _ = writeln!(page, "| {function} | `{action}` | `{on}` | {why} |");
    }
    page.push_str(OTHERS);
    for (role, action, on, why) in SERVICE_ROLE_ACTIONS {
        let on = match on.strip_prefix(':') {
            Some(group) if group.starts_with("log-group:") => "the log of tasks".to_owned(),
            Some(named) => format!("`{}`", named.replacen("pullyard", "{stack}", 1)),
            None => format!("`{on}`"),
        };
        let _ = writeln!(page, "| {role} | `{action}` | {on} | {why} |");
    }
    let _ = write!(
        page,
        "\n## With a key of the deployment's own\n\nWhere `KmsKeyArn` names a key, each function's role allows {} on that key besides, and only as these services ask it in the function's name (`kms:ViaService`), never by itself.\n\n| function | through |\n|---|---|\n",
        KMS_ACTIONS.map(|action| format!("`{action}`")).join(" and "),
    );
    for function in FUNCTIONS {
        let _ = writeln!(page, "| {function} | {} |", kms_services(function).join(", "));
    }
    page
}

/// Compares the page with the generated text; writes it if `PULLYARD_WRITE_PAPERS=1`.
pub(super) fn check_page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/roles.md");
    let page = render_page();
    if std::env::var("PULLYARD_WRITE_PAPERS").as_deref() == Ok("1") {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/reference/roles.md differs from tests/roles/aws_calls.rs; set PULLYARD_WRITE_PAPERS=1 to write it"
    );
}
