//! Renames, transfers and deletes repositories.

use std::sync::Arc;

use crate::{
    Error,
    access::Actor,
    events,
    forge_state::{ForgeEvent, Shared},
    names,
    repositories::RepositoryEntry,
    users::Account,
};

/// Renames or transfers a repository; the old name redirects to the new one.
/// Writes: the repository's record, then the old name in the forge's record.
pub(crate) async fn rename(
    shared: &Arc<Shared>,
    entry: &Arc<RepositoryEntry>,
    by: &Actor,
    full_name: &str,
) -> Result<(), Error> {
    let (old_owner, old_name) = (entry.owner(), entry.name());
    shared.repositories.rename(entry, full_name).await?;
    let (old, new) = (names::lookup_key(&old_owner, &old_name), full_name.to_ascii_lowercase());
    let moved = shared.state.update(|state| {
        state.moved.insert(old, entry.id);
        // The name of an existing repository must not redirect.
        state.moved.remove(&new);
        Ok::<_, Error>(())
    });
    moved.await?;
    let renamed = ForgeEvent::Renamed { owner: &old_owner, name: &old_name };
    shared.extension.publish(shared, entry, &by.account, renamed).await;
    if old_owner.eq_ignore_ascii_case(&entry.owner()) {
        let changes = serde_json::json!({ "changes": { "repository": { "name": { "from": old_name } } } });
        events::publish_repository(shared, entry, by, "renamed", changes).await;
    } else {
        let from = events::previous_owner(shared, &old_owner);
        let changes = serde_json::json!({ "changes": { "owner": { "from": from } } });
        events::publish_repository(shared, entry, by, "transferred", changes).await;
    }
    Ok(())
}

/// Sends no event to GitHub's hooks.
pub(crate) async fn delete(shared: &Arc<Shared>, entry: &Arc<RepositoryEntry>, by: &Account) -> Result<(), Error> {
    shared.repositories.delete(entry).await?;
    shared.extension.publish(shared, entry, by, ForgeEvent::Deleted).await;
    Ok(())
}
