//! A line to a program that can be stopped half-way, on which somebody listens, and who may change what passes.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

/// A TCP address of its own that leads to that of a program, and lets no more than so many bytes come from there until it
/// is told to.
pub struct Link {
    address: SocketAddr,
    gate: Arc<Gate>,
    relay: Option<JoinHandle<()>>,
}

impl Link {
    /// To a program that listens at that loopback address; so many bytes come through for a start.
    pub fn new(to: SocketAddr, bytes: usize) -> Self {
        assert!(to.ip().is_loopback(), "{to} is outside this computer");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        let gate =
            Arc::new(Gate { state: Mutex::new(State { left: bytes, ..State::default() }), turned: Condvar::new() });
        let relay = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || relay(&listener, to, &gate))
        };
        Self { address, gate, relay: Some(relay) }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.gate.turn(|state| state.left = usize::MAX);
    }

    /// All that has passed so far, to the program and from it.
    pub fn heard(&self) -> [Vec<u8>; 2] {
        self.gate.state().heard.clone()
    }

    /// Changes a byte of what comes from the program next, the last: the first ones may be how much there is.
    pub fn change_one(&self) {
        self.gate.turn(|state| state.changes = true);
    }

    /// How many connections have been made through it.
    pub fn calls(&self) -> usize {
        self.gate.state().ends.len() / 2
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.gate.turn(|state| state.closed = true);
        // It waits for another one to call.
        drop(TcpStream::connect(self.address));
        if let Some(relay) = self.relay.take() {
            // If it has panicked, the test has heard of it from the program that lost its line.
            let _ = relay.join();
        }
    }
}

/// What may come through.
struct Gate {
    state: Mutex<State>,
    turned: Condvar,
}

#[derive(Default)]
struct State {
    /// How many bytes.
    left: usize,
    closed: bool,
    /// Whether the next byte from there is to be another one.
    changes: bool,
    heard: [Vec<u8>; 2],
    /// The ends of what goes through.
    ends: Vec<TcpStream>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, turn: impl FnOnce(&mut State)) {
        let mut state = self.state();
        turn(&mut state);
        if state.closed {
            for end in state.ends.drain(..) {
                // It may be closed already.
                let _ = end.shutdown(Shutdown::Both);
            }
        }
        self.turned.notify_all();
    }

    /// Waits until these bytes may come from the program; whether they may.
    fn pass(&self, bytes: &mut [u8]) -> bool {
        let mut state = self
            .turned
            .wait_while(self.state(), |state| state.left < bytes.len() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.closed && state.left != usize::MAX {
            state.left -= bytes.len();
        }
        if std::mem::take(&mut state.changes)
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1;
        }
        state.heard[1].extend_from_slice(bytes);
        !state.closed
    }

    /// Notes what goes to the program.
    fn note(&self, bytes: &[u8]) -> bool {
        self.state().heard[0].extend_from_slice(bytes);
        true
    }
}

fn relay(listener: &TcpListener, to: SocketAddr, gate: &Arc<Gate>) {
    let mut copies = Vec::new();
    while let Ok((near, _)) = listener.accept() {
        if gate.state().closed {
            break;
        }
        // Whoever calls learns of a program that is gone when its line is closed.
        let Ok(far) = TcpStream::connect(to) else { continue };
        let ends = [&near, &far].map(|end| end.try_clone().expect("a handle"));
        gate.turn(|state| state.ends.extend(ends));
        let [near_too, far_too] = [&near, &far].map(|end| end.try_clone().expect("a handle"));
        let [gate, gate_too] = [gate, gate].map(Arc::clone);
        copies.push(thread::spawn(move || copy(near_too, far_too, |bytes| gate_too.note(bytes))));
        copies.push(thread::spawn(move || copy(far, near, |bytes| gate.pass(bytes))));
    }
    for copy in copies {
        // As above.
        let _ = copy.join();
    }
}

/// Passes on what comes, until one of them is closed.
fn copy(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(&mut [u8]) -> bool) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..length];
        if !pass(bytes) || to.write_all(bytes).is_err() {
            break;
        }
    }
    // It may be closed already.
    let _ = to.shutdown(Shutdown::Write);
}
