//! A profile is one process's and one user's: whatever others can do to its directory, it is refused or mended, and that is
//! said.

use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind},
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use distchat_tests::{Chat, Finished, Key, Launch, Machine, PATIENCE};

use crate::{
    chat_screen::{SIZE, enter, sit},
    common::texts,
};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A profile that was used and left in good order.
fn used(machine: &Machine) -> Launch {
    let mut ann = machine.chat("ann").start();
    ann.say_and_wait("something to keep");
    ann.stop();
    ann.launch().clone()
}

/// It ends with one line that names the place and says this, and it never was ready.
#[track_caller]
fn assert_refused(finished: &Finished, place: &Path, why: &str) {
    assert!(finished.code.is_some_and(|code| code != 0), "{finished:?}");
    assert_eq!(finished.stderr.len(), 1, "one line: {finished:?}");
    assert!(finished.stderr[0].contains(&place.display().to_string()), "it names {}: {finished:?}", place.display());
    assert!(finished.stderr[0].contains(why), "it says {why:?}: {finished:?}");
    assert!(!finished.stdout.iter().any(|line| line.contains("\"ready\"")), "{finished:?}");
}

fn is_in_use(launch: &Launch) {
    let mut ann = launch.clone().start();
    assert_eq!(texts(&ann.history()), ["something to keep"]);
    ann.stop();
}

#[test]
fn of_eight_processes_that_start_at_once_one_has_the_profile() {
    let machine = Machine::loopback();
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let launch = machine.chat("ann").options(["daemon"]);
            thread::spawn(move || Chat::start(launch))
        })
        .collect();
    let mut all: Vec<Chat> = starting.into_iter().map(|starting| starting.join().unwrap()).collect();
    // Those who are refused end; the one who is not stays.
    while all.len() > 1 {
        let Some(ended) = all.iter_mut().position(Chat::has_ended) else {
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let mut refused = all.swap_remove(ended);
        let status = refused.wait_exit(PATIENCE);
        let told = refused.stderr();
        assert_eq!(status.code(), Some(3), "{told:?}");
        assert!(told.len() == 1 && told[0].contains("profile `ann` is in use by"), "{told:?}");
    }
    all[0].ready("author");
    all[0].stop();
}

#[test]
fn what_others_could_read_is_closed_and_that_is_told() {
    let machine = Machine::loopback();
    let launch = used(&machine);
    let directory = launch.profile_dir();
    let open = [(directory.clone(), 0o777), (directory.join("key"), 0o644), (directory.join("history.sqlite3"), 0o666)];
    for (path, mode) in &open {
        set_mode(path, *mode);
    }
    let mut ann = launch.clone().start();
    for (path, _) in &open {
        ann.wait_told(&path.display().to_string(), PATIENCE);
        assert_eq!(mode(path) & 0o077, 0, "{}", path.display());
    }
    ann.stop();
    ann.restart();
    assert!(ann.stderr().is_empty(), "it is told once: {:?}", ann.stderr());
}

#[test]
fn where_everybody_can_write_nothing_is_kept() {
    let machine = Machine::loopback();
    let launch = used(&machine);
    let above = machine.data_dir();
    set_mode(&above, 0o777);
    assert_refused(&launch.clone().refused(), &above, "chmod o-w");
    assert_eq!(mode(&above), 0o777, "whether it is meant to be so, its user knows");
    set_mode(&above, 0o1777);
    is_in_use(&launch);
}

#[test]
fn the_directories_may_be_links_of_the_user() {
    let machine = Machine::loopback();
    let launch = used(&machine);
    let elsewhere = machine.directory().join("elsewhere");
    fs::rename(machine.data_dir(), &elsewhere).unwrap();
    symlink(&elsewhere, machine.data_dir()).unwrap();
    is_in_use(&launch);
    let (here, moved) = (elsewhere.join("ann"), machine.directory().join("moved"));
    fs::rename(&here, &moved).unwrap();
    symlink("../moved", &here).unwrap();
    is_in_use(&launch);
    // A link that others could turn elsewhere is none of the user's.
    set_mode(&elsewhere, 0o777);
    assert_refused(&launch.clone().refused(), &elsewhere, "everybody may write");
}

#[test]
fn links_in_a_profile_are_refused_and_what_they_lead_to_is_left() {
    let machine = Machine::loopback();
    let launch = used(&machine);
    for name in ["key", "lock", "history.sqlite3", "search.sqlite3", "chat.cbor", "distchat.log"] {
        let (path, target) = (launch.profile_dir().join(name), machine.directory().join("target"));
        let kept = path.exists().then(|| fs::read(&path).unwrap());
        match &kept {
            Some(_) => fs::rename(&path, &target).unwrap(),
            None => fs::write(&target, "precious").unwrap(),
        }
        set_mode(&target, 0o644);
        let before = fs::read(&target).unwrap();
        symlink(&target, &path).unwrap();
        assert_refused(&launch.clone().refused(), &path, "symbolic link");
        assert_eq!((fs::read(&target).unwrap(), mode(&target)), (before, 0o644), "{name}");
        fs::remove_file(&path).unwrap();
        if kept.is_some() {
            fs::rename(&target, &path).unwrap();
        }
    }
    // A socket is made anew at every start; what a link in its place leads to stays as it is.
    let (socket, target) = (launch.profile_dir().join("socket"), machine.directory().join("target"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &socket).unwrap();
    assert_refused(&launch.clone().refused(), &socket, "symbolic link");
    fs::remove_file(&socket).unwrap();
    is_in_use(&launch);
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn what_another_user_has_put_there_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can make something that is somebody else's.
        return;
    }
    let machine = Machine::loopback();
    let launch = used(&machine);
    let give = |path: &Path, user: u32| std::os::unix::fs::lchown(path, Some(user), None).unwrap();
    for path in [launch.profile_dir().join("key"), launch.profile_dir(), machine.data_dir()] {
        give(&path, 12_345);
        assert_refused(&launch.clone().refused(), &path, "another user");
        give(&path, 0);
    }
    is_in_use(&launch);
}

