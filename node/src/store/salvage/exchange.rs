//! Putting a new history in the place of an old one, which is moved aside.
//!
//! Nothing is deleted, and nothing is moved over anything. What is done, in this order:
//!
//! 1. The new history is made, as `.part`. `.moving` says where the old one is to go, under a name that nothing bears, and what its
//!    user is told then.
//! 2. `.part` is renamed to `.salvaged`, which decides it. A start that finds no `.salvaged` finds the old history as it was, and
//!    whatever is left of this it does anew. One that finds it does what follows, from wherever that was broken off.
//! 3. That it is decided is made durable, and what `.moving` says is noted as to be told (see [`mod@told`]).
//! 4. The old history's files are moved, its main file last. So once that has moved, all have, and what stands in their place came
//!    there since; and so did a file whose new name is taken already. All that is there then goes to another place, which is
//!    decided and told as the first one was.
//! 5. All that is made durable, and only then `.salvaged` takes the old one's place.
//!
//! What stands beside a main file is moved to names by which SQLite does not know it. It may not belong to that file; and whoever
//! looks into that with SQLite would have the journal undo the file, or the log written into it as far as it is sound and thrown
//! away, or both lost beside an empty file.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{beside, is_absent, noted, told};
use crate::durable::{self, remove};

/// What belongs to a history's file, in the order in which it is moved, and what that is called aside.
const FILES: [(&str, &str); 3] = [("-journal", "-journal.aside"), ("-wal", "-wal.aside"), ("", "")];
/// What processes that have it open share, which nobody needs once they have not.
const SHARED: &str = "-shm";

