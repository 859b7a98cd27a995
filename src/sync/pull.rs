//! provider → plan → store: takes what changed upstream.
//!
//! A pull never decides over a row that waits to be sent: `push.rs` does, because only a conditional request can. And it
//! never overwrites what was sent while it was reading: such rows are read once more, one by one.

use std::collections::HashSet;
use std::time::Duration;

use super::Trouble;
use super::plan::{Step, plan};
use crate::app::App;
use crate::ical::{Instant, Kind, Object, change};
use crate::ids::{AccountId, CalendarId, Cursor, Etag, Name, RemoteId};
use crate::provider::{self, Known, Next, Provider, RemoteCalendar, RemoteObject};
use crate::secrets;
use crate::store::accounts::{self, Account, Take, Taken};
use crate::store::calendars::{self, Calendar, Given, Source};
use crate::store::jobs::{self, Duty, Lease};
use crate::store::resources::{self, Verdict, Version};
use crate::store::scheduling::RESERVED;
use crate::store::{self, Tx, instances, shape};

/// Objects that one transaction takes: large enough to share a sync to disk, small enough not to hold up a PUT.
const CHUNK: usize = 100;
/// Pages of one pull. An upstream that gives more is walking in a circle.
const PAGES: usize = 1000;
/// Rows that were sent while we read are read again this often.
const ROUNDS: usize = 4;

/// What a pull tells while it runs: for progress bars.
pub trait Progress: Send + Sync {
    /// `done` objects so far; `total` when the upstream told how many there will be.
    fn step(&self, done: usize, total: Option<usize>);
}

/// Tells nobody.
pub struct Quiet;

impl Progress for Quiet {
    fn step(&self, _: usize, _: Option<usize>) {}
}

/// What a pull did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub changed: usize,
    pub removed: usize,
    /// Objects that could not be read; see `calgate explain`.
    pub set_aside: usize,
}

/// Reads what changed upstream, now, whether it is due or not. Waits while somebody else is doing it.
/// The error is one sentence for people; it is also noted at the calendar.
pub async fn pull(app: &App, calendar: CalendarId, progress: &dyn Progress) -> Result<Report, String> {
    let lease = claim(app, Duty::Pull(calendar)).await?;
    let pulled = leased(app, &lease, calendar, progress).await;
    give_back(app, &lease, pulled.is_err()).await;
    pulled.map_err(|trouble| trouble.why)
}

/// Reads the account's list of calendars, now, and makes a mirror of each that is taken.
/// The error is one sentence for people; it is also noted at the account.
pub async fn discover(app: &App, account: AccountId) -> Result<Vec<CalendarId>, String> {
    let lease = claim(app, Duty::Discover(account)).await?;
    let found = discover_leased(app, &lease, account).await;
    give_back(app, &lease, found.is_err()).await;
    found.map_err(|trouble| trouble.why)
}

