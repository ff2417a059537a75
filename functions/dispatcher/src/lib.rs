//! pullyard-function-dispatcher
