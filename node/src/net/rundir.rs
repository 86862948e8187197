//! The run directory, where the nodes of one machine and user find each other without any network.
//!
//! Each node keeps two files there, named after its peer id: `.addr` with its addresses, one a line, and `.lock`, which it
//! holds locked as long as it lives. The system unlocks it however the node ends, so a lock that can be had belongs to a
//! node that is gone, and whoever gets it removes both files. Only the `.addr` file is ever written anew, and always by
//! renaming a complete one.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use libp2p::{Multiaddr, PeerId};
use tokio::{
    sync::{mpsc, watch},
    task,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::private;

/// How often the directory is looked at.
const POLL: Duration = Duration::from_millis(500);
/// How long a directory that cannot be used is left alone: others may mend it, or its disk.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// How often what was told is told again.
const REPEAT: Duration = Duration::from_secs(30);
/// How many files are looked at.
const MAX_ENTRIES: usize = 256;
/// The longest file that is read, in bytes, and how many addresses of it are taken.
const MAX_FILE: u64 = 8192;
const MAX_ADDRESSES: usize = 32;
/// When what a node has left half-written is rubbish.
const STALE: Duration = Duration::from_secs(60);
/// How often the task is started again after a panic, and the pause before.
const RESTARTS: usize = 5;
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The nodes that are there, and their addresses.
pub(super) type Neighbours = BTreeMap<PeerId, Vec<Multiaddr>>;

/// What the directory's task tells.
#[derive(Debug)]
pub(super) enum Told {
    /// Who is there.
    Neighbours(Neighbours),
    /// The directory cannot be used. The node does without until it can.
    Unusable(String),
}

/// Keeps this node's files and tells of the others' until cancelled. Panics are caught, and the work goes on.
pub(super) async fn run(
    dir: PathBuf,
    me: PeerId,
    listening: watch::Receiver<Vec<Multiaddr>>,
    told: mpsc::Sender<Told>,
    shutdown: CancellationToken,
) {
    for _ in 0..RESTARTS {
        let once = tokio::spawn(watch_dir(dir.clone(), me, listening.clone(), told.clone(), shutdown.clone()));
        match once.await {
            Ok(()) => return,
            Err(error) => warn!(%error, "the task of the run directory has died"),
        }
        sleep(RESTART_PAUSE).await;
    }
    // Here and below: a network that has ended does not look for neighbours.
    let _ = told.send(Told::Unusable("the run directory is given up after several failures".to_owned())).await;
}

async fn watch_dir(
    dir: PathBuf,
    me: PeerId,
    mut listening: watch::Receiver<Vec<Multiaddr>>,
    told: mpsc::Sender<Told>,
    shutdown: CancellationToken,
) {
    let mut files = Files { dir, me, lock: None, written: Vec::new() };
    let mut last: Option<(Neighbours, Instant)> = None;
    // Why the directory cannot be used.
    let mut unusable: Option<String> = None;
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            _ = poll.tick() => {}
            changed = listening.changed() => if changed.is_err() { break },
        }
        let addresses = listening.borrow_and_update().clone();
        let looked = task::spawn_blocking(move || {
            let result = files.keep(&addresses).and_then(|()| Ok(files.others()?));
            (files, result)
        });
        let (back, result) = match looked.await {
            Ok(looked) => looked,
            // A panic in there is one of this task's, for whoever watches over it.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime ends.
            Err(_) => return,
        };
        files = back;
        let news = match result {
            Ok(now) => {
                if unusable.take().is_some() {
                    debug!("the run directory can be used again");
                }
                let known = last.as_ref().is_some_and(|(then, at)| *then == now && at.elapsed() < REPEAT);
                if known {
                    continue;
                }
                last = Some((now.clone(), Instant::now()));
                Told::Neighbours(now)
            }
            Err(Unusable(why)) => {
                // Whether it still says what it should is not known.
                files.written.clear();
                poll.reset_after(LEFT_ALONE);
                if unusable.as_ref() == Some(&why) {
                    continue;
                }
                unusable = Some(why.clone());
                Told::Unusable(why)
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => break,
            sent = told.send(news) => if sent.is_err() { break },
        }
    }
    // What could not be removed is found to be dead by whoever looks next.
    let _ = task::spawn_blocking(move || files.remove()).await;
}

