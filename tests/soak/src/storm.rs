//! The faults of a plan, played on the LAN and mended again.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};
use distchat_tests::Lan;
use serde::Serialize;
use tokio::{runtime::Builder, sync::oneshot};

use crate::{
    host::Host,
    ledger::Ledger,
    plan::{Fault, Kind, Planned},
};

/// How long after a fault a host is not counted as well, in seconds: it notices, dials, and catches up.
const RECOVERY: f64 = 15.;
/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_millis(20);

/// What was played, for the record.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Played {
    pub(crate) fault: &'static str,
    pub(crate) host: usize,
    /// When it began, in seconds since the beginning.
    pub(crate) began: f64,
    /// And when it was mended.
    pub(crate) ended: f64,
    /// All that was drawn for it.
    pub(crate) detail: String,
    #[serde(skip)]
    pub(crate) kind: Kind,
}

/// A hostile client at work, with what ends it.
type Intruder = (oneshot::Sender<()>, JoinHandle<()>);

#[derive(Default)]
struct Inner {
    /// Faults under way, with when they began.
    active: Vec<(f64, Planned)>,
    /// Until when hosts are not counted as well.
    disturbed: Vec<f64>,
    intruders: BTreeMap<usize, Intruder>,
    played: Vec<Played>,
    /// What could not be played or mended, and why.
    troubles: Vec<String>,
}

/// The LAN, its hosts, and what is the matter with them.
pub(crate) struct Storm {
    lan: Arc<Lan>,
    pub(crate) hosts: Vec<Host>,
    rooms: Arc<[String]>,
    ledger: Arc<Ledger>,
    inner: Mutex<Inner>,
}

