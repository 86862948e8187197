//! Real swarms on the loopback interface.

mod earned;
pub(super) mod help;
mod links;
mod strangers;
mod topics;
mod traffic;
