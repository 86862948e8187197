//! Packets that a network takes for mDNS, sent and heard on one interface at a time.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Where mDNS is spoken.
pub(in crate::net) const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
pub(in crate::net) const PORT: u16 = 5353;
/// How many packets a call has, for one may be lost, and the pause between them.
pub const CALLS: usize = 4;
/// How long a call takes, its last packet's way included.
pub const PERIOD: Duration = Duration::from_secs(2);
/// What every packet has in front of its name: no id, a question, nothing else.
const HEADER: [u8; 12] = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
/// What every packet has behind the nonce: the rest of the name, TXT, IN.
const TAIL: &[u8] = b"\x0f_distchat-probe\x04_udp\x05local\0\0\x10\0\x01";

/// An IPv4 address of this machine, and where it is.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::probe::Link;
///
/// let link = Link { name: "eth0".into(), index: Some(2), address: "192.168.1.7".parse()?, prefix: 24 };
/// assert!(link.holds("192.168.1.200".parse()?));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The interface's name, such as `eth0`.
    pub name: String,
    /// Its number, where the system has such.
    pub index: Option<u32>,
    /// The address.
    pub address: Ipv4Addr,
    /// How many bits of it are the network's.
    pub prefix: u8,
}

impl Link {
    /// Whether this address is on the link's network.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use distchat_node::probe::Link;
    ///
    /// let link = Link { name: "eth0".into(), index: None, address: "10.1.2.3".parse()?, prefix: 8 };
    /// assert!(link.holds("10.200.0.1".parse()?));
    /// assert!(!link.holds("192.168.1.1".parse()?));
    /// assert!(!link.holds("::1".parse()?)); // IPv6 is on no link
    /// # Ok(())
    /// # }
    /// ```
    pub fn holds(&self, other: IpAddr) -> bool {
        let IpAddr::V4(other) = other else { return false };
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
        u32::from(self.address) & mask == u32::from(other) & mask
    }
}

/// The IPv4 addresses of all interfaces that are up. Blocks for a moment.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let links = distchat_node::probe::links()?;
/// for link in &links {
///     println!("{}: {}/{}", link.name, link.address, link.prefix);
/// }
/// assert!(links.iter().any(|link| link.holds("127.0.0.1".parse().unwrap())));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the system does not tell.
pub fn links() -> io::Result<Vec<Link>> {
    Ok(if_addrs::get_if_addrs()?.into_iter().filter_map(link).collect())
}

/// Those of them that packets can pass: a cable that is pulled takes its links with it. Blocks for a moment.
pub(in crate::net) fn working_links() -> io::Result<Vec<Link>> {
    let working = if_addrs::get_if_addrs()?.into_iter().filter(if_addrs::Interface::is_oper_up);
    Ok(working.filter_map(link).collect())
}

fn link(interface: if_addrs::Interface) -> Option<Link> {
    match interface.addr {
        if_addrs::IfAddr::V4(v4) => {
            Some(Link { name: interface.name, index: interface.index, address: v4.ip, prefix: v4.prefixlen })
        }
        if_addrs::IfAddr::V6(_) => None,
    }
}

/// The own address from which packets to that address leave. Sends nothing.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::net::{IpAddr, Ipv4Addr};
///
/// let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// assert_eq!(distchat_node::probe::route(here)?, here);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If there is no way there.
pub fn route(to: IpAddr) -> io::Result<IpAddr> {
    let own: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = std::net::UdpSocket::bind((own, 0))?;
    socket.connect((to, PORT))?;
    Ok(socket.local_addr()?.ip())
}

/// Listens for multicasts that come in by this link: all that is sent to mDNS, not only what [`packet`] makes. To be called
/// in a tokio runtime.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::probe::{call, links, listen, nonce_of, packet};
///
/// let loopback = links()?.into_iter().find(|link| link.address.is_loopback()).ok_or("no loopback")?;
/// let socket = listen(&loopback)?;
/// let hears = async {
///     let mut bytes = [0; 512];
///     loop {
///         let (length, from) = socket.recv_from(&mut bytes).await?;
///         // Others speak mDNS, too.
///         if nonce_of(&bytes[..length]) == Some(0xcafe) {
///             return Ok::<_, std::io::Error>(from);
///         }
///     }
/// };
/// let packet = packet(0xcafe);
/// tokio::select! {
///     from = hears => assert_eq!(from?.ip(), loopback.address),
///     called = call(&loopback, &packet) => panic!("nothing was heard: {called:?}"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If another program has the port for itself, or the interface has no multicast.
pub fn listen(link: &Link) -> io::Result<UdpSocket> {
    // Of sockets that share a port by SO_REUSEPORT, Linux (seen on 6.18) gives what is for one of them to any, whichever
    // interface it has joined. So it is only used where a program insists on it, and on systems that know nothing else.
    let shared = if cfg!(target_os = "linux") { open(false).or_else(|_| open(true)) } else { open(true) };
    let socket = shared?;
    // Without this a socket also hears what came in by an interface that another one has joined.
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v4(false)?;
    match link.index {
        Some(index) if cfg!(target_os = "linux") => {
            socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(index))?;
        }
        _ => socket.join_multicast_v4(&GROUP, &link.address)?,
    }
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

