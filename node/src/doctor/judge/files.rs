//! The profile's files.

use distchat_node::inspect::History;

use crate::doctor::{
    finding::Finding,
    observed::{Files, Key, Observed},
};

/// With less space than this nothing can be said any more, in bytes: SQLite's log alone takes 16 MiB before it is written back.
const FULL: u64 = 32 << 20;
/// With less than this it is time to tidy up.
const SCARCE: u64 = 512 << 20;

pub(super) fn judge(seen: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(files) = &seen.files {
        findings.extend(directory(files));
        findings.extend(space(files));
        findings.extend(key(files));
        findings.extend(history(files));
        findings.extend(files.aside.iter().map(|path| {
            Finding::ok("history-aside", format!("a history was moved aside to {}", path.display()))
                .fix("what could be read of it was taken over at the time: remove it once you miss nothing")
        }));
        findings.extend(files.in_use.map(|pid| {
            let whom = pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
            Finding::ok("profile-in-use", format!("the profile is in use by {whom}, and was left alone"))
        }));
    }
    match &seen.neighbours {
        Some(Err(why)) => findings.push(
            Finding::warning("run-dir", "nodes of this machine do not find each other without a network")
                .cause(why.clone())
                .fix("give another directory with --run-dir, or remove that one"),
        ),
        Some(Ok(count @ 1..)) => {
            findings.push(Finding::ok("run-dir", format!("{count} of this user's nodes run on this machine")));
        }
        Some(Ok(0)) | None => {}
    }
    findings
}

fn directory(files: &Files) -> Option<Finding> {
    let dir = files.dir.display();
    if let Some(why) = &files.unwritable {
        let what = if files.exists { "cannot be written" } else { "cannot be made" };
        return Some(
            Finding::apart(
                "data-dir",
                format!("the directory of the profile, {dir}, {what}: the program does not start"),
            )
            .cause(why.clone())
            .fix("check that it, and what it is in, belongs to you, or give another one with --data-dir"),
        );
    }
    let title = format!("the profile is new: {dir} will be made at the first start");
    (!files.exists).then(|| Finding::ok("data-dir-absent", title))
}

fn space(files: &Files) -> Option<Finding> {
    let free = files.free.filter(|free| *free < SCARCE)?;
    let title = format!("{} MiB are free where the history is, {}", free >> 20, files.dir.display());
    let fix = "free some space on that disk, or move the profile and give its place with --data-dir";
    Some(if free < FULL {
        Finding::apart("disk-full", title)
            .cause("the disk is full: what is said cannot be kept, so it cannot be sent")
            .fix(fix)
    } else {
        Finding::warning("disk-scarce", title).cause("the disk is nearly full").fix(fix)
    })
}

fn key(files: &Files) -> Option<Finding> {
    let path = files.dir.join("key");
    let path = path.display();
    match &files.key {
        Key::Good => None,
        Key::Absent if files.history == History::Absent => None,
        Key::Absent => Some(
            Finding::warning("key-absent", format!("the key {path} is gone: the next start makes a new author"))
                .cause("there is a history, and no key to it")
                .fix("restore a copy of the key before you start"),
        ),
        Key::Open(mode) => Some(
            Finding::warning(
                "key-readable",
                format!("others of this machine can read the key {path}, and write as you"),
            )
            .cause(format!("its mode is {mode:03o}"))
            .fix(format!("`chmod 600 {path}`; if somebody may have read it, move it away and go on as a new author")),
        ),
        Key::Bad(why) => Some(
            Finding::apart("key-unusable", format!("the key {path} cannot be used: the program does not start"))
                .cause(why.clone())
                .fix("restore a copy of it, or move it away to go on as a new author"),
        ),
    }
}

fn history(files: &Files) -> Option<Finding> {
    match &files.history {
        History::Absent => None,
        History::Sound => Some(Finding::ok("history", "the history is sound")),
        History::Unfinished => Some(
            Finding::ok("history", "the history opens; it is too long to be looked through in a moment")
                .fix("`distchat verify` takes the time for every byte of it"),
        ),
        History::Damaged(why) => {
            Some(Finding::warning("history-damaged", "the history is damaged").cause(why.clone()).fix(
                "start the program: it says what it did; then `distchat verify` tells whether something is missing",
            ))
        }
        History::Unusable(why) => Some(
            Finding::apart("history-unusable", "the history cannot be used: the program does not start")
                .cause(why.clone())
                .fix("do as it says; what other nodes hold comes back from them"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::doctor::finding::Severity;

    fn with(change: impl Fn(&mut Files)) -> Vec<Finding> {
        let mut seen = healthy();
        change(seen.files.as_mut().unwrap());
        judge(&seen).into_iter().filter(|finding| finding.code != "history").collect()
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Files), code: &str, severity: Severity) {
        let found = only(with(change));
        assert_eq!((found.code, found.severity), (code, severity));
        assert!(severity == Severity::Ok || !(found.cause.is_empty() || found.fix.is_empty()), "{found:?}");
    }

    #[test]
    fn sound_files_need_no_words() {
        assert_eq!(with(|_| ()), []);
        assert_eq!(only(judge(&healthy())).code, "history");
    }

    #[test]
    fn each_trouble_is_told() {
        check(|files| files.exists = false, "data-dir-absent", Severity::Ok);
        check(|files| files.unwritable = Some("Permission denied".into()), "data-dir", Severity::Apart);
        check(|files| files.free = Some(FULL - 1), "disk-full", Severity::Apart);
        check(|files| files.free = Some(FULL), "disk-scarce", Severity::Warning);
        check(|files| files.key = Key::Open(0o644), "key-readable", Severity::Warning);
        check(|files| files.key = Key::Bad("no".into()), "key-unusable", Severity::Apart);
        check(|files| files.key = Key::Absent, "key-absent", Severity::Warning);
        check(|files| files.history = History::Unusable("newer".into()), "history-unusable", Severity::Apart);
        check(|files| files.history = History::Damaged("page 7".into()), "history-damaged", Severity::Warning);
        check(|files| files.aside = vec!["history-damaged-x.sqlite3".into()], "history-aside", Severity::Ok);
        check(|files| files.in_use = Some(Some(7)), "profile-in-use", Severity::Ok);
    }

    #[test]
    fn the_mode_is_told_as_chmod_has_it() {
        assert_eq!(only(with(|files| files.key = Key::Open(0o644))).cause, "its mode is 644");
    }

    #[test]
    fn the_run_directory() {
        let mut seen = healthy();
        seen.files = None;
        seen.neighbours = Some(Err("/run/x: it belongs to another user".into()));
        let found = only(judge(&seen));
        assert_eq!((found.code, found.severity), ("run-dir", Severity::Warning));
        seen.neighbours = Some(Ok(2));
        assert_eq!(only(judge(&seen)).severity, Severity::Ok);
    }
}