/// Where the history and all these files are.
fn dir(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn part(path: &Path) -> PathBuf {
    path.with_extension("part")
}

fn salvaged(path: &Path) -> PathBuf {
    path.with_extension("salvaged")
}

/// Where the old history goes, and what is told of it.
#[derive(Debug, PartialEq, Eq)]
struct Moving {
    aside: PathBuf,
    told: String,
}

impl Moving {
    fn note(path: &Path) -> PathBuf {
        path.with_extension("moving")
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let name = self.aside.file_name().unwrap_or_default().to_string_lossy();
        durable::write(&Self::note(path), format!("{name}\n{}", self.told).as_bytes())
    }

    /// What was written. If the disk does not give it, nothing is done: some of the files may bear that name already.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let note = Self::note(path);
        // A disk may have failed once.
        let bytes = match fs::read(&note).or_else(|_| fs::read(&note)) {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => {
                let what = "says where the old history goes, and can be removed if it will never be read";
                return Err(io::Error::new(error.kind(), format!("{} {what}: {error}", note.display())));
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let Some((name, told)) = text.split_once('\n') else { return Ok(None) };
        let is_name = Path::new(name).file_name().is_some_and(|only| only == name);
        Ok(is_name.then(|| Self { aside: path.with_file_name(name), told: told.to_owned() }))
    }
}

/// Where the new history is to be made. What is left of an earlier attempt is gone.
pub(super) fn begin(path: &Path) -> io::Result<PathBuf> {
    let part = part(path);
    for name in FILES.map(|(name, _)| name).into_iter().chain([SHARED]) {
        remove(&beside(&part, name))?;
    }
    Ok(part)
}

/// The new history is finished, and is to take the place of the old one, for which that word stands. `tell` says so, once it is
/// known where the old one goes.
pub(super) fn decide(path: &Path, word: &str, tell: impl FnOnce(&Path) -> String) -> io::Result<()> {
    let aside = free(path, word)?;
    Moving { told: tell(&aside), aside }.write(path)?;
    fs::rename(part(path), salvaged(path))
}

/// Puts a finished new history in its place, if there is one.
pub(super) fn finish(path: &Path) -> io::Result<()> {
    let salvaged = salvaged(path);
    if !is_there(&salvaged)? {
        return Ok(());
    }
    // Else a power cut could take that back, and not what follows from it.
    durable::sync_dir(dir(path))?;
    let mut moving = match Moving::read(path)? {
        Some(moving) => moving,
        None => undecided(path)?,
    };
    told::add(path, &moving.told)?;
    if came_since(path, &moving.aside)? {
        moving = another(path, &moving.aside)?;
        told::add(path, &moving.told)?;
    }
    for (name, aside) in FILES {
        match fs::rename(beside(path, name), beside(&moving.aside, aside)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    remove(&beside(path, SHARED))?;
    remove(&noted(path))?;
    durable::sync_dir(dir(path))?;
    fs::rename(salvaged, path)?;
    durable::sync_dir(dir(path))?;
    remove(&Moving::note(path))
}

/// Whether something of what stands there came after the old history had been moved, or that file of it.
fn came_since(path: &Path, aside: &Path) -> io::Result<bool> {
    let all_moved = is_there(aside)?;
    for (name, moved) in FILES {
        if is_there(&beside(path, name))? && (all_moved || is_there(&beside(aside, moved))?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Decides where that goes.
fn another(path: &Path, first: &Path) -> io::Result<Moving> {
    let aside = free(path, "other")?;
    let told = format!(
        "before the new history {} was in its place, and while the old one was moved to {}, something else came there: that was \
         moved to {}, and nothing of it was taken over; to use it instead, end the program and put it back",
        path.display(),
        first.display(),
        aside.display()
    );
    let moving = Moving { aside, told };
    moving.write(path)?;
    Ok(moving)
}

/// The same for a new history beside which nothing says where the old one goes, as older programs made them.
fn undecided(path: &Path) -> io::Result<Moving> {
    let aside = free(path, "damaged")?;
    let told = format!(
        "the history {} could not be used: it was moved to {}, and what could be read of it was taken over, by a start of the \
         program that came to no end; what other nodes hold comes back from them",
        path.display(),
        aside.display()
    );
    let moving = Moving { aside, told };
    moving.write(path)?;
    Ok(moving)
}

/// A name for the old history that says what it is and since when, and that nothing bears yet, nor stands beside.
fn free(path: &Path, word: &str) -> io::Result<PathBuf> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let when = timestamp(SystemTime::now());
    let mut number = 1_u64;
    loop {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let aside = path.with_file_name(format!("{stem}-{word}-{when}{more}.sqlite3"));
        let names = FILES.iter().flat_map(|(name, moved)| [*name, *moved]).chain([SHARED]);
        let taken: Vec<bool> = names.map(|name| is_there(&beside(&aside, name))).collect::<Result<_, _>>()?;
        if !taken.contains(&true) {
            return Ok(aside);
        }
        number += 1;
    }
}

/// Whether anything bears that name.
fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => Ok(false),
        found => found.map(|_| true),
    }
}

/// A moment as part of a file's name, in UTC.
fn timestamp(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86400, seconds % 86400);
    // The days of the years that begin in March, as in the Gregorian calendar's cycle of 400 years.
    let day = days + 719_468;
    let (cycle, of_cycle) = (day / 146_097, day % 146_097);
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march + 2) / 5 + 1, if march < 10 { march + 3 } else { march - 9 });
    let year = cycle * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Makes a new history of those bytes, and decides that it takes the place of the old one. Where that goes.
    fn decided(path: &Path, bytes: &str, told: &str) -> PathBuf {
        fs::write(begin(path).unwrap(), bytes).unwrap();
        let mut to = PathBuf::new();
        let tell = |aside: &Path| {
            aside.clone_into(&mut to);
            told.to_owned()
        };
        decide(path, "damaged", tell).unwrap();
        to
    }

    #[test]
    fn a_new_history_takes_the_place_of_the_old_one_once_it_is_decided() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        fs::write(&path, "old").unwrap();
        fs::write(begin(&path).unwrap(), "half").unwrap();
        finish(&path).unwrap();
        assert_eq!((told::read(&path).len(), fs::read_to_string(&path).unwrap()), (0, "old".to_owned()));
        let to = decided(&path, "new", "it was moved");
        for _ in 0..2 {
            finish(&path).unwrap();
            assert_eq!(told::read(&path), ["it was moved"]);
            assert_eq!([&path, &to].map(|path| fs::read_to_string(path).unwrap()), ["new", "old"]);
        }
        // A process that is killed before the decision leaves nothing to tell, and it is made again. What was to be told before
        // is still.
        decided(&path, "newer", "first");
        fs::rename(salvaged(&path), part(&path)).unwrap();
        finish(&path).unwrap();
        assert_eq!(told::read(&path), ["it was moved"]);
        decided(&path, "newest", "second");
        finish(&path).unwrap();
        assert_eq!(told::read(&path), ["it was moved", "second"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "newest");
    }

    /// Reading this process's memory at its beginning fails as a disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_history_that_is_half_moved_waits_until_it_is_known_where_the_rest_goes() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        let (log, note, saved) = (beside(&path, "-wal"), Moving::note(&path), temp.path().join("saved"));
        for (path, bytes) in [(&path, "old"), (&log, "its log")] {
            fs::write(path, bytes).unwrap();
        }
        let to = decided(&path, "new", "it was moved");
        fs::rename(&log, beside(&to, "-wal.aside")).unwrap();
        fs::rename(&note, &saved).unwrap();
        std::os::unix::fs::symlink("/proc/self/mem", &note).unwrap();
        let error = finish(&path).unwrap_err().to_string();
        assert!(error.contains(note.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        fs::rename(&saved, &note).unwrap();
        finish(&path).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
        assert_eq!(fs::read_to_string(beside(&to, "-wal.aside")).unwrap(), "its log");
        assert_eq!(told::read(&path), ["it was moved"]);
    }

    /// As when somebody looks at it before the next start: SQLite makes a log.
    #[test]
    fn a_log_that_was_moved_is_not_overwritten_by_one_that_came_since() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        let log = beside(&path, "-wal");
        for (path, bytes) in [(&path, "old"), (&log, "its log")] {
            fs::write(path, bytes).unwrap();
        }
        let to = decided(&path, "new", "it was moved");
        fs::rename(&log, beside(&to, "-wal.aside")).unwrap();
        fs::write(&log, "another").unwrap();
        finish(&path).unwrap();
        assert_eq!(fs::read_to_string(beside(&to, "-wal.aside")).unwrap(), "its log");
        let told = told::read(&path);
        assert_eq!(told.len(), 2, "{told:?}");
        let files = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().path());
        let other = files.filter(|file| file.to_str().unwrap().contains("history-other-"));
        let mut other: Vec<String> = other.map(|file| fs::read_to_string(file).unwrap()).collect();
        other.sort();
        assert_eq!(other, ["another", "old"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn moments_are_written_as_dates() {
        for (seconds, expect) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_164_800, "20240229T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), expect);
        }
    }
}
