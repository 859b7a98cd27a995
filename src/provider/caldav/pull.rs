//! Pull: by sync-collection (RFC 6578) where the server has it, else by ctag and etags.
//!
//! What is believed, because promise 3 hangs on it:
//! - A change or a deletion is news only from a 207 that is well-formed to its end.
//! - A deletion is news when the server says it of that object: a 404 for its href in a sync-collection answer, or, for
//!   an object that a complete listing lacks, a 404 or 410 when it is asked for by name, and then the calendar answers
//!   for itself. Absence alone deletes nothing.
//! - A listing counts only if it holds the collection itself. An empty one, while an object we know of still answers,
//!   is an error.
//! - Hrefs that are not directly in the collection are not seen at all.
//! - The calendar is gone when it says so, or answers 404 while the collection that it is in answers.
//!
//! One object holds up no other: one that is listed and not given is given on with a text that says so. Where that is
//! trouble of the server, which may pass, the cursor stays where it was, and the next pull asks for it again.
//!
//! Servers that take any token and answer with nothing (SOGo, Open-Xchange and others do) can not be told from quiet ones:
//! the engine asks without a cursor once in a while.

use std::collections::{BTreeMap, HashMap, HashSet};

use url::Url;

use super::xml::{self, CALDAV, CALENDARSERVER, DAV};
use super::{Caldav, Read, at, canonical, href, is_whole_calendar, kept, responses};
use crate::ids::{Cursor, Etag, RemoteId};
use crate::provider::{Error, Known, Next, Page, RemoteObject, http};

/// Hrefs in one calendar-multiget; more is refused by some and cut short by others.
const CHUNK: usize = 50;
/// Objects fetched for one page: memory stays bounded whatever the size of the calendar.
const PAGE: usize = 500;
/// Longest sync token or ctag in bytes that is kept.
const MARK: usize = 4096;

pub(super) async fn pull(
    account: &Caldav,
    calendar: &RemoteId,
    cursor: Option<&Cursor>,
    known: &Known,
) -> Result<Page, Error> {
    let position = match cursor {
        None => Position::default(),
        Some(cursor) => Position::read(cursor.as_str()).ok_or(Error::CursorLost)?,
    };
    let url = account.calendar_url(calendar)?;
    let listing = match held(account, calendar, &position).await {
        Some(listing) => listing,
        None => match &position.from {
            Mark::Token(token) => changes(account, &url, token, &position).await?,
            Mark::Tag(_) | Mark::Nothing => match list(account, &url, &position).await? {
                Some(listing) => listing,
                None => {
                    let next = Next::Done { cursor: cursor.cloned(), whole: false };
                    return Ok(Page { objects: Vec::new(), unchanged: Vec::new(), gone: Vec::new(), next });
                }
            },
        },
    };
    page(account, calendar, &url, position, listing, known).await
}

/// What a cursor was made from: how far we have seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Mark {
    #[default]
    Nothing,
    /// A sync token.
    Token(String),
    /// A ctag.
    Tag(String),
}

impl Mark {
    fn write(&self) -> String {
        match self {
            Mark::Nothing => "none".to_owned(),
            Mark::Token(token) => format!("sync {token}"),
            Mark::Tag(tag) => format!("ctag {tag}"),
        }
    }

    fn read(text: &str) -> Option<Mark> {
        match text.split_once(' ') {
            None => (text == "none").then_some(Mark::Nothing),
            Some(("sync", token)) => Some(Mark::Token(token.to_owned())),
            Some(("ctag", tag)) => Some(Mark::Tag(tag.to_owned())),
            Some(_) => None,
        }
    }
}

/// A cursor taken apart. Between two runs only `from` is set. In the middle of a run, that is after [`Next::More`],
/// the listing that begins at `from` was given up to the key `after`, and `to` is where the run ends. `to` is
/// the mark of the run's beginning: what changes while it lasts is told by the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Position {
    from: Mark,
    rest: Option<Rest>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rest {
    to: Mark,
    after: String,
}

impl Position {
    fn write(&self) -> Cursor {
        Cursor(match &self.rest {
            None => self.from.write(),
            Some(rest) => format!("{}\n{}\n{}", self.from.write(), rest.to.write(), rest.after),
        })
    }

    fn read(text: &str) -> Option<Position> {
        let mut lines = text.split('\n');
        let from = Mark::read(lines.next()?)?;
        let rest = match (lines.next(), lines.next(), lines.next()) {
            (None, None, None) => None,
            (Some(to), Some(after), None) => Some(Rest { to: Mark::read(to)?, after: after.to_owned() }),
            _ => return None,
        };
        Some(Position { from, rest })
    }
}

