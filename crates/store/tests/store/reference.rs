//! Generates docs/reference/table.md from the items that the store's writes create.

use crate::prelude::*;
use crate::shape::{every_item, kind};
use std::fmt::Write as _;
use std::path::Path;

mod conditions;
#[path = "../../../../tests/generated_docs/generated.rs"]
mod generated;

struct Kind {
    name: &'static str,
    pk: &'static str,
    sk: &'static str,
    description: &'static str,
}

/// Name, partition key, sort key and description of each kind of item.
const KINDS: &str = "\
SETTINGS | PROJECT#{project} | SETTINGS | A project: its name and settings.
REPO | PROJECT#{project} | REPO#{integration}#{repository id} | A connected repository and its agent.
REPONAME | PROJECT#{project} | REPONAME#{owner/name, lower case} | Alias to the repository. With `former`, the name that it had before.
INTEGRATION | INTEGRATION#{integration} | INTEGRATION | A connected forge: URLs, account, names of its secrets. With `gone`, the forge was disconnected.
CLASS | POOL#{project} | CLASS#{class} | The runner requirements of a job class.
BUDGET | BUDGET#{project} | {day} | The project's jobs and their cost on a day in UTC.
LIMIT | LIMIT#{project} | LIMIT | The places of a project's limits: the jobs that hold them, the limits at the last count and the next count.
TICKET | TICKET#{project}#{key} | TICKET | A ticket: status, lock, last entry, second entry, wanted and shown state.
TEXT | TICKET#{project}#{key} | TEXT | The ticket's text, zstd.
LOOK | TICKET#{project}#{key} | LOOK | The look at the ticket in its tool that waits, and the newest delivery that a look has covered.
SPENT | TICKET#{project}#{key} | SPENT | The jobs and money that a ticket has used of its limits, and raises; of a pull request without a ticket, below PR.
COMMENT | TICKET#{project}#{key} | COMMENT#{number:010} | A user's comment on the ticket.
JOB | JOB#{job} | JOB | The job.
CONTEXT | JOB#{job} | CONTEXT#{hash} | The job's frozen prompt context, zstd.
OUTPUT | JOB#{job} | OUTPUT | What the job reports besides changes, zstd.
ATTEMPT | JOB#{job} | ATTEMPT#{n:04} | A finished attempt: its run and its end.
ARTIFACTS | JOB#{job} | ARTIFACTS#{n:04} | The artifacts of one attempt: kinds, names, sizes, hashes, and whether the bucket has the object.
INPUT | JOB#{job} | INPUT#{seq:010} | A user's message to the job's agent.
EVENTS | EVENTS#{job}#{n:04} | {first seq:010} | One batch of events, zstd.
PR | PR#{integration}#{repository id}#{number} | PR | The link from a pull request to its ticket and job, and the note to show on it.
REVIEW | PR#{integration}#{repository id}#{number} | REVIEW#{review} | The state of one review or revision request; `had` is its job before it waited or was refused again.
DELIVERY | DELIVERY#{delivery} | DELIVERY | One decision with its facts.
RUNNERS | RUNNERS#{shard} | {runner} | A self-hosted runner's slots, its reported jobs and its last heartbeat.
PROFILE | RUNNER#{runner} | PROFILE | A runner's capabilities and labels.
NAME | NAME#runner#{name} | NAME | The runner that owns a name.
HOOK | HOOK#{name} | HOOK | A webhook: forge, projects, name of its secret.
HEARD | HOOK#{name} | HEARD | A webhook's last verified delivery, last refused delivery, last repair and number of refused deliveries.
POLL | POLL#{project}#{integration}#{repository id} | POLL | A repository's ingress and polling state.
ANALYSIS | ANALYSIS#{project} | {integration}#{repository id} | A repository's analyses: the running job, the last completed one and the last failure.
RUN | RUN#{run} | RUN | A run of a plan: the state of each step.
GROUP | RUN#{project}#{group} | GROUP | The runs of a project that name a group: those that hold a place, and those that wait.
PLAN | RUN#{run} | PLAN | The run's frozen plan and parameters, zstd.
TEMPLATE | PROJECT#{project} | TEMPLATE#{name} | A template: a plan that schedules, programs, webhooks and users start.
SCHEDULE | SCHEDULE#{project} | SCHEDULE#{name} | A schedule: what it starts and when, its next time and its last result.
HOST | HOST#{host} | HOST | A host of users that did not answer in time: its timeouts, and the end of its rest.
NOTICE | NOTICE#{notice} | NOTICE | A message about an event: its facts, and its state at each endpoint.
ENDPOINT | PROJECT#{project} | ENDPOINT#{endpoint} | How messages reach an endpoint: its failures, its rest, the messages of the last minutes.
BREAKER | BREAKER#{project or runner}#{which}#{capability} | BREAKER | A paused model account: the cause and the end of the pause.
TRACKERS | TRACKERS | {name} | A ticket tool: its kind, its address, its account, the names of its secrets and its health.
ROTATION | ROTATION#{secret} | ROTATION | The previous version of a rotated secret, and the end of its validity.
PROJECTS | SECRET#{secret} | PROJECTS | The projects that may use a secret.
SECRETS | SECRETS | {secret} | The full name of a secret that a user set, and when; never its value.
SWEEPER | SWEEPER | SWEEPER | The time of the last sweep, and its gauges.
FLEET | SWEEPER | FLEET | More than 50 runners as a sweep read them at `at`, for views of waiting jobs, zstd.
IDEMPOTENCY | IDEMPOTENCY#{caller}#{key} | IDEMPOTENCY | An idempotency key: its request, and the resulting job, token, comment or ledger entry.
TOKEN | TOKEN#{sha256} | TOKEN | An API or runner token: scopes, expiry, last use to the minute.
FIRST | FIRST | FIRST | The hash of the first admin token.
SIGNIN | SIGNIN#{nonce} | SIGNIN | A used sign-in link.
";

fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.lines().map(|line| {
        let [name, pk, sk, description] = line.split(" | ").collect::<Vec<_>>().try_into().unwrap();
        Kind { name, pk, sk, description }
    })
}

fn matches_pattern(key: &str, pattern: &str) -> bool {
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

/// The item kind of a line of reference/conditions.txt: `Update PR/REVIEW of {Put JOB}` is a REVIEW.
fn kind_of_row(line: &str) -> Option<&str> {
    let (action, rest) = line.strip_prefix("| ")?.split_once(' ')?;
    let (first, last) = rest.split(' ').next()?.split_once('/')?;
    let kind = if last == "…" { first } else { last };
    ["Put", "Update", "Delete"].contains(&action).then_some(kind)
}

pub(crate) fn files_of_writes() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/write")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        for function in std::fs::read_to_string(&path).unwrap().split("pub async fn ").skip(1) {
            files.insert(function.split(['(', '<']).next().unwrap().to_owned(), file.clone());
        }
    }
    files
}

/// The files in `src/write` that write each kind of item, from reference/conditions.txt. If the same run regenerates that
/// file, this may read its previous version.
fn writers() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files_of_writes();
    let page = std::fs::read_to_string(root.join("tests/store/reference/conditions.txt")).unwrap();
    let mut writers = BTreeMap::<String, BTreeSet<String>>::new();
    for section in page.split("\n## `").skip(1) {
        let (write, rows) = section.split_once('`').unwrap();
        for kind in rows.lines().filter_map(kind_of_row) {
            writers.entry(kind.to_owned()).or_default().insert(files[write].clone());
        }
    }
    writers
}