/// Why the directory cannot be used.
#[derive(Debug)]
struct Unusable(String);

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Who is there, for somebody who is no node. A directory that is not there yet is empty. Blocks.
///
/// # Errors
/// Why the directory cannot be used, and what to do.
pub(crate) fn look(dir: &Path) -> Result<Neighbours, String> {
    let look = || {
        if matches!(fs::symlink_metadata(dir), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            return Ok(Neighbours::new());
        }
        // Whose a process is, the system tells by an entry of its own.
        #[cfg(target_os = "linux")]
        is_own_dir(dir, &fs::metadata("/proc/self")?)?;
        Ok(Files { dir: dir.to_owned(), me: PeerId::random(), lock: None, written: Vec::new() }.others()?)
    };
    look().map_err(|Unusable(why)| why)
}

/// This node's files. Everything here may block.
struct Files {
    dir: PathBuf,
    me: PeerId,
    lock: Option<File>,
    written: Vec<Multiaddr>,
}

impl Files {
    fn path(&self, peer: &PeerId, extension: &str) -> PathBuf {
        self.dir.join(format!("{peer}.{extension}"))
    }

    /// Sees to it that this node's files are there and say this.
    fn keep(&mut self, addresses: &[Multiaddr]) -> Result<(), Unusable> {
        let (lock, addr) = (self.path(&self.me, "lock"), self.path(&self.me, "addr"));
        // Somebody may have tidied up; /tmp is not for ever.
        if self.lock.is_none() || !lock.exists() {
            self.claim(&lock).map_err(|Unusable(why)| {
                Unusable(format!("nodes of this machine cannot meet in {}: {why}", self.dir.display()))
            })?;
            self.written.clear();
        }
        if self.written == addresses && addr.exists() {
            return Ok(());
        }
        let text: String = addresses.iter().map(|address| format!("{address}\n")).collect();
        let draft = self.path(&self.me, "addr.tmp");
        let written = create_private(&draft).and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = written.and_then(|()| fs::rename(&draft, &addr)) {
            // A half of it is of no use. If it stays it is removed when it is stale.
            let _ = fs::remove_file(&draft);
            return Err(Unusable(format!("nodes of this machine may not find this one: {} ({error})", addr.display())));
        }
        self.written = addresses.to_vec();
        Ok(())
    }

    /// Makes the directory and the lock file. The file is locked before it bears its name, so that nobody ever finds it
    /// unlocked while this node lives.
    fn claim(&mut self, path: &Path) -> Result<(), Unusable> {
        private::create_dir(&self.dir)?;
        let draft = self.path(&self.me, "lock.tmp");
        let file = create_private(&draft)?;
        let own = file.metadata().map_err(Unusable::from).and_then(|own| is_own_dir(&self.dir, &own));
        let checked = own.and_then(|()| file.try_lock().map_err(|e| Unusable(e.to_string())));
        if let Err(error) = checked {
            // A draft that stays is removed when it is stale.
            let _ = fs::remove_file(&draft);
            return Err(error);
        }
        fs::rename(&draft, path)?;
        self.lock = Some(file);
        Ok(())
    }

    /// The other nodes that are alive. What is left of dead ones is removed.
    fn others(&self) -> io::Result<Neighbours> {
        let mut others = Neighbours::new();
        for entry in fs::read_dir(&self.dir)?.take(4 * MAX_ENTRIES).flatten() {
            if others.len() >= MAX_ENTRIES {
                break;
            }
            let path = entry.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("addr") => {}
                Some("tmp") => {
                    remove_if_stale(&path);
                    continue;
                }
                _ => continue,
            }
            let name = path.file_stem().and_then(|stem| stem.to_str());
            let Some(peer) = name.and_then(|name| name.parse::<PeerId>().ok()) else { continue };
            if peer == self.me {
                continue;
            }
            match self.is_alive(&peer) {
                Ok(true) => {
                    if let Some(addresses) = read_addresses(&path) {
                        others.insert(peer, addresses);
                    }
                }
                Ok(false) => {
                    debug!(%peer, "removing what a dead node has left");
                    // What cannot be removed now, or was by somebody else, is looked at again the next time.
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_file(self.path(&peer, "lock"));
                }
                Err(error) => debug!(%peer, %error, "cannot tell whether this node is alive"),
            }
        }
        Ok(others)
    }

    fn is_alive(&self, peer: &PeerId) -> io::Result<bool> {
        let file = match File::open(self.path(peer, "lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn remove(self) {
        if self.lock.is_some() {
            // What stays is found to be dead by whoever looks next, for its lock is free.
            let _ = fs::remove_file(self.path(&self.me, "addr"));
            let _ = fs::remove_file(self.path(&self.me, "lock"));
        }
    }
}

fn read_addresses(path: &Path) -> Option<Vec<Multiaddr>> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    let addresses = text.lines().take(MAX_ADDRESSES).map(|line| line.parse().ok()).collect::<Option<Vec<_>>>();
    addresses.filter(|addresses| !addresses.is_empty())
}

