use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn origin(n: u8) -> Origin {
    Origin::of(&format!("/ip4/10.0.0.{n}/tcp/1").parse().unwrap()).unwrap()
}

/// A house with few places, in which everybody gets a number.
struct House {
    guests: Guests,
    next: usize,
    members: BTreeSet<PeerId>,
}

impl House {
    fn with(places: usize) -> Self {
        let rng = SmallRng::seed_from_u64(7);
        Self { guests: Guests { places, guests: BTreeMap::new(), rng }, next: 0, members: BTreeSet::new() }
    }

    fn knock(&mut self, now: Instant, from: u8) -> (PeerId, Result<Option<PeerId>, Denied>) {
        let (id, peer) = (ConnectionId::new_unchecked(self.next), PeerId::random());
        self.next += 1;
        let members = &self.members;
        let guest = Guest { peer, origin: origin(from), since: now };
        let leaves = self.guests.take_in(id, guest, |peer| members.contains(peer));
        (peer, leaves.map(|leaves| leaves.map(|(peer, _)| peer)))
    }

    fn has(&self, peer: &PeerId) -> bool {
        self.guests.guests.values().any(|guest| guest.peer == *peer)
    }
}

#[test]
fn who_enters_nothing_makes_way() {
    let (mut house, now) = (House::with(3), Instant::now());
    let member = house.knock(now, 1).0;
    house.members.insert(member);
    let idle = [house.knock(now, 1).0, house.knock(now, 2).0];
    assert_eq!(house.knock(now, 1).1, Err(Denied::Full), "these may still enter");
    let (_, leaves) = house.knock(now + WELCOME, 3);
    assert!(leaves.unwrap().is_some_and(|leaves| idle.contains(&leaves)));
    assert!(house.has(&member));
}

#[test]
fn one_with_many_keys_shuts_nobody_out() {
    let (mut house, now) = (House::with(20), Instant::now());
    // All places are taken by members who came from two addresses.
    for n in 0..20 {
        let peer = house.knock(now, 1 + n % 2).0;
        house.members.insert(peer);
    }
    let (honest, leaves) = house.knock(now + SECOND, 9);
    assert!(leaves.unwrap().is_some());
    house.members.insert(honest);
    for n in 0..1000_u16 {
        let (peer, _) = house.knock(now + 2 * SECOND, 1 + (n % 2) as u8);
        house.members.insert(peer);
    }
    assert!(house.has(&honest), "of one address there are fewer than of theirs");
    assert_eq!(house.guests.guests.len(), 20);
}

#[test]
fn those_who_have_stayed_longest_are_kept_whatever_comes() {
    let (mut house, now) = (House::with(KEPT + 4), Instant::now());
    let old: Vec<_> = (0..KEPT as u8).map(|n| house.knock(now, n).0).collect();
    house.members.extend(&old);
    for n in 0..1000_usize {
        let (peer, _) = house.knock(now + SECOND, 100 + (n % 100) as u8);
        house.members.insert(peer);
    }
    assert!(old.iter().all(|peer| house.has(peer)));
}

#[test]
fn an_address_has_so_many_places_and_knocks() {
    let (mut house, now) = (House::with(1000), Instant::now());
    for _ in 0..MAX_OF_ONE {
        assert_eq!(house.knock(now, 1).1, Ok(None));
    }
    assert_eq!(house.knock(now, 1).1, Err(Denied::OfOne));
    assert_eq!(house.knock(now, 2).1, Ok(None));

    let mut knocks = Knocks::default();
    assert_eq!((0..1000).filter(|_| knocks.may(now, origin(1))).count(), KNOCKS as usize);
    assert!(knocks.may(now, origin(2)));
    let later = now + SECOND;
    assert_eq!((0..1000).filter(|_| knocks.may(later, origin(1))).count(), KNOCKS_A_SECOND as usize);
    for n in 0..10_000_u32 {
        knocks.may(later, Origin(IpAddr::from(n.to_be_bytes())));
    }
    assert!(knocks.0.len() <= MAX_KNOCKERS);
}

#[test]
fn a_network_of_the_sixth_version_is_one_address() {
    let of = |address: &str| Origin::of(&format!("/ip6/{address}/tcp/1").parse().unwrap()).unwrap();
    assert_eq!(of("fd00::1"), of("fd00::2:3"));
    assert_ne!(of("fd00::1"), of("fd00:0:0:1::1"));
}
