//! Bugs planted on purpose, to show that the tests would find them if somebody made them by accident.
//!
//! No ordinary build can have one: only the package `distchat-crdt-planted`, which compiles these same sources for the
//! tests of the tests, sets the `planted` switch. Everywhere else [`Bug::is_planted`] is a constant `false`.

#[cfg(planted)]
use std::sync::atomic::{AtomicU8, Ordering};

/// A bug that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[cfg_attr(not(planted), allow(unreachable_pub, reason = "only the planted build shows them"))]
pub enum Bug {
    /// Messages of one time are taken for one: the order ignores the id.
    OrderIgnoresId = 1,
    /// What was said is acknowledged and spread before it is on disk.
    AcknowledgesUnsynced,
    /// A message is vouched for by whoever names it, not only by its author.
    AnybodyVouches,
    /// One good signature makes all that are checked with it good.
    BatchBelievesFirst,
    /// A leaf of the index splits or not by the order in which its keys came.
    LeafSplitsByInsertion,
    /// A message that others refer to is not asked for.
    HoleNeverAsked,
    /// Holes are forgotten by a restart.
    HolesNotRestored,
    /// Where the own author's chain ended is forgotten by a restart.
    OwnChainNotRestored,
    /// Messages that could still be lost are passed on.
    ServesUnsynced,
    /// A receipt is given for what could still be lost.
    ReceiptForUnsynced,
    /// Whoever once held the same is taken to hold the same for ever.
    AgreedForEver,
    /// Messages from the future are followed.
    FollowsFuture,
    /// A peer that leads nowhere is never left.
    LiarNeverLeft,
    /// What a peer lacks is not offered to it.
    NeverOffers,
    /// Messages from the future are never asked for, not even where nothing else helps.
    OnlyToTheHorizon,
}

impl Bug {
    /// Whether this build has the bug.
    #[cfg(not(planted))]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}

#[cfg(planted)]
static PLANTED: AtomicU8 = AtomicU8::new(0);

#[cfg(planted)]
impl Bug {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::OrderIgnoresId,
        Self::AcknowledgesUnsynced,
        Self::AnybodyVouches,
        Self::BatchBelievesFirst,
        Self::LeafSplitsByInsertion,
        Self::HoleNeverAsked,
        Self::HolesNotRestored,
        Self::OwnChainNotRestored,
        Self::ServesUnsynced,
        Self::ReceiptForUnsynced,
        Self::AgreedForEver,
        Self::FollowsFuture,
        Self::LiarNeverLeft,
        Self::NeverOffers,
        Self::OnlyToTheHorizon,
    ];

    /// Plants a bug in this process, or none. The environment variable `DISTCHAT_PLANTED` does so from outside.
    pub fn plant(bug: Option<Self>) {
        PLANTED.store(bug.map_or(NONE, |bug| bug as u8), Ordering::Relaxed);
    }

    pub(crate) fn is_planted(self) -> bool {
        let planted = match PLANTED.load(Ordering::Relaxed) {
            0 => from_outside(),
            planted => planted,
        };
        planted == self as u8
    }
}

#[cfg(planted)]
const NONE: u8 = u8::MAX;

#[cfg(planted)]
fn from_outside() -> u8 {
    let named = std::env::var("DISTCHAT_PLANTED").unwrap_or_default();
    let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == named);
    let planted = bug.map_or(NONE, |bug| bug as u8);
    PLANTED.store(planted, Ordering::Relaxed);
    planted
}
