//! Generates docs/reference/table.md from the items that the store's writes create.

use crate::shape::{everything, kind};
use crate::world::Item;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

mod conditions;
#[path = "../../../../tests/papers/keep.rs"]
mod keep;

/// A kind of item: its key patterns and its description.
struct Kind {
    name: &'static str,
    pk: &'static str,
    sk: &'static str,
    what: &'static str,
}

const fn of(name: &'static str, pk: &'static str, sk: &'static str, what: &'static str) -> Kind {
    Kind { name, pk, sk, what }
}

const KINDS: &[Kind] = &[
    of("SETTINGS", "PROJECT#{project}", "SETTINGS", "A project: its name and settings."),
    of("REPO", "PROJECT#{project}", "REPO#{integration}#{repository id}", "A connected repository and its agent."),
    of("REPONAME", "PROJECT#{project}", "REPONAME#{owner/name, lower case}", "Alias to the repository."),
    of(
        "INTEGRATION",
        "INTEGRATION#{integration}",
        "INTEGRATION",
        "A connected forge, or, with `gone`, one that was: addresses, account, the names of its secrets.",
    ),
    of("CLASS", "POOL#{project}", "CLASS#{class}", "What jobs of a class ask of a runner."),
    of("BUDGET", "BUDGET#{project}", "{day}", "What the project's jobs took on that day in UTC."),
    of("TICKET", "TICKET#{project}#{key}", "TICKET", "Status, lock, last entry, second entry, wanted and shown."),
    of("TEXT", "TICKET#{project}#{key}", "TEXT", "The ticket's text, zstd."),
    of("JOB", "JOB#{job}", "JOB", "The job."),
    of("CONTEXT", "JOB#{job}", "CONTEXT#{hash}", "What the agent is told, frozen, zstd."),
    of("ATTEMPT", "JOB#{job}", "ATTEMPT#{n:04}", "How one attempt went."),
    of(
        "ARTIFACTS",
        "JOB#{job}",
        "ARTIFACTS#{n:04}",
        "What one attempt keeps in the bucket: kinds, names, sizes, hashes, and whose object was seen.",
    ),
    of("INPUT", "JOB#{job}", "INPUT#{seq:010}", "What a person said to the job's agent."),
    of("EVENTS", "EVENTS#{job}#{n:04}", "{first seq:010}", "One batch of events, zstd."),
    of(
        "PR",
        "PR#{integration}#{repository id}#{number}",
        "PR",
        "The link from a pull request to its ticket and job, and what people shall read on it.",
    ),
    of(
        "REVIEW",
        "PR#{integration}#{repository id}#{number}",
        "REVIEW#{review}",
        "What became of one review or request, and which job had it before it waited anew.",
    ),
    of("DELIVERY", "DELIVERY#{delivery}", "DELIVERY", "One decision with its facts."),
    of(
        "RUNNERS",
        "RUNNERS#{shard}",
        "{runner}",
        "A self-hosted runner's slots, what it said it runs, and its heartbeat.",
    ),
    of("PROFILE", "RUNNER#{runner}", "PROFILE", "A runner's capabilities and labels."),
    of("NAME", "NAME#runner#{name}", "NAME", "Who has a name."),
    of(
        "HOOK",
        "HOOK#{name}",
        "HOOK",
        "A webhook: forge, projects, the name of its secret, how far its deliveries are known.",
    ),
    of("HEARD", "HOOK#{name}", "HEARD", "When its deliveries were verified, and how many were not let in."),
    of(
        "POLL",
        "POLL#{project}#{integration}#{repository id}",
        "POLL",
        "How a repository is heard of, and how far it was looked at.",
    ),
    of(
        "BREAKER",
        "BREAKER#{project or runner}#{which}#{capability}",
        "BREAKER",
        "A model's account that is left alone: why, and until when.",
    ),
    of(
        "ROTATION",
        "ROTATION#{secret}",
        "ROTATION",
        "The version of a secret that counts beside the present one, and until when.",
    ),
    of("SWEEPER", "SWEEPER", "SWEEPER", "When the sweeper last went round."),
    of(
        "IDEMPOTENCY",
        "IDEMPOTENCY#{caller}#{key}",
        "IDEMPOTENCY",
        "The request of a key, and its job, its token or its ledger entry.",
    ),
    of("TOKEN", "TOKEN#{sha256}", "TOKEN", "An API or runner token's rights, its end, its last use to the minute."),
    of("FIRST", "FIRST", "FIRST", "The hash of the first admin token."),
    of("SIGNIN", "SIGNIN#{nonce}", "SIGNIN", "A sign-in link was used up."),
];

/// Whether a key matches a pattern: as many parts, and equal outside of placeholders.
fn fits(key: &str, pattern: &str) -> bool {
    let (key, pattern) = (key.split('#').collect::<Vec<_>>(), pattern.split('#').collect::<Vec<_>>());
    key.len() == pattern.len() && key.iter().zip(&pattern).all(|(part, name)| name.starts_with('{') || part == name)
}

/// The prefix of an index row, without the variable part.
fn row(text: &str) -> String {
    match text.split_once('#') {
        Some((first, _)) => format!("{first}#…"),
        None => text.to_owned(),
    }
}

fn type_of(value: &AttributeValue) -> &'static str {
    match value {
        AttributeValue::S(_) => "S",
        AttributeValue::N(_) => "N",
        AttributeValue::B(_) => "B",
        AttributeValue::Bool(_) => "BOOL",
        AttributeValue::M(_) => "M",
        AttributeValue::L(_) => "L",
        other => panic!("unexpected attribute type: {other:?}"),
    }
}

