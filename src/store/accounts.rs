//! Accounts: one login at one upstream.

use super::tx::Row;
use super::{Error, Result, Tx, numbers};
use crate::ical::Instant;
use crate::ids::{AccountId, UserId};

/// Where the password of an account is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// `env:NAME` or `file:PATH`, read at use.
    Reference(String),
    /// Sealed bytes, see `Secrets::seal`; bound to `accounts`, `password`, `USER/ACCOUNT` (both names).
    Sealed(Vec<u8>),
    /// Declared as `sealed`, and not given yet: `calgate account add` has to be run.
    Absent,
}

/// Which of the upstream's calendars to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// All that can hold events, slugs made from their names.
    All,
    Some(Vec<Taken>),
}

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Taken {
    /// The display name upstream, or the last path segment, or the whole path.
    pub remote: String,
    pub slug: String,
    pub display_name: Option<String>,
    pub color: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub user: UserId,
    pub user_name: String,
    /// Unique for the user: `work`.
    pub name: String,
    /// One of `provider::KINDS`: `caldav`.
    pub kind: String,
    pub url: String,
    pub login: String,
    pub password: Password,
    pub take: Take,
    pub declared: bool,
    /// The user's addresses there, as the upstream told us.
    pub addresses: Vec<String>,
    /// What went wrong last with the account or with one of its calendars, in words; `None`: all is well.
    pub error: Option<String>,
    pub error_at: Option<Instant>,
    /// When the list of calendars was last read without trouble.
    pub checked_at: Option<Instant>,
}

/// The active account of that id.
pub fn by_id(tx: &mut Tx<'_>, id: AccountId) -> Result<Option<Account>> {
    tx.one(
        "SELECT a.id, a.user_id, u.name, a.name, a.kind, a.url, a.login, a.reference, a.sealed, a.take, a.declared,
                a.addresses, COALESCE(a.error, (SELECT MIN(c.slug || ': ' || c.error) FROM calendars c
                    WHERE c.account_id = a.id AND c.active = 1)), a.error_at, a.checked_at
           FROM accounts a JOIN users u ON u.id = a.user_id
          WHERE a.id = ?1 AND a.active = 1 AND u.active = 1",
        &[id.into()],
        from_row,
    )
}

/// The user's active account of that name.
pub fn by_name(tx: &mut Tx<'_>, user: UserId, name: &str) -> Result<Option<Account>> {
    Ok(list(tx, Some(user))?.into_iter().find(|a| a.name == name))
}

/// Active accounts of one user, or of all, by user name and name.
pub fn list(tx: &mut Tx<'_>, user: Option<UserId>) -> Result<Vec<Account>> {
    tx.query(
        "SELECT a.id, a.user_id, u.name, a.name, a.kind, a.url, a.login, a.reference, a.sealed, a.take, a.declared,
                a.addresses, COALESCE(a.error, (SELECT MIN(c.slug || ': ' || c.error) FROM calendars c
                    WHERE c.account_id = a.id AND c.active = 1)), a.error_at, a.checked_at
           FROM accounts a JOIN users u ON u.id = a.user_id
          WHERE (CAST(?1 AS BIGINT) IS NULL OR a.user_id = ?1) AND a.active = 1 AND u.active = 1
          ORDER BY u.name, a.name",
        &[user.into()],
        from_row,
    )
}

fn from_row(row: &Row<'_>) -> Result<Account> {
    let password = match (row.opt_text(7)?, row.opt_blob(8)?) {
        (Some(reference), _) => Password::Reference(reference),
        (None, Some(sealed)) => Password::Sealed(sealed),
        (None, None) => Password::Absent,
    };
    Ok(Account {
        id: AccountId(row.int(0)?),
        user: UserId(row.int(1)?),
        user_name: row.text(2)?,
        name: row.text(3)?,
        kind: row.text(4)?,
        url: row.text(5)?,
        login: row.text(6)?,
        password,
        take: read_take(&row.text(9)?)?,
        declared: row.bool(10)?,
        addresses: row.text(11)?.lines().map(str::to_owned).collect(),
        error: row.opt_text(12)?,
        error_at: row.opt_instant(13)?,
        checked_at: row.opt_instant(14)?,
    })
}

fn read_take(text: &str) -> Result<Take> {
    if text.is_empty() {
        return Ok(Take::All);
    }
    serde_json::from_str(text).map(Take::Some).map_err(|e| Error::Broken(format!("accounts.take: {e}")))
}

pub(super) fn write_take(take: &Take) -> Result<String> {
    match take {
        Take::All => Ok(String::new()),
        Take::Some(taken) => serde_json::to_string(taken).map_err(|e| Error::Broken(e.to_string())),
    }
}

/// Makes an account by command. `Ok(None)`: the user has one of that name.
#[allow(clippy::too_many_arguments)]
pub fn add(
    tx: &mut Tx<'_>,
    user: UserId,
    name: &str,
    kind: &str,
    url: &str,
    login: &str,
    password: &Password,
    take: &Take,
) -> Result<Option<AccountId>> {
    let taken = tx.one(
        "SELECT id FROM accounts WHERE user_id = ?1 AND name = ?2 AND active = 1",
        &[user.into(), name.into()],
        |_| Ok(()),
    )?;
    if taken.is_some() {
        return Ok(None);
    }
    let id = upsert(tx, user, name, kind, url, login, take, false)?;
    set_password(tx, id, password)?;
    Ok(Some(id))
}

