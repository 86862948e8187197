//! A look at this machine's interfaces and routes.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr},
};

use distchat_node::probe::{Link, links, route};

use super::observed::{Interface, Kind, Routes};

/// An address of the world, for documentation: nobody is there, and nothing is sent.
const WORLD: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
/// Where mDNS is spoken.
const GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251));

/// How the names of virtual interfaces begin, on the systems that people have.
const NAMES: [(Kind, &[&str]); 4] = [
    (
        Kind::Vpn,
        &[
            "tun",
            "tap",
            "wg",
            "utun",
            "ppp",
            "ipsec",
            "tailscale",
            "zt",
            "nordlynx",
            "proton",
            "cscotun",
            "gpd",
            "outline",
            "vpn",
            "WireGuard",
            "OpenVPN",
        ],
    ),
    (Kind::Container, &["docker", "br-", "veth", "cni", "flannel", "cali", "podman", "lxc", "lxd", "cilium"]),
    (Kind::Machines, &["virbr", "vmnet", "vboxnet", "vnet", "vEthernet", "VirtualBox", "VMware", "bridge100"]),
    (Kind::Dummy, &["dummy"]),
];

/// All interfaces, those without an address included where the system lists them. Blocks for a moment.
pub(crate) fn look() -> io::Result<(Vec<Interface>, Routes)> {
    let mut found: BTreeMap<String, Vec<Link>> = system::names().into_iter().map(|name| (name, Vec::new())).collect();
    let links = links()?;
    for link in &links {
        found.entry(link.name.clone()).or_default().push(link.clone());
    }
    let with_ip6: Vec<String> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| matches!(&interface.addr, if_addrs::IfAddr::V6(v6) if !v6.ip.is_loopback()))
        .map(|interface| interface.name)
        .collect();
    let interface = |(name, links): (String, Vec<Link>)| {
        let loopback = !links.is_empty() && links.iter().all(|link| link.address.is_loopback());
        let kind =
            if loopback || name == "lo" { Kind::Loopback } else { system::kind(&name).unwrap_or(by_name(&name)) };
        let ip6 = with_ip6.contains(&name);
        Interface { kind, links, ip6, carrier: system::carrier(&name), multicast: system::multicast(&name), name }
    };
    let interfaces: Vec<Interface> = found.into_iter().map(interface).collect();
    let routes = Routes {
        default: leaves_by(&links, WORLD),
        multicast: leaves_by(&links, GROUP),
        networks: interfaces
            .iter()
            .filter(|interface| interface.kind == Kind::Lan && interface.carrier != Some(false))
            .flat_map(|interface| &interface.links)
            .filter_map(|link| Some((link.name.clone(), leaves_by(&links, neighbour(link)?))))
            .collect(),
    };
    Ok((interfaces, routes))
}

/// The interface by which packets to that address leave.
pub(crate) fn leaves_by(links: &[Link], to: IpAddr) -> Option<String> {
    let own = route(to).ok()?;
    // Two may have one address; then the one whose network it is.
    let mut with = links.iter().filter(|link| IpAddr::V4(link.address) == own);
    let first = with.clone().next();
    with.find(|link| link.holds(to)).or(first).map(|link| link.name.clone())
}

/// Some other host's address on the link's network; `None` if there can be none.
fn neighbour(link: &Link) -> Option<IpAddr> {
    if link.prefix > 30 {
        return None;
    }
    let mask = u32::MAX.checked_shl(32 - u32::from(link.prefix)).unwrap_or(0);
    let first = (u32::from(link.address) & mask) + 1;
    let other = if first == u32::from(link.address) { first + 1 } else { first };
    Some(IpAddr::V4(other.into()))
}

fn by_name(name: &str) -> Kind {
    let begins = |(_, starts): &&(Kind, &[&str])| starts.iter().any(|start| name.starts_with(start));
    NAMES.iter().find(begins).map_or(Kind::Lan, |(kind, _)| *kind)
}

#[cfg(target_os = "linux")]
mod system {
    //! What Linux tells in `/sys/class/net`.

    use std::{fs, path::PathBuf};

    use super::Kind;

    const IFF_MULTICAST: u32 = 0x1000;

    fn file(name: &str, what: &str) -> PathBuf {
        PathBuf::from("/sys/class/net").join(name).join(what)
    }

    pub(super) fn names() -> Vec<String> {
        let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        // Besides interfaces there is a file about bonds.
        let interfaces = entries.filter(|entry| entry.path().join("ifindex").exists());
        interfaces.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// `None` where only the name can tell.
    pub(super) fn kind(name: &str) -> Option<Kind> {
        let about = fs::read_to_string(file(name, "uevent")).unwrap_or_default();
        if about.lines().any(|line| line == "DEVTYPE=wireguard") {
            return Some(Kind::Vpn);
        }
        // Virtual machines hang on such, too; those are called so.
        (file(name, "tun_flags").exists() && super::by_name(name) == Kind::Lan).then_some(Kind::Vpn)
    }

    pub(super) fn carrier(name: &str) -> Option<bool> {
        // Of an interface that is down it cannot be read.
        let text = fs::read_to_string(file(name, "carrier"));
        text.map_or(Some(false), |text| Some(text.trim() == "1"))
    }

    pub(super) fn multicast(name: &str) -> Option<bool> {
        let text = fs::read_to_string(file(name, "flags")).ok()?;
        let flags = u32::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()?;
        Some(flags & IFF_MULTICAST != 0)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    //! Elsewhere it has to be guessed from names.

    use super::Kind;

    pub(super) fn names() -> Vec<String> {
        Vec::new()
    }

    pub(super) fn kind(_: &str) -> Option<Kind> {
        None
    }

    pub(super) fn carrier(_: &str) -> Option<bool> {
        None
    }

    pub(super) fn multicast(_: &str) -> Option<bool> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_an_interface_is_for() {
        for (name, expect) in [
            ("eth0", Kind::Lan),
            ("wlp3s0", Kind::Lan),
            ("en0", Kind::Lan),
            ("br0", Kind::Lan),
            ("tun0", Kind::Vpn),
            ("wg-home", Kind::Vpn),
            ("utun4", Kind::Vpn),
            ("docker0", Kind::Container),
            ("br-5f2c9d0a1b2c", Kind::Container),
            ("veth12ab", Kind::Container),
            ("virbr0", Kind::Machines),
            ("vmnet8", Kind::Machines),
            ("dummy0", Kind::Dummy),
        ] {
            assert_eq!(by_name(name), expect, "{name}");
        }
    }

    #[test]
    fn a_neighbour_is_on_the_network_and_somebody_else() {
        let neighbour = |address: &str, prefix| {
            let address = address.parse().unwrap();
            neighbour(&Link { name: "e".into(), index: None, address, prefix }).map(|ip| ip.to_string())
        };
        assert_eq!(neighbour("10.0.0.7", 24).as_deref(), Some("10.0.0.1"));
        assert_eq!(neighbour("10.0.0.1", 24).as_deref(), Some("10.0.0.2"));
        assert_eq!(neighbour("10.0.0.1", 32), None);
    }
}
