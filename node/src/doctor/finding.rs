//! What the doctor says: findings, and the exit code that sums them up.

use std::fmt;

use serde::Serialize;

/// How bad something is. The worst finding makes the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It is as it should be, or does not matter.
    Ok,
    /// It works, though not as well as it could, or it could not be found out.
    Warning,
    /// It keeps people apart, or the program from starting.
    Apart,
}

impl Severity {
    /// The exit code of a program that has found nothing worse.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warning => 10,
            Self::Apart => 11,
        }
    }
}

/// Which way packets go, as seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// From others to here.
    In,
    /// From here to others.
    Out,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "in",
            Self::Out => "out",
        })
    }
}

/// One thing that the doctor has found. Texts may hold what others have said, and are escaped when they are shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "finding")]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// A short name for programs.
    pub(crate) code: &'static str,
    /// What is so, in one line.
    pub(crate) title: String,
    /// Why; empty where nothing is wrong.
    pub(crate) cause: String,
    /// What to do; empty where there is nothing.
    pub(crate) fix: String,
    /// Which interface of this machine it is about.
    pub(crate) interface: Option<String>,
    /// Which way.
    pub(crate) direction: Option<Direction>,
    /// Which other node, by its address.
    pub(crate) peer: Option<String>,
}

impl Finding {
    fn new(severity: Severity, code: &'static str, title: String) -> Self {
        let (cause, fix) = (String::new(), String::new());
        Self { severity, code, title, cause, fix, interface: None, direction: None, peer: None }
    }

    pub(super) fn ok(code: &'static str, title: impl Into<String>) -> Self {
        Self::new(Severity::Ok, code, title.into())
    }

    pub(super) fn warning(code: &'static str, title: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, title.into())
    }

    pub(super) fn apart(code: &'static str, title: impl Into<String>) -> Self {
        Self::new(Severity::Apart, code, title.into())
    }

    pub(super) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    pub(super) fn on(mut self, interface: &str) -> Self {
        self.interface = Some(interface.to_owned());
        self
    }

    pub(super) fn way(mut self, direction: Direction) -> Self {
        self.direction = Some(direction);
        self
    }

    pub(super) fn with(mut self, peer: impl fmt::Display) -> Self {
        self.peer = Some(peer.to_string());
        self
    }
}

/// The worst of all.
pub(crate) fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
}