async fn claim(app: &App, duty: Duty) -> Result<Lease, String> {
    let holder = format!("{}/{}", app.node, secrets::new_token());
    for _ in 0..600 {
        let (holder, now) = (holder.clone(), app.clock.now());
        let claimed = app.store.write(move |tx| jobs::claim_this(tx, duty, &holder, now)).await;
        if let Some(lease) = claimed.map_err(|e: store::Error| e.to_string())? {
            return Ok(lease);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("the server has been at it for a minute: try again later".to_owned())
}

async fn give_back(app: &App, lease: &Lease, failed: bool) {
    let (lease, next) = (lease.clone(), app.clock.now().plus(app.config.load().sync.interval.as_secs() as i64));
    if let Err(e) = app.store.write(move |tx| jobs::finish(tx, &lease, next, failed)).await {
        let e: store::Error = e;
        tracing::warn!(error = %e, "a lease could not be given back; it ends by itself");
    }
}

/// The same under a lease that is held already.
pub(super) async fn leased(
    app: &App,
    lease: &Lease,
    calendar: CalendarId,
    progress: &dyn Progress,
) -> Result<Report, Trouble> {
    let found = app.store.read(move |tx| {
        let Some(calendar) = calendars::for_engine(tx, calendar)? else { return Ok::<_, store::Error>(None) };
        let Source::Mirror { account, remote: Some(remote) } = calendar.source.clone() else { return Ok(None) };
        Ok(accounts::by_id(tx, account)?.map(|account| (calendar, account, remote)))
    });
    let Some((calendar, account, remote)) = found.await? else { return Ok(Report::default()) };
    let id = calendar.id;
    let pulled = match super::open(app, &account) {
        Ok(provider) => {
            let mut puller =
                Puller { app, lease, calendar, remote, provider, progress, done: 0, report: Report::default() };
            puller.run().await.map(|()| puller.report)
        }
        Err(why) => Err(Trouble::new(why)),
    };
    if let Err(trouble) = &pulled {
        let (why, now) = (trouble.why.clone(), app.clock.now());
        app.store.write(move |tx| calendars::note(tx, id, &why, now)).await?;
    }
    pulled
}

struct Puller<'a> {
    app: &'a App,
    lease: &'a Lease,
    calendar: Calendar,
    remote: RemoteId,
    provider: Box<dyn Provider>,
    progress: &'a dyn Progress,
    done: usize,
    report: Report,
}

/// What upstream says of one object.
enum News {
    Is(RemoteObject),
    Gone(RemoteId),
}

impl News {
    fn id(&self) -> &RemoteId {
        match self {
            News::Is(object) => &object.id,
            News::Gone(id) => id,
        }
    }
}

impl Puller<'_> {
    async fn run(&mut self) -> Result<(), Trouble> {
        let (id, now) = (self.calendar.id, self.app.clock.now());
        let (cursor, known) = self
            .app
            .store
            .read(move |tx| Ok::<_, store::Error>((calendars::cursor(tx, id, now)?, resources::known(tx, id)?)))
            .await?;
        let known: Known = known.into_iter().collect();
        let (mut page_cursor, mut first) = (cursor, true);
        let (mut listed, mut again) = (HashSet::new(), Vec::new());
        for _ in 0..PAGES {
            let page = match self.provider.pull(&self.remote, page_cursor.as_ref(), &known).await {
                // It forgot where we were: everything is listed once more, and compared. Nothing is dropped first.
                Err(provider::Error::CursorLost) if first && page_cursor.is_some() => {
                    (page_cursor, first) = (None, false);
                    continue;
                }
                page => page?,
            };
            listed.extend(page.unchanged);
            listed.extend(page.objects.iter().map(|object| object.id.clone()));
            listed.extend(page.gone.iter().cloned());
            let gone = page.gone.into_iter().map(News::Gone);
            again.extend(self.take(page.objects.into_iter().map(News::Is).chain(gone).collect(), &known).await?);
            match page.next {
                Next::More(cursor) if page_cursor.as_ref() == Some(&cursor) => {
                    return Err(Trouble::new("the upstream gives the same page again and again"));
                }
                Next::More(cursor) => page_cursor = Some(cursor),
                Next::Done { cursor, whole } => {
                    if whole {
                        // What a list leaves out is asked for by name before it counts as gone.
                        again.extend(known.keys().filter(|id| !listed.contains(*id)).cloned());
                    }
                    self.one_by_one(again).await?;
                    return self.finish(cursor, whole).await;
                }
            }
        }
        Err(Trouble::new(format!("the upstream gave more than {PAGES} pages")))
    }

    /// Takes what a page says. Gives back what has to be read once more: it was sent while we read.
    async fn take(&mut self, news: Vec<News>, known: &Known) -> Result<Vec<RemoteId>, Trouble> {
        let mut again = Vec::new();
        let mut news = news.into_iter().peekable();
        while news.peek().is_some() {
            let chunk: Vec<(News, Option<Etag>)> =
                news.by_ref().take(CHUNK).map(|n| (known.get(n.id()).cloned(), n)).map(|(e, n)| (n, e)).collect();
            let count = chunk.len();
            again.extend(self.apply(chunk, false).await?);
            self.done += count;
            self.progress.step(self.done, None);
        }
        Ok(again)
    }

    /// Reads objects by name until what upstream says was said of what we hold.
    async fn one_by_one(&mut self, mut ids: Vec<RemoteId>) -> Result<(), Trouble> {
        for _ in 0..ROUNDS {
            let mut again = Vec::new();
            for id in std::mem::take(&mut ids) {
                let (calendar, remote) = (self.calendar.clone(), id.clone());
                let held = self.app.store.read(move |tx| resources::held_by_remote(tx, &calendar, &remote)).await?;
                let held: Option<resources::Held> = held;
                let etag = held.and_then(|row| row.remote_etag);
                let news = match self.provider.fetch(&self.remote, &id).await? {
                    Some(object) => News::Is(object),
                    None => News::Gone(id),
                };
                again.extend(self.apply(vec![(news, etag)], true).await?);
            }
            if again.is_empty() {
                return Ok(());
            }
            ids = again;
        }
        Err(Trouble::new("what is read changes faster than it can be read"))
    }

    /// One transaction: each object with the etag that we held when upstream was asked.
    async fn apply(&mut self, chunk: Vec<(News, Option<Etag>)>, adopt: bool) -> Result<Vec<RemoteId>, Trouble> {
        let (calendar, lease, now) = (self.calendar.clone(), self.lease.clone(), self.app.clock.now());
        let mut report = self.report;
        let write = move |tx: &mut Tx<'_>| -> Result<_, Trouble> {
            let calendar = super::still(tx, &lease, &calendar, now)?;
            let mut again = Vec::new();
            for (news, asked_with) in &chunk {
                let read = match news {
                    News::Is(object) => is(tx, &calendar, object, asked_with.as_ref(), adopt, &mut report, now)?,
                    News::Gone(id) => gone(tx, &calendar, id, asked_with.as_ref(), &mut report, now)?,
                };
                if read == Read::Again {
                    again.push(news.id().clone());
                }
            }
            Ok((again, report))
        };
        let (again, report) = self.app.store.write(write).await?;
        self.report = report;
        Ok(again)
    }

    /// Everything was taken: only now the cursor moves.
    async fn finish(&mut self, cursor: Option<Cursor>, whole: bool) -> Result<(), Trouble> {
        let (calendar, lease, now) = (self.calendar.clone(), self.lease.clone(), self.app.clock.now());
        let write = move |tx: &mut Tx<'_>| -> Result<(), Trouble> {
            super::still(tx, &lease, &calendar, now)?;
            Ok(calendars::pulled(tx, calendar.id, cursor.as_ref(), whole, now)?)
        };
        self.app.store.write(write).await
    }
}

