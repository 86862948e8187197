//! What other nodes help to find out: each is dialled at all its addresses, and one that answers is asked.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use distchat_node::{
    Config, Multiaddr, PeerId,
    probe::{Answer, AskError, Link, Met, Outcome, PERIOD, Prober, Request, Unmet, Via, Who, call, nonce_of, packet},
};
use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    ears::{Ears, one_each},
    interfaces::leaves_by,
    listening::Found,
    observed::{Back, Exchange, NoHelp, Peer},
};

/// How many nodes are asked, and how many at the same time.
const MAX_PEERS: usize = 8;
const AT_ONCE: usize = 4;
/// How many addresses of one are dialled.
const MAX_DIALS: usize = 6;
/// How long after the others have been told to listen the calls begin.
const HEAD_START: Duration = Duration::from_millis(200);
/// How long others take to come when they were asked to: a little more than they try.
const CAME: Duration = Duration::from_millis(3500);

/// Where this machine's node listens, or would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports {
    tcp: u16,
    udp: u16,
}

impl Ports {
    /// What the options say, else what a node that runs has.
    pub(super) fn of(config: &Config, running: &[Multiaddr]) -> Self {
        let listen = if config.listen.is_empty() { running } else { &config.listen };
        let port = |wanted: fn(&Protocol<'_>) -> Option<u16>| {
            listen.iter().flat_map(Multiaddr::iter).find_map(|part| wanted(&part)).unwrap_or(0)
        };
        Self {
            tcp: port(|part| if let Protocol::Tcp(port) = part { Some(*port) } else { None }),
            udp: port(|part| if let Protocol::Udp(port) = part { Some(*port) } else { None }),
        }
    }
}

/// Meets those who were found, and those whose addresses were given.
pub(super) async fn look(
    links: &[Link],
    found: BTreeMap<PeerId, Found>,
    given: &[Multiaddr],
    ports: Ports,
) -> Vec<Peer> {
    let candidates = candidates(found, given);
    let meetings = candidates.into_iter().take(MAX_PEERS).map(|peer| meet(links, peer, ports));
    let mut peers: Vec<Peer> = futures::stream::iter(meetings).buffered(AT_ONCE).collect().await;
    // Somebody may have been found and given by another address.
    let mut known = Vec::new();
    peers.retain(|peer| match peer.met() {
        Some(met) if known.contains(&met.peer) => false,
        Some(met) => {
            known.push(met.peer);
            true
        }
        None => true,
    });
    peers
}

/// Whom to meet, and where.
fn candidates(mut found: BTreeMap<PeerId, Found>, given: &[Multiaddr]) -> Vec<Peer> {
    let candidate = |ip, found_on, addresses: Vec<Multiaddr>| Peer {
        ip,
        found_on,
        dials: addresses.into_iter().take(MAX_DIALS).map(|address| (address, Err(Unmet::Silence))).collect(),
        here: None,
        on_link: false,
        who: None,
        clock_ahead_ms: None,
        exchange: None,
        backs: Vec::new(),
    };
    let mut candidates = Vec::new();
    for address in given {
        let Some((ip, peer)) = Prober::destination(address) else { continue };
        // Without an id, by the address itself.
        let bare: Multiaddr = address.iter().take_while(|part| !matches!(part, Protocol::P2p(_))).collect();
        let is_it = |(id, found): &(&PeerId, &Found)| {
            peer.map_or(
                found.addresses.iter().any(|known| known.to_string().starts_with(&format!("{bare}/"))),
                |peer| **id == peer,
            )
        };
        let known = found.iter().find(is_it).map(|(id, _)| *id);
        let known = known.and_then(|id| found.remove(&id));
        let mut addresses = vec![address.clone()];
        let on = match known {
            Some(found) => {
                let others =
                    found.addresses.into_iter().filter(|other| !other.to_string().starts_with(&bare.to_string()));
                addresses.extend(others);
                Some(found.interface)
            }
            None => None,
        };
        candidates.push(candidate(ip, on, addresses));
    }
    candidates.extend(found.into_values().map(|found| candidate(found.ip, Some(found.interface), found.addresses)));
    candidates
}

async fn meet(links: &[Link], mut peer: Peer, ports: Ports) -> Peer {
    peer.here = leaves_by(links, peer.ip);
    let link = links.iter().find(|link| Some(&link.name) == peer.here.as_ref() && link.holds(peer.ip));
    peer.on_link = link.is_some();
    let dials = peer.dials.iter().map(|(address, _)| dial(address.clone()));
    let mut helper = None;
    let results = futures::future::join_all(dials).await;
    peer.dials = results
        .into_iter()
        .map(|(address, prober, result)| {
            if result.is_ok() && helper.is_none() {
                helper = prober;
            }
            (address, result)
        })
        .collect();
    if let Some(mut helper) = helper
        && peer.met().is_some_and(|met| met.helps)
    {
        ask(&mut peer, &mut helper, links, link, ports).await;
    } else if peer.met().is_some() {
        peer.who = Some(Err(NoHelp::Unknown));
    }
    peer
}

