//! Numbers of new users, accounts, calendars and app passwords: none is given twice, also when what had it is gone.
//!
//! SQLite would give the highest one again. A login that is remembered, a duty in hand or a stream that is being written
//! knows such things by their number, and would then reach those of somebody else.

use super::{Error, Result, Tx};

/// The next number of a kind of row: `users`, `accounts`, `calendars`, `app_passwords`.
pub(super) fn next(tx: &mut Tx<'_>, kind: &'static str) -> Result<i64> {
    let next =
        tx.one("UPDATE numbers SET last = last + 1 WHERE kind = ?1 RETURNING last", &[kind.into()], |row| row.int(0))?;
    next.ok_or_else(|| Error::Broken(format!("there are no numbers of {kind}")))
}