/// The row of that name with these settings; the password stays as it is, and so does what its calendars hold.
#[allow(clippy::too_many_arguments)]
pub(super) fn upsert(
    tx: &mut Tx<'_>,
    user: UserId,
    name: &str,
    kind: &str,
    url: &str,
    login: &str,
    take: &Take,
    declared: bool,
) -> Result<AccountId> {
    let take = write_take(take)?;
    let before = tx.one(
        "SELECT url, login FROM accounts WHERE user_id = ?1 AND name = ?2",
        &[user.into(), name.into()],
        |row| Ok((row.text(0)?, row.text(1)?)),
    )?;
    let next = numbers::next(tx, "accounts")?;
    let id = tx.one(
        "INSERT INTO accounts (user_id, name, kind, url, login, take, declared, active, addresses, id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, '', ?8)
         ON CONFLICT (user_id, name) DO UPDATE SET kind = excluded.kind, url = excluded.url, login = excluded.login,
             take = excluded.take, declared = excluded.declared, active = 1
         RETURNING id",
        &[
            user.into(),
            name.into(),
            kind.into(),
            url.into(),
            login.into(),
            (&take).into(),
            declared.into(),
            next.into(),
        ],
        |row| row.int(0).map(AccountId),
    )?;
    let id = id.ok_or_else(|| Error::Broken("an upsert gave no id".to_owned()))?;
    if before.is_some_and(|(old_url, old_login)| old_url != url || old_login != login) {
        // Another place or another login: nothing that was said of changes holds there, and no etag.
        tx.execute("UPDATE calendars SET cursor = NULL, pulled_at = NULL WHERE account_id = ?1", &[id.into()])?;
        tx.execute(
            "UPDATE resources SET remote_etag = '' WHERE remote_id IS NOT NULL
                AND calendar_id IN (SELECT id FROM calendars WHERE account_id = ?1)",
            &[id.into()],
        )?;
    }
    Ok(id)
}

/// Sets where the password is: sealed into the row, by reference, or not yet there.
pub fn set_password(tx: &mut Tx<'_>, id: AccountId, password: &Password) -> Result<()> {
    let (reference, sealed) = match password {
        Password::Reference(reference) => (Some(reference.as_str()), None),
        Password::Sealed(sealed) => (None, Some(sealed.as_slice())),
        Password::Absent => (None, None),
    };
    tx.execute(
        "UPDATE accounts SET reference = ?2, sealed = ?3 WHERE id = ?1",
        &[id.into(), reference.into(), sealed.into()],
    )
    .map(|_| ())
}

/// Removes an account made by command, and its calendars with it. False: no such account made by command.
pub fn remove(tx: &mut Tx<'_>, user: UserId, name: &str, now: Instant) -> Result<bool> {
    tx.lock_clock(user)?;
    let id = tx.one(
        "SELECT id FROM accounts WHERE user_id = ?1 AND name = ?2 AND declared = 0 AND active = 1",
        &[user.into(), name.into()],
        |row| row.int(0).map(AccountId),
    )?;
    let Some(id) = id else { return Ok(false) };
    // Should there be calendars of these names again, they are not what was granted.
    for (slug, _) in super::calendars::asked(tx, id)? {
        super::grants::revoke(tx, user, &slug)?;
    }
    super::calendars::hide_mirrors(tx, id)?;
    tx.execute("UPDATE accounts SET active = 0, sealed = NULL, reference = NULL WHERE id = ?1", &[id.into()])?;
    super::shape::reshape(tx, user, now)?;
    Ok(true)
}

/// Records that the account was read well (`None`) or what went wrong.
pub fn note(tx: &mut Tx<'_>, id: AccountId, error: Option<&str>, now: Instant) -> Result<()> {
    tx.execute(
        "UPDATE accounts SET error = CAST(?2 AS TEXT), error_at = CASE WHEN CAST(?2 AS TEXT) IS NULL THEN error_at ELSE ?3 END,
                checked_at = CASE WHEN CAST(?2 AS TEXT) IS NULL THEN ?3 ELSE checked_at END
          WHERE id = ?1",
        &[id.into(), error.into(), now.into()],
    )
    .map(|_| ())
}

/// Records who we are there. True: that is news, and what is busy has to be worked out again.
pub fn set_addresses(tx: &mut Tx<'_>, id: AccountId, addresses: &[String]) -> Result<bool> {
    // In one order: a server that varies it has no news.
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    addresses.dedup();
    let addresses = addresses.join("\n");
    let changed = tx.execute(
        "UPDATE accounts SET addresses = ?2 WHERE id = ?1 AND addresses <> ?2",
        &[id.into(), (&addresses).into()],
    )?;
    Ok(changed > 0)
}
