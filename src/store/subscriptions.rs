//! Push subscriptions: whom to tell that a calendar, or a home, has changed. What a subscriber was told last stands in
//! its row, so there is no queue of messages: who is to be told is a question.

use super::tx::{Row, Value};
use super::{Result, Tx, jobs};
use crate::ical::Instant;
use crate::ids::{CalendarId, Seq, UserId};

/// How long changes are gathered before anybody is told, in seconds.
const GATHER: i64 = 2;
/// Subscriptions that one user may have: fifty calendars on ten devices.
const MOST: i64 = 500;
/// A receiver that could not be reached for that long is forgotten, in seconds.
pub const PATIENCE: i64 = 3 * 86_400;

/// What a subscription is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Home(UserId),
    Calendar(CalendarId),
}

impl Subject {
    fn calendar(self) -> Option<i64> {
        match self {
            Subject::Home(_) => None,
            Subject::Calendar(id) => Some(id.0),
        }
    }
}

/// What is known of a subject: two texts that are another whenever there is something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Of its contents.
    pub content: String,
    /// Of its properties.
    pub look: String,
}

pub struct Subscription {
    pub subject: Subject,
    /// Where messages go, sealed; bound to `subscriptions`, `receiver`, the token.
    pub receiver: Vec<u8>,
    /// The last segment of its address here. It names the subscription for whoever remembers it: no other ever has it.
    pub token: String,
    /// The contents and the look that it was told of last; `None`: it does not want to hear of them.
    pub content: Option<String>,
    pub look: Option<String>,
    /// Since when it can not be reached, how often, and when it may be tried again.
    pub failing: Option<Instant>,
    pub tries: i64,
    pub not_before: Instant,
    /// A digest of the password by which it was made; `None`: it was an app password, with which it goes.
    pub password: Option<String>,
}

/// What a client wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triggers {
    pub content: bool,
    pub look: bool,
}

/// The user has [`MOST`] already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotMade {
    TooMany,
    Store(super::Error),
}

impl From<super::Error> for NotMade {
    fn from(e: super::Error) -> NotMade {
        NotMade::Store(e)
    }
}

/// The token of the user's subscription for `subject` whose receiver has this hash, if there is one: a receiver is told
/// of a subject once.
pub fn find(tx: &mut Tx<'_>, user: UserId, subject: Subject, receiver_hash: &[u8]) -> Result<Option<String>> {
    tx.one(
        "SELECT token FROM subscriptions
          WHERE user_id = ?1 AND COALESCE(calendar_id, 0) = ?2 AND receiver_hash = ?3",
        &[user.into(), Value::Int(subject.calendar().unwrap_or(0)), receiver_hash.into()],
        |row| row.text(0),
    )
}

/// What a new subscription is made of.
pub struct New<'a> {
    pub token: &'a str,
    pub receiver: &'a [u8],
    pub receiver_hash: &'a [u8],
    pub triggers: Triggers,
    pub expires: Instant,
    /// Either the app password by which the client came, or a digest of the user's own.
    pub app_password: Option<i64>,
    pub password: Option<&'a str>,
}

