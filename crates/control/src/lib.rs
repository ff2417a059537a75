//! pullyard-control