#[derive(PartialEq, Eq)]
enum Read {
    Taken,
    /// It moved between the question and the answer: ask again.
    Again,
}

/// Upstream holds `object`.
fn is(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    there: &RemoteObject,
    asked_with: Option<&Etag>,
    adopt: bool,
    report: &mut Report,
    now: Instant,
) -> Result<Read, store::Error> {
    let object = match Object::parse(&there.text) {
        Ok(object) => object,
        Err(e) => {
            report.set_aside += 1;
            // What the provider says of it is more than that it can not be read.
            let why = there.withheld().map_or_else(|| e.to_string(), str::to_owned);
            // What we hold of it stays as it is: an older version that can be read is better than none.
            resources::set_aside(tx, calendar.id, &there.id, &there.etag, &there.text, &why, now)?;
            return Ok(Read::Taken);
        }
    };
    resources::unset_aside(tx, calendar.id, &there.id)?;
    let agreed = Version::Agreed { object: &object, remote: &there.id, etag: &there.etag };
    let Some(row) = resources::held_by_remote(tx, calendar, &there.id)? else {
        // It was here when upstream was asked, and is not any more: it was deleted since.
        if asked_with.is_some() {
            return Ok(Read::Again);
        }
        // The same object, should the server write its path in two ways.
        if let Some(twin) = resources::held_twin(tx, calendar, object.uid(), &there.etag)?
            && twin.remote.as_ref().is_some_and(|old| calendars::same_place(old, &there.id))
        {
            resources::save(tx, calendar, &twin.name, agreed, now)?;
            return Ok(Read::Taken);
        }
        if let Some(unsent) = resources::held_unsent(tx, calendar, object.uid())? {
            // A create of ours that is on its way, or whose answer was lost. Once it is read again and still not settled,
            // it is that object, or somebody else was faster: both versions are kept.
            if !adopt {
                return Ok(Read::Again);
            }
            if unsent.body.as_deref() == Some(&there.text) {
                resources::agree(tx, &unsent, Some(&there.text), Some((&there.id, &there.etag)))?;
                resources::judge(tx, unsent.id, unsent.seq, Verdict::Sent, None)?;
                return Ok(Read::Taken);
            }
            // Ours, or an earlier version of ours: the push that follows sends or removes what is left to do.
            if unsent.sent.contains(&change::digest(&object)) {
                resources::agree(tx, &unsent, Some(&there.text), Some((&there.id, &there.etag)))?;
                jobs::due_now(tx, Duty::Push(calendar.id), now)?;
                return Ok(Read::Taken);
            }
            if let Some(body) = &unsent.body {
                resources::keep(tx, &unsent, body, "upstream had this UID already", now)?;
            }
            resources::save(tx, calendar, &unsent.name, agreed, now)?;
            resources::judge(tx, unsent.id, unsent.seq, Verdict::Conflict, None)?;
            report.changed += 1;
            return Ok(Read::Taken);
        }
        let wanted = last_segment(&there.id);
        let name = resources::free_name(tx, calendar, wanted, object.uid())?;
        resources::save(tx, calendar, &name, agreed, now)?;
        report.changed += 1;
        return Ok(Read::Taken);
    };
    if row.remote_etag.as_ref() != asked_with {
        return Ok(Read::Again);
    }
    if row.dirty {
        return retry(tx, calendar, &row, Some(&there.etag), now);
    }
    match plan(row.base.as_deref(), row.body.as_deref(), Some(&there.text)) {
        Step::Nothing => resources::agree(tx, &row, Some(&there.text), Some((&there.id, &there.etag)))?,
        _ => {
            resources::save(tx, calendar, &row.name, agreed, now)?;
            report.changed += 1;
        }
    }
    Ok(Read::Taken)
}