/// Makes a subscription, which need not be told what happened before now; or renews the one of that token, which is
/// told all the same what it was not told yet.
pub fn save(
    tx: &mut Tx<'_>,
    user: UserId,
    subject: Subject,
    new: &New<'_>,
    state: &State,
    now: Instant,
) -> Result<(), NotMade> {
    tx.execute("DELETE FROM subscriptions WHERE user_id = ?1 AND expires <= ?2", &[user.into(), now.into()])?;
    let content = new.triggers.content.then_some(state.content.as_str());
    let look = new.triggers.look.then_some(state.look.as_str());
    tx.execute(
        "INSERT INTO subscriptions (user_id, calendar_id, token, receiver, receiver_hash, content, look, expires,
                                    tries, not_before, app_password, password)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?9, ?10)
         ON CONFLICT (token) DO UPDATE SET receiver = excluded.receiver, expires = excluded.expires,
             content = CASE WHEN excluded.content IS NULL THEN NULL
                            ELSE COALESCE(subscriptions.content, excluded.content) END,
             look = CASE WHEN excluded.look IS NULL THEN NULL ELSE COALESCE(subscriptions.look, excluded.look) END,
             failing = NULL, tries = 0, not_before = 0,
             app_password = excluded.app_password, password = excluded.password",
        &[
            user.into(),
            Value::from(subject.calendar()),
            new.token.into(),
            new.receiver.into(),
            new.receiver_hash.into(),
            content.into(),
            look.into(),
            new.expires.into(),
            new.app_password.into(),
            new.password.into(),
        ],
    )?;
    let count = tx.one("SELECT COUNT(*) FROM subscriptions WHERE user_id = ?1", &[user.into()], |row| row.int(0))?;
    // One that could not be reached may be reachable again.
    jobs::due_now(tx, jobs::Duty::Notify(user), now.plus(GATHER))?;
    if count.unwrap_or(0) > MOST { Err(NotMade::TooMany) } else { Ok(()) }
}

/// Ends the user's subscription of that token. False: there is none.
pub fn remove(tx: &mut Tx<'_>, user: UserId, token: &str) -> Result<bool> {
    let gone =
        tx.execute("DELETE FROM subscriptions WHERE user_id = ?1 AND token = ?2", &[user.into(), token.into()])?;
    Ok(gone > 0)
}

/// Every subscription of the user that holds.
pub fn of(tx: &mut Tx<'_>, user: UserId, now: Instant) -> Result<Vec<Subscription>> {
    tx.query(
        "SELECT user_id, calendar_id, receiver, token, content, look, failing, tries, not_before, password
           FROM subscriptions
          WHERE user_id = ?1 AND expires > ?2 ORDER BY id",
        &[user.into(), now.into()],
        from_row,
    )
}

fn from_row(row: &Row<'_>) -> Result<Subscription> {
    let user = UserId(row.int(0)?);
    Ok(Subscription {
        subject: row.opt_int(1)?.map_or(Subject::Home(user), |id| Subject::Calendar(CalendarId(id))),
        receiver: row.opt_blob(2)?.unwrap_or_default(),
        token: row.text(3)?,
        content: row.opt_text(4)?,
        look: row.opt_text(5)?,
        failing: row.opt_instant(6)?,
        tries: row.int(7)?,
        not_before: row.instant(8)?,
        password: row.opt_text(9)?,
    })
}

/// The subscriber was told of `state`; what it does not want to hear of stays so.
pub fn told(tx: &mut Tx<'_>, token: &str, state: &State) -> Result<()> {
    tx.execute(
        "UPDATE subscriptions SET content = CASE WHEN content IS NULL THEN NULL ELSE ?2 END,
                look = CASE WHEN look IS NULL THEN NULL ELSE ?3 END, failing = NULL, tries = 0, not_before = 0
          WHERE token = ?1",
        &[token.into(), (&state.content).into(), (&state.look).into()],
    )
    .map(|_| ())
}

/// The subscriber need not be told that `before` became `after`: it caused that itself. Had it not been told of
/// `before` yet, it stays so.
pub fn pass_over(tx: &mut Tx<'_>, token: &str, before: &State, after: &State) -> Result<()> {
    tx.execute(
        "UPDATE subscriptions SET content = CASE WHEN content = ?2 THEN ?3 ELSE content END,
                look = CASE WHEN look = ?4 THEN ?5 ELSE look END
          WHERE token = ?1",
        &[token.into(), (&before.content).into(), (&after.content).into(), (&before.look).into(), (&after.look).into()],
    )
    .map(|_| ())
}

/// What became of a user's calendars since their clock stood at `since`.
pub struct Traces {
    /// Numbers that the clock gave out.
    pub ticks: i64,
    /// Resources that have one of them. As many as there are numbers: none was changed twice.
    pub rows: i64,
    /// Objects that these are.
    pub objects: i64,
    /// One of them has the etag that was asked for.
    pub has_etag: bool,
    /// One of them is there.
    pub live: bool,
}

