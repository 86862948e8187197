//! A command line of the program under test, and how it is run.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use crate::{
    Chat, Machine, PATIENCE, binary,
    clock::{self, Clock, Wrong},
};

/// A command line, put together step by step; [`Launch::start`] runs it.
#[derive(Clone, Debug)]
pub struct Launch {
    machine: Machine,
    profile: String,
    data_dir: PathBuf,
    options: Vec<OsString>,
    variables: Vec<(String, String)>,
    clock: Option<Wrong>,
    umask: Option<u32>,
    json: bool,
    bare: bool,
    listens: bool,
    terminal: bool,
}

/// What is left of a program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it said on standard error.
    pub stderr: Vec<String>,
    /// The lines, or events, on standard output.
    pub stdout: Vec<String>,
}

impl Launch {
    pub(crate) fn new(machine: Machine, profile: &str) -> Self {
        Self {
            data_dir: machine.data_dir(),
            machine,
            profile: profile.to_owned(),
            options: Vec::new(),
            variables: Vec::new(),
            clock: None,
            umask: None,
            json: true,
            bare: false,
            listens: false,
            terminal: false,
        }
    }

    /// `--room`
    pub fn room(self, room: &str) -> Self {
        self.options(["--room", room])
    }

    /// `--nick`
    pub fn nick(self, nick: &str) -> Self {
        self.options(["--nick", nick])
    }

    /// `--listen`
    ///
    /// # Panics
    /// If the machine is not in a namespace and the address is not a loopback address.
    pub fn listen(mut self, address: &str) -> Self {
        let inside = self.machine.namespace().is_some() || address.starts_with("/ip4/127.");
        assert!(inside, "{address} would be reachable from outside this computer");
        self.listens = true;
        self.options(["--listen", address])
    }

