//! How a replica stands with its peers, for people to see.

use serde::{Deserialize, Serialize};

use super::Replica;

/// How a replica stands with its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// No peer is in the room.
    Alone,
    /// Peers are there, and none was found to hold the same yet.
    Comparing,
    /// Messages are on their way from peers.
    CatchingUp {
        /// How many messages are held.
        held: u64,
        /// How many there will be, as far as peers have told. Never less than `held`.
        of: u64,
    },
    /// A peer that is there was found to hold the same, and nothing is known to differ from what the others hold.
    InSync,
}

impl Replica {
    /// How this replica stands with its peers. What a peer tells of how much it holds is believed here, and nowhere else.
    pub fn sync_state(&self) -> SyncState {
        let mut entered = self.peers.values().filter(|state| state.entered.is_some()).peekable();
        if entered.peek().is_none() {
            return SyncState::Alone;
        }
        let (mut agreed, mut of) = (false, self.room.index().len());
        let held = of;
        for state in entered {
            agreed |= state.agreed.is_some();
            of = of.max(state.count);
        }
        match &self.asking.transfer {
            Some(_) => SyncState::CatchingUp { held, of },
            None if agreed => SyncState::InSync,
            None => SyncState::Comparing,
        }
    }
}
