//! What can go wrong, and how often it did: a fault that never hit has proven nothing.

use std::{collections::BTreeMap, fmt};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Something that goes wrong in a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name),+ }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// A few words for it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

faults! {
    /// A packet vanished.
    Lost = "lost",
    /// A packet came twice.
    Duplicated = "duplicated",
    /// A packet took more than a second.
    Delayed = "delayed",
    /// A packet came before one that was sent earlier on the same way.
    Reordered = "reordered",
    /// A packet met a cut in both directions.
    Partitioned = "partitioned",
    /// A packet met a cut in its direction only.
    OneWay = "cut one way",
    /// A process ended without warning.
    Crashed = "crashed",
    /// It had accepted what was not on disk yet, and that was gone.
    LostUnsynced = "lost unsynced",
    /// A room's task crashed and was started again.
    TaskCrashed = "task crashed",
    /// A room's task crashed too often and stayed down until somebody started it.
    GaveUp = "gave up",
    /// A disk was replaced by an older copy of itself, and messages were gone from it.
    Restored = "restored",
    /// An author wrote twice under one sequence number, by accident.
    Forked = "forked",
    /// A clock was more than a minute off.
    ClockOff = "clock off",
    /// A clock ran too fast or too slow.
    ClockDrift = "clock drift",
    /// A clock was set while the node ran.
    ClockSet = "clock set",
    /// A node came when the others had been talking.
    Joined = "joined",
    /// A node left for good.
    Left = "left",
    /// A commit took more than a second to be on disk.
    SlowDisk = "slow disk",
    /// A liar told different peers different things under one sequence number.
    Equivocated = "equivocated",
    /// A liar referred to messages that nobody wrote.
    ForgedRef = "forged reference",
    /// A liar vouched for a message of its own without a signature.
    VouchedUnsigned = "vouched for unsigned bytes",
    /// A liar vouched for such messages with one from the future.
    VouchedLater = "vouched from the future",
    /// A liar vouched for a message in another's name.
    VouchedForAnother = "vouched in another's name",
    /// A liar sent a bad signature.
    BadSignature = "bad signature",
    /// A liar dated a message into the past.
    Backdated = "backdated",
    /// A liar dated a message into the future.
    ForwardDated = "forward-dated",
    /// A liar lied in a hello or its answer: about roots, counts or its clock.
    LyingHello = "lying hello",
    /// A liar invented nodes of its tree.
    ForgedNodes = "forged nodes",
    /// A liar kept messages to itself.
    Withheld = "withheld",
    /// A liar answered something else, or nothing that can be read.
    Garbage = "garbage",
    /// A liar answered with messages that were not asked for.
    WrongRange = "wrong range",
    /// A liar answered with what is known, as if there was more to come.
    Treadmill = "kept busy",
    /// A liar answered as late as it could, and each time with one new message only.
    Dripped = "dripped",
    /// A liar said that it was busy.
    Stalled = "stalled",
    /// A liar sent again what had been sent.
    Replayed = "replayed",
    /// A liar made messages whose ids begin alike.
    GroundId = "ground ids",
    /// A liar did not answer at all.
    Silent = "silent",
    /// A liar claimed to hold what it may not.
    FalseReceipt = "false receipt",
    /// A liar was dropped.
    LiarDropped = "liar dropped",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often each fault hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits(BTreeMap<Fault, u64>);

impl Hits {
    /// Counts one.
    pub fn hit(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    /// How often it hit.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0.get(&fault).copied().unwrap_or(0)
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        for (fault, hits) in &other.0 {
            *self.0.entry(*fault).or_default() += hits;
        }
    }

    /// The faults that never hit.
    pub fn missed(&self) -> Vec<Fault> {
        Fault::ALL.iter().copied().filter(|fault| self.of(*fault) == 0).collect()
    }
}
