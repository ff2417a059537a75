//! pullyard-entry
