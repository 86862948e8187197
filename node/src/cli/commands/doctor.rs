//! `distchat doctor`: what keeps people apart, why, and what to do.

use std::io::Write;

use clap::Args;
use distchat_node::{Config, Multiaddr};

use crate::cli::args::address;
use crate::cli::{Failure, escape};
use crate::doctor::{self, worst};

/// Find out what keeps people apart, why, and what to do.
///
/// Tests each network interface for multicast both ways, looks for firewalls, tunnels, other versions and wrong clocks, and
/// at the profile's files. Other nodes of the network help. Where nobody is found, give the address of one, as `distchat peers`
/// shows it there: here, or with --connect. A node that runs is not disturbed.
///
/// Ends with 0 if all is well, 10 if there are warnings, 11 if something keeps people apart. With --json, one object a
/// finding.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doctor {
    /// Address of a node to test with, besides those that are found
    #[arg(value_name = "ADDR", value_parser = address)]
    addresses: Vec<Multiaddr>,
}

impl Doctor {
    /// Needs no node, and starts none.
    pub(in crate::cli) async fn run(&self, mut config: Config, json: bool) -> Result<(), Failure> {
        config.connect.extend(self.addresses.iter().cloned());
        let mut progress = |doing: &str| {
            // Whoever does not listen does not care.
            let _ = writeln!(std::io::stderr().lock(), "* {}", escape::visible(doing));
        };
        let findings = doctor::examine(config, &mut progress).await;
        let text = if json {
            findings.iter().map(|finding| doctor::json(finding) + "\n").collect()
        } else {
            doctor::text(&findings)
        };
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::unexpected(format!("stdout cannot be written to: {error}")))
            }
            // The exit code tells even whoever has closed the pipe.
            _ => match worst(&findings).exit_code() {
                0 => Ok(()),
                code => Err(Failure { message: String::new(), code }),
            },
        }
    }
}
