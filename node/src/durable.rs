//! What outlasts a power cut: the names in a directory, and small files that are there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::Path,
};

use crate::private;

/// Makes the names of the files in a directory outlast a power cut, as far as its file system can do that: there are some that
/// cannot, and nobody is helped by doing without those.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(dir)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            tracing::debug!(dir = %dir.display(), %error, "whether a directory outlasts a power cut is not known");
            Ok(())
        }
        synced => synced,
    }
}

/// Puts a file with these bytes, for its owner only, in the place of whatever has that name. A crash leaves the one or the other.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    remove(temporary)?;
    let mut file = private::open(OpenOptions::new().write(true).create_new(true), temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        // As a crash leaves it.
        fs::write(temp.path().join("file.tmp"), "half").unwrap();
        for text in ["first", "second"] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let files: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(files, ["file"]);
        remove(&path).unwrap();
        remove(&path).unwrap();
        write(&temp.path().join("not").join("there"), b"").unwrap_err();
    }

    /// What `/proc` answers is what some file systems answer on which people keep files.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_that_cannot_sync_its_directories_can_be_used() {
        let refused = File::open("/proc").unwrap().sync_all().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        sync_dir(Path::new("/proc")).unwrap();
        assert_eq!(sync_dir(Path::new("/not there")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