/// Dials once more where nothing came back: a packet may be lost, and a busy machine is slow to shake hands.
async fn dial(address: Multiaddr) -> (Multiaddr, Option<Prober>, Result<Met, Unmet>) {
    let (mut prober, mut met) = dial_once(&address).await;
    if met == Err(Unmet::Silence) {
        let open = is_open(&address).await;
        if open != Some(false) {
            (prober, met) = dial_once(&address).await;
        }
        if met == Err(Unmet::Silence) && open == Some(true) {
            // No firewall, then.
            met = Err(Unmet::Mute);
        }
    }
    (address, prober, met)
}

async fn dial_once(address: &Multiaddr) -> (Option<Prober>, Result<Met, Unmet>) {
    match Prober::new() {
        Ok(mut prober) => {
            let met = prober.meet(address).await;
            (Some(prober), met)
        }
        Err(error) => (None, Err(Unmet::Failed(error.to_string()))),
    }
}

/// Whether a TCP port lets one in; `None` where it is no TCP port.
async fn is_open(address: &Multiaddr) -> Option<bool> {
    let (ip, _) = Prober::destination(address)?;
    let port = address.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None })?;
    Some(timeout(CAME, TcpStream::connect((ip, port))).await.is_ok_and(|connected| connected.is_ok()))
}

async fn ask(peer: &mut Peer, helper: &mut Prober, links: &[Link], link: Option<&Link>, ports: Ports) {
    let who = who(helper).await;
    peer.clock_ahead_ms = who.as_ref().ok().map(|(_, ahead)| *ahead);
    let helps = who.is_ok();
    peer.who = Some(who.map(|(who, _)| who));
    if !helps {
        return;
    }
    // What a machine sends to itself tells nothing of a network.
    if let Some(link) = link.filter(|_| !is_own(links, peer.ip)) {
        match exchange(helper, links, link).await {
            Ok(exchange) => peer.exchange = Some(exchange),
            // What went before is known, and so is that it helps no more.
            Err(why) => peer.who = Some(Err(why)),
        }
    }
    let own = links.iter().find(|link| Some(&link.name) == peer.here.as_ref()).map(|link| link.address);
    let Some(own) = own else { return };
    for back in [back_tcp(helper, own, ports.tcp).await, back_udp(helper, own, ports.udp).await] {
        peer.backs.extend(back);
    }
}

async fn answer(helper: &mut Prober, request: Request) -> Result<Answer, NoHelp> {
    match helper.ask(request).await {
        Ok(Answer::Refused(refusal)) => Err(NoHelp::Refused(refusal)),
        Ok(answer) => Ok(answer),
        Err(AskError::Unknown) => Err(NoHelp::Unknown),
        Err(AskError::Lost(why)) => Err(NoHelp::Lost(why)),
    }
}

fn beside() -> NoHelp {
    NoHelp::Lost("it answers something else than it was asked".to_owned())
}

/// Who it is, and how far its clock is ahead.
async fn who(helper: &mut Prober) -> Result<(Who, i64), NoHelp> {
    let began = Instant::now();
    let Answer::Who(who) = answer(helper, Request::Who).await? else { return Err(beside()) };
    // It looked at its clock half-way.
    let then = i64::try_from(began.elapsed().as_millis() / 2).unwrap_or(0);
    let here = i64::try_from(Prober::now_ms()).unwrap_or(i64::MAX);
    let there = i64::try_from(who.clock_ms).unwrap_or(i64::MAX);
    let ahead = there.saturating_add(then).saturating_sub(here);
    Ok((who, ahead))
}

async fn exchange(helper: &mut Prober, links: &[Link], link: &Link) -> Result<Exchange, NoHelp> {
    let (ours, theirs) = (rand::random::<u64>(), rand::random::<u64>());
    let mut ears = Ears::open(&one_each(links));
    let (mut echo_here, mut heard_here) = (false, Vec::new());
    let listening = async {
        let until = tokio::time::Instant::now() + HEAD_START + PERIOD;
        while let Some(heard) = ears.next(until).await {
            let nonce = nonce_of(&heard.bytes);
            echo_here |= nonce == Some(ours) && heard.interface == link.name;
            if nonce == Some(theirs) && !heard_here.contains(&heard.interface) {
                heard_here.push(heard.interface);
            }
        }
    };
    let bytes = packet(ours);
    let calling = async {
        tokio::time::sleep(HEAD_START).await;
        call(link, &bytes).await
    };
    let asking = answer(helper, Request::Multicast(ours, theirs));
    let (answer, called, ()) = futures::join!(asking, calling, listening);
    let Answer::Multicast(there) = answer? else { return Err(beside()) };
    Ok(Exchange {
        here: link.name.clone(),
        mute_here: called.err().map(|error| error.to_string()),
        echo_here,
        heard_here,
        there,
    })
}

