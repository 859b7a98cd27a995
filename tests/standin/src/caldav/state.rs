//! What the server holds: users, collections with their history, manners, faults, the log. Deterministic: etags and
//! tokens are counted, not drawn.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::Asked;

/// How the server behaves for good. The default is a good server.
#[derive(Clone, Debug)]
pub struct Manners {
    /// It has sync-collection.
    pub sync: bool,
    /// It has getctag.
    pub ctag: bool,
    /// A sync-collection answer holds at most so many members, and a 507 when there are more.
    pub sync_page: Option<usize>,
    /// What it does with a sync token that it did not give, or no longer knows.
    pub bad_token: BadToken,
    /// PUT answers with an ETag.
    pub etag_on_put: bool,
    /// Etags are weak everywhere, and If-Match never fits them.
    pub weak_etags: bool,
    /// It adds a property to everything it is given.
    pub rewrites: bool,
    /// It keeps objects under a name of its own, and tells it by Location.
    pub renames: bool,
    /// It does not look at If-None-Match.
    pub ignores_if_none_match: bool,
    /// How it refuses a UID that another object of the calendar has.
    pub uid_conflict: UidConflict,
    /// It does not mind two objects with one UID.
    pub allows_same_uid: bool,
    /// A multiget leaves out every second member, without a word.
    pub multiget_skips: bool,
    /// A multiget gives no etags.
    pub multiget_without_etags: bool,
    /// A multiget gives texts with LF line ends, and some white space around them, as XML tools do.
    pub multiget_reprints: bool,
    /// It has no multiget.
    pub no_multiget: bool,
    /// A listing of a calendar holds the calendar and nothing else.
    pub lists_nothing: bool,
    /// A listing of a calendar leaves out every second member.
    pub lists_half: bool,
    /// A listing of a calendar does not hold the calendar itself.
    pub lists_without_itself: bool,
    /// A listing of a calendar also holds these hrefs.
    pub lists_strangers: Vec<String>,
    /// It tells privileges.
    pub tells_privileges: bool,
    /// What is said of sending invitations.
    pub auto_schedule: AutoSchedule,
    pub well_known: WellKnown,
    /// Paths that begin with the first are redirected to the second.
    pub moved: Option<(String, String)>,
    pub hrefs: Hrefs,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners {
            sync: true,
            ctag: true,
            sync_page: None,
            bad_token: BadToken::Refuse(403, true),
            etag_on_put: true,
            weak_etags: false,
            rewrites: false,
            renames: false,
            ignores_if_none_match: false,
            uid_conflict: UidConflict::Named,
            allows_same_uid: false,
            multiget_skips: false,
            multiget_without_etags: false,
            multiget_reprints: false,
            no_multiget: false,
            lists_nothing: false,
            lists_half: false,
            lists_without_itself: false,
            lists_strangers: Vec::new(),
            tells_privileges: true,
            auto_schedule: AutoSchedule::No,
            well_known: WellKnown::Redirect(301, "/".to_owned()),
            moved: None,
            hrefs: Hrefs::Encoded,
        }
    }
}

/// What is done with a sync token that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// This status, with or without `DAV:valid-sync-token`.
    Refuse(u16, bool),
    /// 207 with everything.
    TellAll,
    /// 207 with nothing.
    TellNothing,
}

/// What is said of sending invitations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoSchedule {
    No,
    /// In each answer, and the principal has an outbox.
    Everywhere,
    /// In the answer to OPTIONS, and the principal has an outbox.
    InOptions,
    /// In each answer, and there is no outbox to send from.
    WithoutOutbox,
}

/// How a UID conflict is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UidConflict {
    /// 403 and `no-uid-conflict` with the href of the other.
    Named,
    /// This status and `no-uid-conflict` alone.
    Bare(u16),
    /// 400 and words.
    Words,
}

/// What is at `/.well-known/caldav`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WellKnown {
    Redirect(u16, String),
    Missing,
}

/// How hrefs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hrefs {
    /// Percent-encoded where a path needs it.
    Encoded,
    /// Percent-encoded also where it does not, in lower-case digits.
    Overencoded,
    /// With scheme and host.
    Absolute,
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status and text; nothing is done.
    Status(u16, String),
    /// This status and XML; nothing is done.
    Xml(u16, String),
    /// It is done, and this status is answered.
    StatusAfter(u16),
    /// 200 with these bytes as the object, and its ETag.
    Object(Vec<u8>),
    /// 200 with a page that wants a login.
    WebPage,
    /// 401.
    Unauthorized,
    /// 503 with this Retry-After.
    Unavailable(String),
    Redirect(u16, String),
    /// The answer ends in the middle, and then the connection.
    Truncated,
    /// The answer ends in the middle, and looks complete to HTTP.
    HalfBody,
    /// No answer.
    Hang,
    /// The answer comes after this time.
    Slow(Duration),
    /// Nothing is done, the connection ends.
    DropBefore,
    /// It is done, the connection ends without an answer.
    DropAfter,
    /// An answer that does not end.
    Endless,
}

