//! The command line: what is asked for, which of the three ways to talk suits it, and the exit code.
//!
//! `settings` gathers the options of `args` from everywhere. In a terminal [`chat`] talks, which has commands and what they
//! answer from here; else `session` does, in lines or in JSON. `input`, `command` and `execute` are its way in; `report` is
//! what it has to say, `json` and `text` put that into words, `output` and `diagnostics` carry the words out.

pub(crate) mod args;
pub(crate) mod clock;
pub(crate) mod command;
mod commands;
mod diagnostics;
pub(crate) mod escape;
pub(crate) mod execute;
mod fold;
mod front;
pub(crate) mod input;
mod json;
pub(crate) mod output;
mod priority;
pub(crate) mod report;
pub(crate) mod session;
mod settings;
pub(crate) mod signals;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod text;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use distchat_node::Config;
use tokio::sync::mpsc;

use self::args::Args;
use self::commands::{Desk, Verb};
use self::diagnostics::Diagnostics;
use self::front::{Front, View};
use self::input::Stdin;
use self::session::Session;
use self::signals::Signals;
use crate::attach::{Client, Face, OpenError, Problem};
use crate::chat;

/// Something went wrong that no other code stands for.
const UNEXPECTED: u8 = 1;
/// An option cannot be understood, wherever it was given.
const USAGE: u8 = 2;
/// The profile is in use by a process that cannot be attached to.
const IN_USE: u8 = 3;
/// Not so many others as were wanted have it on disk.
const UNCONFIRMED: u8 = 7;
/// There is nothing of the kind that was asked for.
const NOTHING: u8 = 8;
/// A file or a history is damaged, or somebody has changed it.
const DAMAGED: u8 = 9;

/// How the program talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One JSON object a line.
    Json,
    /// One message a line.
    Lines,
    /// A full-screen chat.
    Terminal,
}

impl Mode {
    fn of(args: &Args) -> Self {
        if args.json {
            return Self::Json;
        }
        if args.verb.is_some() {
            return Self::Lines;
        }
        // A dumb terminal cannot move its cursor, and the chat has to.
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if !dumb && std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
            Self::Terminal
        } else {
            Self::Lines
        }
    }
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let settings = match settings::load(std::env::args_os(), &|name| std::env::var_os(name), settings::read) {
        Ok(settings) => settings,
        Err(args::Refusal::Asked(text)) => return answer(&text),
        Err(args::Refusal::Wrong(reason)) => return complain(&reason, USAGE),
    };
    match &settings.args.verb {
        Some(Verb::Config) => return answer(&settings.show()),
        Some(verb) => {
            if let Some(text) = verb.answer() {
                return answer(&text);
            }
        }
        None => {}
    }
    let args = settings.args;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if Mode::of(&args) == Mode::Terminal {
        // The chat itself runs on this thread, the node on those of the runtime.
        priority::give_way(&mut builder);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the program cannot start its threads: {error}"), UNEXPECTED),
    };
    let result = runtime.block_on(Box::pin(run(args)));
    // Whatever still blocks a thread (a lookup of a name, say) does not keep a program that is done.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // There is nothing to say that was not said.
        Err(failure) if failure.message.is_empty() => ExitCode::from(failure.code),
        Err(failure) => complain(&failure.message, failure.code),
    }
}

/// Says what was asked for instead of a chat.
fn answer(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever has closed the pipe has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(&format!("the answer cannot be written: {error}"), UNEXPECTED),
    }
}

/// Why the program ends other than by wish.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    pub(crate) fn unexpected(message: String) -> Self {
        Self { message, code: UNEXPECTED }
    }

    /// What was asked for cannot be.
    fn usage(message: String) -> Self {
        Self { message, code: USAGE }
    }

    /// Others may have it and may not.
    fn unconfirmed(message: String) -> Self {
        Self { message, code: UNCONFIRMED }
    }

    /// There is nothing of that kind, which was said.
    fn nothing() -> Self {
        Self { message: String::new(), code: NOTHING }
    }

    /// Not all was as it should be, which was said.
    fn damaged() -> Self {
        Self { message: String::new(), code: DAMAGED }
    }

    /// Whoever has closed the pipe has read enough.
    fn unread() -> Self {
        Self { message: String::new(), code: 0 }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let code = match problem.code.as_ref() {
            "too-long" | "empty" | "bad-nick" | "no-words" | "too-many-words" => USAGE,
            "attach" => IN_USE,
            _ => UNEXPECTED,
        };
        Self { message: problem.message, code }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Start(error) => Self { message: error.to_string(), code: error.exit_code() },
            OpenError::Attach(problem) => problem.into(),
        }
    }
}

