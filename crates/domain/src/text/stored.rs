//! Helpers for stored items.

/// Skips default values in stored items, because writes are charged by size.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