/// Upstream holds nothing under `id` any more.
fn gone(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    id: &RemoteId,
    asked_with: Option<&Etag>,
    report: &mut Report,
    now: Instant,
) -> Result<Read, store::Error> {
    resources::unset_aside(tx, calendar.id, id)?;
    let Some(row) = resources::held_by_remote(tx, calendar, id)? else { return Ok(Read::Taken) };
    if row.remote_etag.as_ref() != asked_with {
        return Ok(Read::Again);
    }
    if row.dirty {
        return retry(tx, calendar, &row, None, now);
    }
    resources::save(tx, calendar, &row.name, Version::Gone, now)?;
    report.removed += 1;
    Ok(Read::Taken)
}

/// A row that waits to be sent, or was refused, and upstream moved: sending it is what decides.
fn retry(
    tx: &mut Tx<'_>,
    calendar: &Calendar,
    row: &resources::Held,
    etag: Option<&Etag>,
    now: Instant,
) -> Result<Read, store::Error> {
    if row.remote_etag.as_ref() != etag {
        resources::retry_refused(tx, row.id)?;
        jobs::due_now(tx, Duty::Push(calendar.id), now)?;
    }
    Ok(Read::Taken)
}

/// What upstream calls the object, as a name of ours.
fn last_segment(id: &RemoteId) -> Option<Name> {
    let last = id.as_str().rsplit('/').next()?;
    let decoded = percent_encoding::percent_decode_str(last).decode_utf8().ok()?;
    Name::new(&decoded)
}

