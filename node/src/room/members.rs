//! Who is in a room.

use std::collections::BTreeSet;

use distchat_crdt::AuthorId;

use super::task::Task;
use crate::event::Member;

impl Task {
    /// Those who wrote here, or are here, at most so many: those who are here before others, then those who wrote most.
    pub(super) fn members(&self, at_most: usize) -> Vec<Member> {
        let room = self.replica.room();
        let own = self.shared.signer.author();
        let here: BTreeSet<AuthorId> = self.replica.peers().map(|(_, author)| author).chain([own]).collect();
        let silent =
            here.iter().filter(|author| !room.authors().contains_key(author)).map(|author| (*author, 0, false));
        let authors = room.authors().iter().map(|(author, log)| (*author, log.count(), log.is_forked()));
        let mut all: Vec<(AuthorId, u64, bool)> = authors.chain(silent).collect();
        let rank = |(author, messages, _): &(AuthorId, u64, bool)| {
            (std::cmp::Reverse((*author == own, here.contains(author), *messages)), *author)
        };
        if all.len() > at_most {
            // Anybody can make up any number of authors, so not all of them are sorted.
            all.select_nth_unstable_by_key(at_most, rank);
            all.truncate(at_most);
        }
        all.sort_unstable_by_key(rank);
        let member = |(author, messages, forked)| {
            let (mut nick, nick_shared) = self.view.nick_now(&author);
            if author == own
                && let Some(known) = self.own_nick()
            {
                known.clone_into(&mut nick);
            }
            let missing = room.missing_by(&author);
            let (online, own) = (here.contains(&author), author == own);
            Member { author, nick, nick_shared, online, own, forked, messages, missing }
        };
        all.into_iter().map(member).collect()
    }
}