#[derive(Default)]
struct KindSummary {
    count: usize,
    attributes: BTreeMap<String, (BTreeSet<&'static str>, usize)>,
    work: BTreeSet<String>,
    list: BTreeSet<String>,
}

impl KindSummary {
    fn add(&mut self, item: &Item) {
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
        let data = self.attributes.iter().filter(|(name, _)| !keys.contains(&name.as_str()));
        let entries = data.map(|(name, (types, times))| {
            let types = types.iter().copied().collect::<Vec<_>>().join("/");
            format!("`{name}` {types}{}", if *times < self.count { "?" } else { "" })
        });
        entries.collect::<Vec<_>>().join(", ")
    }
}

/// Rows of the domain's `due` that the samples lack. The tests of `due` verify them.
fn unsampled_rows(kind: &str) -> &'static [&'static str] {
    match kind {
        "JOB" => &["DUE#…", "READY#…"],
        "TICKET" | "RUN" => &["DUE#…", "HELD#…"],
        "PR" => &["DUE#…"],
        _ => &[],
    }
}

#[tokio::test]
async fn table_reference_matches_the_stores_writes() {
    let mut summaries: BTreeMap<String, KindSummary> = BTreeMap::new();
    for ((pk, sk), item) in every_item().await {
        let kind = kind(pk, sk);
        let listed = kinds().find(|listed| listed.name == kind);
        let listed = listed.unwrap_or_else(|| panic!("{pk} / {sk} matches no item kind of docs/reference/table.md"));
        assert!(
            matches_pattern(pk, listed.pk) && matches_pattern(sk, listed.sk),
            "{pk} / {sk} does not match {} / {}",
            listed.pk,
            listed.sk
        );
        summaries.entry(kind).or_default().add(item);
    }
    let mut page = String::from(
        "# The table\n\nGenerated by `crates/store/tests/store/reference.rs` from the items that the store's writes create.\n\nOne table in on-demand mode with the keys `pk` and `sk` (S), point-in-time recovery on AWS, and a time to live in `expires` (N, epoch seconds).\nTwo sparse, keys-only indexes: `work` by `wk` (S) and `ws` (N), and `list` by `lk` and `ls` (S).\nMost writes add a random `mark` that identifies the write after a lost answer.\n`?` marks an attribute that only some items of the kind have.\nFree text in a key is percent-encoded.\n\n| item | pk | sk | index `work` | index `list` | TTL | written by |\n|---|---|---|---|---|---|---|\n",
    );
    let written_by = writers();
    let listed: BTreeSet<_> = kinds().map(|kind| kind.name.to_owned()).collect();
    assert_eq!(written_by.keys().cloned().collect::<BTreeSet<_>>(), listed, "the kinds of items that the writes write");
    let rows = |sampled: &BTreeSet<String>, more: &[&str]| {
        let all = sampled.iter().map(String::as_str).chain(more.iter().copied()).collect::<BTreeSet<_>>();
        all.into_iter().map(|row| format!("`{row}`")).collect::<Vec<_>>().join(", ")
    };
    for kind in kinds() {
        let summary = summaries.get(kind.name).unwrap_or_else(|| panic!("no sample of {}", kind.name));
        let writers = written_by.get(kind.name).unwrap_or_else(|| panic!("no write creates {}", kind.name));
        let writers = writers.iter().map(|file| format!("`{file}`"));
        let ttl = if summary.attributes.contains_key("expires") { "yes" } else { "" };
        let (work, list) = (rows(&summary.work, unsampled_rows(kind.name)), rows(&summary.list, &[]));
        let writers = writers.collect::<Vec<_>>().join(", ");
        writeln!(page, "| {} | `{}` | `{}` | {work} | {list} | {ttl} | {writers} |", kind.name, kind.pk, kind.sk)
            .unwrap();
    }
    page.push_str("\nThe files are in `crates/store/src/write`. Each function there documents its condition after `Writes:`.\n\n## Attributes\n\nS text, N number, B bytes, BOOL, M map, L list; times are N, milliseconds since 1970.\n\n");
    for kind in kinds() {
        writeln!(page, "### {}\n\n{}\n\n{}\n", kind.name, kind.description, summaries[kind.name].attributes()).unwrap();
    }
    generated::compare_or_write("docs/reference/table.md", &format!("{}\n", page.trim_end()));
}
