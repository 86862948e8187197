//! Messages that a liar makes: each obeys the format, none is what an honest author would write.

use distchat_crdt::{AuthorId, Draft, Key, MessageId, RoomId, Signature, Signer, Timestamp, kind};

use crate::{cheap::Author, random::Random};

/// How many messages with ids that begin alike are made at once, and with how many bits alike.
const GROUND: usize = 24;
const GROUND_BITS: u32 = 4;

/// Writes in a liar's name.
#[derive(Debug)]
pub(crate) struct Forge {
    author: Author,
    seq: u64,
    prev: Option<Key>,
    made: u64,
}

/// Signs in any name, badly.
struct Unsigned(AuthorId);

impl Signer for Unsigned {
    fn author(&self) -> AuthorId {
        self.0
    }

    fn sign(&self, _: &[u8]) -> Signature {
        Signature([7; 64])
    }
}

impl Forge {
    pub(crate) fn new(author: Author) -> Self {
        Self { author, seq: 0, prev: None, made: 0 }
    }

    fn draft(&mut self, room: RoomId, time: Timestamp) -> Draft {
        self.made += 1;
        let time = Timestamp(time.0.clamp(1, Timestamp::MAX.0));
        let prev = self.prev.filter(|prev| prev.time < time);
        let seq = if prev.is_some() { self.seq } else { 0 };
        let body = format!("lie {} of {}", self.made, self.author.0).into_bytes();
        Draft { room, seq, time, prev, seen: Vec::new(), kind: kind::TEXT, body }
    }

    /// Signs, and goes on from there.
    fn sign(&mut self, draft: &Draft) -> Vec<u8> {
        let Ok(message) = draft.sign(&self.author) else { return Vec::new() };
        (self.prev, self.seq) = (Some(message.key()), draft.seq + 1);
        message.bytes().to_vec()
    }

    /// Two messages in one place of the author's chain.
    pub(crate) fn two_under_one_number(&mut self, room: RoomId, now: Timestamp) -> [Vec<u8>; 2] {
        let one = self.draft(room, now);
        let two = Draft { body: b"the other".to_vec(), ..one.clone() };
        let two = two.sign(&self.author).map(|message| message.bytes().to_vec()).unwrap_or_default();
        [self.sign(&one), two]
    }

    /// A message that refers to what nobody wrote.
    pub(crate) fn with_made_up_refs(&mut self, room: RoomId, now: Timestamp, random: &mut Random) -> Vec<u8> {
        let mut made_up =
            |_| Key { time: Timestamp(random.between(1, now.0.max(2) - 1)), id: MessageId(random.bytes()) };
        let mut draft = self.draft(room, now);
        draft.seen = (0..8).map(&mut made_up).collect();
        draft.seen.sort_unstable();
        if draft.seq % 2 == 1 {
            draft.prev = Some(made_up(8));
        }
        self.sign(&draft)
    }

    /// A message without a signature, in the own or another's name, and one of the own that names it as `prev`.
    pub(crate) fn unsigned_and_voucher(
        &mut self,
        room: RoomId,
        now: Timestamp,
        name: Option<AuthorId>,
    ) -> [Vec<u8>; 2] {
        let draft = self.draft(room, now);
        let author = name.unwrap_or_else(|| self.author.author());
        let Ok(unsigned) = draft.sign(&Unsigned(author)) else { return Default::default() };
        let mut voucher = self.draft(room, Timestamp(unsigned.time().0 + 1));
        (voucher.prev, voucher.seq) = (Some(unsigned.key()), unsigned.seq() + 1);
        [unsigned.bytes().to_vec(), self.sign(&voucher)]
    }

    /// A few messages without a signature, each of which names the one before, and one of a later time that vouches for
    /// all of them.
    pub(crate) fn chain_and_voucher(&mut self, room: RoomId, now: Timestamp, later: Timestamp) -> [Vec<u8>; 2] {
        let mut chain = Vec::new();
        let mut last = None;
        for n in 0..4 {
            let mut draft = self.draft(room, Timestamp(now.0.saturating_add(n)));
            if let Some((key, seq)) = last {
                (draft.prev, draft.seq) = (Some(key), seq);
            }
            let Ok(unsigned) = draft.sign(&Unsigned(self.author.author())) else { return Default::default() };
            last = Some((unsigned.key(), unsigned.seq() + 1));
            chain.extend_from_slice(unsigned.bytes());
        }
        let mut voucher = self.draft(room, later);
        if let Some((key, seq)) = last {
            (voucher.prev, voucher.seq) = (Some(key), seq);
        }
        // The next ones go on from what was there before: nothing of now could go on from the future.
        let voucher = voucher.sign(&self.author).map(|message| message.bytes().to_vec()).unwrap_or_default();
        [chain, voucher]
    }

    /// A message of that time.
    pub(crate) fn dated(&mut self, room: RoomId, time: Timestamp) -> Vec<u8> {
        let draft = self.draft(room, time);
        self.sign(&draft)
    }

    /// Messages of one time with ids that begin alike, so that their keys crowd one place of the tree.
    pub(crate) fn ground(&mut self, room: RoomId, now: Timestamp, random: &mut Random) -> Vec<u8> {
        let mut frame = Vec::new();
        let nonce: u64 = random.between(0, u64::MAX - 1_000_000);
        let mut found = 0;
        for n in 0..GROUND as u64 * (1 << GROUND_BITS) * 2 {
            let body = (nonce + n).to_be_bytes().to_vec();
            let draft = Draft { room, seq: 0, time: now, prev: None, seen: Vec::new(), kind: kind::TEXT, body };
            let Ok(message) = draft.sign(&self.author) else { continue };
            if message.id().0[0] >> (8 - GROUND_BITS) == 0 {
                frame.extend_from_slice(message.bytes());
                found += 1;
                if found == GROUND {
                    break;
                }
            }
        }
        frame
    }
}