/// Were it open to everybody, as on a system that does not look at the mode of a socket.
#[test]
fn the_socket_serves_no_other_user() {
    if !rustix::process::geteuid().is_root() {
        // Only root can be somebody else for a while.
        return;
    }
    let machine = Machine::loopback();
    let ann = machine.chat("ann").room("general").start();
    let socket = ann.launch().profile_dir().join("socket");
    set_mode(&socket, 0o666);
    for above in socket.ancestors().skip(1).filter(|above| above.starts_with(machine.directory())) {
        set_mode(above, 0o755);
    }
    let first_line_for = |user: u32| {
        let socket = socket.clone();
        let other = thread::spawn(move || {
            // Of this thread alone, which ends with it.
            let user = rustix::thread::Uid::from_raw(user);
            rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            let stream = UnixStream::connect(socket).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).map(|_| line)
        });
        other.join().unwrap()
    };
    assert!(first_line_for(0).unwrap().contains("\"distchat\":1"));
    match first_line_for(12_345) {
        Ok(line) => assert_eq!(line, "", "it is told something"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it keeps the connection"),
    }
    assert!(first_line_for(0).unwrap().contains("\"distchat\":1"), "it goes on");
}

#[test]
fn a_group_that_can_write_above_is_told_of_and_not_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can give something to a group that it is not in.
        return;
    }
    let machine = Machine::loopback();
    let launch = used(&machine);
    let above = machine.data_dir();
    std::os::unix::fs::chown(&above, None, Some(12_345)).unwrap();
    set_mode(&above, 0o770);
    let ann = launch.clone().start();
    let told = ann.wait_told("the group 12345", PATIENCE);
    assert!(told.contains(&format!("chmod g-w {}", above.display())), "{told}");
    assert_eq!(texts(&ann.history()), ["something to keep"]);
    assert_eq!(mode(&above), 0o770, "whether it is meant to be so, its user knows");
}

#[test]
fn a_pipe_in_the_place_of_a_key_keeps_nobody_waiting() {
    let machine = Machine::loopback();
    let launch = used(&machine);
    let key = launch.profile_dir().join("key");
    fs::remove_file(&key).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &key, rustix::fs::Mode::RUSR).unwrap();
    assert_refused(&launch.refused(), &key, "no file");
}

#[test]
fn whatever_the_umask_nothing_of_ours_is_anybody_elses() {
    let machine = Machine::loopback();
    // The harness has made these, as open as they come.
    let run = machine.directory().join("run/distchat");
    let data = machine.directory().join("private");
    let launch = |profile: &str| {
        let launch = machine.chat(profile).umask(0).data_dir(&data).options(["--log", "debug"]);
        launch.env("DISTCHAT_RUN_DIR", run.to_str().unwrap())
    };
    let mut ann = sit(launch("ann"), SIZE);
    enter(&ann, "what is written now is mine");
    ann.wait_text("│ what is written now is mine");
    enter(&ann, "/search written");
    ann.wait("an answer", |screen| screen.contains("found"));
    ann.key(Key::Escape);
    let open: Vec<PathBuf> =
        files(&data).into_iter().chain(files(&run)).filter(|path| mode(path) & 0o077 != 0).collect();
    assert!(open.is_empty(), "{open:?}");
    let names: Vec<_> = files(&data.join("ann")).iter().filter_map(|path| Some(path.file_name()?.to_owned())).collect();
    for name in ["key", "lock", "socket", "history.sqlite3", "history.sqlite3-wal", "search.sqlite3", "distchat.log"] {
        assert!(names.iter().any(|found| found == name), "{name} is among {names:?}, so that this tests something");
    }
    assert!(files(&run).iter().any(|path| path.extension().is_some_and(|extension| extension == "addr")));
    assert!(fs::symlink_metadata(data.join("ann/socket")).unwrap().file_type().is_socket());
    crate::chat_screen::stop(&mut ann);
    assert_eq!(mode(&data.join("ann/chat.cbor")) & 0o077, 0);

    // What somebody asks for is for whom they want.
    for (umask, expect) in [(0o000, 0o666), (0o027, 0o640)] {
        let file = machine.directory().join(format!("{umask:o}.bundle"));
        let output = file.to_str().unwrap();
        let written = launch("ann").umask(umask).options(["export", "lobby", "-o", output]).run(b"");
        assert_eq!(written.code, Some(0), "{written:?}");
        assert_eq!(mode(&file), expect);
    }
}

/// The directory and all that is in it.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            found.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found
}
