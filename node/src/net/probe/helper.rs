//! The answering side: what a node does for a doctor of another machine.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    net::{TcpStream, UdpSocket},
    task::spawn_blocking,
    time::timeout,
};
use tracing::debug;

use super::{
    multicast::{CALLS, Link, PERIOD, call, links, listen, nonce_of, packet, route},
    wire::{Answer, Heard, Outcome, Refusal, Request, Via, Who, short},
};

/// How long a dial may take.
const DIAL: Duration = Duration::from_secs(3);
/// Ports below this are not dialled: they are other programs'.
const FIRST_PORT: u16 = 1024;
/// How many interfaces are listened on.
const MAX_LINKS: usize = 32;

/// Does what is asked, for whoever has this address.
pub(in crate::net) async fn help(request: Request, asker: IpAddr, mdns: bool) -> Answer {
    let found = spawn_blocking(move || Ok::<_, io::Error>((links()?, route(asker)?))).await;
    let (links, own) = match found.map_err(io::Error::other).flatten() {
        Ok(found) => found,
        Err(error) => {
            debug!(%error, "cannot tell where an asker is");
            return Answer::Refused(Refusal::Foreign);
        }
    };
    // The link that leads there, whichever of its addresses the system prefers.
    let leads = links.iter().find(|link| IpAddr::V4(link.address) == own && link.holds(asker));
    let Some(link) = leads.or_else(|| links.iter().find(|link| link.holds(asker))) else {
        return Answer::Refused(Refusal::Foreign);
    };
    match request {
        Request::Who => Answer::Who(Who { clock_ms: now_ms(), interface: link.name.clone(), mdns }),
        // What is sent on the loopback interface tells nothing of a network.
        Request::Multicast(..) if asker.is_loopback() => Answer::Refused(Refusal::Never),
        Request::Multicast(hear, send) => Answer::Multicast(multicast(link, &links, hear, send).await),
        Request::Dial(_, port, _) if port < FIRST_PORT => Answer::Refused(Refusal::Never),
        Request::Dial(Via::Tcp, port, _) => Answer::Dial(dial_tcp(SocketAddr::new(asker, port)).await),
        Request::Dial(Via::Udp, port, nonce) => Answer::Dial(dial_udp(SocketAddr::new(asker, port), nonce).await),
    }
}

/// This machine's calendar clock, in milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn multicast(link: &Link, links: &[Link], hear: u64, send: u64) -> Heard {
    let mut deaf = None;
    let mut ears = Vec::new();
    for other in links.iter().filter(|other| !other.address.is_loopback()).take(MAX_LINKS) {
        // An interface with two addresses is heard once.
        if ears.iter().any(|(name, _)| *name == other.name) {
            continue;
        }
        match listen(other) {
            Ok(socket) => ears.push((other.name.clone(), socket)),
            Err(error) if other.name == link.name => deaf = Some(short(error.to_string())),
            Err(error) => debug!(%error, interface = other.name, "cannot listen"),
        }
    }
    let listening = ears.into_iter().map(|(name, socket)| hears(name, socket, [hear, send]));
    let packet = packet(send);
    let (heard, sent) = futures::join!(futures::future::join_all(listening), call(link, &packet));
    let on = |n: usize| heard.iter().filter(move |(_, nonces)| nonces[n]).map(|(name, _)| name.clone());
    Heard {
        interface: link.name.clone(),
        heard: on(0).collect(),
        deaf,
        mute: sent.err().map(|error| short(error.to_string())),
        echo: on(1).next().is_some(),
    }
}

/// Which of the nonces are heard within the period.
async fn hears(name: String, socket: UdpSocket, nonces: [u64; 2]) -> (String, [bool; 2]) {
    let mut heard = [false; 2];
    let listening = async {
        let mut bytes = [0; 512];
        while heard != [true; 2] {
            let Ok((length, _)) = socket.recv_from(&mut bytes).await else { return };
            let nonce = bytes.get(..length).and_then(nonce_of);
            for (heard, wanted) in heard.iter_mut().zip(nonces) {
                *heard |= nonce == Some(wanted);
            }
        }
    };
    // That the time is over is the usual end.
    let _ = timeout(PERIOD, listening).await;
    (name, heard)
}

async fn dial_tcp(to: SocketAddr) -> Outcome {
    match timeout(DIAL, TcpStream::connect(to)).await {
        Ok(Ok(_)) => Outcome::Done,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::Closed,
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Outcome::Silence,
        Ok(Err(error)) => Outcome::Failed(short(error.to_string())),
        Err(_) => Outcome::Silence,
    }
}

async fn dial_udp(to: SocketAddr, nonce: u64) -> Outcome {
    let sent = async {
        let own: IpAddr =
            if to.is_ipv4() { std::net::Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((own, 0)).await?;
        for _ in 0..CALLS {
            socket.send_to(&nonce.to_be_bytes(), to).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, io::Error>(())
    };
    match sent.await {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::Failed(short(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn it_tells_who_it_is() {
        let Answer::Who(who) = help(Request::Who, HERE, true).await else { panic!("no answer") };
        assert!(who.mdns);
        assert!(who.clock_ms.abs_diff(now_ms()) < 60_000);
    }

    #[tokio::test]
    async fn it_comes_to_a_port_of_the_asker() {
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dial = help(Request::Dial(Via::Tcp, port, 0), HERE, true);
        let (answer, accepted) = futures::join!(dial, listener.accept());
        assert_eq!(answer, Answer::Dial(Outcome::Done));
        assert!(accepted.unwrap().1.ip().is_loopback());
        drop(listener);
        let answer = help(Request::Dial(Via::Tcp, port, 0), HERE, true).await;
        assert_eq!(answer, Answer::Dial(Outcome::Closed));

        let socket = UdpSocket::bind((HERE, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut bytes = [0; 16];
        let dial = help(Request::Dial(Via::Udp, port, 7), HERE, true);
        let (answer, received) = futures::join!(dial, socket.recv_from(&mut bytes));
        assert_eq!(answer, Answer::Dial(Outcome::Done));
        assert_eq!(bytes[..received.unwrap().0], 7_u64.to_be_bytes());
    }

    #[tokio::test]
    async fn it_does_not_do_everything() {
        for (request, asker, expect) in [
            (Request::Dial(Via::Tcp, 22, 0), HERE, Refusal::Never),
            (Request::Dial(Via::Udp, 53, 0), HERE, Refusal::Never),
            (Request::Multicast(1, 2), HERE, Refusal::Never),
            (Request::Who, "240.0.0.1".parse().unwrap(), Refusal::Foreign),
            (Request::Dial(Via::Tcp, 4001, 0), "240.0.0.1".parse().unwrap(), Refusal::Foreign),
        ] {
            assert_eq!(help(request, asker, true).await, Answer::Refused(expect));
        }
    }
}
