//! Protects the table of a working stack from deletion.
//! The template leaves the protection out, because a failed first deployment could not delete a protected table, and a
//! later update of the stack thus keeps it.

use crate::aws::{Aws, Service, unreadable_response};
use crate::stack::DeletionProtection;
use crate::{Error, Stack};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionOutcome {
    Enabled,
    AlreadyEnabled,
    /// The stack is temporary, or its template sets the protection.
    Unchanged,
}

/// Writes: the deletion protection of the table.
/// Idempotent: a protected table is not written.
pub async fn protect_table(aws: &Aws, stack: &Stack) -> Result<ProtectionOutcome, Error> {
    if stack.deletion_protection != DeletionProtection::Init {
        return Ok(ProtectionOutcome::Unchanged);
    }
    let name = json!({ "TableName": stack.table });
    let answer = aws.call_json(Service::DYNAMODB, "DescribeTable", &name).await?;
    if is_protected(&answer["Table"]) {
        return Ok(ProtectionOutcome::AlreadyEnabled);
    }
    let change = json!({ "TableName": stack.table, "DeletionProtectionEnabled": true });
    let answer = aws.call_json(Service::DYNAMODB, "UpdateTable", &change).await?;
    if is_protected(&answer["TableDescription"]) {
        Ok(ProtectionOutcome::Enabled)
    } else {
        Err(unreadable_response("UpdateTable"))
    }
}

fn is_protected(table: &Value) -> bool {
    table["DeletionProtectionEnabled"] == true
}
