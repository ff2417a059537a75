//! pullyard-testkit
