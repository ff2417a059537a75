# Short names of commands that also run without `just`.

# The demo, on this machine only.
demo:
    cargo run -- demo

# After each edit of a crate: formatting, lints and the crate's tests. Arguments select tests: `just quick runner --lib`.
quick crate *arguments:
    cargo fmt --all --check
    cargo clippy -p pullyard-{{crate}} --all-targets --locked -- -D warnings
    cargo test -p pullyard-{{crate}} --locked {{arguments}}

# Every check of a change.
check:
    .ci/run

# Makes the files of a release, and installs, runs and deploys them on this machine.
release-check *options:
    .ci/release-check {{options}}

# Changes `domain` or `store` in one place at a time and lists the changes that no test detects. Needs cargo-mutants and hours.
mutants package="domain" *arguments="":
    .ci/mutants {{package}} {{arguments}}

# The CPU, memory and time of each function. Needs an idle machine.
figures:
    .ci/sam-build --release
    .ci/functions-figures
