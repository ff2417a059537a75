//! What functions ask of AWS, written down: which function, which action of IAM, on which resource; and that AWS
//! would allow it. A test whose functions ask for what no role allows fails at its end, by `Allowed`.
//!
//! A function is known by the name in its calls' User-Agent. The calls of everybody else (a test itself, the
//! command line, the set-up of the local system) carry no name of a function and are left out.

use crate::roles;
use pullyard_testkit::observe::{Call, Observer};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The functions.
pub(crate) const FUNCTIONS: [&str; 8] =
    ["webhook", "tickets", "api", "pages", "dispatcher", "tasks", "effects", "sweeper"];

/// The file that every story adds its calls to; nothing is written without it.
const FILE: &str = "PULLYARD_CALLS";

/// One thing that a function asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) function: String,
    /// For example `dynamodb:Query`.
    pub(crate) action: String,
    /// An ARN, or `*`.
    pub(crate) resource: String,
    /// The ARN of the cluster that an action of ECS is about.
    pub(crate) cluster: Option<String>,
    /// What the partition key of an item begins with, up to its first `#`.
    pub(crate) items: Option<String>,
    /// What an update names: attributes of its key and its expressions.
    pub(crate) attributes: Vec<String>,
}

/// Everything that was asked for, once each, and what AWS would say against it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<Asked, Option<String>>>>);

impl Calls {
    /// Adds to these, and to the file of this process.
    pub(crate) fn observer(&self) -> Observer {
        let own = self.clone();
        Observer::new(move |call| own.tell(call))
    }

    /// Judges a call, and remembers it.
    pub(crate) fn tell(&self, call: &Call) {
        for asked in of(call) {
            let refusal = judged(&asked);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(asked, refusal);
        }
    }

    pub(crate) fn all(&self) -> BTreeSet<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn refusals(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }
}

/// Calls that AWS has to allow: the end of this fails its test if it would have refused one.
///
/// A call is told while it passes, to a task whose panic nobody would see; and whoever made it may go on without its
/// answer, as with a hint.
pub(crate) struct Allowed(pub(crate) Calls);

impl Drop for Allowed {
    fn drop(&mut self) {
        let refusals = self.0.refusals();
        if refusals.is_empty() {
            return;
        }
        let said = format!("AWS would have refused:\n{}", refusals.join("\n"));
        // The test fails by something else already, which may be due to this.
        if std::thread::panicking() { eprintln!("{said}") } else { panic!("{said}") }
    }
}

/// What AWS would say against it. It is looked for once in this process, and what is allowed is then noted.
fn judged(asked: &Asked) -> Option<String> {
    static JUDGED: Mutex<BTreeMap<Asked, Option<String>>> = Mutex::new(BTreeMap::new());
    let mut judged = JUDGED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = judged.get(asked) {
        return known.clone();
    }
    let refusal = roles::refusal(asked);
    if refusal.is_none() {
        note(asked);
    }
    judged.insert(asked.clone(), refusal.clone());
    refusal
}

fn of(call: &Call) -> Vec<Asked> {
    let Some(function) = call.app.as_deref().filter(|app| FUNCTIONS.contains(app)) else { return Vec::new() };
    let asked = call.permissions().into_iter().map(|permission| Asked {
        function: function.to_owned(),
        action: permission.action,
        resource: without_ids(permission.resource),
        cluster: permission.cluster,
        items: permission.leading_key.map(|key| kind_of(&key).to_owned()),
        attributes: permission.attributes,
    });
    asked.collect()
}

/// `JOB#` of `JOB#1`, and `SWEEPER` of `SWEEPER`.
fn kind_of(key: &str) -> &str {
    key.find('#').and_then(|end| key.get(..=end)).unwrap_or(key)
}

/// A task is a task, whatever its number, and an object is one: without it the same line is written once.
fn without_ids(resource: String) -> String {
    match resource.rsplit_once('/') {
        Some((tasks, _)) if tasks.contains(":task/") => format!("{tasks}/ID"),
        Some((objects, _)) if objects.contains(":s3:::") => {
            // Job and attempt come before the artifact's own id.
            let mut parts = objects.split('/');
            format!("{}/{}/ID", parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        }
        _ => resource,
    }
}

/// Appends a line. Several processes may append to one file: a line is one write.
fn note(asked: &Asked) {
    static OPEN: LazyLock<Option<File>> = LazyLock::new(|| {
        let path = std::env::var_os(FILE)?;
        Some(File::options().create(true).append(true).open(&path).expect("the file that PULLYARD_CALLS names"))
    });
    if let Some(mut file) = OPEN.as_ref() {
        let line = serde_json::to_string(asked).unwrap() + "\n";
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// What was written down by every process that had this file.
pub(crate) fn read(path: &Path) -> BTreeSet<Asked> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}