// The list of calendars.

/// The same under a lease that is held already.
pub(super) async fn discover_leased(app: &App, lease: &Lease, id: AccountId) -> Result<Vec<CalendarId>, Trouble> {
    let Some(account) = app.store.read(move |tx| accounts::by_id(tx, id)).await? else { return Ok(Vec::new()) };
    let account: Account = account;
    let read = async {
        let provider = super::open(app, &account).map_err(Trouble::new)?;
        let identity = provider.identity().await?;
        Ok::<_, Trouble>((identity, provider.calendars().await?))
    };
    let now = app.clock.now();
    match read.await {
        Ok((identity, remote)) => {
            let lease = lease.clone();
            let write = move |tx: &mut Tx<'_>| -> Result<Vec<CalendarId>, Trouble> {
                calendars::lock_of(tx, account.user)?;
                if !jobs::renew(tx, &lease, now)? {
                    return Err(Trouble::new("another worker has taken over"));
                }
                // It may have been removed, or been given another place, while its upstream was asked.
                let current = accounts::by_id(tx, account.id)?;
                if current.is_none_or(|a| (&a.url, &a.login, &a.take) != (&account.url, &account.login, &account.take))
                {
                    return Err(Trouble::new("the account was changed while its upstream was asked"));
                }
                if accounts::set_addresses(tx, account.id, &identity.addresses)? {
                    instances::reindex_user(tx, account.user)?;
                }
                let made = mirror_all(tx, &account, &remote, now)?;
                shape::reshape(tx, account.user, now)?;
                accounts::note(tx, account.id, None, now)?;
                Ok(made)
            };
            let made = app.store.write(write).await?;
            app.wake.notify_one();
            Ok(made)
        }
        Err(trouble) => {
            let why = trouble.why.clone();
            app.store.write(move |tx| accounts::note(tx, id, Some(&why), now)).await?;
            Err(trouble)
        }
    }
}

/// Makes the mirrors of an account from the upstream's list. A calendar that is listed no more keeps its mirror, which
/// says so: a list may be wrong, and what is here is not thrown away for it.
fn mirror_all(
    tx: &mut Tx<'_>,
    account: &Account,
    remote: &[RemoteCalendar],
    now: Instant,
) -> Result<Vec<CalendarId>, store::Error> {
    let mut made = Vec::new();
    let before = calendars::mirrors(tx, account.id)?;
    let asked = calendars::asked(tx, account.id)?;
    let taken: Vec<(Taken, Option<&RemoteCalendar>)> = match &account.take {
        Take::Some(taken) => {
            let placed = |t: &Taken| Taken { slug: free_of_reserved(&t.slug), ..t.clone() };
            taken.iter().map(placed).map(|t| (t.clone(), found_before(&before, &asked, &t, remote))).collect()
        }
        Take::All => {
            let usable = remote.iter().filter(|r| r.components.iter().any(|k| *k != Kind::Other));
            let mut taken = Vec::new();
            for calendar in usable {
                let slug = slug_of(tx, account, &before, &taken, calendar)?;
                let one = Taken { remote: calendar.id.0.clone(), slug, display_name: None, color: None };
                taken.push((one, Some(calendar)));
            }
            taken
        }
    };
    for (one, found) in &taken {
        let Some(found) = found else {
            if let Some(calendar) = before.iter().find(|c| c.slug == one.slug) {
                let there: Vec<&str> = remote.iter().map(|r| r.name.as_str()).collect();
                let why = format!("the account has no calendar {:?}; it has: {}", one.remote, there.join(", "));
                calendars::note(tx, calendar.id, &why, now)?;
            }
            continue;
        };
        let given = Given {
            name: one.display_name.as_deref().unwrap_or(if found.name.is_empty() { &one.slug } else { &found.name }),
            color: one.color.as_deref().unwrap_or(&found.color),
            text: &found.description,
            writable: found.writable,
            components: &found.components,
            transparent: found.transparent,
            schedules: found.schedules,
        };
        match calendars::mirror(tx, account, &one.slug, &found.id, &one.remote, &given, now)? {
            Some(id) => {
                jobs::ensure(tx, Duty::Pull(id), now)?;
                jobs::ensure(tx, Duty::Push(id), jobs::NEVER)?;
                made.push(id);
            }
            None => {
                let why = format!("the name {:?} is another calendar's: give this one another", one.slug);
                return Err(store::Error::Unavailable(why));
            }
        }
    }
    for calendar in before.iter().filter(|c| !taken.iter().any(|(t, _)| t.slug == c.slug)) {
        calendars::note(tx, calendar.id, "the upstream does not list this calendar any more", now)?;
    }
    Ok(made)
}