/// What a server told of a calendar, before any object is fetched.
pub(super) struct Listing {
    /// By key, in order: pages are cut from it.
    members: BTreeMap<String, Member>,
    /// Where we are when all of it is read.
    to: Mark,
    /// True: it lists everything there is. False: what changed.
    whole: bool,
    /// True: the server has more changes than it told, from `to` on.
    more: bool,
}

struct Member {
    /// The path as the server wrote it.
    path: String,
    state: State,
}

enum State {
    There {
        /// `None`: the server did not say.
        etag: Option<String>,
    },
    Gone,
}

/// A listing in use: whose it is, and where its run began and will end.
pub(super) struct Held {
    calendar: RemoteId,
    from: Mark,
    to: Mark,
    listing: Listing,
}

async fn held(account: &Caldav, calendar: &RemoteId, position: &Position) -> Option<Listing> {
    let rest = position.rest.as_ref()?;
    let mut slot = account.listing.lock().await;
    let fits = |h: &Held| h.calendar == *calendar && h.from == position.from && h.to == rest.to;
    slot.take_if(|h| fits(h)).map(|h| h.listing)
}

/// Cuts the next page from a listing and fetches its objects.
async fn page(
    account: &Caldav,
    calendar: &RemoteId,
    url: &Url,
    position: Position,
    listing: Listing,
    known: &Known,
) -> Result<Page, Error> {
    // Ids that we hold, by key: an object keeps the id under which it is known, however the server writes it today.
    let ours: HashMap<String, (&RemoteId, &Etag)> =
        known.iter().map(|(id, etag)| (href::key(id.as_str()), (id, etag))).collect();
    let mut page = Page {
        objects: Vec::new(),
        unchanged: Vec::new(),
        gone: Vec::new(),
        next: Next::Done { cursor: None, whole: listing.whole },
    };
    let after = position.rest.as_ref().map(|r| r.after.as_str());
    let mut wanted = Vec::new();
    let mut rest = None;
    for (key, member) in &listing.members {
        if after.is_some_and(|after| key.as_str() <= after) {
            continue;
        }
        let held = ours.get(key).copied();
        let id = held.map_or_else(|| RemoteId(member.path.clone()), |(id, _)| id.clone());
        match (&member.state, held) {
            (State::Gone, _) => page.gone.push(id),
            (State::There { etag: Some(etag) }, Some((_, ours))) if etag == ours.as_str() => page.unchanged.push(id),
            (State::There { etag }, held) => {
                let etag = Etag(etag.clone().unwrap_or_default());
                wanted.push(Wanted { key, id, etag, held: held.is_some() });
            }
        }
        if wanted.len() >= PAGE {
            rest = Some(key.clone());
            break;
        }
    }
    let mut troubled = false;
    for (id, outcome) in fetch(account, url, &wanted, Say::Listed).await? {
        match outcome {
            Outcome::There(object) => page.objects.push(object),
            Outcome::Troubled(object) => {
                troubled = true;
                page.objects.push(object);
            }
            Outcome::Gone => page.gone.push(id),
            Outcome::Hidden => page.unchanged.push(id),
            Outcome::Nothing => {}
        }
    }
    let resumed = position.rest.is_some();
    let from = position.from;
    let to = match position.rest {
        // The run ends where its first page said, though this listing may be a later one.
        Some(rest) => rest.to,
        None => listing.to.clone(),
    };
    // To begin once more where this run began is safe where it can not lead in a circle: changes that come in parts go on.
    let to =
        if troubled && (listing.whole || !(resumed || rest.is_some() || listing.more)) { from.clone() } else { to };
    if let Some(after) = rest {
        let next = Position { from: from.clone(), rest: Some(Rest { to: to.clone(), after }) };
        page.next = Next::More(next.write());
        *account.listing.lock().await = Some(Held { calendar: calendar.clone(), from, to, listing });
        return Ok(page);
    }
    if listing.whole {
        confirm(account, url, &listing, &ours, &mut page).await?;
    }
    let cursor = (to != Mark::Nothing).then(|| Position { from: to, rest: None }.write());
    page.next = match cursor {
        // A run that was resumed may have missed that the server had more; asking once more is cheap.
        Some(cursor) if listing.more || (resumed && !listing.whole) => Next::More(cursor),
        cursor => Next::Done { cursor, whole: listing.whole },
    };
    Ok(page)
}

