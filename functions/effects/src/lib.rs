//! pullyard-function-effects
