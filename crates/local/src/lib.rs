//! pullyard-local
