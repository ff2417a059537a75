//! Tests `doctor --stack` and `init --stack` against scripted AWS answers and the embedded services.

mod account;
mod doctor;
mod image;
mod init;
mod sso;
