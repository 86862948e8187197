//! A peer that lies. It runs a real replica, so that it knows the room and speaks the protocol, and twists what that says.

use std::time::Duration;

use distchat_crdt::{
    Fingerprint, Key, Message, RoomId, Signer, Timestamp,
    index::Prefix,
    sync::{
        Blob, Branch, Difference, Greeting, List, Page, Refusal, Request, Response, RoomGreeting, RoomHello, Summaries,
        Summary, Tail,
    },
};

use crate::{
    cheap::Author,
    faults::{Fault, Hits},
    forge::Forge,
    host::room_id,
    random::Random,
};

/// How many messages a liar remembers, to send them where they do not belong.
const MEMORY: usize = 64;
/// How many messages it drips before the repair, and after it: as long as anybody writes there is nothing to be equal.
const DRIPS: u32 = 6;

/// How late an answer may come and still be waited for.
const LATE: Duration = Duration::from_secs(13);

/// A liar, and what it is up to.
#[derive(Debug)]
pub(crate) struct Liar {
    /// The lies it tells. One that tells all of them is soon dropped.
    lies: Vec<Fault>,
    /// How often it lies where it could.
    zeal: f64,
    random: Random,
    /// What it writes itself.
    forge: Forge,
    /// Messages it has seen.
    memory: Vec<Vec<u8>>,
    /// How many messages it will yet drip.
    drips: u32,
}

/// A frame of gossip to some of the neighbours.
pub(crate) enum Mischief {
    /// To all of them.
    All(Vec<u8>),
    /// The first to one half, the second to the other.
    Halves(Vec<u8>, Vec<u8>),
}

impl Liar {
    /// A liar of that number.
    pub(crate) fn new(number: usize, mut random: Random) -> Self {
        const LIES: [Fault; 20] = [
            Fault::Equivocated,
            Fault::ForgedRef,
            Fault::VouchedUnsigned,
            Fault::VouchedLater,
            Fault::VouchedForAnother,
            Fault::BadSignature,
            Fault::Backdated,
            Fault::ForwardDated,
            Fault::LyingHello,
            Fault::ForgedNodes,
            Fault::Withheld,
            Fault::Garbage,
            Fault::WrongRange,
            Fault::Treadmill,
            Fault::Dripped,
            Fault::Stalled,
            Fault::Replayed,
            Fault::GroundId,
            Fault::Silent,
            Fault::FalseReceipt,
        ];
        let mut lies = LIES.to_vec();
        random.shuffle(&mut lies);
        lies.truncate(random.between(1, 6) as usize);
        let zeal = 0.1 + 0.9 * random.share();
        Self { lies, zeal, random, forge: Forge::new(Author(number as u16)), memory: Vec::new(), drips: DRIPS }
    }

    /// Everything else is repaired; it goes on.
    pub(crate) fn goes_on(&mut self) {
        self.drips = DRIPS;
    }

    /// Whether it tells this lie now.
    fn does(&mut self, lie: Fault, hits: &mut Hits) -> bool {
        let does = self.lies.contains(&lie) && self.random.chance(self.zeal);
        if does {
            hits.hit(lie);
        }
        does
    }

    /// Remembers messages that pass by.
    pub(crate) fn sees(&mut self, bytes: &[u8]) {
        let Ok(messages) = Message::decode_all(bytes) else { return };
        for message in messages.into_iter().take(4) {
            if self.memory.len() < MEMORY {
                self.memory.push(message.bytes().to_vec());
            } else {
                let at = self.random.below(MEMORY);
                self.memory[at] = message.bytes().to_vec();
            }
        }
    }

    fn any_root(&mut self) -> Fingerprint {
        Fingerprint(self.random.bytes())
    }

    fn any_count(&mut self) -> u64 {
        let digits = self.random.between(1, 40);
        self.random.between(0, 1 << digits)
    }

    /// What it asks instead.
    pub(crate) fn twist_request(&mut self, request: Request, hits: &mut Hits) -> Request {
        match request {
            Request::Hello(mut hello) if self.does(Fault::LyingHello, hits) => {
                hello.clock =
                    if self.random.chance(0.5) { u64::from_be_bytes(self.random.bytes()) } else { hello.clock };
                let root = self.any_root();
                let count = self.any_count();
                let lie = |room: &RoomHello| RoomHello { root, count, ..room.clone() };
                hello.rooms = List::cut(hello.rooms.iter().map(lie).collect());
                Request::Hello(hello)
            }
            Request::Offer(mut offer) if self.does(Fault::BadSignature, hits) => {
                offer.messages = Blob::cut(bad_signatures(&offer.messages, self.random.below(2)));
                Request::Offer(offer)
            }
            Request::Offer(mut offer) if self.does(Fault::Garbage, hits) => {
                offer.messages = Blob::cut(self.random.bytes::<100>().to_vec());
                Request::Offer(offer)
            }
            other => other,
        }
    }

