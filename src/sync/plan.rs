//! base, local, remote → what to do. Pure.

/// What to do with one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    TakeRemote,
    DropLocal,
    SendLocal,
    DropRemote,
    /// Both sides made the same change: only `base` moves.
    Settle,
    /// Both sides moved apart: keep both.
    Conflict,
}

/// `base` is what both sides last agreed on; `None` means that it is not there.
pub fn plan(base: Option<&str>, local: Option<&str>, remote: Option<&str>) -> Step {
    match (local != base, remote != base) {
        (false, false) => Step::Nothing,
        (false, true) if remote.is_some() => Step::TakeRemote,
        (false, true) => Step::DropLocal,
        (true, false) if local.is_some() => Step::SendLocal,
        (true, false) => Step::DropRemote,
        (true, true) if local == remote => Step::Settle,
        (true, true) => Step::Conflict,
    }
}