/// Asks by name for each object that we know of and a whole listing lacks. Only what the server then says is gone is gone.
async fn confirm(
    account: &Caldav,
    url: &Url,
    listing: &Listing,
    ours: &HashMap<String, (&RemoteId, &Etag)>,
    page: &mut Page,
) -> Result<(), Error> {
    let here = href::key(url.path());
    let mut missing: Vec<Wanted<'_>> = ours
        .iter()
        .filter(|(key, _)| !listing.members.contains_key(*key) && href::is_member(&here, key))
        .map(|(key, (id, etag))| Wanted { key, id: (*id).clone(), etag: (*etag).clone(), held: true })
        .collect();
    missing.sort_by(|a, b| a.key.cmp(b.key));
    for (id, outcome) in fetch(account, url, &missing, Say::Absent).await? {
        match outcome {
            Outcome::Gone | Outcome::Nothing => page.gone.push(id),
            Outcome::There(_) | Outcome::Troubled(_) | Outcome::Hidden if listing.members.is_empty() => {
                let why = format!("{} lists an empty calendar, yet its objects are still there", http::place(url));
                return Err(Error::Retry { after: None, why });
            }
            Outcome::There(object) | Outcome::Troubled(object) => page.objects.push(object),
            Outcome::Hidden => page.unchanged.push(id),
        }
    }
    Ok(())
}

/// The collection's own state, taken before it is listed.
struct Collection {
    mark: Mark,
    tag: Option<String>,
}

async fn collection(account: &Caldav, url: &Url) -> Result<Collection, Error> {
    let props = "<d:resourcetype/><d:sync-token/><d:supported-report-set/><cs:getctag/>";
    let answer = account.propfind(url, "0", props).await?;
    if matches!(answer.status.as_u16(), 404 | 410) {
        return Err(gone(account, url, &answer).await);
    }
    let mut own = None;
    responses(&answer, "reading the calendar", |response| {
        if href::is_itself(url.path(), answer.url.path(), &response.href) {
            own = Some(response);
        }
    })?;
    let own = own.ok_or_else(|| without_itself(url))?;
    match own.status {
        Some(404 | 410) => return Err(Error::Missing),
        Some(status) => return Err(trouble(url, format!("answered {status} for the calendar"))),
        None => {}
    }
    let usable = |text: &&str| text.len() <= MARK && !text.contains(char::is_control);
    let can_sync = own.prop(DAV, "supported-report-set").is_some_and(|set| set.holds(DAV, "sync-collection"));
    let token = own.text(DAV, "sync-token").filter(usable).filter(|_| can_sync).map(str::to_owned);
    let tag = own.text(CALENDARSERVER, "getctag").filter(usable).map(str::to_owned);
    let mark = match (token, &tag) {
        (Some(token), _) => Mark::Token(token),
        (None, Some(tag)) => Mark::Tag(tag.clone()),
        (None, None) => Mark::Nothing,
    };
    Ok(Collection { mark, tag })
}

/// What a 404 or 410 for a calendar means: it is gone if the collection that it is in answers for itself. A proxy
/// whose server is down, and a server whose disk is not mounted, have neither.
async fn gone(account: &Caldav, url: &Url, answer: &http::Answer) -> Error {
    let path = url.path().trim_end_matches('/');
    let above = path.rfind('/').map(|slash| at(url, &path[..=slash]));
    let answers = match above {
        Some(above) => account.is_there(&above, DAV, "collection").await,
        None => Ok(false),
    };
    match answers {
        Ok(true) => Error::Missing,
        Ok(false) => trouble(url, format!("answered {} for the calendar, and does not answer above it", answer.status)),
        Err(e) => e,
    }
}

/// Everything there is, by Depth 1; `None`: the ctag says that nothing changed.
/// Not by an initial sync-collection: that is cut short, refused or empty on servers whose PROPFIND is sound.
async fn list(account: &Caldav, url: &Url, position: &Position) -> Result<Option<Listing>, Error> {
    let own = collection(account, url).await?;
    if position.rest.is_none() && matches!((&position.from, &own.tag), (Mark::Tag(seen), Some(now)) if seen == now) {
        return Ok(None);
    }
    let answer = account.propfind(url, "1", "<d:getetag/><d:resourcetype/><d:getcontenttype/>").await?;
    let mut members = BTreeMap::new();
    let mut itself = false;
    let mut cut = false;
    if matches!(answer.status.as_u16(), 404 | 410) {
        return Err(trouble(url, format!("answered {} to a listing of a calendar that is there", answer.status)));
    }
    responses(&answer, "listing the calendar", |response| {
        if href::is_itself(url.path(), answer.url.path(), &response.href) {
            itself = true;
            cut |= response.status == Some(507);
            return;
        }
        let Some((key, path)) = member(url, &answer.url, &response.href) else { return };
        let folder = response.prop(DAV, "resourcetype").is_some_and(|kind| kind.holds(DAV, "collection"));
        let kind = response.text(DAV, "getcontenttype").unwrap_or("text/calendar").to_ascii_lowercase();
        let plausible = kind.contains("calendar") || path.to_ascii_lowercase().ends_with(".ics");
        if !folder && plausible && response.status.is_none_or(|s| s < 300) {
            members.insert(key, Member { path, state: State::There { etag: response.etag() } });
        }
    })?;
    if !itself {
        return Err(without_itself(url));
    }
    if cut {
        return Err(trouble(url, "lists only a part of the calendar".to_owned()));
    }
    Ok(Some(Listing { members, to: own.mark, whole: true, more: false }))
}

