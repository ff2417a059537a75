//! Renders accounts, organizations and installations.

use serde_json::{Value, json};

use crate::{
    forge_state::Shared,
    repositories::FIRST_ID,
    role::Role,
    users::{Account, AccountKind, Member},
};

/// A deleted account retains its last login.
pub fn account(shared: &Shared, account: &Account) -> Value {
    let current = shared.users.by_id(account.id).map(|member| member.account());
    let Account { id, login, kind } = current.as_ref().unwrap_or(account);
    json!({ "id": id, "login": login, "type": kind.name() })
}

pub fn permissions(role: Role) -> Value {
    json!({
        "pull": role >= Role::Read, "triage": role >= Role::Triage, "push": role >= Role::Write,
        "maintain": role >= Role::Maintain, "admin": role >= Role::Admin,
    })
}

pub fn collaborator_permission(shared: &Shared, member: &Member, role: Role) -> Value {
    let user = account(shared, &member.account());
    json!({ "permission": role.permission(), "role_name": role.name(), "user": user })
}

pub fn owner(shared: &Shared, login: &str) -> Account {
    if let Some(member) = shared.users.by_login(login) {
        return member.account();
    }
    Account { id: organization_id(login), login: login.to_owned(), kind: AccountKind::Organization }
}

/// Hashes the name (FNV-1a), because organizations are not stored.
fn organization_id(login: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    FIRST_ID + (login.to_ascii_lowercase().bytes().fold(start, step) >> 12)
}

pub fn organization(owner: &Account) -> Value {
    json!({ "id": owner.id, "login": owner.login })
}

pub fn installation_stub(id: u64) -> Value {
    json!({ "id": id })
}
