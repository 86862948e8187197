//! Who is in a room.

use std::collections::{BTreeMap, BTreeSet};

use distchat_crdt::AuthorId;

use super::task::Task;
use crate::event::Member;

impl Task {
    /// Everybody who wrote here, or is here.
    pub(super) fn members(&self) -> Vec<Member> {
        let room = self.replica.room();
        let own = self.shared.signer.author();
        let here: BTreeSet<AuthorId> = self.replica.peers().map(|(_, author)| author).chain([own]).collect();
        let mut missing: BTreeMap<AuthorId, u64> = BTreeMap::new();
        for claim in room.holes() {
            *missing.entry(claim.author).or_default() += 1;
        }
        let silent =
            here.iter().filter(|author| !room.authors().contains_key(author)).map(|author| (*author, 0, false));
        let authors = room.authors().iter().map(|(author, log)| (*author, log.count(), log.is_forked()));
        let member = |(author, messages, forked)| {
            let (mut nick, nick_shared) = self.view.nick_now(&author);
            if author == own
                && let Some(known) = self.own_nick()
            {
                known.clone_into(&mut nick);
            }
            let missing = missing.get(&author).copied().unwrap_or(0);
            let (online, own) = (here.contains(&author), author == own);
            Member { author, nick, nick_shared, online, own, forked, messages, missing }
        };
        authors.chain(silent).map(member).collect()
    }
}