/// What changed since `token`. No limit is asked for: servers take it wrongly more often than rightly. One that cuts
/// by itself says so with a 507 for the collection.
async fn changes(account: &Caldav, url: &Url, token: &str, position: &Position) -> Result<Listing, Error> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:sync-collection xmlns:d=\"DAV:\"><d:sync-token>{}</d:sync-token>\
         <d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop></d:sync-collection>",
        xml::escape(token)
    );
    let answer = account.report(url, "0", body).await?;
    let status = answer.status.as_u16();
    if matches!(status, 400 | 403 | 404 | 405 | 409 | 410 | 412 | 415 | 418 | 422 | 500 | 501) {
        // The standard says 403 with valid-sync-token; servers say all of these. If the calendar itself answers,
        // it is the token that it does not like, and reading everything does no harm.
        collection(account, url).await?;
        return Err(Error::CursorLost);
    }
    let mut members = BTreeMap::new();
    let mut more = false;
    let next = responses(&answer, "asking what changed", |response| {
        if href::is_itself(url.path(), answer.url.path(), &response.href) {
            more |= response.status == Some(507);
            return;
        }
        if response.href.ends_with('/') {
            return;
        }
        let Some((key, path)) = member(url, &answer.url, &response.href) else { return };
        let state = match response.status {
            Some(404 | 410) => State::Gone,
            _ => State::There { etag: response.etag() },
        };
        members.insert(key, Member { path, state });
    })?;
    let usable = |text: &String| text.len() <= MARK && !text.contains(char::is_control);
    let Some(next) = next.filter(usable) else {
        return Err(trouble(url, "told what changed without a new sync token".to_owned()));
    };
    if more && next == token && position.rest.is_none() {
        return Err(trouble(url, "says that there is more, and gives the same sync token again".to_owned()));
    }
    Ok(Listing { members, to: Mark::Token(next), whole: false, more })
}

/// An object to fetch.
struct Wanted<'a> {
    key: &'a str,
    id: RemoteId,
    /// As it was listed; empty: the server did not say.
    etag: Etag,
    /// Whether the engine has it.
    held: bool,
}

enum Outcome {
    There(RemoteObject),
    /// The server lists it and fails to give it, while the calendar answers. It has no etag, so that it is asked for again.
    Troubled(RemoteObject),
    /// The engine has it, and the server says that it is not there.
    Gone,
    /// The engine has it, and the server neither lists nor shows it: what we have stays.
    Hidden,
    /// The engine does not have it, and there is nothing to have.
    Nothing,
}

/// What the listing said of the objects that are fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Say {
    /// That they are there: a multiget that does not find one contradicts it, so a GET decides.
    Listed,
    /// Nothing: a multiget that does not find one confirms it.
    Absent,
}