    /// Further options, as they are.
    pub fn options<T: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = T>) -> Self {
        self.options.extend(options.into_iter().map(|option| option.as_ref().to_owned()));
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another directory for the profile than the machine's usual one.
    pub fn data_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.data_dir = directory.into();
        self
    }

    /// A calendar clock that is off by `offset`, such as `+365d`, or begins at a time, such as `@2100-01-01 00:00:00`; see
    /// [`crate::skip::clocks_or_skip`].
    pub fn clock(mut self, offset: &str) -> Self {
        self.clock = Some(Wrong::By(offset.to_owned()));
        self
    }

    /// A calendar clock that is set while it runs.
    pub fn set_by(mut self, clock: &Clock) -> Self {
        self.clock = Some(Wrong::As(clock.clone()));
        self
    }

    /// Which permissions its user takes away from files that it makes.
    pub fn umask(mut self, umask: u32) -> Self {
        self.umask = Some(umask);
        self
    }

    /// The right clock again.
    pub fn right_clock(mut self) -> Self {
        self.clock = None;
        self
    }

    /// Line mode for people: without `--json`, so that every line on standard output is an event that is a string.
    pub fn plain(mut self) -> Self {
        self.json = false;
        self
    }

    /// For people at a terminal; see [`crate::Terminal::start`].
    pub(crate) fn on_terminal(mut self) -> Self {
        self.json = false;
        self.terminal = true;
        self
    }

    /// No option that was not asked for: neither `--name` nor `--data-dir`. The profile is the default one, in the
    /// machine's own home directory.
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Where the profile's key, history and lock are.
    pub fn profile_dir(&self) -> PathBuf {
        assert!(!self.bare, "only a program started with --data-dir has a known place");
        self.data_dir.join(&self.profile)
    }

    /// Starts the program and waits until it says that it is ready.
    pub fn start(self) -> Chat {
        let chat = Chat::start(self);
        if chat.launch().json {
            chat.wait_ready();
        }
        chat
    }

    /// Runs the program with this input to its end.
    pub fn run(self, input: &[u8]) -> Finished {
        let mut chat = Chat::start(self);
        chat.send_bytes(input);
        chat.close_input();
        let status = chat.wait_exit(PATIENCE);
        chat.finished(status)
    }

    /// Runs the program to its end, without input, where it is expected to refuse to start.
    pub fn refused(self) -> Finished {
        let mut chat = Chat::start(self);
        let status = chat.wait_exit(Duration::from_secs(30));
        chat.finished(status)
    }

    pub(crate) fn label(&self) -> String {
        match self.machine.namespace() {
            Some(namespace) => format!("{} in {namespace}", self.profile),
            None => self.profile.clone(),
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Whether it has a clock of its own; see [`clock::sweep`].
    pub fn faked(&self) -> bool {
        self.clock.is_some()
    }

    /// Another program, such as a shell, which finds the program under test as `distchat`, with this profile.
    pub fn shell(&self, program: &str) -> Command {
        assert!(self.machine.namespace().is_none(), "a shell outside of any namespace");
        let mut command = Command::new(program);
        self.surround(&mut command);
        let beside = binary::distchat().parent().unwrap_or(std::path::Path::new("."));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", beside.display()))
            .env("TERM", "xterm-256color")
            .env("DISTCHAT_NAME", &self.profile)
            .env("DISTCHAT_DATA_DIR", &self.data_dir)
            .env("DISTCHAT_NO_MDNS", "true")
            .env("DISTCHAT_LISTEN", "/ip4/127.0.0.1/tcp/0");
        command
    }

    /// The environment that all have.
    fn surround(&self, command: &mut Command) {
        let machine = &self.machine;
        // A test never touches the profile of the person who runs it, whatever options it forgets; nor do their options
        // reach it.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("DISTCHAT_")) {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", machine.home())
            .env("XDG_DATA_HOME", machine.home().join("data"))
            .env("XDG_CONFIG_HOME", machine.config_home())
            .env("XDG_RUNTIME_DIR", machine.run_dir())
            .env("DISTCHAT_RUN_DIR", machine.run_dir())
            .env_remove("RUST_LOG");
    }

    /// What runs it, for those who attend to the process themselves. Its three streams are pipes.
    pub fn command(&self) -> Command {
        let machine = &self.machine;
        let mut command = match (machine.namespace(), self.umask) {
            (Some(namespace), umask) => {
                assert!(umask.is_none(), "nobody has needed that yet");
                // `ip` becomes the program (it does not stay as its parent), so signals reach the program.
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(binary::distchat());
                command
            }
            (None, umask) => {
                let mut command = match umask {
                    // The shell becomes the program, too.
                    Some(umask) => {
                        let mut command = Command::new("sh");
                        command.args(["-c", &format!("umask {umask:04o}; exec \"$0\" \"$@\"")]).arg(binary::distchat());
                        command
                    }
                    None => Command::new(binary::distchat()),
                };
                command.arg("--no-mdns");
                if !self.listens {
                    command.args(["--listen", "/ip4/127.0.0.1/tcp/0"]);
                }
                command
            }
        };
        if self.json {
            command.arg("--json");
        }
        if !self.bare {
            command.args(["--name", &self.profile]).arg("--data-dir").arg(&self.data_dir);
        }
        command.args(&self.options);
        self.surround(&mut command);
        if self.terminal {
            // The terminal that the tests are run on is not the one that the program gets.
            for name in ["COLORTERM", "NO_COLOR", "TERM_PROGRAM", "COLUMNS", "LINES"] {
                command.env_remove(name);
            }
            command.env("TERM", "xterm-256color").env("TZ", "UTC");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(wrong) = &self.clock {
            command.envs(clock::environment(wrong));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Chat {
    fn finished(&self, status: ExitStatus) -> Finished {
        let stdout =
            self.events().iter().map(|event| event.as_str().map_or_else(|| event.to_string(), str::to_owned)).collect();
        Finished { code: status.code(), stderr: self.stderr(), stdout }
    }
}
