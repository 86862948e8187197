use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// A dialer, a peer with a higher id and one with a lower one.
fn setup() -> (Dialer, Instant, PeerId, PeerId) {
    let mut ids: Vec<PeerId> = (0..3).map(|_| PeerId::random()).collect();
    ids.sort();
    (Dialer::new(ids[1], 7), Instant::now(), ids[2], ids[0])
}

/// Makes the dials that are due at some moment and fails them all; how many there were.
fn fail_all(dialer: &mut Dialer, now: Instant) -> usize {
    let mut count = 0;
    while let Some(dial) = dialer.next(now) {
        dialer.failed(now, &dial.target, &dial.address, Failure::Unreachable);
        count += 1;
        assert!(count < 1000, "no end");
    }
    count
}

#[test]
fn the_lower_id_dials_at_once_and_the_higher_one_waits() {
    let (mut dialer, now, higher, lower) = setup();
    dialer.seen(now, higher, &addr("/ip4/10.0.0.1/tcp/1"));
    dialer.seen(now, lower, &addr("/ip4/10.0.0.2/tcp/1"));
    assert_eq!(dialer.next(now).unwrap().target, Target::Found(higher));
    assert_eq!(dialer.next(now), None);
    assert_eq!(dialer.deadline(), Some(now + WAIT));
    assert_eq!(dialer.next(now + WAIT).unwrap().target, Target::Found(lower));
}

#[test]
fn nobody_dials_who_is_connected_already() {
    let (mut dialer, now, _, lower) = setup();
    dialer.seen(now, lower, &addr("/ip4/10.0.0.2/tcp/1"));
    dialer.connected(now + SECOND, lower);
    assert_eq!(dialer.next(now + WAIT), None);
    assert_eq!(dialer.deadline(), None);
    dialer.disconnected(now + 5 * SECOND, lower);
    assert_eq!(dialer.next(now + 5 * SECOND + WAIT), None);
    assert!(dialer.next(now + 6 * SECOND + WAIT).is_some());
}

#[test]
fn addresses_are_tried_in_turn_and_what_worked_comes_first() {
    let (mut dialer, now, peer, _) = setup();
    let (quic, tcp) = (addr("/ip4/10.0.0.1/udp/1/quic-v1"), addr("/ip4/10.0.0.1/tcp/1"));
    dialer.seen(now, peer, &quic);
    dialer.seen(now, peer, &tcp);
    let first = dialer.next(now).unwrap();
    assert_eq!(first.address, tcp);
    dialer.failed(now, &first.target, &tcp, Failure::Unreachable);
    let second = dialer.next(now).unwrap();
    assert_eq!(second.address, quic, "the other one, without a pause");
    dialer.reached(&second.target, peer, &quic);
    dialer.connected(now, peer);
    dialer.disconnected(now, peer);
    assert_eq!(dialer.next(now + SECOND).unwrap().address, quic);
}

#[test]
fn pauses_grow_to_a_limit_and_start_over_after_success() {
    let (mut dialer, start, peer, _) = setup();
    dialer.seen(start, peer, &addr("/ip4/10.0.0.1/tcp/1"));
    let mut now = start;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(fail_all(&mut dialer, now), 1);
        let next = dialer.deadline().unwrap();
        pauses.push(next - now);
        now = next;
    }
    assert!(pauses[0] < Duration::from_millis(700), "{pauses:?}");
    assert!(pauses[7] > 3 * SECOND && pauses[7] < 7 * SECOND, "{pauses:?}");
    let dial = dialer.next(now).unwrap();
    dialer.reached(&dial.target, peer, &dial.address);
    dialer.connected(now, peer);
    dialer.disconnected(now, peer);
    assert!(dialer.deadline().unwrap() - now < SECOND);
}

#[test]
fn dials_and_peers_and_addresses_are_bounded() {
    let (mut dialer, now, higher, _) = setup();
    for port in 1..=20 {
        dialer.seen(now, higher, &addr(&format!("/ip4/10.0.0.1/tcp/{port}")));
    }
    assert_eq!(dialer.found[&higher].addresses.len(), MAX_ADDRESSES);
    for n in 0..2 * MAX_KNOWN {
        dialer.seen(now + SECOND, PeerId::random(), &addr(&format!("/ip4/10.1.0.1/tcp/{}", n + 1)));
    }
    assert_eq!(dialer.found.len(), MAX_KNOWN);
    assert!(!dialer.found.contains_key(&higher), "the oldest made room");
    assert_eq!(dialer.take_dropped(), MAX_KNOWN as u64 + 1);
    let later = now + 10 * SECOND;
    let dials: Vec<Dial> = std::iter::from_fn(|| dialer.next(later)).collect();
    assert_eq!(dials.len(), MAX_IN_FLIGHT);
    assert_eq!(dialer.deadline(), None, "a dial has to end first");
    dialer.failed(later, &dials[0].target, &dials[0].address, Failure::Unreachable);
    assert!(dialer.next(later).is_some());
}