/// Fetches objects, by multiget in chunks and one by one where that tells nothing. What speaks against an object is given
/// only when the calendar answered after it was said.
async fn fetch(
    account: &Caldav,
    url: &Url,
    wanted: &[Wanted<'_>],
    say: Say,
) -> Result<Vec<(RemoteId, Outcome)>, Error> {
    let mut outcomes = Vec::with_capacity(wanted.len());
    let (mut absent, mut refused) = (false, false);
    for chunk in wanted.chunks(CHUNK) {
        let mut found = if chunk.len() > 1 { multiget(account, url, chunk).await? } else { HashMap::new() };
        for one in chunk {
            let outcome = match found.remove(one.key) {
                Some(Some((etag, text))) => Outcome::There(RemoteObject { id: one.id.clone(), etag: Etag(etag), text }),
                Some(None) if say == Say::Absent && one.held => Outcome::Gone,
                Some(None) | None => match read(account, url, one).await? {
                    Read::There(object) => Outcome::There(object),
                    Read::Absent if one.held => Outcome::Gone,
                    Read::Absent => Outcome::Nothing,
                    Read::Kept(status, _) => {
                        // A server that is down is asked for no further objects.
                        if !std::mem::replace(&mut refused, true) {
                            account.still_there(url).await?;
                        }
                        match say {
                            Say::Absent => Outcome::Hidden,
                            Say::Listed if status.is_server_error() => {
                                Outcome::Troubled(kept(url, &one.id, Etag::from(""), status))
                            }
                            Say::Listed => Outcome::There(kept(url, &one.id, one.etag.clone(), status)),
                        }
                    }
                },
            };
            absent |= matches!(outcome, Outcome::Gone | Outcome::Nothing);
            outcomes.push((one.id.clone(), outcome));
        }
    }
    if absent {
        account.still_there(url).await?;
    }
    Ok(outcomes)
}

/// One object; once more when the server fails, which it may do once with no fault in the object.
async fn read(account: &Caldav, url: &Url, one: &Wanted<'_>) -> Result<Read, Error> {
    let of = at(url, one.id.as_str());
    match account.read(&of, &one.id).await? {
        Read::Kept(status, _) if status.is_server_error() => account.read(&of, &one.id).await,
        read => Ok(read),
    }
}

/// Etag and text of an object; `None`: the server says that it is not there.
type Got = Option<(String, String)>;

/// Objects by key; only those of which a whole answer was told. A server that has no multiget gives none.
async fn multiget(account: &Caldav, url: &Url, wanted: &[Wanted<'_>]) -> Result<HashMap<String, Got>, Error> {
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<c:calendar-multiget xmlns:d=\"DAV:\" xmlns:c=\"{CALDAV}\">\
         <d:prop><d:getetag/><c:calendar-data/></d:prop>"
    );
    for one in wanted {
        body.push_str("<d:href>");
        body.push_str(&xml::escape(one.id.as_str()));
        body.push_str("</d:href>");
    }
    body.push_str("</c:calendar-multiget>");
    let answer = account.report(url, "1", body).await?;
    if matches!(answer.status.as_u16(), 400 | 403 | 404 | 405 | 410 | 415 | 422 | 500 | 501) {
        return Ok(HashMap::new());
    }
    let asked: HashSet<&str> = wanted.iter().map(|w| w.key).collect();
    let mut found = HashMap::new();
    responses(&answer, "reading objects", |response| {
        let Some((key, _)) = member(url, &answer.url, &response.href) else { return };
        // U+FFFD may stand for bytes that XML could not carry: a GET shows them as they are.
        let data = response.prop(CALDAV, "calendar-data").filter(|d| !d.text.contains('\u{fffd}'));
        let data = data.map(|d| canonical(&d.text));
        if !asked.contains(key.as_str()) {
            return;
        }
        match (response.status, response.etag(), data) {
            (Some(404 | 410), ..) => drop(found.insert(key, None)),
            (_, Some(etag), Some(text)) if is_whole_calendar(&text) => drop(found.insert(key, Some((etag, text)))),
            _ => {}
        }
    })?;
    Ok(found)
}

/// Key and path of an href, if it is a member of the collection that was asked. Where a redirect led elsewhere, hrefs of
/// there become paths of here, so that an object keeps its id whichever way the server writes it.
fn member(asked: &Url, answered: &Url, href: &str) -> Option<(String, String)> {
    let path = href::path(answered.path(), href)?;
    let (key, here, there) = (href::key(&path), href::key(asked.path()), href::key(answered.path()));
    if href::is_member(&here, &key) {
        return Some((key, path));
    }
    if !href::is_member(&there, &key) {
        return None;
    }
    let path = format!("{}/{}", asked.path().trim_end_matches('/'), path.rsplit('/').next()?);
    Some((href::key(&path), path))
}

fn without_itself(url: &Url) -> Error {
    trouble(url, "told of a calendar without the calendar itself".to_owned())
}

fn trouble(url: &Url, what: String) -> Error {
    Error::Retry { after: None, why: format!("{} {what}", http::place(url)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_written_down() {
        let check = |text: &str, good: bool| {
            let position = Position::read(text);
            assert_eq!(position.is_some(), good, "{text:?}");
            assert!(position.is_none_or(|p| p.write().as_str() == text), "{text:?}");
        };
        check("sync http://example.com/sync/1 2", true);
        check("ctag \"x\"", true);
        check("none\nctag 1\n/cal/a.ics", true);
        check("sync 1\nsync 2\n/cal/%C3%A4.ics", true);
        check("", false);
        check("sync", false);
        check("token 1", false);
        check("sync 1\nsync 2", false);
        check("sync 1\nsync 2\n/a\n/b", false);
    }
}
