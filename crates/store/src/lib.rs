//! pullyard-store
