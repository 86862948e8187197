//! On how many other disks a message is, and how that is shown.

/// On how many other disks a message is that one has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Disks {
    /// Nobody has told.
    #[default]
    Unknown,
    /// On so many of so many.
    On(usize, usize),
}

impl Disks {
    /// How much room is left for the mark: what is known later must not move any row.
    pub(super) const COLUMNS: usize = 7;

    /// Whether there may be more to find out.
    pub(super) fn is_open(self) -> bool {
        match self {
            Self::Unknown => true,
            Self::On(on, of) => on == 0 || on < of,
        }
    }

    /// What stands behind the message.
    pub(super) fn mark(self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::On(0, _) => Some("○".to_owned()),
            Self::On(on, of) if on == of => Some("✓".to_owned()),
            Self::On(on, of) => Some(format!("✓{}/{}", on.min(99), of.min(99))),
        }
    }
}
