//! The program on a terminal, with a person at it.

use std::{
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags},
    process::{Pid, PidfdFlags, kill_process, pidfd_open},
};

use crate::{
    Key, Launch, Mouse, PATIENCE, Screen, clock, keys,
    log::Unmet,
    pty::{Line, wait_for},
    screen::before_cursor,
};

pub use rustix::process::Signal;

/// A running `distchat` that has a terminal to itself. Dropping it kills it.
///
/// ```no_run
/// use distchat_tests::{Key, Machine, Terminal};
///
/// let mut ann = Terminal::start(Machine::loopback().chat("ann"), (80, 24));
/// ann.type_text("hello");
/// ann.key(Key::Enter);
/// let screen = ann.wait("the greeting", |screen| screen.contains("hello"));
/// assert!(screen.cursor_visible());
/// ```
pub struct Terminal {
    launch: Launch,
    child: Child,
    status: Option<ExitStatus>,
    /// None once the window is closed; then nobody is left to look at it.
    line: Option<Line>,
}

impl Terminal {
    /// Starts the program on a terminal of so many columns and rows, without waiting for anything: before the program
    /// has drawn something, what is typed is echoed by the kernel.
    pub fn start(launch: Launch, size: (u16, u16)) -> Self {
        let launch = launch.on_terminal();
        let (child, line) = Line::spawn(launch.command(), size)
            .unwrap_or_else(|error| panic!("{:?} does not start on a terminal: {error}", launch.command()));
        Self { launch, child, status: None, line: Some(line) }
    }

    /// The same with another program, such as [`Launch::shell`] makes.
    pub fn run(launch: Launch, command: Command, size: (u16, u16)) -> Self {
        let (child, line) = Line::spawn(command, size).unwrap_or_else(|error| panic!("it does not start: {error}"));
        Self { launch, child, status: None, line: Some(line) }
    }

    /// Waits until the screen is as wanted, and returns it. It is looked at whenever the program has written
    /// something, so a condition may see half of a change: it should ask for what is there only once all is.
    ///
    /// # Panics
    /// If that is not so in time or the program ends before, with what the screen shows instead; so do all that wait.
    pub fn wait(&self, what: &str, mut wanted: impl FnMut(&Screen) -> bool) -> Screen {
        let found = self.line().output().wait(PATIENCE, |state| Some(state.emulator.screen()).filter(&mut wanted));
        found.unwrap_or_else(|unmet| self.unmet(what, unmet))
    }

    /// Waits until this text can be read somewhere.
    pub fn wait_text(&self, text: &str) -> Screen {
        self.wait(&format!("{text:?} on the screen"), |screen| screen.contains(text))
    }

    /// The screen as it is.
    pub fn screen(&self) -> Screen {
        self.line().output().state().emulator.screen()
    }

    /// All that the program has ever written to the terminal; see [`crate::tame`].
    pub fn raw(&self) -> Vec<u8> {
        self.line().output().state().raw.clone()
    }

    /// Types characters, and only those: for Enter and the like there is [`Terminal::key`].
    pub fn type_text(&self, text: &str) {
        assert!(!text.contains(char::is_control), "not a text to type: {text:?}");
        self.send_bytes(text.as_bytes());
    }

    /// Presses a key. After an Escape, wait for what it does: what follows at once would become one key with it.
    pub fn key(&self, key: Key) {
        self.send_bytes(&key.bytes(self.screen().application_cursor()));
    }

    /// Pastes a text, in the way that the program has asked for.
    pub fn paste(&self, text: &str) {
        self.send_bytes(&keys::paste(text, &self.screen()));
    }

    /// Clicks on a cell.
    pub fn click(&self, column: u16, row: u16) {
        self.mouse(Mouse::Left, column, row);
    }

    /// Turns the mouse's wheel over a cell: so many notches down, or up if it is negative.
    pub fn wheel(&self, notches: i16, column: u16, row: u16) {
        for _ in 0..notches.unsigned_abs() {
            self.mouse(if notches > 0 { Mouse::WheelDown } else { Mouse::WheelUp }, column, row);
        }
    }

    /// Presses and releases a key of the mouse on a cell.
    pub fn mouse(&self, mouse: Mouse, column: u16, row: u16) {
        self.send_bytes(&keys::mouse(mouse, column, row, &self.screen()));
    }

