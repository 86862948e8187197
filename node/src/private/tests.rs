#![cfg(unix)]

use std::{
    fs::Permissions,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn refused(dir: &Path, at: &Path, expect: &str) {
    match directory(dir) {
        Err(Refused::Unsafe(Unsafe { path, why })) => {
            assert!(why.contains(expect), "{why:?} does not say {expect:?}");
            assert_eq!(path, at);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_directory_is_closed_and_an_open_one_is_mended() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("not/yet");
    assert_eq!(directory(&dir).unwrap(), [""; 0]);
    assert_eq!([mode(&dir), mode(&temp.path().join("not"))], [0o700, 0o700]);
    set_mode(&dir, 0o777);
    for (name, open) in [("key", 0o644), ("history.sqlite3-wal", 0o666), ("socket", 0o600)] {
        fs::write(dir.join(name), "").unwrap();
        set_mode(&dir.join(name), open);
    }
    let told = directory(&dir).unwrap();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("look into") && told[1].contains("history.sqlite3-wal") && told[2].contains("key"));
    assert_eq!([mode(&dir), mode(&dir.join("key")), mode(&dir.join("history.sqlite3-wal"))], [0o700, 0o600, 0o600]);
    assert_eq!(directory(&dir).unwrap(), [""; 0]);
}

#[test]
fn where_others_can_write_nothing_is_kept() {
    let temp = tempfile::tempdir().unwrap();
    let open = temp.path().join("open");
    let dir = open.join("between/profile");
    directory(&dir).unwrap();
    set_mode(&open, 0o777);
    refused(&dir, &open, "`chmod o-w`");
    set_mode(&open, 0o1777);
    directory(&dir).unwrap();
    set_mode(&open.join("between"), 0o702);
    refused(&dir, &open.join("between"), "everybody may write");
    set_mode(&open.join("between"), 0o720);
    let group = rustix::process::getegid().as_raw();
    let of_one = group == 0 || group == rustix::process::geteuid().as_raw();
    assert_eq!(directory(&dir).unwrap().len(), usize::from(!of_one));
}

#[test]
fn a_link_of_ones_own_may_lead_there_and_one_in_an_open_place_may_not() {
    let temp = tempfile::tempdir().unwrap();
    let (real, links, open) = (temp.path().join("real"), temp.path().join("links"), temp.path().join("open"));
    directory(&real.join("profile")).unwrap();
    for dir in [&links, &open] {
        fs::create_dir(dir).unwrap();
        symlink("../real", dir.join("data")).unwrap();
        symlink(real.join("profile"), dir.join("profile")).unwrap();
    }
    set_mode(&open, 0o777);
    for way in ["data/profile", "profile"] {
        assert_eq!(directory(&links.join(way)).unwrap(), [""; 0]);
        refused(&open.join(way), &open, "everybody may write");
    }
    symlink(links.join("round"), links.join("round")).unwrap();
    assert!(matches!(directory(&links.join("round/profile")), Err(Refused::Io(..))));
}

#[test]
fn what_leads_out_of_it_or_is_no_file_is_refused_and_left() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, secret) = (temp.path().join("profile"), temp.path().join("secret"));
    directory(&dir).unwrap();
    fs::write(&secret, "secret").unwrap();
    set_mode(&secret, 0o644);
    for name in ["key", "lock", "history.sqlite3", "chat.cbor"] {
        let path = dir.join(name);
        symlink(&secret, &path).unwrap();
        refused(&dir, &path, "symbolic link");
        assert!(open(OpenOptions::new().read(true), &path).is_err(), "nor is it followed should it come later");
        assert!(path.is_symlink());
        fs::remove_file(&path).unwrap();
    }
    assert_eq!((fs::read_to_string(&secret).unwrap().as_str(), mode(&secret)), ("secret", 0o644));
    let pipe = dir.join("key");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    refused(&dir, &pipe, "no file");
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can make something that is somebody else's.
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("profile");
    directory(&dir).unwrap();
    let give = |path: &Path| std::os::unix::fs::lchown(path, Some(12_345), None).unwrap();
    fs::write(dir.join("key"), "").unwrap();
    give(&dir.join("key"));
    refused(&dir, &dir.join("key"), "another user");
    give(&dir);
    refused(&dir, &dir, "it belongs to another user");
    let link = temp.path().join("link");
    symlink("profile", &link).unwrap();
    give(&link);
    refused(&link, &link, "another user has made");
    give(temp.path());
    refused(&temp.path().join("new"), temp.path(), "put anything in its place");
}