    /// What it answers instead and how much later, if it answers. `now` is the time by its clock.
    pub(crate) fn twist_response(
        &mut self,
        response: Response,
        now: Timestamp,
        hits: &mut Hits,
    ) -> Option<(Response, Duration)> {
        let at_once = |response| Some((response, Duration::ZERO));
        if matches!(response, Response::Entered(_)) {
            // Whoever does not enter is no peer.
            return at_once(response);
        }
        if self.does(Fault::Silent, hits) {
            return None;
        }
        if self.does(Fault::Garbage, hits) {
            return at_once(self.garbage());
        }
        if self.does(Fault::Stalled, hits) {
            return at_once(match response {
                Response::Hello(greeting) => {
                    let rooms = greeting.rooms.iter().map(|_| RoomGreeting::Refused(Refusal::Busy)).collect();
                    Response::Hello(Greeting { rooms: List::cut(rooms), ..greeting })
                }
                _ => Response::Refused(Refusal::Busy),
            });
        }
        if matches!(response, Response::Page(_)) && self.drips > 0 && self.does(Fault::Dripped, hits) {
            self.drips -= 1;
            let messages = Blob::cut(self.forge.dated(room_id(), now));
            let page = Page { done: 0, messages, cuts: List::default(), lacks: Blob::default() };
            return Some((Response::Page(page), LATE));
        }
        at_once(match response {
            Response::Hello(greeting) => Response::Hello(self.greeting(greeting, hits)),
            Response::Nodes(nodes) if self.does(Fault::ForgedNodes, hits) => Response::Nodes(self.forged_nodes(nodes)),
            Response::Page(page) => Response::Page(self.page(page, hits)),
            Response::Have(_) if self.does(Fault::FalseReceipt, hits) => Response::Have(Blob::cut(vec![0xff; 128])),
            other => other,
        })
    }

    fn garbage(&mut self) -> Response {
        let bytes = self.random.bytes::<100>().to_vec();
        let page = Page { done: 1, messages: Blob::cut(bytes), cuts: List::default(), lacks: Blob::default() };
        match self.random.below(4) {
            0 => Response::Page(page),
            1 => Response::Page(Page { done: u32::MAX, messages: Blob::default(), ..page }),
            2 => Response::Offered(u32::MAX),
            _ => Response::Nodes(Summaries { done: u32::MAX, summaries: List::default() }),
        }
    }

    fn greeting(&mut self, mut greeting: Greeting, hits: &mut Hits) -> Greeting {
        if self.does(Fault::Withheld, hits) {
            greeting.rooms = List::cut(vec![RoomGreeting::Equal(0)]);
        } else if self.does(Fault::LyingHello, hits) {
            if self.random.chance(0.3) {
                greeting.clock = u64::from_be_bytes(self.random.bytes());
            }
            let cuts = (0..self.random.below(8)).map(|_| Key::from_bytes(&self.random.bytes())).collect();
            let tail = Tail { messages: Blob::cut(self.memory.concat()), cuts: List::cut(cuts) };
            let tail = self.random.chance(0.5).then_some(tail);
            let (count, root) = (self.any_count(), self.any_root());
            let later = self.random.between(0, 3);
            greeting.rooms = List::cut(vec![match self.random.below(4) {
                0 => RoomGreeting::Equal(later),
                _ => RoomGreeting::Differs(Difference { count, root, later, tail }),
            }]);
        }
        greeting
    }

    /// A tree that goes on for ever, or hides a part of it.
    fn forged_nodes(&mut self, nodes: Summaries) -> Summaries {
        if self.random.chance(0.1) {
            // The same again and again, a level deeper each time.
            let regions = (0..40).map(|depth| (0..depth).fold(Prefix::EMPTY, |region, _| region.child::<4>(0)));
            let one = |region| Summary::Keys(region, Blob::cut(vec![7; 6]));
            return Summaries { done: nodes.done, summaries: List::cut(regions.map(one).collect()) };
        }
        let forge = |random: &mut Random, region: Prefix| match random.below(3) {
            0 => Summary::Keys(region, Blob::cut(random.bytes::<64>().to_vec())),
            1 => Summary::Keys(region, Blob::default()),
            _ => {
                let hashes = Blob::cut(random.bytes::<128>().to_vec());
                Summary::Branch(region, Branch { prefix: region, children: u16::MAX, hashes })
            }
        };
        let random = &mut self.random;
        let summaries = nodes
            .summaries
            .iter()
            .map(|summary| {
                let (Summary::Keys(region, _) | Summary::Branch(region, _)) = summary;
                forge(random, *region)
            })
            .collect();
        Summaries { done: nodes.done, summaries: List::cut(summaries) }
    }

