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

# The further checks of a release, on Linux: its archives, and the program that a person deploys.
release-check:
    infra/release "$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)" --out "$(mktemp -d)/release"
    .ci/sam-build --release
    .ci/functions
    .ci/sam

# Changes `domain` or `store` in one place at a time and lists the changes that no test detects. Needs cargo-mutants and hours.
mutants package="domain" *arguments="":
    .ci/mutants {{package}} {{arguments}}

# The CPU, memory and time of each function. Needs an idle machine.
figures:
    .ci/sam-build --release
    .ci/functions-figures