/// The item kind of a line of paper/conditions.txt: `Update PR/REVIEW of {Put JOB}` is a REVIEW.
fn kind_of_row(line: &str) -> Option<&str> {
    let (action, rest) = line.strip_prefix("| ")?.split_once(' ')?;
    let (first, last) = rest.split(' ').next()?.split_once('/')?;
    let kind = if last == "…" { first } else { last };
    ["Put", "Update", "Delete"].contains(&action).then_some(kind)
}

/// The file in `src/write` of each write.
pub(crate) fn files_of_writes() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/write")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        for rest in std::fs::read_to_string(&path).unwrap().split("pub async fn ").skip(1) {
            files.insert(rest.split(['(', '<']).next().unwrap().to_owned(), file.clone());
        }
    }
    files
}

/// The files in `src/write` that write each kind of item, from paper/conditions.txt. If the same run regenerates that
/// file, this may read its previous version.
fn writers() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files_of_writes();
    let page = std::fs::read_to_string(root.join("tests/store/paper/conditions.txt")).unwrap();
    let mut writers = BTreeMap::<String, BTreeSet<String>>::new();
    for section in page.split("\n## `").skip(1) {
        let (write, rows) = section.split_once('`').unwrap();
        for kind in rows.lines().filter_map(kind_of_row) {
            writers.entry(kind.to_owned()).or_default().insert(files[write].clone());
        }
    }
    writers
}

/// The attributes and rows of all items of a kind.
#[derive(Default)]
struct Seen {
    count: usize,
    attributes: BTreeMap<String, (BTreeSet<&'static str>, usize)>,
    work: BTreeSet<String>,
    list: BTreeSet<String>,
}

impl Seen {
    fn see(&mut self, item: &Item) {
        self.count += 1;
        for (name, value) in item {
            let (types, times) = self.attributes.entry(name.clone()).or_default();
            types.insert(type_of(value));
            *times += 1;
        }
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(|text| row(text));
        self.work.extend(text("wk"));
        self.list.extend(text("lk"));
    }

    fn attributes(&self) -> String {
        let keys = ["pk", "sk", "wk", "ws", "lk", "ls"];
        let rest = self.attributes.iter().filter(|(name, _)| !keys.contains(&name.as_str()));
        let shown = rest.map(|(name, (types, times))| {
            let types = types.iter().copied().collect::<Vec<_>>().join("/");
            format!("`{name}` {types}{}", if *times < self.count { "?" } else { "" })
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

/// Rows of the domain's `due` that the samples lack. The tests of `due` verify them.
fn more_work(kind: &str) -> &'static [&'static str] {
    match kind {
        "JOB" => &["DUE#…", "READY#…"],
        "TICKET" => &["DUE#…", "HELD#…"],
        "PR" => &["DUE#…"],
        _ => &[],
    }
}

#[tokio::test]
async fn table_reference_matches_the_stores_writes() {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for ((pk, sk), item) in everything().await.items().await {
        let kind = kind(&pk, &sk);
        let known = KINDS.iter().find(|known| known.name == kind);
        let known = known.unwrap_or_else(|| panic!("{pk} / {sk} matches no item kind of docs/reference/table.md"));
        assert!(fits(&pk, known.pk) && fits(&sk, known.sk), "{pk} / {sk} does not match {} / {}", known.pk, known.sk);
        seen.entry(kind).or_default().see(&item);
    }
    let mut page = String::from(
        "# The table\n\nGenerated by `crates/store/tests/store/paper.rs` from the items that the store's writes create.\n\nOne table in on-demand mode with the keys `pk` and `sk` (S), point-in-time recovery on AWS, and a time to live in `expires` (N, epoch seconds).\nTwo sparse, keys-only indexes: `work` by `wk` (S) and `ws` (N), and `list` by `lk` and `ls` (S).\nEvery item has its schema version in `v`; most writes add a random `mark` that identifies the write after a lost answer.\n`?` marks an attribute that only some items of the kind have.\nFree text in a key is percent-encoded.\n\n| item | pk | sk | index `work` | index `list` | TTL | written by |\n|---|---|---|---|---|---|---|\n",
    );
    let written_by = writers();
    let rows = |seen: &BTreeSet<String>, more: &[&str]| {
        let all = seen.iter().map(String::as_str).chain(more.iter().copied()).collect::<BTreeSet<_>>();
        all.into_iter().map(|row| format!("`{row}`")).collect::<Vec<_>>().join(", ")
    };
    for kind in KINDS {
        let found = seen.get(kind.name).unwrap_or_else(|| panic!("no sample of {}", kind.name));
        let writers = written_by.get(kind.name).unwrap_or_else(|| panic!("no write creates {}", kind.name));
        let writers = writers.iter().map(|file| format!("`{file}`"));
        let ttl = if found.attributes.contains_key("expires") { "yes" } else { "" };
        let (work, list) = (rows(&found.work, more_work(kind.name)), rows(&found.list, &[]));
        let writers = writers.collect::<Vec<_>>().join(", ");
        writeln!(page, "| {} | `{}` | `{}` | {work} | {list} | {ttl} | {writers} |", kind.name, kind.pk, kind.sk)
            .unwrap();
    }
    page.push_str("\nThe files are those of `crates/store/src/write`; each function there says its condition after `Writes:`.\n\n## Attributes\n\nS text, N number, B bytes, BOOL, M map, L list; times are N, milliseconds since 1970.\n\n");
    for kind in KINDS {
        writeln!(page, "### {}\n\n{}\n\n{}\n", kind.name, kind.what, seen[kind.name].attributes()).unwrap();
    }
    keep::keep("docs/reference/table.md", &format!("{}\n", page.trim_end()));
}
