//! pullyard-function-tasks
