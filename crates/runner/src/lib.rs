//! pullyard-runner