/// Has it connect to a port of this machine. `None` if it does not want to, or there is none.
async fn back_tcp(helper: &mut Prober, own: Ipv4Addr, port: u16) -> Option<Back> {
    let via = Via::Tcp;
    // A port that is in use is a node's: then it is enough to know that somebody was let in.
    let listener = TcpListener::bind((own, port)).await.ok();
    let port = listener.as_ref().and_then(|listener| Some(listener.local_addr().ok()?.port())).unwrap_or(port);
    let came = async {
        let listener = listener.as_ref()?;
        Some(timeout(CAME, listener.accept()).await.is_ok_and(|came| came.is_ok()))
    };
    let (answer, came) = futures::join!(answer(helper, Request::Dial(via, port, 0)), came);
    Some(Back { via, port, outcome: dialled(answer.ok()?)?, came })
}

fn dialled(answer: Answer) -> Option<Outcome> {
    match answer {
        Answer::Dial(outcome) => Some(outcome),
        _ => None,
    }
}

/// Has it send datagrams to a port of this machine.
async fn back_udp(helper: &mut Prober, own: Ipv4Addr, port: u16) -> Option<Back> {
    let via = Via::Udp;
    // Where a node has the port, another one tells as much, unless the firewall knows the node's.
    let socket = match UdpSocket::bind((own, port)).await {
        Ok(socket) => socket,
        Err(_) => UdpSocket::bind((own, 0)).await.ok()?,
    };
    let port = socket.local_addr().ok()?.port();
    let nonce = rand::random::<u64>();
    let came = async {
        let mut bytes = [0; 16];
        loop {
            let heard: Result<(usize, SocketAddr), _> = socket.recv_from(&mut bytes).await;
            if heard.is_ok_and(|(length, _)| bytes.get(..length) == Some(&nonce.to_be_bytes()[..])) {
                return;
            }
        }
    };
    let asking = answer(helper, Request::Dial(via, port, nonce));
    let (answer, came) = futures::join!(asking, timeout(CAME, came));
    Some(Back { via, port, outcome: dialled(answer.ok()?)?, came: Some(came.is_ok()) })
}

/// Whether an address is this machine's own.
pub(super) fn is_own(links: &[Link], ip: IpAddr) -> bool {
    ip.is_loopback() || links.iter().any(|link| IpAddr::V4(link.address) == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_found_and_given_is_met_once() {
        let (ann, bob) = (PeerId::random(), PeerId::random());
        let address = |text: &str| text.parse::<Multiaddr>().unwrap();
        let with = |text: &str, peer| address(text).with_p2p(peer).unwrap();
        let found = |addresses: &[Multiaddr]| Found {
            ip: "10.0.0.1".parse().unwrap(),
            interface: "eth0".into(),
            addresses: addresses.to_vec(),
        };
        let (tcp, quic) = (with("/ip4/10.0.0.1/tcp/40", ann), with("/ip4/10.0.0.1/udp/41/quic-v1", ann));
        let found = BTreeMap::from([
            (ann, found(&[tcp.clone(), quic.clone()])),
            (bob, found(&[with("/ip4/10.0.0.1/tcp/4011", bob)])),
        ]);
        for given in [address("/ip4/10.0.0.1/tcp/40"), tcp.clone()] {
            let candidates = candidates(found.clone(), std::slice::from_ref(&given));
            assert_eq!(candidates.len(), 2);
            let dialled: Vec<_> = candidates[0].dials.iter().map(|(address, _)| address.clone()).collect();
            assert_eq!(dialled, [given, quic.clone()]);
        }
        let other = candidates(found, &[address("/ip4/10.0.0.1/tcp/4")]);
        assert_eq!(other.len(), 3, "port 4 is neither 40 nor 4011");
    }

    #[test]
    fn ports_are_those_of_the_options_or_of_a_running_node() {
        let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Multiaddr>>();
        let running = list(&["/ip4/10.0.0.1/tcp/40000/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"]);
        let config = Config::default();
        assert_eq!(Ports::of(&config, &[]), Ports::default());
        assert_eq!(Ports::of(&config, &running), Ports { tcp: 40000, udp: 0 });
        let listen = list(&["/ip4/0.0.0.0/udp/7/quic-v1", "/ip4/0.0.0.0/tcp/4001"]);
        assert_eq!(Ports::of(&Config { listen, ..config }, &running), Ports { tcp: 4001, udp: 7 });
    }
}