/// A socket at the port of mDNS, which other programs may have, too.
fn open(share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(share)?;
    #[cfg(not(unix))]
    let _ = share;
    // Bound to the group it takes no packet to this host away from another program's socket.
    let at = if cfg!(unix) { GROUP } else { Ipv4Addr::UNSPECIFIED };
    socket.bind(&SocketAddr::from((at, PORT)).into())?;
    Ok(socket)
}

/// Sends a packet on this link [`CALLS`] times, and takes less than [`PERIOD`] for it.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use distchat_node::probe::{Link, call, packet};
///
/// // A link that is gone: no interface has this address any more.
/// let gone = Link { name: "wlan0".into(), index: None, address: "192.0.2.1".parse()?, prefix: 24 };
/// assert!(call(&gone, &packet(7)).await.is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the system refuses to send any of them: then a firewall of this machine does not let it out, or there is no way.
pub async fn call(link: &Link, packet: &[u8]) -> io::Result<()> {
    // From the interface's address and any port, as the mDNS of libp2p does it.
    let socket = UdpSocket::bind((link.address, 0)).await?;
    socket.set_multicast_loop_v4(true)?;
    // Elsewhere than on Linux the address alone does not choose the interface.
    socket2::SockRef::from(&socket).set_multicast_if_v4(&link.address)?;
    let mut sent = Ok(());
    for n in 0..CALLS {
        if n > 0 {
            tokio::time::sleep(PERIOD / (CALLS as u32 + 2)).await;
        }
        if let Err(error) = socket.send_to(packet, (GROUP, PORT)).await {
            sent = Err(error);
        }
    }
    sent
}

/// The packet that bears a nonce.
///
/// ```
/// use distchat_node::probe::{nonce_of, packet};
///
/// let bytes = packet(0xcafe);
/// assert_eq!(bytes.len(), 61);
/// assert_eq!(nonce_of(&bytes), Some(0xcafe));
/// ```
pub fn packet(nonce: u64) -> Vec<u8> {
    let mut packet = HEADER.to_vec();
    packet.push(16);
    packet.extend_from_slice(format!("{nonce:016x}").as_bytes());
    packet.extend_from_slice(TAIL);
    packet
}

/// The nonce of such a packet; `None` for any other.
///
/// ```
/// use distchat_node::probe::{nonce_of, packet};
///
/// assert_eq!(nonce_of(&packet(7)), Some(7));
/// assert_eq!(nonce_of(b"a question about a printer"), None);
/// ```
pub fn nonce_of(packet: &[u8]) -> Option<u64> {
    let digits = packet.strip_prefix(&HEADER)?.strip_prefix(&[16])?.strip_suffix(TAIL)?;
    if digits.len() != 16 || !digits.iter().all(|digit| b"0123456789abcdef".contains(digit)) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_bears_its_nonce() {
        let bytes = packet(0x0123_4567_89ab_cdef);
        assert_eq!(bytes.len(), 61);
        assert_eq!(nonce_of(&bytes), Some(0x0123_4567_89ab_cdef));
        for n in 0..bytes.len() {
            assert_eq!(nonce_of(&bytes[..n]), None);
        }
        assert_eq!(nonce_of(&[&bytes[..], &[0]].concat()), None);
        let mut other = bytes.clone();
        other[13] = b'G';
        assert_eq!(nonce_of(&other), None);
        other[13] = b'+';
        assert_eq!(nonce_of(&other), None);
    }

    #[test]
    fn a_link_knows_its_network() {
        let link =
            |address: &str, prefix| Link { name: "e".into(), index: None, address: address.parse().unwrap(), prefix };
        let other = |address: &str| address.parse::<IpAddr>().unwrap();
        assert!(link("10.1.2.3", 24).holds(other("10.1.2.200")));
        assert!(!link("10.1.2.3", 24).holds(other("10.1.3.3")));
        assert!(link("10.1.2.3", 0).holds(other("9.9.9.9")));
        assert!(!link("10.1.2.3", 32).holds(other("10.1.2.4")));
        assert!(!link("10.1.2.3", 8).holds(other("::1")));
    }
}