/// Says in one line why the program ends. `eprintln!` would panic if stderr were closed.
fn complain(message: &str, code: u8) -> ExitCode {
    let line = format!("distchat: {}\n", escape::visible(message));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
    ExitCode::from(code)
}

async fn run(args: Args) -> Result<(), Failure> {
    let mode = Mode::of(&args);
    let (diagnostics, logs) = Diagnostics::start(&args.log, mode == Mode::Terminal)
        .map_err(|error| Failure::unexpected(format!("the program cannot start its threads: {error}")))?;
    let result = start(&args, mode, diagnostics.clone(), logs).await;
    diagnostics.finish().await;
    result
}

/// Starts the node, and talks. `logs` are the lines of the log where the chat has them.
async fn start(
    args: &Args,
    mode: Mode,
    diagnostics: Diagnostics,
    mut logs: Option<mpsc::Receiver<String>>,
) -> Result<(), Failure> {
    let mut signals = Signals::listen(mode == Mode::Terminal)
        .map_err(|error| Failure::unexpected(format!("the program cannot listen for signals: {error}")))?;
    if let Some(Verb::Doctor(doctor)) = &args.verb {
        return tokio::select! {
            result = doctor.run(config(args), mode == Mode::Json) => result,
            () = signals.recv() => Verb::Doctor(doctor.clone()).interrupted(),
        };
    }
    let face = args.verb.as_ref().map_or(Face::Chat, Verb::face);
    // Started in a task of its own: it may wait for a disk, and a person who changes their mind does not.
    let starting = tokio::spawn(open(config(args), face));
    let client = tokio::select! {
        client = starting => client,
        () = signals.recv() => return args.verb.as_ref().map_or(Ok(()), Verb::interrupted),
    };
    let failure = match client {
        Ok(Ok(client)) => {
            return match mode {
                Mode::Terminal => Box::pin(chat::run(client, args, signals, logs)).await,
                Mode::Json => Box::pin(serve(client, args, View::Json, signals, diagnostics)).await,
                Mode::Lines => Box::pin(serve(client, args, View::text(), signals, diagnostics)).await,
            };
        }
        Ok(Err(failure)) => failure,
        Err(error) => Failure::unexpected(format!("starting failed: {error}; this is a fault of ours")),
    };
    // What was kept for a chat that does not come may say more.
    while let Some(line) = logs.as_mut().and_then(|logs| logs.try_recv().ok()) {
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
    Err(failure)
}

/// The node that runs for this profile, or a new one.
async fn open(config: Config, face: Face) -> Result<Client, Failure> {
    let connect = config.connect.clone();
    let client = match face {
        Face::Daemon => Client::start(config, face).await?,
        Face::Chat | Face::Command => Client::open(config, face).await?,
    };
    if client.attached_to().is_some() {
        for address in connect {
            client.connect(address).await?;
        }
    }
    Ok(client)
}

/// Carries out a command, or chats in lines.
async fn serve(
    client: Client,
    args: &Args,
    view: View,
    mut signals: Signals,
    diagnostics: Diagnostics,
) -> Result<(), Failure> {
    let threads = |error| Failure::unexpected(format!("the program cannot start its threads: {error}"));
    let front = match Front::open(view, diagnostics) {
        Ok(front) => front,
        Err(error) => {
            client.shutdown().await;
            return Err(threads(error));
        }
    };
    let Some(verb) = args.verb.clone() else {
        let stdin = match Stdin::start() {
            Ok(stdin) => stdin,
            Err(error) => {
                client.shutdown().await;
                return Err(threads(error));
            }
        };
        return Session::new(client, stdin, front, signals, args).await.run(&args.rooms).await;
    };
    let mut desk = Desk::new(client, args.clone(), front);
    let work = async {
        desk.warn().await?;
        verb.run(&mut desk).await
    };
    let result = tokio::select! {
        result = work => result,
        () = signals.recv() => verb.interrupted(),
    };
    let closed = tokio::select! {
        closed = desk.close() => closed,
        () = signals.recv() => Ok(()),
    };
    result.and(closed)
}

/// What the library is asked for.
fn config(args: &Args) -> Config {
    Config {
        profile: args.name.clone(),
        data_dir: args.data_dir.clone(),
        room_limit: args.room_limit,
        run_dir: args.run_dir.clone(),
        memory: args.memory,
        nick: args.nick.clone(),
        listen: args.listen.clone(),
        connect: args.connect.clone(),
        mdns: !args.no_mdns,
        ..Config::default()
    }
}
