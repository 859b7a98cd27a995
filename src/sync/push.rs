//! store → provider → store: sends what changed here, each row in its own time and order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Trouble;
use super::plan::{Step, plan};
use super::relocate;
use crate::app::App;
use crate::ical::{Object, change};
use crate::ids::{CalendarId, RemoteId, ResourceId, Seq};
use crate::provider::{self, Op, Provider, RemoteObject};
use crate::store::calendars::{self, Calendar, Source};
use crate::store::jobs::Lease;
use crate::store::resources::{self, Held, Verdict, Version};
use crate::store::{self, Tx, accounts, unified};

/// Rows that are on their way at once: clients that write at the same time do not wait for each other's round trip.
const AT_ONCE: usize = 8;
/// Rows read at a time.
const BATCH: u32 = 64;
/// A row that moves upstream as fast as we read it is left for the next time.
const ATTEMPTS: usize = 6;
/// An upstream that is ready again within this is waited for, so many times.
const MOMENT: Duration = Duration::from_secs(1);
const MOMENTS: u32 = 8;
/// So many failures in a row are the upstream's, and nothing more is begun.
const ENOUGH: usize = 3;

/// Sends everything that waits in a mirror. Stops when the upstream is away; a row that fails by itself is left for the
/// next time.
pub(super) async fn run(app: &Arc<App>, lease: &Lease, calendar: CalendarId) -> Result<(), Trouble> {
    let found = app.store.read(move |tx| {
        let Some(calendar) = calendars::for_engine(tx, calendar)? else { return Ok::<_, store::Error>(None) };
        let Source::Mirror { account, remote: Some(remote) } = calendar.source.clone() else { return Ok(None) };
        Ok(accounts::by_id(tx, account)?.map(|account| (calendar, account, remote)))
    });
    let Some((calendar, account, remote)) = found.await? else { return Ok(()) };
    let provider: Arc<dyn Provider> = match super::open(app, &account) {
        Ok(provider) => provider.into(),
        Err(why) => {
            give_up(app, &calendar, &why).await?;
            return Err(Trouble::new(why));
        }
    };
    let sender = Arc::new(Sender { app: app.clone(), provider, calendar, remote, lease: lease.clone() });
    let (mut tried, mut failed) = (HashSet::new(), None);
    loop {
        let id = sender.calendar.id;
        // What was moved here and refused goes back to where it came from.
        let back = app.store.read(move |tx| resources::moved_back(tx, id)).await?;
        for row in back {
            if let Err(trouble) = relocate::give_back(app, row).await {
                failed = Some(trouble);
            }
        }
        let waiting = app.store.read(move |tx| resources::unsent(tx, id, BATCH)).await?;
        // What was tried a moment ago waits for the next run: it holds up nothing else.
        let waiting: Vec<Held> = waiting.into_iter().filter(|row| !tried.contains(&(row.id, row.seq))).collect();
        if waiting.is_empty() {
            return failed.map_or(Ok(()), Err);
        }
        let sent = send_all(&sender, waiting).await;
        tried.extend(sent.tried);
        match sent.failed {
            // It is the upstream, and not a row.
            Some(trouble) if sent.stopped => {
                give_up(app, &sender.calendar, &trouble.why).await?;
                return Err(trouble);
            }
            Some(trouble) => failed = Some(trouble),
            None => {}
        }
    }
}

/// What became of a batch.
#[derive(Default)]
struct Sent {
    tried: Vec<(ResourceId, Seq)>,
    /// The last failure.
    failed: Option<Trouble>,
    /// So many failed one after the other that nothing more was begun.
    stopped: bool,
}

/// Sends rows, some of them at once, but never two of one UID: the later one was made on the earlier. What was begun is
/// brought to its end, whatever becomes of the others: a request that is cut is one whose answer is lost.
async fn send_all(sender: &Arc<Sender>, rows: Vec<Held>) -> Sent {
    let (mut sent, mut going, mut uids) = (Sent::default(), JoinSet::new(), HashSet::new());
    let mut waiting = rows.into_iter().filter(|row| uids.insert(row.uid.clone())).collect::<Vec<_>>().into_iter();
    let mut in_a_row = 0;
    loop {
        while going.len() < AT_ONCE
            && !sent.stopped
            && let Some(row) = waiting.next()
        {
            sent.tried.push((row.id, row.seq));
            let sender = sender.clone();
            going.spawn(async move { sender.send(row).await });
        }
        let trouble = match going.join_next().await {
            None => return sent,
            Some(Ok(Ok(true))) => {
                in_a_row = 0;
                continue;
            }
            Some(Ok(Ok(false))) => Trouble::new("it changes faster than it can be sent"),
            Some(Ok(Err(trouble))) => trouble,
            Some(Err(e)) => Trouble::new(format!("a push ended early: {e}")),
        };
        in_a_row += 1;
        // Who says when to come back, or that the login is wrong, means all of it.
        sent.stopped |= in_a_row >= ENOUGH || trouble.after.is_some();
        sent.failed = Some(trouble);
    }
}