impl Storm {
    /// Of a LAN whose last host is nobody's: from there come the hostile clients.
    pub(crate) fn new(lan: Lan, hosts: Vec<Host>, rooms: Arc<[String]>, ledger: Arc<Ledger>) -> Self {
        let inner = Inner { disturbed: vec![0.; hosts.len()], ..Inner::default() };
        Self { lan: Arc::new(lan), hosts, rooms, ledger, inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Lists are whole at any moment.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays the faults at their times, from now on, until all are mended; when it is told to stop it mends what is
    /// broken and ends.
    pub(crate) fn rage(&self, faults: &[Planned], stop: &AtomicBool) {
        let began = self.ledger.now();
        let mut next = 0;
        loop {
            let stopping = stop.load(Ordering::Relaxed);
            let time = self.ledger.now() - began;
            let over: Vec<Planned> = {
                let active = &self.inner().active;
                let over = active.iter().filter(|(_, fault)| stopping || fault.until <= time);
                over.map(|(_, fault)| fault.clone()).collect()
            };
            for fault in &over {
                self.end(fault);
            }
            match faults.get(next) {
                Some(fault) if !stopping && fault.at <= time => {
                    next += 1;
                    self.begin(fault);
                }
                Some(_) if !stopping => thread::sleep(LOOK),
                _ if self.inner().active.is_empty() => return,
                _ => thread::sleep(LOOK),
            }
        }
    }

    fn begin(&self, fault: &Planned) {
        self.inner().active.push((self.ledger.now(), fault.clone()));
        if let Err(error) = guarded(|| self.apply(fault)) {
            self.trouble(format!("{} on host {} could not begin: {error:#}", fault.kind.name(), fault.host));
        }
    }

    fn end(&self, fault: &Planned) {
        let began = {
            let mut inner = self.inner();
            let Some(at) = inner.active.iter().position(|(_, active)| active == fault) else { return };
            inner.active.remove(at).0
        };
        if let Err(error) = guarded(|| self.mend(fault)) {
            self.trouble(format!("{} on host {} could not be mended: {error:#}", fault.kind.name(), fault.host));
        }
        let ended = self.ledger.now();
        let mut inner = self.inner();
        let concerned = if fault.kind == Kind::Split { 0..self.hosts.len() } else { fault.host..fault.host + 1 };
        for host in concerned {
            inner.disturbed[host] = ended + RECOVERY;
        }
        let (fault, host, kind, detail) = (fault.kind.name(), fault.host, fault.kind, format!("{:?}", fault.fault));
        inner.played.push(Played { fault, host, began, ended, detail, kind });
    }

    fn apply(&self, fault: &Planned) -> Result<()> {
        let host = &self.hosts[fault.host];
        match &fault.fault {
            Fault::Kill => host.kill(),
            Fault::Clock { offset } => {
                host.kill();
                host.start(Some(offset))?;
            }
            Fault::Stop => host.pause(true)?,
            Fault::Cut => self.lan.cut(fault.host),
            Fault::Deaf | Fault::Mute | Fault::Loss { .. } => self.filter(fault.host),
            Fault::Split { .. } => (0..self.hosts.len()).for_each(|host| self.filter(host)),
            Fault::Intruder { act } => {
                // One that starts just now cannot be reached yet; then another is visited.
                let from = (fault.host..self.hosts.len()).chain(0..fault.host);
                let mut addresses = from.filter_map(|host| self.hosts[host].told().address);
                let node = addresses.next().context("no host can be reached")?;
                let (stop, stopped) = oneshot::channel();
                let (lan, nobodys, act, room) = (self.lan.clone(), self.hosts.len(), *act, self.rooms[0].clone());
                let work = move || {
                    lan.on(nobodys, || {
                        // One thread, for a host's network is a thread's.
                        let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
                        runtime.block_on(async {
                            tokio::select! {
                                () = act.play(node, &room) => {}
                                _ = stopped => {}
                            }
                        });
                    });
                };
                let thread = thread::Builder::new().name("intruder".to_owned()).spawn(work)?;
                self.inner().intruders.insert(fault.host, (stop, thread));
            }
        }
        Ok(())
    }

    fn mend(&self, fault: &Planned) -> Result<()> {
        let host = &self.hosts[fault.host];
        match &fault.fault {
            Fault::Kill | Fault::Clock { .. } => {
                host.kill();
                host.start(None)?;
            }
            Fault::Stop => host.pause(false)?,
            Fault::Cut => self.lan.join(fault.host),
            Fault::Deaf | Fault::Mute | Fault::Loss { .. } => self.filter(fault.host),
            Fault::Split { .. } => (0..self.hosts.len()).for_each(|host| self.filter(host)),
            Fault::Intruder { .. } => {
                let intruder = self.inner().intruders.remove(&fault.host);
                if let Some((stop, thread)) = intruder {
                    drop(stop);
                    thread.join().map_err(|_| anyhow::anyhow!("the hostile client panicked"))?;
                }
            }
        }
        Ok(())
    }

    /// Has a host's filters be what the faults under way ask for.
    fn filter(&self, host: usize) {
        let active: Vec<Planned> = self.inner().active.iter().map(|(_, fault)| fault.clone()).collect();
        self.lan.heal_host(host);
        for planned in active {
            match planned.fault {
                Fault::Deaf if planned.host == host => self.lan.firewall(host, "in", "iif eth0"),
                Fault::Mute if planned.host == host => self.lan.firewall(host, "out", "oif eth0"),
                Fault::Loss { percent } if planned.host == host => self.lan.loss(host, percent),
                Fault::Split { left } => {
                    let side = left.contains(&host);
                    let others = (0..self.hosts.len()).filter(|other| left.contains(other) != side);
                    let others: Vec<_> = others.map(|other| self.lan.address(other)).collect();
                    self.lan.firewall(host, "in", &format!("ip saddr {{ {} }}", others.join(", ")));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn trouble(&self, what: String) {
        eprintln!("soak: {what}");
        self.inner().troubles.push(format!("{:.0} s: {what}", self.ledger.now()));
    }

    /// Which hosts no fault concerns, and has not for a while.
    pub(crate) fn well(&self) -> Vec<bool> {
        let now = self.ledger.now();
        let inner = self.inner();
        let split = inner.active.iter().any(|(_, fault)| fault.kind == Kind::Split);
        let active = |host| split || inner.active.iter().any(|(_, fault)| fault.host == host);
        (0..self.hosts.len()).map(|host| !active(host) && inner.disturbed[host] <= now).collect()
    }

    /// Whether its process stands still.
    pub(crate) fn is_paused(&self, host: usize) -> bool {
        self.inner().active.iter().any(|(_, fault)| fault.host == host && fault.kind == Kind::Stop)
    }

    /// What was played so far, and what could not be.
    pub(crate) fn record(&self) -> (Vec<Played>, Vec<String>) {
        let inner = self.inner();
        (inner.played.clone(), inner.troubles.clone())
    }
}

/// What the harness of the tests does not get done it panics about.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<String>().cloned();
        let why = why.or_else(|| panic.downcast_ref::<&str>().map(|why| (*why).to_owned()));
        Err(anyhow::anyhow!(why.unwrap_or_else(|| "a panic".to_owned())))
    })
}
