//! Generates `docs/reference/roles.md` from the list.

use super::aws_calls::{EXTRA_ACTIONS, EXTRA_OF_ALL, KMS_ACTIONS, SERVICE_ROLE_ACTIONS, kms_services, page_text};
use crate::prelude::*;
use pullyard_entry::permissions::{CALLS, LIMITED_READERS, TOKEN_USE_ATTRIBUTES, TOKEN_USE_WRITERS, WRITERS};

const HEAD: &str = "\
# What each function may do on AWS

Each function has its own role. A role allows only the calls in these tables.
Generated from `crates/entry/src/permissions.rs` and `tests/roles/aws_calls.rs`: `PULLYARD_WRITE_DOCS=1 cargo test -p pullyard-cli --test system roles::`.

- The tests record the permissions that each call needs in IAM: an action for each item of a transaction, an ARN for each index.
- A test fails if a function makes another call. `.ci/roles` fails if no test makes a listed call.
- `tests/roles.rs` compares this list with the deployed form of the roles in `infra/functions.yaml`, in both directions.
- `pullyard doctor --stack` and `init` let each function make these calls in your account (`crates/entry/src/self_check.rs`), because no emulator evaluates roles as AWS does.
- `tests/roles/attacker.rs` verifies the limits of a stolen role. Only the dispatcher starts and stops tasks; only api creates tokens and connects forges. No function reads secrets that were set outside of Pullyard, or creates or deletes tables, queues or task definitions, with one exception: api creates and deletes, and the sweeper deletes, queues with the name `{stack}-wake-*`, the mailboxes of self-hosted runners.

A task has no role and so no rights on AWS; it uses the API.
The User-Agent of each call names its function (`AWS_SDK_UA_APP_ID`), and CloudTrail shows it.
";

const ITEMS: &str = "
## Which items of the table each function writes

Roles limit writes by the prefix of the partition key (`dynamodb:LeadingKeys`). The list is in `crates/entry/src/permissions/items.rs`; the tests compare the recorded calls with it.
An attacker who controls a function can change the items that it writes. Only api creates tokens, and no function writes the `FIRST` item.
";

const OTHERS: &str = "
## Roles that no function has

AWS services assume these roles; our code never receives their credentials.

| role | action | on | why |
|---|---|---|---|
";

fn render_page() -> String {
    let mut page = HEAD.to_owned();
    for function in FUNCTIONS {
        let _ = write!(page, "\n## {function}\n\n| action | on | index | why |\n|---|---|---|---|\n");
        for (_, action, resource, reason) in CALLS.iter().filter(|(of, ..)| *of == function) {
            let (on, index) = page_text(*resource);
            let _ = writeln!(page, "| `{action}` | {on} | {index} | {reason} |");
        }
    }
    page.push_str(ITEMS);
    let _ = write!(
        page,
        "\n| items | content | {} |\n|---|---|{}\n",
        FUNCTIONS.join(" | "),
        "---|".repeat(FUNCTIONS.len())
    );
    for (items, content, writers) in WRITERS {
        let marks = FUNCTIONS.map(|function| if writers.contains(&function) { "x" } else { "" });
        let _ = writeln!(page, "| `{items}` | {content} | {} |", marks.join(" | "));
    }
    let _ = writeln!(
        page,
        "\n- {} record the use of a token: an update of `TOKEN#` that names only {}, so neither can create a token or change its rights.",
        TOKEN_USE_WRITERS.join(" and "),
        TOKEN_USE_ATTRIBUTES.map(|attribute| format!("`{attribute}`")).join(", "),
    );
    let everything = FUNCTIONS.into_iter().filter(|function| LIMITED_READERS.iter().all(|(of, _)| of != function));
    let _ = writeln!(
        page,
        "- {} read every item. The same key limits the others' reads of the table itself:",
        everything.collect::<Vec<_>>().join(" and ")
    );
    for (function, items) in LIMITED_READERS {
        let items = items.iter().map(|items| format!("`{items}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "  - {function} reads {items} only.");
    }
    page.push_str(
        "- The indexes have only keys, under other partition keys, so reads of an index have no such limit; only webhook is limited to the list of projects. Their list of tokens has only hashes.\n",
    );
    page.push_str(
        "\n## Allowed actions that our code does not call\n\n| function | action | on | why |\n|---|---|---|---|\n",
    );
    for (action, on, reason) in EXTRA_OF_ALL {
        let on = if *on == "*" { "`*`" } else { "its own log" };
        let _ = writeln!(page, "| all | `{action}` | {on} | {reason} |");
    }
    for (function, action, on, reason) in EXTRA_ACTIONS {
        let on = on.trim_start_matches(':').replacen("pullyard", "{stack}", 1);
        let _ = writeln!(page, "| {function} | `{action}` | `{on}` | {reason} |");
    }
    page.push_str(OTHERS);
    for (role, action, on, reason) in SERVICE_ROLE_ACTIONS {
        let on = match on.strip_prefix(':') {
            Some(group) if group.starts_with("log-group:") => "the log of tasks".to_owned(),
            Some(named) => format!("`{}`", named.replacen("pullyard", "{stack}", 1)),
            None => format!("`{on}`"),
        };
        let _ = writeln!(page, "| {role} | `{action}` | {on} | {reason} |");
    }
    let _ = write!(
        page,
        "\n## With a customer managed key\n\nIf `KmsKeyArn` names a key, each function's role also allows {} on that key, but only through these services (`kms:ViaService`).\n\n| function | through |\n|---|---|\n",
        KMS_ACTIONS.map(|action| format!("`{action}`")).join(" and "),
    );
    for function in FUNCTIONS {
        let _ = writeln!(page, "| {function} | {} |", kms_services(function).join(", "));
    }
    page
}

pub(super) fn check_page() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/roles.md");
    let page = render_page();
    if std::env::var("PULLYARD_WRITE_DOCS").as_deref() == Ok("1") {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == page,
        "docs/reference/roles.md differs from the permissions; set PULLYARD_WRITE_DOCS=1 to write it"
    );
}
