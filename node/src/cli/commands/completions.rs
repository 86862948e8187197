//! `distchat completions` and `distchat man`: what shells and `man` want to know of the command line.

use clap::Args;
use clap_complete::Shell;

use crate::cli::{args, escape};

/// Print what a shell needs to complete commands and options.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completions {
    /// Which shell; for bash: `distchat completions bash > ~/.local/share/bash-completion/completions/distchat`
    shell: Shell,
}

impl Completions {
    pub(super) fn text(&self) -> String {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut args::command(), "distchat", &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Print a manual page, in the format of `man`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Man {
    /// Of that command; without it, of the program
    #[arg(value_parser = known)]
    command: Option<String>,
}

impl Man {
    pub(super) fn text(&self) -> String {
        let mut program = args::command();
        program.build();
        let command = match &self.command {
            Some(name) => program.find_subcommand(name).cloned().unwrap_or(program),
            None => program,
        };
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = clap_mangen::Man::new(command).render(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn known(name: &str) -> Result<String, String> {
    match args::command().find_subcommand(name) {
        Some(_) => Ok(name.to_owned()),
        None => Err(format!("there is no command {}", escape::visible(name))),
    }
}
