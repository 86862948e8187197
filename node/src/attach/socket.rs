//! Where the socket is, and how it is had.
//!
//! It is the file `socket` in the profile's directory. Whoever runs the node holds that directory's lock, so a socket
//! that is there before it listens belongs to a node that is gone.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// A connection.
pub(super) type Stream = tokio::net::UnixStream;

const NAME: &str = "socket";
/// The longest path that a socket's address holds: 107 bytes on Linux, some less elsewhere.
const MAX_PATH: usize = 100;

/// A listening socket. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens in that directory, for this user alone. Blocks for moments; needs a runtime.
    pub(super) fn listen(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = reached(directory, |near| UnixListener::bind(near))?;
        // The directory is closed to others already.
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Waits for somebody to connect who is this user, or root, who could do anything anyway.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let own = rustix::process::geteuid().as_raw();
            if stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0) {
                return Ok(stream);
            }
            tracing::warn!("another user's program wanted to use this node, and was refused");
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // What could not be removed is found to be dead by whoever comes next.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether this user's node is at the other end, or root's. Another's would be told all that is said here, and its directory
/// may not have been looked at yet. Root uses the node of whose directory it names.
fn is_trusted(stream: &Stream, directory: &Path) -> bool {
    let own = rustix::process::geteuid();
    let owner = fs::metadata(directory).map(|metadata| metadata.uid());
    let Ok(node) = stream.peer_cred().map(|peer| peer.uid()) else { return false };
    node == own.as_raw() || node == 0 || (own.is_root() && owner.is_ok_and(|owner| owner == node))
}

/// Connects to the node that uses that directory; `None` if there is none.
pub(super) async fn connect(directory: &Path) -> io::Result<Option<Stream>> {
    let place = directory.to_owned();
    let connected =
        tokio::task::spawn_blocking(move || reached(&place, |near| std::os::unix::net::UnixStream::connect(near)));
    match connected.await? {
        Ok(stream) => {
            stream.set_nonblocking(true)?;
            let stream = Stream::from_std(stream)?;
            if is_trusted(&stream, directory) {
                return Ok(Some(stream));
            }
            Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"))
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls that with the socket's path, or with a shorter way to it.
fn reached<T>(directory: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = directory.join(NAME);
    if path.as_os_str().len() <= MAX_PATH || !cfg!(target_os = "linux") {
        return with(&path);
    }
    // Held open until the call is done.
    let held = File::open(directory)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&held);
    with(&Path::new("/proc/self/fd").join(number.to_string()).join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_found_below_a_long_path_and_is_nobody_elses() {
        let top = tempfile::tempdir().unwrap();
        for length in [1, 200] {
            let directory = top.path().join("d".repeat(length));
            assert!(connect(&directory).await.unwrap().is_none(), "no directory");
            fs::create_dir(&directory).unwrap();
            assert!(connect(&directory).await.unwrap().is_none(), "no socket");
            let socket = Socket::listen(&directory).unwrap();
            assert_eq!(fs::metadata(&socket.path).unwrap().permissions().mode() & 0o777, 0o600);
            let (connected, accepted) = tokio::join!(connect(&directory), socket.accept());
            assert!(connected.unwrap().is_some() && accepted.is_ok());

            // One that was left behind is dead, and in nobody's way.
            let path = socket.path.clone();
            std::mem::forget(socket);
            let again = Socket::listen(&directory).unwrap();
            drop(again);
            assert!(!path.exists());
        }
    }
}
