//! Real swarms on the loopback interface.

mod earned;
mod help;
mod links;
mod strangers;
mod topics;
mod traffic;
