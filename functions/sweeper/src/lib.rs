//! pullyard-function-sweeper