/// An account that was added before scheduling took two names for itself may have used one.
fn free_of_reserved(slug: &str) -> String {
    if RESERVED.contains(&slug) { format!("{slug}-calendar") } else { slug.to_owned() }
}

/// The calendar that `taken` means. What was found by the same words before, and is still listed, stays the one: somebody
/// may share another calendar of that name.
fn found_before<'a>(
    before: &[Calendar],
    asked: &[(String, String)],
    taken: &Taken,
    remote: &'a [RemoteCalendar],
) -> Option<&'a RemoteCalendar> {
    let same_words = asked.iter().any(|(slug, words)| *slug == taken.slug && *words == taken.remote);
    let bound = before.iter().find(|c| same_words && c.slug == taken.slug).and_then(|c| match &c.source {
        Source::Mirror { remote, .. } => remote.as_ref(),
        _ => None,
    });
    let still = bound.and_then(|bound| remote.iter().find(|r| calendars::same_place(&r.id, bound)));
    still.or_else(|| remote.iter().find(|r| is_called(r, &taken.remote)))
}

/// Whether people mean this calendar by `text`: its name, its path, or the last part of that.
fn is_called(calendar: &RemoteCalendar, text: &str) -> bool {
    let path = calendar.id.as_str().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or(path);
    let decoded = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
    calendar.name == text || path == text.trim_end_matches('/') || last == text || decoded == text
}

/// The slug of a calendar that nobody named: the one it has, or its name in letters that URLs like.
fn slug_of(
    tx: &mut Tx<'_>,
    account: &Account,
    before: &[Calendar],
    taken: &[(Taken, Option<&RemoteCalendar>)],
    calendar: &RemoteCalendar,
) -> Result<String, store::Error> {
    let same = |c: &&Calendar| matches!(&c.source, Source::Mirror { remote: Some(r), .. } if calendars::same_place(r, &calendar.id));
    if let Some(mirror) = before.iter().find(same) {
        return Ok(mirror.slug.clone());
    }
    let mut plain = String::new();
    for c in calendar.name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => plain.push(c),
            _ if !plain.is_empty() && !plain.ends_with('-') => plain.push('-'),
            _ => {}
        }
    }
    let plain = plain.trim_end_matches('-');
    let plain = if plain.is_empty() { account.name.as_str() } else { plain };
    let plain: String = plain.chars().take(40).collect();
    for n in 1.. {
        let slug = if n == 1 { plain.clone() } else { format!("{plain}-{n}") };
        let here = taken.iter().any(|(t, _)| t.slug == slug);
        if !here && !calendars::is_taken(tx, account.user, &slug)? {
            return Ok(slug);
        }
    }
    Ok(plain)
}
