//! Tests `doctor --stack` and `init --stack` against scripted AWS answers and the embedded services.

mod account;
mod image;
mod init;
mod sick;
mod sso;
