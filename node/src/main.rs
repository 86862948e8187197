//! `distchat`: the chat on the command line, a client of the library like any other.

mod attach;
mod chat;
mod cli;
mod doctor;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