    /// Goes to another window, or comes back; the program learns of it if it has asked for that.
    pub fn focus(&self, here: bool) {
        if self.screen().focus() {
            self.send_bytes(if here { b"\x1b[I" } else { b"\x1b[O" });
        }
    }

    /// Sends exactly these bytes.
    pub fn send_bytes(&self, bytes: &[u8]) {
        self.line().write(bytes, PATIENCE).unwrap_or_else(|why| self.fail(&why));
    }

    /// Makes the window larger or smaller: so many columns and rows.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.line().resize((columns, rows)).expect("a terminal can be resized");
    }

    /// Closes the window, as a person does who has had enough; the kernel tells the program.
    pub fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.close();
        }
    }

    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        // Once it has been waited for, its id may be another's.
        assert!(self.status.is_none(), "the program has ended");
        kill_process(Pid::from_child(&self.child), signal).expect("the program can be signalled");
    }

    /// Kills the program as a power failure would, and waits until it is gone.
    pub fn kill(&mut self) {
        if self.status.is_none() {
            // It may have ended by itself; then there is nothing to kill.
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
            self.sweep();
        }
    }

    /// Waits until the program has ended, and all it wrote is read. Returns its exit code; none if a signal ended it.
    pub fn wait_exit(&mut self) -> Option<i32> {
        if let Some(status) = self.status {
            return status.code();
        }
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).expect("a child can be watched");
        let deadline = Instant::now() + PATIENCE;
        while let Ok(None) = self.child.try_wait() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.fail("it does not end");
            }
            wait_for(&mut [PollFd::new(&process, PollFlags::IN)], Some(left));
        }
        let status = self.child.wait().expect("a child can be waited for");
        self.status = Some(status);
        self.sweep();
        if let Some(line) = &self.line
            && matches!(line.output().wait::<()>(PATIENCE, |_| None), Err(Unmet::TooLate))
        {
            self.fail("it has ended, but something keeps its terminal open");
        }
        status.code()
    }

    /// Checks that the terminal is as the program found it.
    ///
    /// # Panics
    /// If it is not, with what is left.
    pub fn assert_restored(&self) {
        let mut left = self.screen().altered();
        if !self.line().cooked().expect("a terminal can be asked for its modes") {
            left.push("the kernel does not echo and edit what is typed");
        }
        if !left.is_empty() {
            self.fail(&format!("it leaves the terminal in disorder: {left:?}"));
        }
    }

    /// Types so many characters, one after another, and measures each as [`Terminal::echo_time`] does.
    pub fn echo_times(&self, count: usize) -> Vec<Duration> {
        // No two neighbours are the same, so one that is shown is not the one before.
        let first = usize::from(before_cursor(&self.screen().shown) == "a");
        (first..first + count).map(|number| self.echo_time(char::from(b'a' + (number % 26) as u8))).collect()
    }

    /// Types a character, and measures how long it takes from there until the last byte has come of a frame that shows
    /// it left of the cursor. What is left of the cursor before must be another one; and a character must stay where it
    /// is typed: a line that has no room for it must scroll.
    pub fn echo_time(&self, letter: char) -> Duration {
        let output = self.line().output();
        let mut buffer = [0; 4];
        let letter = &*letter.encode_utf8(&mut buffer);
        let start = Instant::now();
        self.send_bytes(letter.as_bytes());
        let shown = output.wait(PATIENCE, |state| {
            (before_cursor(state.emulator.shown()) == letter).then(|| state.came.saturating_duration_since(start))
        });
        shown.unwrap_or_else(|unmet| self.unmet(&format!("{letter:?} left of the cursor"), unmet))
    }

    /// Fails the test, with what the screen shows.
    pub fn fail(&self, why: &str) -> ! {
        let report = self.line.as_ref().map_or_else(String::new, |line| line.output().report());
        panic!("{} on a terminal: {why}\n{:?}{report}", self.launch.label(), self.launch.command());
    }

    fn unmet<T>(&self, what: &str, unmet: Unmet) -> T {
        match unmet {
            Unmet::TooLate => self.fail(&format!("waited {PATIENCE:?} in vain for {what}")),
            Unmet::Ended => self.fail(&format!("it ended, and never came: {what}")),
            Unmet::Broken(why) => self.fail(&why),
        }
    }

    fn line(&self) -> &Line {
        self.line.as_ref().expect("the window has not been closed")
    }

    fn sweep(&self) {
        if self.launch.faked() {
            clock::sweep(self.child.id());
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.kill();
        self.hang_up();
    }
}
