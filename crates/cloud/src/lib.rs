//! pullyard-cloud
