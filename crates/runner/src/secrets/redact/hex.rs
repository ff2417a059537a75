//! Letter case of hexadecimal numbers.

#[derive(Clone, Copy)]
pub(super) enum HexCase {
    Upper,
    Lower,
}