    fn page(&mut self, mut page: Page, hits: &mut Hits) -> Page {
        self.sees(&page.messages);
        if self.does(Fault::Withheld, hits) {
            page.messages = Blob::default();
        } else if !self.memory.is_empty() && self.lies.contains(&Fault::Treadmill) {
            // Without a pause, or the asker gets away.
            hits.hit(Fault::Treadmill);
            page = Page {
                done: 0,
                messages: Blob::cut(self.memory.concat()),
                cuts: List::default(),
                lacks: Blob::default(),
            };
        } else if self.does(Fault::WrongRange, hits) {
            page.messages = Blob::cut(self.memory.concat());
        } else if self.does(Fault::BadSignature, hits) {
            // One that is well signed may stand before them, for whoever believes all if the first is sound.
            let sound = self.random.below(2);
            page.messages = Blob::cut(bad_signatures(&page.messages, sound));
        }
        page
    }

    /// What it does of its own accord. `now` is the time by its clock.
    pub(crate) fn mischief(&mut self, room: RoomId, now: Timestamp, victim: Author, hits: &mut Hits) -> Vec<Mischief> {
        let mut all = Vec::new();
        for lie in self.lies.clone() {
            if !self.random.chance(self.zeal / 3.) {
                continue;
            }
            let random = &mut self.random;
            let mischief = match lie {
                Fault::Equivocated => {
                    let [one, two] = self.forge.two_under_one_number(room, now);
                    vec![Mischief::Halves(one, two)]
                }
                Fault::ForgedRef => {
                    let one = self.forge.with_made_up_refs(room, now, random);
                    if random.chance(0.5) {
                        vec![Mischief::All(one)]
                    } else {
                        vec![Mischief::Halves(one, self.forge.with_made_up_refs(room, now, random))]
                    }
                }
                Fault::VouchedLater => {
                    let ahead_ms = 1 << random.between(16, 45);
                    let later = Timestamp::from_millis(now.millis().saturating_add(ahead_ms));
                    let [chain, voucher] = self.forge.chain_and_voucher(room, now, later);
                    let both = [voucher, chain].concat();
                    // As a rule only some ever see it.
                    if random.chance(0.3) {
                        vec![Mischief::All(both)]
                    } else {
                        vec![Mischief::Halves(both, Vec::new())]
                    }
                }
                Fault::VouchedUnsigned => {
                    let [unsigned, voucher] = self.forge.unsigned_and_voucher(room, now, None);
                    if random.chance(0.5) {
                        vec![Mischief::All(unsigned), Mischief::All(voucher)]
                    } else {
                        vec![Mischief::Halves(unsigned.clone(), voucher.clone()), Mischief::Halves(voucher, unsigned)]
                    }
                }
                Fault::VouchedForAnother => {
                    let victim = Some(victim.author());
                    let [unsigned, voucher] = self.forge.unsigned_and_voucher(room, now, victim);
                    vec![
                        Mischief::All([unsigned.clone(), voucher.clone()].concat()),
                        Mischief::Halves(voucher, unsigned),
                    ]
                }
                Fault::BadSignature => match random.pick(&self.memory) {
                    Some(message) => vec![Mischief::All(bad_signatures(message, 0))],
                    None => continue,
                },
                Fault::Backdated => vec![Mischief::All(self.forge.dated(room, Timestamp(random.between(1, 1 << 50))))],
                Fault::ForwardDated => {
                    let ahead_ms = 1 << random.between(10, 45);
                    let time = Timestamp::from_millis(now.millis().saturating_add(ahead_ms));
                    vec![Mischief::All(self.forge.dated(room, time))]
                }
                Fault::Replayed => match random.pick(&self.memory) {
                    Some(message) => vec![Mischief::All(message.clone())],
                    None => continue,
                },
                Fault::Garbage => vec![Mischief::All(random.bytes::<200>().to_vec())],
                Fault::GroundId => vec![Mischief::All(self.forge.ground(room, now, random))],
                _ => continue,
            };
            hits.hit(lie);
            all.extend(mischief);
        }
        all
    }
}

/// The same messages with signatures that do not verify, but for so many of the first.
fn bad_signatures(messages: &[u8], sound: usize) -> Vec<u8> {
    let Ok(messages) = Message::decode_all(messages) else { return Vec::new() };
    let spoil = |(number, message): (usize, &Message)| {
        let mut bytes = message.bytes().to_vec();
        if let Some(last) = bytes.last_mut().filter(|_| number >= sound) {
            *last ^= 1;
        }
        bytes
    };
    messages.iter().enumerate().flat_map(spoil).collect()
}
