//! pullyard-function-tickets
