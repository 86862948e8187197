//! The running program.

use std::{
    collections::BTreeSet,
    io::{BufWriter, Write},
    process::{Child, ChildStdin, ExitStatus},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Fingerprint, Launch, Mark, Message, PATIENCE, clock, is,
    log::{Log, Unmet},
};

/// Lines on their way to a program that does not read them yet.
const MOST_WAITING: usize = 4_096;
/// "All of it", as the argument of `/history`.
const WHOLE: u32 = 100_000_000;

/// A running `distchat`, with everything it has said since it was first started. Dropping it kills it.
pub struct Chat {
    launch: Launch,
    log: Arc<Log>,
    run: Option<Run>,
    /// Where the present run begins, in events and in lines of standard error.
    began: (Mark, Mark),
}

/// One process: from a start to an end.
struct Run {
    child: Child,
    input: Option<SyncSender<Vec<u8>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Chat {
    /// Starts the program without waiting for anything.
    pub fn start(launch: Launch) -> Self {
        let log = Log::new(&launch.label());
        let began = (log.mark(), log.mark_stderr());
        let mut chat = Self { launch, log, run: None, began };
        chat.spawn();
        chat
    }

    fn spawn(&mut self) {
        let mut command = self.launch.command();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        self.began = (self.log.mark(), self.log.mark_stderr());
        let stdin = child.stdin.take().expect("standard input is piped");
        let (input, lines) = sync_channel(MOST_WAITING);
        let threads = vec![
            self.log.read_stdout(child.stdout.take().expect("standard output is piped"), self.launch.json()),
            self.log.read_stderr(child.stderr.take().expect("standard error is piped")),
            thread::spawn(move || write(stdin, &lines)),
        ];
        self.run = Some(Run { child, input: Some(input), threads });
    }

    /// The process's number, for [`crate::gauge`].
    pub fn pid(&self) -> u32 {
        self.run.as_ref().expect("the program runs").child.id()
    }

    /// The command line it was started with.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Types a line.
    pub fn send(&self, line: &str) {
        self.send_bytes(format!("{line}\n").as_bytes());
    }

    /// Types exactly these bytes.
    pub fn send_bytes(&self, bytes: &[u8]) {
        let input = self.run.as_ref().and_then(|run| run.input.as_ref()).expect("the program has an input");
        let deadline = Instant::now() + PATIENCE;
        let mut bytes = bytes.to_vec();
        loop {
            match input.try_send(bytes) {
                Ok(()) => return,
                // It has ended, and what follows from that is for the test to find.
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => bytes = back,
            }
            if Instant::now() > deadline {
                self.fail("it does not read its input");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types a message; one that begins with a slash is not taken for a command.
    pub fn say(&self, text: &str) {
        let slash = if text.starts_with('/') { "/" } else { "" };
        self.send(&format!("{slash}{text}"));
    }

    /// Types a message and waits until the program reports it, that is, has it on disk.
    pub fn say_and_wait(&self, text: &str) -> Message {
        let mark = self.mark();
        self.say(text);
        let event = self.wait_from(mark, &format!("its own {text:?}"), PATIENCE, |event| {
            is(event, "message") && event["own"] == true && event["text"] == text
        });
        Message::parse(&event)
    }

    /// Ends its input.
    pub fn close_input(&mut self) {
        if let Some(run) = &mut self.run {
            run.input = None;
        }
    }

    /// What is said from now on.
    pub fn mark(&self) -> Mark {
        self.log.mark()
    }

    /// Waits for an event of this run, past or to come. `within` is an upper bound: see [`PATIENCE`].
    ///
    /// # Panics
    /// If it does not come, with everything the program has said; so do all that wait.
    pub fn wait_for(&self, what: &str, within: Duration, wanted: impl FnMut(&Value) -> bool) -> Arc<Value> {
        self.wait_from(self.began.0, what, within, wanted)
    }

    /// Waits for an event said after the mark.
    pub fn wait_from(
        &self,
        mark: Mark,
        what: &str,
        within: Duration,
        wanted: impl FnMut(&Value) -> bool,
    ) -> Arc<Value> {
        self.log.wait(mark, within, wanted).unwrap_or_else(|unmet| self.unmet(what, within, unmet))
    }

    /// Waits until a message of this text is shown.
    pub fn wait_text(&self, text: &str) -> Message {
        Message::parse(
            &self.wait_for(&format!("the message {text:?}"), PATIENCE, |event| crate::is_message(event, text)),
        )
    }

    /// Waits until the user has been told, on standard error or by an `error` event, something with this word in it.
    pub fn wait_told(&self, word: &str, within: Duration) -> String {
        let word = word.to_lowercase();
        self.log
            .wait_said(self.began, within, |line| line.to_lowercase().contains(&word))
            .unwrap_or_else(|unmet| self.unmet(&format!("the user to be told of {word:?}"), within, unmet))
    }

    /// Waits for any event after the mark, but no longer than `within`.
    pub fn pause(&self, mark: Mark, within: Duration) {
        self.log.pause(mark, within);
    }

    pub(crate) fn wait_ready(&self) {
        self.wait_for("`ready`", PATIENCE, |event| is(event, "ready"));
    }

    /// A field of this run's `ready` event.
    pub fn ready(&self, field: &str) -> Value {
        self.wait_for("`ready`", PATIENCE, |event| is(event, "ready"))[field].clone()
    }

    /// Its author key, in hex.
    pub fn author(&self) -> String {
        self.ready("author").as_str().expect("an author in hex").to_owned()
    }

    /// Waits until it is connected to as many peers as that, whoever they are.
    pub fn wait_peers(&self, count: usize) {
        let mut connected = BTreeSet::new();
        self.wait_for(&format!("{count} peers"), PATIENCE, |event| {
            if is(event, "peer") {
                let peer = event["peer_id"].as_str().unwrap_or_default().to_owned();
                match event["state"].as_str() {
                    Some("connected") => _ = connected.insert(peer),
                    _ => _ = connected.remove(&peer),
                }
            }
            connected.len() >= count
        });
    }

    /// Types a command and waits for the event that answers it.
    pub fn ask(&self, command: &str, kind: &str) -> Arc<Value> {
        let mark = self.mark();
        self.send(command);
        self.wait_from(mark, &format!("`{kind}`, the answer to {command}"), PATIENCE, |event| is(event, kind))
    }

    /// The whole history of the current room, as it is shown.
    pub fn history(&self) -> Vec<Message> {
        let answer = self.ask(&format!("/history {WHOLE}"), "history");
        answer["messages"].as_array().expect("a history has messages").iter().map(Message::parse).collect()
    }

    /// The fingerprint of the current room.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::parse(&self.ask("/fingerprint", "fingerprint"))
    }

    /// The own messages it has reported, in all its runs: those that must never be lost.
    pub fn reported(&self) -> Vec<Message> {
        let all = self.log.events(Mark::START);
        all.iter()
            .filter(|event| is(event, "message") && event["own"] == true)
            .map(|event| Message::parse(event))
            .collect()
    }

    /// What this run has said so far.
    pub fn events(&self) -> Vec<Arc<Value>> {
        self.log.events(self.began.0)
    }

    /// What has been said after the mark.
    pub fn events_from(&self, mark: Mark) -> Vec<Arc<Value>> {
        self.log.events(mark)
    }

    /// The lines this run has written to standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.log.stderr(self.began.1)
    }

    /// Kills it as a power failure would: SIGKILL.
    pub fn kill9(&mut self) {
        if let Some(mut run) = self.run.take() {
            let pid = run.child.id();
            // The program may have ended by itself; then there is nothing to kill.
            let _ = run.child.kill();
            let _ = run.child.wait();
            run.input = None;
            for thread in run.threads {
                let _ = thread.join();
            }
            if self.launch.faked() {
                clock::sweep(pid);
            }
        }
    }

    /// Asks it to end: SIGTERM.
    pub fn sigterm(&self) {
        let run = self.run.as_ref().expect("the program runs");
        rustix::process::kill_process(rustix::process::Pid::from_child(&run.child), rustix::process::Signal::TERM)
            .expect("the program can be signalled");
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) {
        self.sigterm();
        let status = self.wait_exit(PATIENCE);
        if !status.success() {
            self.fail(&format!("SIGTERM ends it with {status}"));
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        let child = &mut self.run.as_mut().expect("the program was started").child;
        child.try_wait().expect("a child can be asked for").is_some()
    }

    /// Waits until it has ended.
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        if !self.log.wait_end(within) {
            self.fail(&format!("it does not end within {within:?}"));
        }
        // Only now, so that whoever waits for its end by its output is not told of an end that was not.
        let mut run = self.run.take().expect("the program runs");
        let pid = run.child.id();
        run.input = None;
        let status = run.child.wait().expect("a child can be waited for");
        for thread in run.threads {
            let _ = thread.join();
        }
        if self.launch.faked() {
            clock::sweep(pid);
        }
        status
    }

    /// Starts it again as [`Chat::restart`] does, but waits for nothing.
    pub fn begin_again(&mut self) {
        self.kill9();
        self.spawn();
    }

    /// Starts it again, on the same data directory, and waits until it is ready; kills it first if it runs.
    pub fn restart(&mut self) {
        self.begin_again();
        if self.launch.json() {
            self.wait_ready();
        }
    }

    /// Starts it again in another way, such as with another clock; kills it first if it runs.
    pub fn restart_as(&mut self, change: impl FnOnce(Launch) -> Launch) {
        self.kill9();
        self.launch = change(self.launch.clone());
        self.restart();
    }

    /// Fails the test, with everything the program has said.
    pub fn fail(&self, why: &str) -> ! {
        panic!("{}: {why}\n{:?}{}", self.launch.label(), self.launch.command(), self.log.report());
    }

    /// The end of what it has said, for the message of a failed assertion.
    pub fn report(&self) -> String {
        self.log.report()
    }

    fn unmet<T>(&self, what: &str, within: Duration, unmet: Unmet) -> T {
        match unmet {
            Unmet::TooLate => self.fail(&format!("waited {within:?} in vain for {what}")),
            Unmet::Ended => self.fail(&format!("it ended, and never came: {what}")),
            Unmet::Broken(why) => self.fail(&why),
        }
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Writes lines as they come, many at once if many wait, until there are no more or nobody reads them.
fn write(stdin: ChildStdin, lines: &Receiver<Vec<u8>>) {
    let mut stdin = BufWriter::new(stdin);
    while let Ok(first) = lines.recv() {
        let mut next = Ok(first);
        while let Ok(line) = next {
            if stdin.write_all(&line).is_err() {
                return;
            }
            next = lines.try_recv();
        }
        if stdin.flush().is_err() || next == Err(TryRecvError::Disconnected) {
            return;
        }
    }
}
