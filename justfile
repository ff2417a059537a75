# What there is to build and check; each recipe is a script or command that runs without `just`, too.

# The zip that `sam deploy` uploads, for arm64 unless told otherwise.
build arch="arm64":
    infra/build --arch {{arch}}

# Watch it work, on this machine only.
demo:
    cargo run -- demo

# Everything that must hold before a change lands.
check:
    .ci/run

# What a release is held to beyond `check`, on Linux: the zip for this machine's architecture, run and deployed.
release-check:
    infra/build
    .ci/functions --as-deployed
    .ci/sam target/lambda/functions.zip

# One thing changed at a time in `domain` or `store`: what no test notices is told. Needs cargo-mutants, and hours.
mutants package="domain" *arguments="":
    .ci/mutants {{package}} {{arguments}}

# What each function takes, beside Node.js, by two drivers of Lambda's Runtime API. Needs a machine that is quiet.
figures:
    infra/build
    .ci/functions-figures
