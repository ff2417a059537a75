//! Omits default values from stored items.

/// For `skip_serializing_if`, because writes are charged by size.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
