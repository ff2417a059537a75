//! What functions ask of AWS, written down: which function, which action of IAM, on which resource.
//!
//! A function is known by the name in its calls' User-Agent. The calls of everybody else (a test itself, the
//! command line, the set-up of the local system) carry no name of a function and are left out.

use pullyard_emulator::{Call, Observer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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

/// Everything that was asked for, once each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeSet<Asked>>>);

impl Calls {
    /// Adds to these, and to the file of this process.
    pub(crate) fn observer(&self) -> Observer {
        let own = self.clone();
        Observer::new(move |call| {
            for asked in of(call) {
                note(&asked);
                own.add(asked);
            }
        })
    }

    /// Whether it is new.
    fn add(&self, asked: Asked) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(asked)
    }

    pub(crate) fn all(&self) -> BTreeSet<Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
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

/// Appends a line, once in this process. Several processes may append to one file: a line is one write.
fn note(asked: &Asked) {
    static SEEN: LazyLock<Calls> = LazyLock::new(Calls::default);
    static OPEN: LazyLock<Option<File>> = LazyLock::new(|| {
        let path = std::env::var_os(FILE)?;
        Some(File::options().create(true).append(true).open(&path).expect("the file that PULLYARD_CALLS names"))
    });
    if let Some(mut file) = OPEN.as_ref().filter(|_| SEEN.add(asked.clone())) {
        let line = serde_json::to_string(asked).unwrap() + "\n";
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// What was written down by every process that had this file.
pub(crate) fn read(path: &Path) -> BTreeSet<Asked> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}
