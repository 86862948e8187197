//! What went wrong, in a form that goes over the socket.

use std::borrow::Cow;
use std::fmt;

use distchat_node::{ConnectError, RoomError, SearchError, VerifyError};
use serde::{Deserialize, Serialize};

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// For programs.
    pub(crate) code: Cow<'static, str>,
    /// For people: what is wrong and what to do.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

macro_rules! problem_from {
    ($($error:ty),+) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::new(error.code(), error.to_string())
            }
        }
    )+};
}
problem_from!(RoomError, SearchError, ConnectError, VerifyError);
