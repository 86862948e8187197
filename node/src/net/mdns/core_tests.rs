use std::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const ANN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const BOB: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn tcp(ip: Ipv4Addr, port: u16) -> Multiaddr {
    format!("/ip4/{ip}/tcp/{port}").parse().unwrap()
}

/// A node on one link.
fn node(now: Instant, ip: Ipv4Addr, seed: u64) -> Core {
    let mut node = Core::new(now, PeerId::random(), seed);
    node.listening(now, vec![tcp(Ipv4Addr::LOCALHOST, 4001), tcp(ip, 4001)]);
    node.links(now, &[ip]);
    node
}

/// Lets time pass, and gives each what the other sends; what each has found, and when, in milliseconds.
fn talk(start: Instant, ms: std::ops::Range<u64>, nodes: &mut [(Ipv4Addr, Core)]) -> Vec<(u64, usize, Multiaddr)> {
    let mut found = Vec::new();
    for ms in ms {
        let now = start + Duration::from_millis(ms);
        for n in 0..nodes.len() {
            while let Some(output) = nodes[n].1.next(now) {
                match output {
                    Output::Found(_, address) => found.push((ms, n, address)),
                    Output::Send(from, packet) => {
                        assert_eq!(from, nodes[n].0);
                        // Who has sent it hears it, too.
                        for (on, node) in nodes.iter_mut() {
                            assert!(node.hears(now, *on, from, &packet));
                        }
                    }
                }
            }
        }
    }
    found
}

#[test]
fn two_nodes_find_each_other_at_once_and_are_told_of_again() {
    let start = Instant::now();
    let mut nodes = [(ANN, node(start, ANN, 1)), (BOB, node(start, BOB, 2))];
    let found = talk(start, 0..300, &mut nodes);
    assert_eq!(found.iter().map(|(_, n, address)| (*n, address.clone())).collect::<Vec<_>>().len(), 2, "{found:?}");
    assert!(found.contains(&(found[0].0, 0, tcp(BOB, 4001))) || found.contains(&(found[0].0, 1, tcp(ANN, 4001))));
    for (_, node) in &mut nodes {
        node.alone(start, false);
    }
    let again = talk(start, 300..120_000, &mut nodes);
    assert!((4..=8).contains(&again.len()), "{again:?}");
}

#[test]
fn who_comes_later_is_found_at_once() {
    let start = Instant::now();
    let mut nodes = vec![(ANN, node(start, ANN, 1))];
    talk(start, 0..60_000, &mut nodes);
    nodes.push((BOB, node(start + 60 * SECOND, BOB, 2)));
    let found = talk(start, 60_000..60_300, &mut nodes);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_new_address_is_told_and_one_of_no_link_is_not() {
    let start = Instant::now();
    let mut nodes = [(ANN, node(start, ANN, 1)), (BOB, node(start, BOB, 2))];
    talk(start, 0..20_000, &mut nodes);
    let now = start + 20 * SECOND;
    nodes[0].1.listening(now, vec![tcp(ANN, 4002), tcp(Ipv4Addr::new(192, 168, 0, 1), 4002)]);
    let found = talk(start, 20_000..21_500, &mut nodes);
    assert_eq!(found.iter().map(|(_, n, address)| (*n, address)).collect::<Vec<_>>(), [(1, &tcp(ANN, 4002))]);
}

#[test]
fn a_packet_leads_nowhere_but_to_its_sender() {
    let now = Instant::now();
    let mut ann = node(now, ANN, 1);
    let victim = Ipv4Addr::new(10, 0, 0, 66);
    let addresses =
        [tcp(victim, 80), tcp(Ipv4Addr::LOCALHOST, 80), tcp(BOB, 1), "/dns4/example.org/tcp/80".parse().unwrap()];
    let packet = wire::answer("somebody", PeerId::random(), &addresses).unwrap();
    assert!(ann.hears(now, ANN, BOB, &packet));
    // On a link that is none, and in the name of this node, nothing is said.
    assert!(ann.hears(now, BOB, victim, &packet));
    assert!(ann.hears(now, ANN, BOB, &wire::answer("ann", ann.me, &[tcp(BOB, 2)]).unwrap()));
    let found: Vec<_> = std::iter::from_fn(|| ann.next(now)).collect();
    assert!(matches!(&found[..], [Output::Found(_, address)] if *address == tcp(BOB, 1)), "{found:?}");
}

#[test]
fn a_crowd_of_forged_hosts_hides_nobody() {
    let start = Instant::now();
    let mut ann = node(start, ANN, 1);
    let honest = tcp(BOB, 4001);
    let mut when = None;
    for ms in 0..10_000_u64 {
        let now = start + Duration::from_millis(ms);
        for n in 0..10_u32 {
            let host = Ipv4Addr::from(0x0a00_0003 + (ms as u32 * 10 + n) % 250);
            let addresses: Vec<_> = (1..=8).map(|port| tcp(host, port)).collect();
            ann.hears(now, ANN, host, &wire::answer("fake", PeerId::random(), &addresses).unwrap());
        }
        if ms == 3000 {
            assert!(ann.hears(
                now,
                ANN,
                BOB,
                &wire::answer("bob", PeerId::random(), std::slice::from_ref(&honest)).unwrap()
            ));
        }
        while let Some(output) = ann.next(now) {
            if matches!(output, Output::Found(_, address) if address == honest) {
                when.get_or_insert(ms - 3000);
            }
        }
    }
    assert!(when.is_some_and(|ms| ms < 5000), "{when:?}");
}

#[test]
fn who_is_left_alone_asks_anew() {
    let start = Instant::now();
    let mut nodes = [(ANN, node(start, ANN, 1)), (BOB, node(start, BOB, 2))];
    talk(start, 0..20_000, &mut nodes);
    let now = start + 20 * SECOND;
    nodes[0].1.alone(now, false);
    nodes[0].1.alone(now, true);
    let found = talk(start, 20_000..20_300, &mut nodes);
    assert!(found.iter().any(|(_, n, _)| *n == 0), "{found:?}");
}
