//! Which of some messages are accepted: the fixpoint of signatures and vouching, with as few signature checks as
//! possible.
//!
//! A run of one author's messages needs one check, for the newest: the others are vouched for by their successors. So
//! only messages that no candidate vouches for are checked, together; where a check fails, the one that the failed
//! message would have vouched for is next in line. Every message is checked in one group, and
//! by itself if that fails.

use super::{batch::Batch, holes::Holes};
use crate::{Message, Verifier, plant::Bug};

/// Whether a message is accepted that comes alone.
pub(super) fn is_authentic(message: &Message, holes: &Holes, verifier: &dyn Verifier) -> bool {
    holes.vouch_for(message) || verifier.verify_all(&[message])
}

/// The positions of the accepted candidates, in order of acceptance.
pub(super) fn judge(batch: &Batch, holes: &Holes, verifier: &dyn Verifier) -> Vec<usize> {
    let candidates = batch.messages();
    let vouched: Vec<Option<usize>> = (0..candidates.len()).map(|at| batch.vouched_by(at)).collect();
    // How many candidates that may yet be accepted vouch for each.
    let mut hopes = vec![0_usize; candidates.len()];
    for at in vouched.iter().flatten() {
        hopes[*at] += 1;
    }

    let mut judged = Judged { accepted: Vec::with_capacity(candidates.len()), known: vec![false; candidates.len()] };
    for (at, message) in candidates.iter().enumerate().rev() {
        if holes.vouch_for(message) {
            judged.accept(at, &vouched);
        }
    }
    let mut unvouched: Vec<usize> =
        (0..candidates.len()).rev().filter(|at| hopes[*at] == 0 && !judged.known[*at]).collect();
    while !unvouched.is_empty() {
        let mut next = Vec::new();
        check(candidates, &unvouched, verifier, &mut |at, authentic| {
            if authentic {
                judged.accept(at, &vouched);
            } else if let Some(below) = vouched[at] {
                hopes[below] -= 1;
                if hopes[below] == 0 {
                    next.push(below);
                }
            }
        });
        next.retain(|at| !judged.known[*at]);
        unvouched = next;
    }
    judged.accepted
}

struct Judged {
    accepted: Vec<usize>,
    known: Vec<bool>,
}

impl Judged {
    /// Accepts a candidate, and all that this vouches for.
    fn accept(&mut self, at: usize, vouched: &[Option<usize>]) {
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| !self.known[*at]) {
            self.known[at] = true;
            self.accepted.push(at);
            next = vouched[at];
        }
    }
}

/// How many signatures are checked together. One bad signature costs a single check for each of its group, which is four
/// times the cost of the batch; more would gain a tenth for good ones, and let one bad one spoil more.
const GROUP: usize = 256;

/// Checks signatures together, and where that fails one by one: whoever sends bad ones makes nobody check any twice over.
fn check(candidates: &[Message], unvouched: &[usize], verifier: &dyn Verifier, tell: &mut dyn FnMut(usize, bool)) {
    for group in unvouched.chunks(GROUP) {
        let messages: Vec<&Message> = group.iter().map(|at| &candidates[*at]).collect();
        let believed =
            Bug::BatchBelievesFirst.is_planted() && messages.first().is_some_and(|first| verifier.verify_one(first));
        let all = believed || verifier.verify_all(&messages);
        for (at, message) in group.iter().zip(messages) {
            tell(*at, all || (group.len() > 1 && verifier.verify_one(message)));
        }
    }
}
