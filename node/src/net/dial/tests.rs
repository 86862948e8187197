use super::{
    found::{FORGET, MAX_ADDRESSES, MAX_KNOWN, MAX_ON_HOST, MAX_UNSURE, WAIT},
    *,
};

const SECOND: Duration = Duration::from_secs(1);
const SOMEWHERE: &str = "/ip4/10.0.0.99/tcp/9";

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

/// A dial that leads to whom it was meant for.
fn meet(dialer: &mut Dialer, now: Instant, dial: &Dial) {
    let peer = dial.peer.unwrap();
    dialer.reached(&dial.target, peer, &dial.address);
    dialer.connected(now, peer, &dial.address);
}

#[test]
fn the_lower_id_dials_at_once_and_the_higher_one_waits() {
    let (mut dialer, now, higher, lower) = setup();
    dialer.seen(now, Source::Network, higher, &addr("/ip4/10.0.0.1/tcp/1"));
    dialer.seen(now, Source::Network, lower, &addr("/ip4/10.0.0.2/tcp/1"));
    assert_eq!(dialer.next(now).unwrap().target, Target::Found(higher));
    assert_eq!(dialer.next(now), None);
    assert_eq!(dialer.deadline(now), Some(now + WAIT));
    assert_eq!(dialer.next(now + WAIT).unwrap().target, Target::Found(lower));
}

#[test]
fn nobody_dials_who_is_connected_already() {
    let (mut dialer, now, _, lower) = setup();
    dialer.seen(now, Source::Network, lower, &addr("/ip4/10.0.0.2/tcp/1"));
    dialer.connected(now + SECOND, lower, &addr(SOMEWHERE));
    assert_eq!(dialer.next(now + WAIT), None);
    assert_eq!(dialer.deadline(now), None);
    dialer.disconnected(now + 5 * SECOND, lower);
    assert_eq!(dialer.next(now + 5 * SECOND + WAIT), None);
    assert!(dialer.next(now + 6 * SECOND + WAIT).is_some());
}

#[test]
fn addresses_are_tried_in_turn_and_what_worked_comes_first() {
    let (mut dialer, now, peer, _) = setup();
    let (quic, tcp) = (addr("/ip4/10.0.0.1/udp/1/quic-v1"), addr("/ip4/10.0.0.1/tcp/1"));
    dialer.seen(now, Source::Network, peer, &quic);
    dialer.seen(now, Source::Network, peer, &tcp);
    let first = dialer.next(now).unwrap();
    assert_eq!(first.address, tcp);
    dialer.failed(now, &first.target, &tcp, Failure::Unreachable);
    let second = dialer.next(now).unwrap();
    assert_eq!(second.address, quic, "the other one, without a pause");
    meet(&mut dialer, now, &second);
    dialer.disconnected(now, peer);
    assert_eq!(dialer.next(now + SECOND).unwrap().address, quic);
}

