//! A way for packets to a program, on which somebody listens, and who may change what passes.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long it waits for a packet before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);
/// The longest packet there is.
const LONGEST: usize = 65_536;

/// A UDP address of its own that leads to that of a program.
pub struct Packets {
    address: SocketAddr,
    shared: Arc<Shared>,
    relay: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    /// How many of the packets that come from the program next are to be changed.
    changes: AtomicUsize,
    heard: Mutex<[Vec<u8>; 2]>,
}

impl Packets {
    /// To a program that listens at that loopback address.
    pub fn new(to: SocketAddr) -> Self {
        assert!(to.ip().is_loopback(), "{to} is outside this computer");
        let near = socket();
        let address = near.local_addr().expect("it has an address");
        let shared = Arc::<Shared>::default();
        let relay = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || relay(&near, to, &shared))
        };
        Self { address, shared, relay: Some(relay) }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that has passed so far, to the program and from it.
    pub fn heard(&self) -> [Vec<u8>; 2] {
        self.shared.heard().clone()
    }

    /// Changes a byte, the last, of each of so many packets that come from the program next.
    pub fn change(&self, packets: usize) {
        self.shared.changes.store(packets, Ordering::Relaxed);
    }

    /// How many packets are still to be changed.
    pub fn unchanged(&self) -> usize {
        self.shared.changes.load(Ordering::Relaxed)
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(relay) = self.relay.take() {
            // If it has panicked, the test has heard of it from the program that lost its way.
            let _ = relay.join();
        }
    }
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, [Vec<u8>; 2]> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether this packet is one to be changed.
    fn takes_change(&self) -> bool {
        self.changes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    socket.set_read_timeout(Some(LOOK)).expect("it can be waited for");
    socket
}

/// The next packet of a socket; nothing if it is over.
fn next(socket: &UdpSocket, shared: &Shared, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    while !shared.is_over() {
        match socket.recv_from(buffer) {
            Ok(came) => return Some(came),
            // Nobody listens at the other end yet, or no more; or nothing came.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => panic!("packets do not come through: {error}"),
        }
    }
    None
}

fn relay(near: &UdpSocket, to: SocketAddr, shared: &Arc<Shared>) {
    let mut buffer = vec![0; LONGEST];
    let mut ways: BTreeMap<SocketAddr, UdpSocket> = BTreeMap::new();
    let mut back = Vec::new();
    while let Some((length, from)) = next(near, shared, &mut buffer) {
        let far = ways.entry(from).or_insert_with(|| {
            let far = socket();
            let [near, far_too] = [near, &far].map(|end| end.try_clone().expect("a handle"));
            let shared = Arc::clone(shared);
            back.push(thread::spawn(move || bring_back(&far_too, &near, from, &shared)));
            far
        });
        let packet = &buffer[..length];
        shared.heard()[0].extend_from_slice(packet);
        // A packet may get lost.
        let _ = far.send_to(packet, to);
    }
    for back in back {
        // As above.
        let _ = back.join();
    }
}

fn bring_back(far: &UdpSocket, near: &UdpSocket, to: SocketAddr, shared: &Shared) {
    let mut buffer = vec![0; LONGEST];
    while let Some((length, _)) = next(far, shared, &mut buffer) {
        let packet = &mut buffer[..length];
        if shared.takes_change()
            && let Some(last) = packet.last_mut()
        {
            *last ^= 1;
        }
        shared.heard()[1].extend_from_slice(packet);
        let _ = near.send_to(packet, to);
    }
}
