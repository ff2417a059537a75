//! Records the AWS calls of the functions, and fails a test whose function makes a call that its role does not allow.
//!
//! The User-Agent of a call names its function. Calls without a function's name (tests, CLI, set-up) are ignored.

use crate::prelude::*;
use crate::roles;
use pullyard_testkit::observe::{Call, Observer};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::sync::PoisonError;

/// The environment variable with the file that every story appends its calls to. Optional.
const FILE: &str = "PULLYARD_CALLS";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct UsedPermission {
    pub(crate) function: String,
    /// For example `dynamodb:Query`.
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) cluster: Option<String>,
    /// The prefix of an item's partition key, up to the first `#`.
    pub(crate) items: Option<String>,
    /// Attributes in the key and the expressions of an update.
    pub(crate) attributes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<Mutex<BTreeMap<UsedPermission, Option<String>>>>);

impl Calls {
    /// Records into `self` and the file of this process.
    pub(crate) fn observer(&self) -> Observer {
        let own = self.clone();
        Observer::new(move |call| own.record(call))
    }

    pub(crate) fn record(&self, call: &Call) {
        for permission in permissions_of(call) {
            let refusal = refusal(&permission);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(permission, refusal);
        }
    }

    pub(crate) fn all(&self) -> BTreeSet<UsedPermission> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn refusals(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }
}

/// Panics on drop if AWS would have refused a recorded call.
///
/// A call is observed in a task whose panic is lost, and its caller may ignore the answer.
pub(crate) struct AllowedCalls(pub(crate) Calls);

impl Drop for AllowedCalls {
    fn drop(&mut self) {
        let refusals = self.0.refusals();
        if refusals.is_empty() {
            return;
        }
        let message = format!("AWS would have refused:\n{}", refusals.join("\n"));
        // The test is failing already, perhaps because of this call.
        if std::thread::panicking() { eprintln!("{message}") } else { panic!("{message}") }
    }
}

/// The refusal of a call, cached per process. Notes an allowed call in the file.
fn refusal(permission: &UsedPermission) -> Option<String> {
    static JUDGED: Mutex<BTreeMap<UsedPermission, Option<String>>> = Mutex::new(BTreeMap::new());
    let mut judged = JUDGED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = judged.get(permission) {
        return known.clone();
    }
    let refusal = roles::refusal(permission);
    if refusal.is_none() {
        append(permission);
    }
    judged.insert(permission.clone(), refusal.clone());
    refusal
}

fn permissions_of(call: &Call) -> Vec<UsedPermission> {
    let Some(function) = call.app.as_deref().filter(|app| FUNCTIONS.contains(app)) else { return Vec::new() };
    let permissions = call.permissions().into_iter().map(|permission| UsedPermission {
        function: function.to_owned(),
        action: permission.action,
        resource: without_ids(permission.resource),
        cluster: permission.cluster,
        items: permission.leading_key.map(|key| kind_of(&key).to_owned()),
        attributes: permission.attributes,
    });
    permissions.collect()
}

/// The prefix of a key: `JOB#` of `JOB#1`, and `SWEEPER` of `SWEEPER`.
fn kind_of(key: &str) -> &str {
    key.find('#').and_then(|end| key.get(..=end)).unwrap_or(key)
}

/// Replaces the ids of tasks and objects, so that equal calls are recorded once.
fn without_ids(resource: String) -> String {
    match resource.rsplit_once('/') {
        Some((tasks, _)) if tasks.contains(":task/") => format!("{tasks}/ID"),
        Some((objects, _)) if objects.contains(":s3:::") => {
            // Job and attempt precede the artifact's id.
            let mut parts = objects.split('/');
            format!("{}/{}/ID", parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        }
        _ => resource,
    }
}

/// Appends a line in one write, because several processes share the file.
fn append(permission: &UsedPermission) {
    static OPEN: LazyLock<Option<File>> = LazyLock::new(|| {
        let path = std::env::var_os(FILE)?;
        Some(File::options().create(true).append(true).open(&path).expect("the file that PULLYARD_CALLS names"))
    });
    if let Some(mut file) = OPEN.as_ref() {
        let line = serde_json::to_string(permission).unwrap() + "\n";
        file.write_all(line.as_bytes()).unwrap();
    }
}

pub(crate) fn read(path: &Path) -> BTreeSet<UsedPermission> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}
