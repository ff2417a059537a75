//! The libraries of Standard Webhooks on npm and PyPI verify our signatures, and sign for us.
//! `.ci/standard-webhooks` installs them and runs this test.
#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, not in what they share")]

use pullyard_outbound::HeaderMap;
use pullyard_outbound::standard_webhooks::{SigningSecret, signed_headers, verify};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const BODY: &str = r#"{"type":"job.failed","data":{"sentence":"Grüße, \"quoted\" & <tagged>"}}"#;
const ID: &str = "msg_0123456789abcdefghijklmnop";

/// Programs that read secret, id, timestamp, signature and body as five lines, verify them, and print their own
/// signature of the same message.
const PYTHON: &str = "
import sys, datetime
from standardwebhooks import Webhook
secret, id, timestamp, signature, body = sys.stdin.read().split('\\n')
webhook = Webhook(secret)
webhook.verify(body, {'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature})
print(webhook.sign(id, datetime.datetime.fromtimestamp(int(timestamp), datetime.timezone.utc), body))
";
const NODE: &str = "
const { Webhook } = require('standardwebhooks');
const [secret, id, timestamp, signature, body] = require('fs').readFileSync(0, 'utf8').split('\\n');
const webhook = new Webhook(secret);
webhook.verify(body, {'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature});
console.log(webhook.sign(id, new Date(timestamp * 1000), body));
";

/// Returns the library's signature, if the library accepts the crate's.
fn run(program: &[&str], lines: &[&str]) -> Option<String> {
    let (name, arguments) = program.split_first().unwrap();
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
#[ignore = "needs the libraries; .ci/standard-webhooks runs it"]
fn published_libraries_verify_our_signatures_and_sign_for_us() {
    let python = std::env::var("PULLYARD_PYTHON").unwrap();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    for program in [&[python.as_str(), "-c", PYTHON], &["node", "-e", NODE]] {
        let (secret, old) = (SigningSecret::generate(), SigningSecret::generate());
        let ours = signed_headers(&[secret.clone(), old.clone()], ID, now, BODY.as_bytes());
        let field = |name: &str| ours[name].to_str().unwrap();
        let (timestamp, signature) = (field("webhook-timestamp"), field("webhook-signature"));
        for secret in [secret, old] {
            let exposed = secret.expose();
            let accepts = |signature: &str, body: &str| run(program, &[&exposed, ID, timestamp, signature, body]);
            let theirs = accepts(signature, BODY).expect("our signature is valid");
            assert_eq!(accepts(signature, &BODY.replace("job.failed", "job.faileD")), None, "{}", program[0]);
            assert_eq!(accepts(&signature.replace("v1,", "v1,A"), BODY), None, "{}", program[0]);
            let fields = [("webhook-id", ID), ("webhook-timestamp", timestamp), ("webhook-signature", &theirs)];
            let fields = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let headers = HeaderMap::from_iter(fields);
            assert_eq!(verify(&[secret], &headers, BODY.as_bytes(), now), Ok(ID), "{}", program[0]);
        }
    }
}