#[test]
fn who_was_reached_once_is_tried_every_few_seconds_and_others_ever_less() {
    let (mut dialer, start, peer, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    let pauses = |dialer: &mut Dialer, start: Instant| {
        let (mut now, mut pauses) = (start, Vec::new());
        for _ in 0..10 {
            assert_eq!(fail_all(dialer, now), 1);
            let next = dialer.deadline(now).unwrap();
            pauses.push(next - now);
            now = next;
        }
        (pauses, now)
    };
    dialer.seen(start, Source::Network, peer, &address);
    let (strange, now) = pauses(&mut dialer, start);
    assert!(strange[0] < 2 * SECOND && strange[9] > 200 * SECOND, "{strange:?}");
    let dial = dialer.next(now).unwrap();
    meet(&mut dialer, now, &dial);
    dialer.disconnected(now, peer);
    let lost = dialer.deadline(now).unwrap();
    assert!(lost < now + SECOND);
    let (known, _) = pauses(&mut dialer, lost);
    assert!(known[0] < SECOND && known[9] > 3 * SECOND && known[9] < 7 * SECOND, "{known:?}");
}

#[test]
fn who_runs_on_this_machine_is_never_in_doubt() {
    let (mut dialer, start, peer, _) = setup();
    dialer.seen(start, Source::Machine, peer, &addr("/ip4/127.0.0.1/tcp/1"));
    let mut now = start;
    for _ in 0..20 {
        assert_eq!(fail_all(&mut dialer, now), 1);
        now = dialer.deadline(now).unwrap();
    }
    assert!(now < start + 100 * SECOND);
}

#[test]
fn a_host_that_hundreds_are_promised_on_is_dialled_a_few_times() {
    let (mut dialer, start, ..) = setup();
    let mut dials = Vec::new();
    for second in 0..600 {
        let now = start + second * SECOND;
        for n in 0..10 {
            let port = 1 + (second * 10 + n) % 60_000;
            dialer.seen(now, Source::Network, PeerId::random(), &addr(&format!("/ip4/10.0.0.1/tcp/{port}")));
        }
        assert!(dialer.found.len() <= MAX_ON_HOST);
        if fail_all(&mut dialer, now) > 0 {
            dials.push(second);
        }
    }
    assert!(dials.len() < 16, "{dials:?}");
    assert!(dialer.take_dropped() > 5000);
}

#[test]
fn a_crowd_of_forged_hosts_does_not_keep_an_honest_one_waiting() {
    let (mut dialer, start, peer, _) = setup();
    let mut under_way: Vec<(Instant, Dial)> = Vec::new();
    let mut reached = None;
    for tenth in 0..600 {
        let now = start + SECOND / 10 * tenth;
        for n in 0..6 {
            let address = format!("/ip4/10.0.1.{}/tcp/{}", (tenth * 6 + n) % 250, 1 + n);
            dialer.seen(now, Source::Network, PeerId::random(), &addr(&address));
        }
        if tenth == 300 {
            dialer.seen(now, Source::Network, peer, &addr("/ip4/10.0.0.1/tcp/1"));
        }
        // Where nobody is, a dial fails after some seconds.
        under_way.retain(|(since, dial)| {
            let over = now - *since >= 3 * SECOND;
            if over {
                dialer.failed(now, &dial.target, &dial.address, Failure::Unreachable);
            }
            !over
        });
        while let Some(dial) = dialer.next(now) {
            if dial.peer == Some(peer) {
                reached.get_or_insert(tenth - 300);
            }
            under_way.push((now, dial));
        }
        assert!(under_way.len() <= MAX_UNSURE);
    }
    assert!(reached.is_some_and(|tenths| tenths <= 40), "{reached:?}");
}

#[test]
fn a_restart_on_the_same_host_is_found_at_once() {
    let (mut dialer, start, ..) = setup();
    let mut now = start;
    for port in 1..20 {
        let mut peer = PeerId::random();
        while peer < dialer.me {
            peer = PeerId::random();
        }
        dialer.seen(now, Source::Network, peer, &addr(&format!("/ip4/10.0.0.1/tcp/{port}")));
        let mut dials = std::iter::from_fn(|| dialer.next(now)).collect::<Vec<_>>();
        let at = dials.iter().position(|dial| dial.peer == Some(peer)).expect("it is dialled at once");
        let dial = dials.swap_remove(at);
        meet(&mut dialer, now, &dial);
        for dial in dials {
            dialer.failed(now, &dial.target, &dial.address, Failure::Unreachable);
        }
        now += SECOND;
        dialer.disconnected(now, peer);
        now += 20 * SECOND;
    }
}

#[test]
fn peers_and_addresses_are_bounded_and_the_crowd_makes_way() {
    let (mut dialer, now, higher, _) = setup();
    let mut known = Vec::new();
    for port in 1..=20 {
        dialer.seen(now, Source::Network, higher, &addr(&format!("/ip4/10.0.0.1/tcp/{port}")));
    }
    assert_eq!(dialer.found.addresses(&higher).unwrap().len(), MAX_ADDRESSES);
    for n in 0..20 {
        let peer = PeerId::random();
        dialer.seen(now, Source::Network, peer, &addr(&format!("/ip4/10.0.2.{n}/tcp/1")));
        known.push(peer);
    }
    for n in 0..2 * MAX_KNOWN {
        let address = addr(&format!("/ip4/10.1.0.{}/tcp/{}", n % 30, n + 1));
        dialer.seen(now + SECOND, Source::Network, PeerId::random(), &address);
    }
    assert_eq!(dialer.found.len(), MAX_KNOWN);
    assert!(known.iter().all(|peer| dialer.found.addresses(peer).is_some()), "one on a host stays");
    assert_eq!(dialer.take_dropped(), (2 * MAX_KNOWN + 21 - MAX_KNOWN) as u64);
    let later = now + 10 * SECOND;
    let dials: Vec<Dial> = std::iter::from_fn(|| dialer.next(later)).collect();
    assert_eq!(dials.len(), MAX_UNSURE);
    dialer.want(later, &addr("/ip4/10.0.0.7/tcp/1")).unwrap();
    assert!(dialer.next(later).is_some(), "there is always a place for whom a person wants");
    assert_eq!(dialer.deadline(later), None, "a dial has to end first");
    dialer.failed(later, &dials[0].target, &dials[0].address, Failure::Unreachable);
    assert!(dialer.next(later).is_some());
}

#[test]
fn those_who_are_or_were_connected_do_not_make_way() {
    let (mut dialer, now, higher, lower) = setup();
    for (peer, host) in [(higher, 1), (lower, 2)] {
        dialer.seen(now, Source::Network, peer, &addr(&format!("/ip4/10.0.0.{host}/tcp/1")));
        dialer.connected(now, peer, &addr(SOMEWHERE));
    }
    dialer.disconnected(now, lower);
    for n in 0..4 * MAX_KNOWN {
        let address = addr(&format!("/ip4/10.1.{}.{}/tcp/1", n / 200, n % 200));
        dialer.seen(now + SECOND, Source::Network, PeerId::random(), &address);
    }
    assert_eq!(dialer.found.len(), MAX_KNOWN);
    assert!(dialer.found.addresses(&higher).is_some() && dialer.found.addresses(&lower).is_some());
}

#[test]
fn a_peer_that_cannot_be_reached_is_forgotten_unless_the_network_tells_of_it() {
    let (mut dialer, now, peer, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    dialer.seen(now, Source::Network, peer, &address);
    fail_all(&mut dialer, now);
    dialer.forget(now + FORGET - SECOND);
    dialer.seen(now + FORGET - SECOND, Source::Network, peer, &address);
    dialer.forget(now + FORGET);
    assert!(dialer.deadline(now).is_some());
    dialer.forget(now + 2 * FORGET);
    assert_eq!(dialer.deadline(now), None);
}

#[test]
fn the_refused_are_left_alone_for_a_while() {
    let (mut dialer, now, peer, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    dialer.refuse(now, peer, now + 60 * SECOND);
    dialer.seen(now + SECOND, Source::Network, peer, &address);
    assert_eq!(dialer.deadline(now), None);
    dialer.seen(now + 60 * SECOND, Source::Network, peer, &address);
    assert!(dialer.next(now + 60 * SECOND).is_some());
}

#[test]
fn an_address_of_somebody_else_is_dropped() {
    let (mut dialer, now, peer, _) = setup();
    let address = addr("/ip4/10.0.0.1/tcp/1");
    dialer.seen(now, Source::Network, peer, &address);
    let dial = dialer.next(now).unwrap();
    dialer.failed(now, &dial.target, &address, Failure::OtherPeer);
    assert_eq!(dialer.found.len(), 0);
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
        let next = dialer.deadline(now).unwrap();
        assert!(next - now < 20 * SECOND);
        now = next;
        dialer.forget(now);
    }
    assert_eq!(told, 1);
    let dial = dialer.next(now).unwrap();
    dialer.reached(&dial.target, peer, &address);
    dialer.connected(now, peer, &addr(SOMEWHERE));
    assert_eq!(dialer.deadline(now), None, "not while it is connected");
    dialer.disconnected(now, peer);
    assert!(dialer.deadline(now).unwrap() < now + 2 * SECOND);
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
    dialer.connected(now, after, &addr(SOMEWHERE));
    assert_eq!(dialer.deadline(now), None);
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
    assert_eq!(dialer.deadline(now), None);
}