/// See [`Traces`].
pub fn traces(tx: &mut Tx<'_>, user: UserId, since: Seq, etag: &str) -> Result<Traces> {
    let found = tx.one(
        "SELECT MAX(k.seq), COUNT(r.id), COUNT(DISTINCT r.uid), MAX(CASE WHEN r.etag = ?3 THEN 1 ELSE 0 END), MAX(r.live)
           FROM clocks k
           LEFT JOIN calendars c ON c.user_id = k.user_id AND c.seq > ?2
           LEFT JOIN resources r ON r.calendar_id = c.id AND r.seq > ?2
          WHERE k.user_id = ?1",
        &[user.into(), since.into(), etag.into()],
        |row| {
            Ok(Traces {
                ticks: row.int(0)? - since.0,
                rows: row.int(1)?,
                objects: row.int(2)?,
                has_etag: row.opt_int(3)?.unwrap_or(0) == 1,
                live: row.opt_int(4)?.unwrap_or(0) == 1,
            })
        },
    )?;
    found.ok_or_else(|| super::Error::Broken("a user has no clock".to_owned()))
}

/// A message did not reach the subscriber, and is not tried again before then.
pub fn failed(tx: &mut Tx<'_>, token: &str, now: Instant, not_before: Instant) -> Result<()> {
    tx.execute(
        "UPDATE subscriptions SET failing = COALESCE(failing, ?2), tries = tries + 1, not_before = ?3 WHERE token = ?1",
        &[token.into(), now.into(), not_before.into()],
    )
    .map(|_| ())
}

/// It is of no use any more.
pub fn forget(tx: &mut Tx<'_>, token: &str) -> Result<()> {
    tx.execute("DELETE FROM subscriptions WHERE token = ?1", &[token.into()]).map(|_| ())
}

/// `calendar` has changed: whoever subscribed to it is told in a moment. Costs one look where nobody did.
pub(super) fn stir(tx: &mut Tx<'_>, calendar: CalendarId, now: Instant) -> Result<()> {
    let user =
        tx.one("SELECT user_id FROM subscriptions WHERE calendar_id = ?1 LIMIT 1", &[calendar.into()], |row| {
            row.int(0).map(UserId)
        })?;
    user.map_or(Ok(()), |user| jobs::due_now(tx, jobs::Duty::Notify(user), now.plus(GATHER)))
}

/// What calendars there are in the home of `user`, or how one of them looks, has changed. That is seldom: it is told at
/// once.
pub(super) fn stir_home(tx: &mut Tx<'_>, user: UserId) -> Result<()> {
    let any = tx.one("SELECT 1 FROM subscriptions WHERE user_id = ?1 LIMIT 1", &[user.into()], |_| Ok(()))?;
    any.map_or(Ok(()), |()| jobs::due_now(tx, jobs::Duty::Notify(user), Instant(0)))
}

/// A secret that every node has in common, sealed. The first that comes with one makes it.
pub fn common_secret(tx: &mut Tx<'_>, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
    tx.execute(
        "INSERT INTO common_secrets (name, sealed) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
        &[name.into(), sealed.into()],
    )?;
    let kept = tx.one("SELECT sealed FROM common_secrets WHERE name = ?1", &[name.into()], |row| row.opt_blob(0))?;
    kept.flatten().ok_or_else(|| super::Error::Broken("a common secret is not there".to_owned()))
}

/// Puts another secret in the place of `old`, which can not be opened, and forgets the subscriptions, which are sealed
/// alike. Gives the one that holds: of several nodes that come with one, the first makes it.
pub fn begin_anew(tx: &mut Tx<'_>, name: &str, old: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
    let params = [name.into(), old.into(), sealed.into()];
    if tx.execute("UPDATE common_secrets SET sealed = ?3 WHERE name = ?1 AND sealed = ?2", &params)? > 0 {
        tx.execute("DELETE FROM subscriptions", &[])?;
    }
    common_secret(tx, name, sealed)
}
