//! Measures the throughput of redaction for docs/capacity.md. Runs only on request.

use super::Redactor;
use std::hint::black_box;
use std::time::Instant;

/// Source code, which agents print most. Units: bytes.
const TEXT_BYTES: usize = 16 * 1024 * 1024;

fn print_throughput(label: &str, redactor: &Redactor, text: &str) {
    let begun = Instant::now();
    let mut stream = redactor.stream();
    let mut out = 0;
    for piece in text.as_bytes().chunks(64 * 1024) {
        out += stream.push(piece).len();
    }
    out += stream.finish().len();
    let streamed = begun.elapsed();
    let begun = Instant::now();
    let lines = text.lines().map(|line| black_box(redactor.redact_text(line)).len()).sum::<usize>();
    let by_line = begun.elapsed();
    let rate = |took: std::time::Duration| text.len() as f64 / took.as_secs_f64() / 1e6;
    println!("{label}: {:.0} MB/s in pieces of 64 KiB, {:.0} MB/s by lines", rate(streamed), rate(by_line));
    assert!(out > 0 && lines > 0);
}

#[test]
#[ignore = "it measures, for docs/capacity.md"]
fn redaction_throughput() {
    let source = include_str!("scan.rs");
    let text = source.repeat(TEXT_BYTES / source.len());
    let secrets = (0..8).map(|number| format!("sk-{number}-9f86d081884c7d659a2feaa0c55ad015"));
    let redactor = Redactor::new(secrets);
    print_throughput("source code, 8 secrets known", &redactor, &text);
    let leaking = text
        .replace("    }\n", "    } ghp_0123456789abcdefghijABCDEFGHIJ012345 sk-3-9f86d081884c7d659a2feaa0c55ad015\n");
    print_throughput("a secret in each tenth line or so", &redactor, &leaking);
}
