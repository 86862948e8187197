//! Putting a new history in the place of an old one, which is moved aside.
//!
//! Beside the history there are `.part`, a new one that is being made; `.salvaged`, one that is finished; and `.told`, where the
//! old one goes and what its user is told. That `.part` is renamed to `.salvaged` decides it: before that nothing has happened and
//! all is done anew, and after it each start first does what is left to do, which can be done any number of times. So whoever
//! finishes it tells what whoever began it has found, however often the process was killed in between; and what is to be told is
//! kept until the history is open.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{beside, noted, remove};
use crate::{durable, private};

/// What belongs to a history's file, and goes where it goes; the file itself is the last. What a journal says of one file would
/// be done to the next one of that name.
const FILES: [&str; 4] = ["-journal", "-wal", "-shm", ""];

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

fn note(path: &Path) -> PathBuf {
    path.with_extension("told")
}

/// Where the new history is to be made. What is left of an earlier attempt is gone.
pub(super) fn begin(path: &Path) -> io::Result<PathBuf> {
    let part = part(path);
    for name in FILES {
        remove(&beside(&part, name))?;
    }
    Ok(part)
}

/// The new history is finished, and is to take the place of the old one, for which that word stands. `tell` says so, once it is
/// known where the old one goes.
pub(super) fn decide(path: &Path, word: &str, tell: impl FnOnce(&Path) -> String) -> io::Result<()> {
    let aside = free(path, word);
    let name = aside.file_name().unwrap_or_default().to_string_lossy();
    let mut options = OpenOptions::new();
    let mut file = private::open(options.write(true).create(true).truncate(true), &note(path))?;
    write!(file, "{name}\n{}", tell(&aside))?;
    file.sync_all()?;
    durable::sync_dir(dir(path))?;
    fs::rename(part(path), salvaged(path))
}

/// Puts a finished new history in its place, if there is one. Says what a person is to be told, also of one that was put there
/// when nobody was told any more.
pub(super) fn finish(path: &Path) -> io::Result<Option<String>> {
    let (salvaged, decided) = (salvaged(path), decided(path));
    if !salvaged.exists() {
        return Ok(decided.and_then(|(aside, told)| aside.exists().then_some(told)));
    }
    let (aside, told) = decided.unwrap_or_else(|| undecided(path));
    for name in FILES {
        match fs::rename(beside(path, name), beside(&aside, name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    remove(&noted(path))?;
    fs::rename(salvaged, path)?;
    durable::sync_dir(dir(path))?;
    Ok(Some(told))
}

/// Whoever is to be told is told now.
pub(super) fn told(path: &Path) {
    if let Err(error) = remove(&note(path)) {
        tracing::warn!(%error, "what was told of the history is told again by the next start");
    }
}

/// What was decided: where the old history goes, and what is told of it.
fn decided(path: &Path) -> Option<(PathBuf, String)> {
    let text = match fs::read_to_string(note(path)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(%error, "what there is to tell of the history cannot be read");
            return None;
        }
    };
    let (name, told) = text.split_once('\n')?;
    let is_name = Path::new(name).file_name().is_some_and(|only| only == name);
    is_name.then(|| (path.with_file_name(name), told.to_owned()))
}

/// The same for a new history beside which nothing says that, as older programs made them.
fn undecided(path: &Path) -> (PathBuf, String) {
    let aside = free(path, "damaged");
    let told = format!(
        "the history {} could not be used: it was moved to {}, and what could be read of it was taken over, by a start of the \
         program that came to no end; what other nodes hold comes back from them",
        path.display(),
        aside.display()
    );
    (aside, told)
}

/// A name for the old history that says what it is and since when, and that nothing bears yet.
fn free(path: &Path, word: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let when = timestamp(SystemTime::now());
    let names = (1..).map(|n| if n == 1 { String::new() } else { format!("-{n}") });
    let mut names = names.map(|n| path.with_file_name(format!("{stem}-{word}-{when}{n}.sqlite3")));
    let free = |aside: &PathBuf| FILES.iter().all(|name| !beside(aside, name).exists());
    names.find(free).unwrap_or_default()
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

    #[test]
    fn what_is_to_be_told_is_told_until_somebody_is() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("history.sqlite3");
        fs::write(&path, "old").unwrap();
        fs::write(begin(&path).unwrap(), "half").unwrap();
        assert_eq!(finish(&path).unwrap(), None, "nothing is decided");
        fs::write(begin(&path).unwrap(), "new").unwrap();
        let mut to = PathBuf::new();
        let tell = |aside: &Path| {
            aside.clone_into(&mut to);
            "it was\nmoved".to_owned()
        };
        decide(&path, "damaged", tell).unwrap();
        for _ in 0..3 {
            assert_eq!(finish(&path).unwrap().as_deref(), Some("it was\nmoved"));
            assert_eq!([&path, &to].map(|path| fs::read_to_string(path).unwrap()), ["new", "old"]);
        }
        told(&path);
        assert_eq!(finish(&path).unwrap(), None);
        // A process that is killed before the decision leaves nothing to tell, and it is made again.
        fs::write(begin(&path).unwrap(), "newer").unwrap();
        decide(&path, "damaged", |_| "first".to_owned()).unwrap();
        fs::rename(salvaged(&path), part(&path)).unwrap();
        assert_eq!(finish(&path).unwrap(), None);
        fs::write(begin(&path).unwrap(), "newest").unwrap();
        decide(&path, "damaged", |_| "second".to_owned()).unwrap();
        assert_eq!(finish(&path).unwrap().as_deref(), Some("second"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "newest");
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