/// A fault that waits for its request.
pub(super) struct Queued {
    method: String,
    path: String,
    left: usize,
    fault: Fault,
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    pub method: String,
    pub path: String,
    /// 0: it was not answered.
    pub status: u16,
    /// Whether it bore credentials.
    pub authorized: bool,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub depth: Option<String>,
}

pub(super) struct User {
    pub password: String,
    pub homes: Vec<String>,
    pub addresses: Vec<String>,
}

/// What a collection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Calendar,
    Folder,
    Inbox,
    Outbox,
    Subscribed,
    Trash,
}

/// A collection.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub role: Role,
    /// Empty: it has none.
    pub name: String,
    pub color: String,
    pub description: String,
    /// Empty: it does not say.
    pub components: Vec<String>,
    pub read_only: bool,
    pub(super) objects: BTreeMap<String, Stored>,
    /// Every change: its number and the name of the object.
    pub(super) history: Vec<(u64, String)>,
    pub(super) seq: u64,
    /// Tokens below are forgotten.
    pub(super) floor: u64,
}

impl Calendar {
    pub(super) fn new(name: &str) -> Calendar {
        Calendar {
            role: Role::Calendar,
            name: name.to_owned(),
            color: String::new(),
            description: String::new(),
            components: vec!["VEVENT".to_owned()],
            read_only: false,
            objects: BTreeMap::new(),
            history: Vec::new(),
            seq: 0,
            floor: 0,
        }
    }
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub text: String,
    /// Without quotes.
    pub etag: String,
}

#[derive(Default)]
pub(super) struct State {
    pub users: BTreeMap<String, User>,
    pub calendars: BTreeMap<String, Calendar>,
    pub manners: Manners,
    pub faults: Vec<Queued>,
    pub log: Vec<Logged>,
    /// Numbers etags, so that no two states of any object share one.
    writes: u64,
}

impl State {
    pub fn add_user(&mut self, user: &str, password: &str) {
        let addresses = vec![format!("{user}@example.com")];
        let homes = vec![format!("/calendars/{user}/")];
        self.users.insert(user.to_owned(), User { password: password.to_owned(), homes, addresses });
    }

    pub fn add_home(&mut self, user: &str, home: &str) {
        if let Some(user) = self.users.get_mut(user) {
            user.homes.push(home.to_owned());
        }
    }

    /// Stores an object and gives its etag; the calendar must be there.
    pub fn store(&mut self, calendar: &str, name: &str, text: &str) -> String {
        self.writes += 1;
        let etag = format!("e{}", self.writes);
        let calendar = self.calendars.get_mut(calendar).expect("the calendar is there");
        calendar.seq += 1;
        calendar.history.push((calendar.seq, name.to_owned()));
        calendar.objects.insert(name.to_owned(), Stored { text: text.to_owned(), etag: etag.clone() });
        etag
    }

    pub fn remove(&mut self, calendar: &str, name: &str) -> bool {
        let Some(calendar) = self.calendars.get_mut(calendar) else { return false };
        if calendar.objects.remove(name).is_none() {
            return false;
        }
        calendar.seq += 1;
        calendar.history.push((calendar.seq, name.to_owned()));
        true
    }

    pub fn forget_history(&mut self) {
        for calendar in self.calendars.values_mut() {
            calendar.seq += 1;
            calendar.floor = calendar.seq;
            calendar.history.clear();
        }
    }

    pub fn queue_fault(&mut self, method: &str, path: &str, times: usize, fault: Fault) {
        self.faults.push(Queued { method: method.to_owned(), path: path.to_owned(), left: times, fault });
    }

    pub fn take_fault(&mut self, method: &str, path: &str) -> Option<Fault> {
        let fits = |q: &Queued| q.left > 0 && (q.method == "*" || q.method == method) && path.contains(&q.path);
        let queued = self.faults.iter_mut().find(|q| fits(q))?;
        queued.left -= 1;
        Some(queued.fault.clone())
    }

    /// Logs a request and gives its place in the log.
    pub fn note(&mut self, asked: &Asked) -> usize {
        self.log.push(Logged {
            method: asked.method.clone(),
            path: asked.path.clone(),
            status: 0,
            authorized: asked.authorization.is_some(),
            if_match: asked.if_match.clone(),
            if_none_match: asked.if_none_match.clone(),
            depth: asked.depth.clone(),
        });
        self.log.len() - 1
    }

    /// The names that changed after `seq`, each once, in the order of their last change; with the number of it.
    pub fn changes_since(calendar: &Calendar, seq: u64) -> Vec<(u64, String)> {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (at, name) in calendar.history.iter().filter(|(at, _)| *at > seq) {
            last.insert(name, *at);
        }
        let mut changes: Vec<(u64, String)> = last.into_iter().map(|(name, at)| (at, name.to_owned())).collect();
        changes.sort();
        changes
    }
}