/// The upstream is away: whoever waits for a row of this calendar need not wait longer.
async fn give_up(app: &App, calendar: &Calendar, why: &str) -> Result<(), Trouble> {
    let (id, text) = (calendar.id, why.to_owned());
    let judged = app.store.write(move |tx| {
        let mut rows = resources::unsent(tx, id, 1000)?;
        rows.retain(|row| row.verdict != Some((row.seq, Verdict::Away)));
        for row in &rows {
            resources::judge(tx, row.id, row.seq, Verdict::Away, Some(&text))?;
        }
        Ok::<_, store::Error>(rows)
    });
    for row in judged.await? {
        let _ = app.settled.send(row.id);
    }
    Ok(())
}

struct Sender {
    app: Arc<App>,
    provider: Arc<dyn Provider>,
    calendar: Calendar,
    remote: RemoteId,
    lease: Lease,
}

impl Sender {
    /// Sends one row until upstream and we agree, or upstream refuses it. False: neither, after `ATTEMPTS`.
    async fn send(&self, row: Held) -> Result<bool, Trouble> {
        let id = row.id;
        let mut next = Some(row);
        for _ in 0..ATTEMPTS {
            let Some(row) = next else { break };
            let seq = row.seq;
            next = match self.attempt(row).await {
                Ok(left) => left,
                Err(trouble) => {
                    self.fail(id, seq, &trouble.why).await?;
                    return Err(trouble);
                }
            };
        }
        // Nobody may be waiting for it, which is fine.
        let _ = self.app.settled.send(id);
        Ok(next.is_none())
    }

    /// Writes down why this row was not sent: whoever waits for it need not wait longer.
    async fn fail(&self, id: ResourceId, seq: Seq, why: &str) -> Result<(), Trouble> {
        let why = why.to_owned();
        self.app.store.write(move |tx| resources::judge(tx, id, seq, Verdict::Away, Some(&why))).await?;
        let _ = self.app.settled.send(id);
        Ok(())
    }