fn remove_if_stale(path: &Path) {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    if age.is_some_and(|age| age > STALE) {
        // Somebody else may have removed it by now, or will.
        let _ = fs::remove_file(path);
    }
}

/// Makes a file for its owner only.
fn create_private(path: &Path) -> io::Result<File> {
    private::open(OpenOptions::new().write(true).create(true).truncate(true), path)
}

/// Others of this machine could send a node anywhere by writing into a directory that is theirs, such as one made ahead
/// of it in /tmp. Whose a file is that was made just now tells who this process is.
#[cfg(unix)]
fn is_own_dir(dir: &Path, own: &fs::Metadata) -> Result<(), Unusable> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let metadata = fs::symlink_metadata(dir)?;
    if !metadata.is_dir() {
        return Err(Unusable("it is not a directory".to_owned()));
    }
    if metadata.uid() != own.uid() {
        return Err(Unusable("it belongs to another user".to_owned()));
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return Err(Unusable("others may write into it; take that right away with `chmod go-w`".to_owned()));
    }
    Ok(())
}

#[cfg(not(unix))]
fn is_own_dir(dir: &Path, _: &fs::Metadata) -> Result<(), Unusable> {
    if dir.is_dir() { Ok(()) } else { Err(Unusable("it is not a directory".to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(dir: &Path) -> Files {
        Files { dir: dir.to_owned(), me: PeerId::random(), lock: None, written: Vec::new() }
    }

    fn addresses(port: u16) -> Vec<Multiaddr> {
        vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()]
    }

    #[test]
    fn nodes_see_each_other_while_they_live() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/run");
        let (mut a, mut b) = (files(&dir), files(&dir));
        a.keep(&addresses(1)).unwrap();
        b.keep(&addresses(2)).unwrap();
        assert_eq!(a.others().unwrap(), Neighbours::from([(b.me, addresses(2))]));
        assert_eq!(b.others().unwrap(), Neighbours::from([(a.me, addresses(1))]));
        b.keep(&addresses(3)).unwrap();
        assert_eq!(a.others().unwrap(), Neighbours::from([(b.me, addresses(3))]));
        b.remove();
        assert_eq!(a.others().unwrap(), Neighbours::new());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "only a's files are left");
    }

    #[test]
    fn what_a_killed_node_leaves_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let (mut a, mut b) = (files(temp.path()), files(temp.path()));
        a.keep(&addresses(1)).unwrap();
        b.keep(&addresses(2)).unwrap();
        drop(b);
        assert_eq!(a.others().unwrap(), Neighbours::new());
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_was_tidied_away_comes_back() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("run");
        let (mut a, mut b) = (files(&dir), files(&dir));
        a.keep(&addresses(1)).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        a.keep(&addresses(1)).unwrap();
        b.keep(&addresses(2)).unwrap();
        assert_eq!(b.others().unwrap(), Neighbours::from([(a.me, addresses(1))]));
    }

    #[test]
    fn rubbish_is_skipped() {
        let temp = tempfile::tempdir().unwrap();
        let (mut a, mut b) = (files(temp.path()), files(temp.path()));
        a.keep(&addresses(1)).unwrap();
        b.keep(&addresses(2)).unwrap();
        fs::write(temp.path().join("readme.addr"), "hello").unwrap();
        fs::write(temp.path().join("x.addr.tmp"), "hello").unwrap();
        fs::write(b.path(&b.me, "addr"), [0xff, 0xfe]).unwrap();
        assert_eq!(a.others().unwrap(), Neighbours::new());
        fs::write(b.path(&b.me, "addr"), "/ip4/127.0.0.1/tcp/1\nnonsense\n").unwrap();
        assert_eq!(a.others().unwrap(), Neighbours::new());
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_of_others_is_not_used() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(files(&open).keep(&addresses(1)).is_err());
        assert_eq!(fs::read_dir(&open).unwrap().count(), 0);
        let link = temp.path().join("link");
        symlink(temp.path(), &link).unwrap();
        assert!(files(&link).keep(&addresses(1)).is_err());
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(files(&file).keep(&addresses(1)).is_err());
    }
}
