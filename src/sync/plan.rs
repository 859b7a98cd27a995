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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every case of four states on three sides, against what the words of a step mean.
    #[test]
    fn all_64_cases_keep_what_nobody_agreed_to_lose() {
        let states = [None, Some("a"), Some("b"), Some("c")];
        let mut seen = 0;
        for base in states {
            for local in states {
                for remote in states {
                    let step = plan(base, local, remote);
                    let expect = match () {
                        () if local == base && remote == base => Step::Nothing,
                        () if local == base && remote.is_none() => Step::DropLocal,
                        () if local == base => Step::TakeRemote,
                        () if remote == base && local.is_none() => Step::DropRemote,
                        () if remote == base => Step::SendLocal,
                        () if local == remote => Step::Settle,
                        () => Step::Conflict,
                    };
                    assert_eq!(step, expect, "{base:?} {local:?} {remote:?}");
                    // Nothing is dropped on one side that the other side has changed.
                    assert!(step != Step::DropLocal || local == base);
                    assert!(step != Step::DropRemote || remote == base);
                    assert!(step != Step::TakeRemote || local == base);
                    assert!(step != Step::SendLocal || remote == base);
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 64);
    }
}