    /// One attempt; gives the row back as it now is when it is worth another.
    async fn attempt(&self, row: Held) -> Result<Option<Held>, Trouble> {
        let parse = |text: Option<&String>| text.map(|t| Object::parse(t)).transpose();
        let (before, after) = match (parse(row.base.as_ref()), parse(row.body.as_ref())) {
            (Ok(before), Ok(after)) => (before, after),
            (Err(e), _) | (_, Err(e)) => return self.refuse(row, &format!("it can not be read any more: {e}")).await,
        };
        let key = key(&row);
        let agreed = row.remote.as_ref().zip(row.remote_etag.as_ref());
        let op = match (&before, &after, agreed) {
            (Some(before), Some(after), Some((id, etag))) => Op::Update { id, etag, before, after },
            (_, Some(after), _) => Op::Create { key: &key, after },
            (_, None, Some((id, etag))) => Op::Delete { id, etag },
            // Deleted here before upstream was known to have it: it may have it all the same.
            (_, None, None) => {
                return match self.provider.created(&self.remote, &key).await? {
                    Some(there) => self.resolve(row, Some(there)).await,
                    None => self.agree(row, None).await,
                };
            }
        };
        match self.push(op).await {
            Ok(now) => self.agree(row, now).await,
            Err(provider::Error::Refused(why)) => self.refuse(row, &why).await,
            Err(provider::Error::Exists(there)) => self.resolve(row, Some(*there)).await,
            Err(provider::Error::Stale | provider::Error::Missing) => {
                let Some(id) = &row.remote else {
                    let why = "the upstream has something else under this name";
                    return self.refuse(row, why).await;
                };
                let there = self.provider.fetch(&self.remote, id).await?;
                self.resolve(row, there).await
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Asks again when upstream says that it will be ready in a moment: some take one write at a time.
    async fn push(&self, op: Op<'_>) -> Result<Option<RemoteObject>, provider::Error> {
        let mut tries = 1;
        loop {
            match self.provider.push(&self.remote, op).await {
                Err(provider::Error::Retry { after: Some(after), .. }) if after <= MOMENT && tries < MOMENTS => {
                    tokio::time::sleep(after * tries).await;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    /// Upstream did what it was sent, and holds `there` now (`None`: nothing).
    async fn agree(&self, row: Held, there: Option<RemoteObject>) -> Result<Option<Held>, Trouble> {
        self.record(row, move |tx, calendar, row, current, now| {
            let Some(there) = &there else {
                resources::agree(tx, current, None, None)?;
                return resources::judge(tx, row.id, row.seq, Verdict::Sent, None);
            };
            let as_sent = row.body.as_deref() == Some(there.text.as_str());
            let verdict = if as_sent { Verdict::Sent } else { Verdict::Altered };
            match Object::parse(&there.text) {
                // The client has changed it again since: upstream's version is what that change was made on.
                _ if current.seq != row.seq => {
                    resources::agree(tx, current, Some(&there.text), Some((&there.id, &there.etag)))?;
                }
                Ok(object) if !as_sent => {
                    let to = Version::Agreed { object: &object, remote: &there.id, etag: &there.etag };
                    resources::save(tx, calendar, &current.name, to, now)?;
                }
                // As sent; or upstream made something of it that can not be read, and ours is the better one to show.
                _ => resources::agree(tx, current, row.body.as_deref(), Some((&there.id, &there.etag)))?,
            }
            resources::judge(tx, row.id, row.seq, verdict, None)
        })
        .await
    }

    /// Upstream had moved on to `there` (`None`: it is gone). Decides what becomes of both versions.
    async fn resolve(&self, row: Held, there: Option<RemoteObject>) -> Result<Option<Held>, Trouble> {
        let Some(there) = there else {
            // Deleted there, and here: agreed. Deleted there and changed here: the change wins, nothing is lost by it.
            let gone = self.record(row, |tx, _, row, current, _| {
                resources::agree(tx, current, None, None)?;
                match current.body {
                    None => resources::judge(tx, row.id, row.seq, Verdict::Sent, None),
                    Some(_) => Ok(()),
                }
            });
            return gone.await;
        };
        let object = match Object::parse(&there.text) {
            Ok(object) => object,
            Err(e) => {
                let why = there.withheld().map_or_else(|| e.to_string(), str::to_owned);
                return self.refuse(row, &format!("upstream has a version that can not be read: {why}")).await;
            }
        };
        self.record(row, move |tx, calendar, row, current, now| {
            let agreed = Some((&there.id, &there.etag));
            let theirs = Version::Agreed { object: &object, remote: &there.id, etag: &there.etag };
            match plan(current.base.as_deref(), current.body.as_deref(), Some(&there.text)) {
                Step::Settle | Step::Nothing => {
                    resources::agree(tx, current, Some(&there.text), agreed)?;
                    resources::judge(tx, row.id, current.seq, Verdict::Sent, None)
                }
                // Only the etag had moved: the next attempt knows it.
                Step::SendLocal | Step::DropRemote | Step::DropLocal => {
                    resources::agree(tx, current, Some(&there.text), agreed)
                }
                // What is here, as upstream prints it.
                Step::Conflict | Step::TakeRemote
                    if current.body.as_deref().is_some_and(|body| change::same_text(body, &object)) =>
                {
                    resources::save(tx, calendar, &current.name, theirs, now)?;
                    resources::judge(tx, row.id, current.seq, Verdict::Altered, None)
                }
                // An earlier version of ours, whose answer was lost: what is here was made on it.
                Step::Conflict | Step::TakeRemote if current.sent.contains(&change::digest(&object)) => {
                    resources::agree(tx, current, Some(&there.text), agreed)
                }
                Step::Conflict | Step::TakeRemote => {
                    if let Some(body) = &current.body {
                        resources::keep(tx, current, body, "upstream was changed at the same time", now)?;
                    }
                    resources::save(tx, calendar, &current.name, theirs, now)?;
                    resources::judge(tx, row.id, current.seq, Verdict::Conflict, None)
                }
            }
        })
        .await
    }

    /// Upstream will never take it: it stays here, with the reason.
    async fn refuse(&self, row: Held, why: &str) -> Result<Option<Held>, Trouble> {
        let why = why.to_owned();
        self.record(row, move |tx, _, row, _, _| resources::judge(tx, row.id, row.seq, Verdict::Refused, Some(&why)))
            .await
    }

    /// Writes down what became of `row`, under the lease and the clock's lock. `change` gets the row as it was sent and
    /// as it is now. Gives the row when it still has to be sent.
    async fn record<F>(&self, row: Held, change: F) -> Result<Option<Held>, Trouble>
    where
        F: FnOnce(&mut Tx<'_>, &Calendar, &Held, &Held, crate::ical::Instant) -> Result<(), store::Error>
            + Send
            + 'static,
    {
        let (calendar, lease, now) = (self.calendar.clone(), self.lease.clone(), self.app.clock.now());
        let write = move |tx: &mut Tx<'_>| -> Result<Option<Held>, Trouble> {
            let calendar = super::still(tx, &lease, &calendar, now)?;
            let Some(current) = resources::held_by_id(tx, row.id)? else { return Ok(None) };
            change(tx, &calendar, &row, &current, now)?;
            let left = resources::held_by_id(tx, row.id)?;
            Ok(left.filter(|left| left.dirty && left.refused.is_none() && left.moving.is_none()))
        };
        self.app.store.write(write).await
    }
}

/// The idempotency key of a create: the same for the same row, however often it is tried.
fn key(row: &Held) -> String {
    // Without `.ics` two names could have one key.
    let stem = row.name.as_str().strip_suffix(".ics").unwrap_or_default();
    let safe = !stem.is_empty() && stem.len() <= 200 && !stem.starts_with('.');
    if safe && stem.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c)) {
        return stem.to_owned();
    }
    let plain = unified::hashed_name(&row.uid);
    plain.as_str().trim_end_matches(".ics").to_owned()
}