#[test]
fn a_peer_that_cannot_be_reached_is_forgotten_unless_the_network_tells_of_it() {
    let (mut dialer, now, peer, _) = setup();
    dialer.seen(now, peer, &addr("/ip4/10.0.0.1/tcp/1"));
    fail_all(&mut dialer, now);
    dialer.forget(now + FORGET - SECOND, |_| false);
    assert!(dialer.deadline().is_some());
    dialer.forget(now + FORGET, |_| true);
    assert!(dialer.deadline().is_some());
    dialer.forget(now + FORGET, |_| false);
    assert_eq!(dialer.deadline(), None);
}

#[test]
fn expiry_is_a_hint() {
    let (mut dialer, now, peer, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    dialer.seen(now, peer, &address);
    dialer.connected(now, peer);
    dialer.unseen(&peer, &address);
    dialer.disconnected(now, peer);
    assert!(dialer.next(now + SECOND).is_some(), "it was connected, so the address is good");
    dialer.failed(now + SECOND, &Target::Found(peer), &address, Failure::Unreachable);
    dialer.unseen(&peer, &address);
    assert_eq!(dialer.deadline(), None);
}

#[test]
fn the_refused_are_left_alone_for_a_while() {
    let (mut dialer, now, peer, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    dialer.refuse(now, peer, now + 60 * SECOND);
    dialer.seen(now + SECOND, peer, &address);
    assert_eq!(dialer.deadline(), None);
    dialer.seen(now + 60 * SECOND, peer, &address);
    assert!(dialer.next(now + 60 * SECOND).is_some());
}

#[test]
fn an_address_of_somebody_else_is_dropped() {
    let (mut dialer, now, peer, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    dialer.seen(now, peer, &address);
    let dial = dialer.next(now).unwrap();
    dialer.failed(now, &dial.target, &address, Failure::OtherPeer);
    assert!(dialer.found.is_empty());
}

#[test]
fn a_wanted_address_is_dialled_for_ever() {
    let (mut dialer, start, peer, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    dialer.want(start, &address).unwrap();
    let mut now = start;
    let mut told = 0;
    for _ in 0..2000 {
        let dial = dialer.next(now).unwrap();
        assert_eq!(dial, Dial { target: Target::Wanted(address.clone()), peer: None, address: address.clone() });
        told += usize::from(dialer.failed(now, &dial.target, &address, Failure::Unreachable));
        let next = dialer.deadline().unwrap();
        assert!(next - now < 20 * SECOND);
        now = next;
        dialer.forget(now, |_| false);
    }
    assert_eq!(told, 1);
    let dial = dialer.next(now).unwrap();
    dialer.reached(&dial.target, peer, &address);
    dialer.connected(now, peer);
    assert_eq!(dialer.deadline(), None, "not while it is connected");
    dialer.disconnected(now, peer);
    assert!(dialer.deadline().unwrap() < now + 2 * SECOND);
}

#[test]
fn a_wanted_peer_that_has_restarted_is_taken_as_it_is() {
    let (mut dialer, now, before, after) = setup();
    let bare = addr("/ip4/10.0.0.1/tcp/1");
    dialer.want(now, &bare.clone().with_p2p(before).unwrap()).unwrap();
    let dial = dialer.next(now).unwrap();
    assert_eq!(dial.peer, Some(before));
    dialer.failed(now, &dial.target, &bare, Failure::OtherPeer);
    let dial = dialer.next(now).unwrap();
    assert_eq!(dial.peer, None);
    dialer.reached(&dial.target, after, &bare);
    dialer.connected(now, after);
    assert_eq!(dialer.deadline(), None);
}

#[test]
fn what_cannot_be_wanted_says_why() {
    let (mut dialer, now, _, _) = setup();
    let me = dialer.me;
    let own = addr("/ip4/10.0.0.1/tcp/1").with_p2p(me).unwrap();
    assert_eq!(dialer.want(now, &own), Err(ConnectError::Own(own)));
    let strange = addr("/dns4/example.org/tcp/1");
    assert_eq!(dialer.want(now, &strange), Err(ConnectError::Unsupported(strange)));
    for port in 1..=MAX_WANTED {
        dialer.want(now, &addr(&format!("/ip4/10.0.0.1/tcp/{port}"))).unwrap();
    }
    assert_eq!(dialer.want(now, &addr("/ip4/10.0.0.2/tcp/1")), Err(ConnectError::TooMany(MAX_WANTED)));
    dialer.want(now, &addr("/ip4/10.0.0.1/tcp/1")).unwrap();
}

#[test]
fn dialling_oneself_ends_it() {
    let (mut dialer, now, _, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    dialer.want(now, &address).unwrap();
    let dial = dialer.next(now).unwrap();
    assert!(dialer.failed(now, &dial.target, &address, Failure::Myself));
    assert_eq!(dialer.deadline(), None);
}
