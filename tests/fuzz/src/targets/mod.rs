//! What can be given bytes.

mod bundle;
mod frame;
mod line;
mod mdns;
mod message;
mod replica;
mod screen;
mod socket;
mod store;

/// Takes bytes, and panics if something is wrong with what becomes of them.
pub type Target = fn(&[u8]);

/// All of them, by the names of their folders in `corpus/`.
const TARGETS: [(&str, Target); 9] = [
    ("bundle", bundle::run),
    ("frame", frame::run),
    ("line", line::run),
    ("mdns", mdns::run),
    ("message", message::run),
    ("replica", replica::run),
    ("screen", screen::run),
    ("socket", socket::run),
    ("store", store::run),
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(other, _)| *other == name).map(|(_, target)| *target)
}
