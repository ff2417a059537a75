//! pullyard-function-api
