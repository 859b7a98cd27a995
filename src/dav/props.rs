//! PROPS: one row a property. To add one, add a row and a case in `fixtures/dav/`.
//!
//! A property that has no row here, or none for the kind of node that is asked, is a dead one (RFC 4918 4): it is kept
//! for the user as it came, and given back.

use std::fmt::Write;
use std::sync::Arc;

use super::acl;
use super::path;
use super::principals;
use super::push;
use super::request::{PropName, Value};
use super::response::{Ns, http_date};
use super::xml::escape;
use crate::busy;
use crate::config::{Limits, PublicUrl};
use crate::ical::{Component, Instant, Kind, zone};
use crate::store::calendars::{Calendar, Edit};
use crate::store::scheduling::{Facts, INBOX, OUTBOX};
use crate::store::users::{Actor, User};
use crate::store::walk::Seen;
use crate::sync::limits;
use crate::sync::notify;

/// What has properties.
#[derive(Clone, Copy)]
pub enum Node<'a> {
    Root,
    Principals,
    Principal(&'a User),
    Home(&'a User),
    Inbox(&'a User, &'a Facts),
    Outbox(&'a User, &'a Facts),
    Calendar(&'a Calendar),
    /// Its [`Access`] is right where [`super::sheet::Sheet::wants_access`] says that it is looked at.
    Resource(&'a Calendar, Row<'a>, Access),
}

/// A resource as its properties need it, with its body or without.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub name: &'a str,
    pub etag: &'a str,
    /// These two are right where [`super::sheet::Sheet::wants_details`] says that they are looked at.
    pub size: i64,
    pub changed_at: Instant,
    /// Its schedule tag, if it has one and it was asked for; see [`super::sheet::Sheet::wants_schedule_tag`].
    pub schedule_tag: Option<&'a str>,
}

impl<'a> Row<'a> {
    /// The row with its schedule tag.
    pub fn tagged(self, schedule_tag: Option<&'a str>) -> Row<'a> {
        Row { schedule_tag, ..self }
    }
}

/// Whether a resource may be replaced and removed by who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Write,
    Read,
}

impl<'a> From<&Seen<'a>> for Row<'a> {
    fn from(s: &Seen<'a>) -> Row<'a> {
        Row { name: s.name, etag: s.etag, size: s.size, changed_at: s.changed_at, schedule_tag: None }
    }
}

/// What properties depend on besides their node.
#[derive(Clone)]
pub struct Scene {
    pub actor: Actor,
    /// What every href begins with.
    pub base: PublicUrl,
    pub limits: Limits,
    /// The sync token of the actor's home, where a home may be shown.
    pub home: Option<String>,
    /// Octets in all calendars of the actor, where [`super::sheet::Sheet::wants_quota`] says that they are asked for.
    pub stored: Option<i64>,
    /// Where push messages are offered.
    pub push: Option<Arc<notify::Push>>,
}

/// One property.
pub struct Prop {
    pub ns: Ns,
    pub name: &'static str,
    /// Whether `allprop` gives it (RFC 4918 14.2; the specifications of the others say that it shall not).
    pub allprop: bool,
    /// Writes what is inside the element. False: this node has none, so it goes into the 404 propstat.
    pub get: fn(&Scene, &Node<'_>, &mut String) -> bool,
    pub set: Set,
    /// A calendar's is a text in some language, which is kept beside it: as the whole element that it was set by, where
    /// dead properties are.
    pub language: bool,
}

/// Whether a client may change a property.
pub enum Set {
    /// Protected everywhere: 403 `cannot-modify-protected-property`.
    Never,
    /// A calendar's is set by this, which puts it into the edit or says in words what is wrong with it; an absent value
    /// removes it. Where a node has none, it can be kept as a dead one.
    Calendar(fn(Option<&str>, &mut Edit) -> Result<(), String>),
    /// The same for one whose value is an element.
    CalendarElement(fn(Option<&Value>, &mut Edit) -> Result<(), String>),
    /// The inbox's, and nobody else's.
    Inbox(BoxSetting),
}

/// What can be set of an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoxSetting {
    Availability,
    DefaultCalendar,
}

const fn row(ns: Ns, name: &'static str, get: fn(&Scene, &Node<'_>, &mut String) -> bool) -> Prop {
    Prop { ns, name, allprop: false, get, set: Set::Never, language: false }
}

const fn basic(name: &'static str, get: fn(&Scene, &Node<'_>, &mut String) -> bool) -> Prop {
    Prop { allprop: true, ..row(Ns::Dav, name, get) }
}

use Ns::{Apple, CalDav, CalendarServer, Dav};

/// The one property that depends on the [`Access`] to a resource.
pub const PRIVILEGES: &str = "current-user-privilege-set";
/// Those in `DAV:` that depend on the details of a resource's row, see [`crate::store::walk::Parts`].
pub const DETAILS: [&str; 2] = ["getcontentlength", "getlastmodified"];
/// What [`Scene::stored`] is for.
pub const QUOTA: [&str; 2] = ["quota-available-bytes", "quota-used-bytes"];
/// The one that depends on what a resource holds.
pub const SCHEDULE_TAG: &str = "schedule-tag";

pub const PROPS: &[Prop] = &[
    // RFC 4918 15
    basic("resourcetype", resourcetype),
    Prop { set: Set::Calendar(set_displayname), language: true, ..basic("displayname", displayname) },
    basic("getetag", getetag),
    basic("getcontenttype", getcontenttype),
    basic("getcontentlength", getcontentlength),
    basic("getlastmodified", getlastmodified),
    basic("supportedlock", nothing_inside),
    row(Dav, "lockdiscovery", none),
    row(Dav, "creationdate", none),
    // RFC 3744, 5397
    row(Dav, "current-user-principal", current_user_principal),
    row(Dav, "principal-URL", principal_url),
    row(Dav, "principal-collection-set", principal_collection_set),
    row(Dav, "owner", owner),
    row(Dav, PRIVILEGES, current_user_privilege_set),
    // RFC 4331
    row(Dav, QUOTA[0], quota_available_bytes),
    row(Dav, QUOTA[1], quota_used_bytes),
    // RFC 5842, 5995
    row(Dav, "resource-id", resource_id),
    row(Dav, "add-member", add_member),
    row(Dav, "group", acl::empty),
    row(Dav, "supported-privilege-set", acl::supported_privilege_set),
    row(Dav, "acl", acl::acl),
    row(Dav, "acl-restrictions", acl::acl_restrictions),
    row(Dav, "inherited-acl-set", acl::empty),
    row(Dav, "alternate-URI-set", acl::alternate_uri_set),
    row(Dav, "group-member-set", acl::empty_of_principal),
    row(Dav, "group-membership", acl::empty_of_principal),
    // CalendarServer's: sharing, and who acts for whom
    row(CalendarServer, "invite", acl::invite),
    row(CalendarServer, "allowed-sharing-modes", acl::allowed_sharing_modes),
    row(CalendarServer, "email-address-set", acl::email_address_set),
    row(CalendarServer, "calendar-proxy-read-for", acl::empty_of_oneself),
    row(CalendarServer, "calendar-proxy-write-for", acl::empty_of_oneself),
    // RFC 3253, 6578
    row(Dav, "supported-report-set", supported_report_set),
    row(Dav, "sync-token", sync_token),
    row(CalendarServer, "getctag", sync_token),
    // RFC 4791 5.2 and 6.2
    row(CalDav, "calendar-home-set", calendar_home_set),
    row(CalDav, "supported-calendar-component-set", supported_calendar_component_set),
    row(CalDav, "supported-calendar-component-sets", supported_calendar_component_sets),
    row(CalDav, "supported-calendar-data", supported_calendar_data),
    row(CalDav, "supported-collation-set", supported_collation_set),
    row(CalDav, "max-resource-size", max_resource_size),
    row(CalDav, "min-date-time", min_date_time),
    row(CalDav, "max-date-time", max_date_time),
    row(CalDav, "max-instances", max_instances),
    row(CalDav, "max-attendees-per-instance", max_attendees_per_instance),
    Prop {
        set: Set::Calendar(set_description),
        language: true,
        ..row(CalDav, "calendar-description", calendar_description)
    },
    Prop { set: Set::Calendar(set_timezone), ..row(CalDav, "calendar-timezone", calendar_timezone) },
    // RFC 7809 5.2; there is no service for zones here, so `timezone-service-set` is nowhere
    Prop { set: Set::Calendar(set_timezone_id), ..row(CalDav, "calendar-timezone-id", calendar_timezone_id) },
    // RFC 6638 2, 3.2.10 and 9
    row(CalDav, "calendar-user-address-set", calendar_user_address_set),
    row(CalDav, "calendar-user-type", acl::calendar_user_type),
    row(CalDav, "schedule-inbox-URL", schedule_inbox_url),
    row(CalDav, "schedule-outbox-URL", schedule_outbox_url),
    Prop {
        set: Set::Inbox(BoxSetting::DefaultCalendar),
        ..row(CalDav, "schedule-default-calendar-URL", schedule_default_calendar_url)
    },
    Prop { set: Set::CalendarElement(set_transp), ..row(CalDav, "schedule-calendar-transp", schedule_calendar_transp) },
    row(CalDav, SCHEDULE_TAG, schedule_tag),
    // A draft of it, which Apple's clients still read: which calendars make their owner busy
    Prop { set: Set::CalendarElement(set_counts), ..row(CalDav, "calendar-free-busy-set", calendar_free_busy_set) },
    // RFC 7953 7.2
    Prop { set: Set::Inbox(BoxSetting::Availability), ..row(CalDav, "calendar-availability", calendar_availability) },
    // WebDAV-Push
    row(Ns::Push, "transports", push::transports),
    row(Ns::Push, "topic", push::topic),
    row(Ns::Push, "supported-triggers", push::supported_triggers),
    // Apple
    Prop { set: Set::Calendar(set_color), ..row(Apple, "calendar-color", calendar_color) },
    Prop { set: Set::Calendar(set_order), ..row(Apple, "calendar-order", calendar_order) },
];

/// The row of a property.
pub fn find(name: &PropName) -> Option<&'static Prop> {
    let ns = Ns::of(&name.ns)?;
    PROPS.iter().find(|p| p.ns == ns && p.name == name.name)
}

/// A name in `DAV:` that has no row. Those are for the specifications to give a meaning to, not for clients to keep
/// things under.
pub fn is_reserved(name: &PropName) -> bool {
    Ns::of(&name.ns) == Some(Dav) && find(name).is_none()
}

fn none(_: &Scene, _: &Node<'_>, _: &mut String) -> bool {
    false
}

fn nothing_inside(_: &Scene, _: &Node<'_>, _: &mut String) -> bool {
    true
}

fn resourcetype(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    out.push_str(match node {
        Node::Root | Node::Principals | Node::Home(_) => "<D:collection/>",
        Node::Principal(_) => "<D:collection/><D:principal/>",
        Node::Inbox(..) => "<D:collection/><C:schedule-inbox/>",
        Node::Outbox(..) => "<D:collection/><C:schedule-outbox/>",
        Node::Calendar(_) => "<D:collection/><C:calendar/>",
        Node::Resource(..) => "",
    });
    match node {
        Node::Calendar(calendar) if calendar.share.is_some() => out.push_str("<CS:shared/>"),
        Node::Calendar(calendar) if !calendar.granted.is_empty() => out.push_str("<CS:shared-owner/>"),
        _ => {}
    }
    true
}

fn displayname(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let name = match node {
        Node::Principal(user) | Node::Home(user) if user.display_name.is_empty() => &user.name,
        Node::Principal(user) | Node::Home(user) => &user.display_name,
        Node::Calendar(calendar) => &calendar.display_name,
        _ => return false,
    };
    text(name, out)
}

fn getetag(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Resource(_, row, _) = node else { return false };
    out.push('"');
    escape(row.etag, out);
    out.push('"');
    true
}

/// Without a `component` parameter, which some clients do not expect behind the type.
pub const CONTENT_TYPE: &str = "text/calendar; charset=utf-8";

fn getcontenttype(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Resource(..) = node else { return false };
    out.push_str(CONTENT_TYPE);
    true
}

fn getcontentlength(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Resource(_, row, _) = node else { return false };
    write!(out, "{}", row.size).is_ok()
}

fn getlastmodified(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let at = match node {
        Node::Resource(_, row, _) => row.changed_at,
        Node::Calendar(calendar) => calendar.changed_at,
        _ => return false,
    };
    out.push_str(&http_date(at));
    true
}

fn current_user_principal(scene: &Scene, _: &Node<'_>, out: &mut String) -> bool {
    href(&path::principal(&scene.base, &scene.actor.name), out)
}

fn principal_url(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Principal(user) = node else { return false };
    href(&path::principal(&scene.base, &user.name), out)
}

fn principal_collection_set(scene: &Scene, _: &Node<'_>, out: &mut String) -> bool {
    href(&path::principals(&scene.base), out)
}

fn owner(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let name = match node {
        Node::Root | Node::Principals => return false,
        Node::Principal(user) | Node::Home(user) | Node::Inbox(user, _) | Node::Outbox(user, _) => &user.name,
        Node::Calendar(calendar) | Node::Resource(calendar, ..) => {
            calendar.share.as_ref().map_or(&calendar.owner, |share| &share.owner_name)
        }
    };
    href(&path::principal(&scene.base, name), out)
}

/// What this actor may do here, so that a client shows a read-only calendar as one instead of failing later.
/// The look of a calendar (name, colour) is the user's own even where its contents come from an upstream read-only.
fn current_user_privilege_set(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let may = scene.actor.may_write;
    let (free_busy, rest): (bool, &[&str]) = match node {
        Node::Root | Node::Principals => (false, &[]),
        // What another is called is theirs to say.
        Node::Principal(user) if user.id != scene.actor.user => (false, &[]),
        Node::Principal(_) if may => (false, &["write-properties"]),
        Node::Home(_) if may => (false, &["write-properties", "bind", "unbind"]),
        Node::Inbox(..) | Node::Outbox(..) if may => (false, &["write-properties"]),
        Node::Calendar(c) if may && c.writable => {
            (true, &["write", "write-properties", "write-content", "bind", "unbind"])
        }
        Node::Calendar(_) if may => (true, &["write-properties"]),
        Node::Calendar(_) => (true, &[]),
        Node::Resource(_, _, Access::Write) if may => (false, &["write", "write-properties", "write-content"]),
        Node::Resource(..) if may => (false, &["write-properties"]),
        _ => (false, &[]),
    };
    for name in ["read", "read-current-user-privilege-set"].iter().chain(rest) {
        out.push_str("<D:privilege><D:");
        out.push_str(name);
        out.push_str("/></D:privilege>");
    }
    if acl::may_read_acl(scene, node) {
        out.push_str("<D:privilege><D:read-acl/></D:privilege>");
    }
    if free_busy {
        out.push_str("<D:privilege><C:read-free-busy/></D:privilege>");
    }
    // RFC 6638 6: nothing is delivered into the inbox, but who owns it may be asked; and what may be sent is the upstreams'
    // to send.
    let scheduling: &[&str] = match node {
        Node::Inbox(..) => &["schedule-query-freebusy"],
        Node::Outbox(_, facts) if facts.schedules && may => {
            &["schedule-send", "schedule-send-invite", "schedule-send-reply", "schedule-send-freebusy"]
        }
        Node::Outbox(..) => &["schedule-send-freebusy"],
        _ => &[],
    };
    for name in scheduling {
        out.push_str("<D:privilege><C:");
        out.push_str(name);
        out.push_str("/></D:privilege>");
    }
    true
}

/// RFC 5842 3.1: the same for ever, whatever the collection is called; another one when it is made anew. Resources have
/// none: their rows are not known where they are listed.
/// One user's storage is one pool, so every collection that takes from it says the same (RFC 4331 4). How much another
/// user has stored is not told to those they share with.
fn quota(scene: &Scene, node: &Node<'_>) -> Option<i64> {
    let own = match node {
        Node::Home(user) => user.id == scene.actor.user,
        Node::Calendar(calendar) => calendar.user == scene.actor.user && calendar.share.is_none(),
        _ => false,
    };
    scene.stored.filter(|_| own)
}

fn quota_available_bytes(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let all = i64::try_from(scene.limits.storage).unwrap_or(i64::MAX);
    quota(scene, node).is_some_and(|used| write!(out, "{}", (all - used).max(0)).is_ok())
}

fn quota_used_bytes(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    quota(scene, node).is_some_and(|used| write!(out, "{used}").is_ok())
}

fn resource_id(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let what = match node {
        Node::Principal(user) => format!("principal {}", user.id),
        Node::Home(user) => format!("home {}", user.id),
        Node::Calendar(calendar) => format!("calendar {} {}", calendar.id, calendar.epoch),
        _ => return false,
    };
    let hash = crate::secrets::sha256(what.as_bytes());
    let hex = |part: &[u8]| part.iter().map(|b| format!("{b:02x}")).collect::<String>();
    // RFC 9562 5.8: a UUID of our own making.
    let (version, variant) = ([hash[6] & 0x0F | 0x80, hash[7]], [hash[8] & 0x3F | 0x80, hash[9]]);
    let [a, b, c] = [hex(&hash[..4]), hex(&hash[4..6]), hex(&hash[10..16])];
    href(&format!("urn:uuid:{a}-{b}-{}-{}-{c}", hex(&version), hex(&variant)), out)
}

/// RFC 5995 3.2.1: where new resources can be posted, which is the calendar itself.
fn add_member(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Calendar(calendar) = node else { return false };
    calendar.writable && href(&path::calendar(&scene.base, &calendar.owner, &calendar.slug), out)
}

/// The reports that are answered at `node`, and no others.
fn supported_report_set(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let reports: &[&str] = match node {
        Node::Calendar(_) => &["C:calendar-multiget", "C:calendar-query", "C:free-busy-query", "D:sync-collection"],
        Node::Resource(..) => &["C:calendar-multiget", "C:calendar-query"],
        Node::Home(_) => &["C:calendar-multiget", "C:calendar-query", "C:free-busy-query", "D:sync-collection"],
        Node::Inbox(..) => &["C:calendar-multiget", "C:calendar-query", "D:sync-collection"],
        _ => &[],
    };
    for report in reports.iter().copied().chain(principals::reports(scene, node)) {
        out.push_str("<D:supported-report><D:report><");
        out.push_str(report);
        out.push_str("/></D:report></D:supported-report>");
    }
    true
}

/// The sync token of every inbox, in which nothing ever changes. No calendar takes it for one of its own.
pub const INBOX_TOKEN: &str = "urn:calgate:inbox:0";

fn sync_token(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    match node {
        Node::Calendar(calendar) => text(&calendar.token(), out),
        Node::Inbox(..) => text(INBOX_TOKEN, out),
        // Apple's clients trust in sync reports where the home has one.
        Node::Home(_) => scene.home.as_ref().is_some_and(|token| text(token, out)),
        _ => false,
    }
}

fn calendar_home_set(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    // Exactly one: Apple and vdirsyncer read no second.
    let Node::Principal(user) = node else { return false };
    if user.id != scene.actor.user {
        return false;
    }
    href(&path::home(&scene.base, &user.name), out)
}

/// Apple's clients take the href that sorts first unless one is `preferred`, Thunderbird the first, others the last:
/// so the preferred one is first, last, and marked.
fn calendar_user_address_set(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Principal(user) = node else { return false };
    let address = |address: &str, preferred: bool, out: &mut String| {
        out.push_str(if preferred { "<D:href preferred=\"1\">mailto:" } else { "<D:href>mailto:" });
        escape(address, out);
        out.push_str("</D:href>");
    };
    let mut addresses = user.addresses.iter();
    let preferred = addresses.next();
    preferred.iter().for_each(|a| address(a, true, out));
    addresses.for_each(|a| address(a, false, out));
    href(&path::principal(&scene.base, &user.name), out);
    preferred.iter().for_each(|a| address(a, true, out));
    true
}

fn supported_calendar_component_set(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    if let Node::Outbox(..) = node {
        out.push_str("<C:comp name=\"VFREEBUSY\"/>");
        return true;
    }
    let Node::Calendar(calendar) = node else { return false };
    for kind in &calendar.components {
        // VPOLL and its like are never offered: Apple's clients break on it.
        if *kind != Kind::Other {
            out.push_str("<C:comp name=\"");
            out.push_str(kind.name());
            out.push_str("\"/>");
        }
    }
    true
}

/// What a new calendar may be asked to hold, of which MKCALENDAR takes any choice; those of one kind come first, because
/// Apple's clients make such calendars.
fn supported_calendar_component_sets(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Home(_) = node else { return false };
    let kinds = [Kind::Event, Kind::Todo, Kind::Journal];
    // As bits, by how many are set.
    for set in [1, 2, 4, 3, 5, 6, 7] {
        out.push_str("<C:supported-calendar-component-set>");
        for (_, kind) in kinds.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1) {
            out.push_str("<C:comp name=\"");
            out.push_str(kind.name());
            out.push_str("\"/>");
        }
        out.push_str("</C:supported-calendar-component-set>");
    }
    true
}

fn supported_calendar_data(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let both = "<C:calendar-data content-type=\"text/calendar\" version=\"2.0\"/>\
                <C:calendar-data content-type=\"application/calendar+json\" version=\"2.0\"/>";
    on_calendar(node, both, out)
}

fn supported_collation_set(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let all = "<C:supported-collation>i;ascii-casemap</C:supported-collation>\
               <C:supported-collation>i;octet</C:supported-collation>\
               <C:supported-collation>i;unicode-casemap</C:supported-collation>";
    on_calendar(node, all, out)
}

fn max_resource_size(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    on_calendar(node, "", out) && write!(out, "{}", scene.limits.object).is_ok()
}

fn min_date_time(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    on_calendar(node, limits::MIN_DATE_TIME, out)
}

fn max_date_time(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    on_calendar(node, limits::MAX_DATE_TIME, out)
}

fn max_instances(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    on_calendar(node, "", out) && write!(out, "{}", limits::MAX_INSTANCES).is_ok()
}

fn max_attendees_per_instance(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    on_calendar(node, "", out) && write!(out, "{}", scene.limits.attendees).is_ok()
}

fn calendar_description(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    matches!(node, Node::Calendar(c) if text(&c.description, out))
}

fn calendar_timezone(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    matches!(node, Node::Calendar(c) if text(&c.timezone, out))
}

fn calendar_timezone_id(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    matches!(node, Node::Calendar(c) if c.own_zone().is_some_and(|zone| text(zone, out)))
}

fn calendar_color(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    matches!(node, Node::Calendar(c) if text(&c.color, out))
}

fn calendar_order(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    matches!(node, Node::Calendar(c) if text(&c.order, out))
}

fn schedule_inbox_url(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Principal(user) = node else { return false };
    if user.id != scene.actor.user {
        return false;
    }
    href(&path::calendar(&scene.base, &user.name, INBOX), out)
}

fn schedule_outbox_url(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Principal(user) = node else { return false };
    if user.id != scene.actor.user {
        return false;
    }
    href(&path::calendar(&scene.base, &user.name, OUTBOX), out)
}

fn schedule_default_calendar_url(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Inbox(user, Facts { default: Some(slug), .. }) = node else { return false };
    href(&path::calendar(&scene.base, &user.name, slug), out)
}

fn calendar_free_busy_set(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Inbox(user, facts) = node else { return false };
    facts.counting.iter().all(|slug| href(&path::calendar(&scene.base, &user.name, slug), out))
}

fn calendar_availability(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    matches!(node, Node::Inbox(_, facts) if text(&facts.settings.availability, out))
}

fn schedule_calendar_transp(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Calendar(calendar) = node else { return false };
    out.push_str(if calendar.transparent { "<C:transparent/>" } else { "<C:opaque/>" });
    true
}

fn schedule_tag(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Resource(_, Row { schedule_tag: Some(tag), .. }, _) = node else { return false };
    out.push('"');
    out.push_str(tag);
    out.push('"');
    true
}

/// RFC 6638 9.1. Taken away, it is what it was without: the upstream's, or opaque.
fn set_transp(value: Option<&Value>, edit: &mut Edit) -> Result<(), String> {
    let named: Vec<&str> = value.iter().flat_map(|v| &v.children).map(|(name, _)| name.name.as_str()).collect();
    edit.transparent = Some(match named.as_slice() {
        ["transparent"] => Some(true),
        ["opaque"] => Some(false),
        [] if value.is_none() => None,
        _ => return Err("schedule-calendar-transp has CALDAV:opaque or CALDAV:transparent in it".to_owned()),
    });
    Ok(())
}

/// Apple's clients say of a calendar that they make whether it counts: with YES or NO, of no namespace, in the name of the
/// draft's property. What is said by `schedule-calendar-transp` beside it holds.
fn set_counts(value: Option<&Value>, edit: &mut Edit) -> Result<(), String> {
    let said: Vec<&str> = value.iter().flat_map(|v| &v.children).map(|(name, _)| name.name.as_str()).collect();
    let transparent = match said.as_slice() {
        ["YES"] => Some(false),
        ["NO"] => Some(true),
        [] if value.is_none() => None,
        _ => return Err("calendar-free-busy-set of a calendar has YES or NO in it".to_owned()),
    };
    edit.transparent.get_or_insert(transparent);
    Ok(())
}

fn set_displayname(value: Option<&str>, edit: &mut Edit) -> Result<(), String> {
    edit.display_name = Some(short(value, 1024)?);
    Ok(())
}

fn set_description(value: Option<&str>, edit: &mut Edit) -> Result<(), String> {
    edit.description = Some(short(value, 64 << 10)?);
    Ok(())
}

/// `#RRGGBB` (what most clients send) or `#RRGGBBAA` (Apple's), kept as it came.
fn set_color(value: Option<&str>, edit: &mut Edit) -> Result<(), String> {
    let color = value.unwrap_or("").trim();
    let hex = color.strip_prefix('#').filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
    if !color.is_empty() && !hex.is_some_and(|h| matches!(h.len(), 6 | 8)) {
        return Err("a colour is #RRGGBB or #RRGGBBAA".to_owned());
    }
    edit.color = Some(color.to_owned());
    Ok(())
}

fn set_order(value: Option<&str>, edit: &mut Edit) -> Result<(), String> {
    let order = value.unwrap_or("").trim();
    if !order.is_empty() && order.parse::<i64>().is_err() {
        return Err("an order is a whole number".to_owned());
    }
    edit.order = Some(order.to_owned());
    Ok(())
}

fn set_timezone(value: Option<&str>, edit: &mut Edit) -> Result<(), String> {
    let zone = value.unwrap_or("");
    if !zone.trim().is_empty() {
        check_timezone(zone)?;
    }
    edit.timezone = Some(if zone.trim().is_empty() { String::new() } else { zone.to_owned() });
    Ok(())
}

/// RFC 7809 5.2: the name stands for its rules, which `calendar-timezone` then has.
fn set_timezone_id(value: Option<&str>, edit: &mut Edit) -> Result<(), String> {
    let id = value.unwrap_or("").trim();
    if id.is_empty() {
        edit.timezone = Some(String::new());
        return Ok(());
    }
    let zone = zone::named(id).and_then(|zone| Some((zone.iana_name()?.to_owned(), zone)));
    let (name, zone) = zone.ok_or_else(|| format!("there is no time zone of the name {id:?}"))?;
    // The rules as they now are: who reads them alone is right in the present.
    let rules = zone::vtimezone(&name, &zone, NEW_RULES, NEW_RULES);
    edit.timezone = Some(Component::new("VCALENDAR").with(busy::head(None)).with_components([rules]).print_new());
    Ok(())
}

/// 2026-01-01: the rules of a zone that is only named are given from there on.
const NEW_RULES: Instant = Instant(1_767_225_600);

/// RFC 4791 5.2.2: one VCALENDAR with one VTIMEZONE and nothing else.
fn check_timezone(zone: &str) -> Result<(), String> {
    let wrong = "a time zone is one VCALENDAR with one VTIMEZONE in it";
    let calendar = Component::parse(zone.trim_start()).map_err(|e| format!("{wrong}: {e}"))?;
    match calendar.components.as_slice() {
        [one] if one.name() == "VTIMEZONE" && one.value("TZID").is_some() => {}
        _ => return Err(wrong.to_owned()),
    }
    let known = zone::of_calendar_text(zone.trim_start()).is_some();
    known.then_some(()).ok_or_else(|| "the rules of this time zone can not be followed".to_owned())
}

fn short(value: Option<&str>, most: usize) -> Result<String, String> {
    let value = value.unwrap_or("");
    if value.len() > most {
        return Err(format!("this text may have at most {most} bytes"));
    }
    Ok(value.to_owned())
}

/// Writes a text; an empty one is none.
fn text(value: &str, out: &mut String) -> bool {
    escape(value, out);
    !value.is_empty()
}

/// Writes an href that needs no escapes.
fn href(href: &str, out: &mut String) -> bool {
    out.push_str("<D:href>");
    out.push_str(href);
    out.push_str("</D:href>");
    true
}

fn on_calendar(node: &Node<'_>, inside: &str, out: &mut String) -> bool {
    let there = matches!(node, Node::Calendar(_));
    if there {
        out.push_str(inside);
    }
    there
}

/// What a client wants to do with a property.
pub enum Setting {
    /// A property of a calendar, by its function.
    Live(fn(Option<&str>, &mut Edit) -> Result<(), String>),
    LiveElement(fn(Option<&Value>, &mut Edit) -> Result<(), String>),
    Inbox(BoxSetting),
    Dead,
    Protected,
}

/// How a property of `node` is set.
pub fn setting(name: &PropName, on_calendar: bool, on_principal: bool, on_inbox: bool) -> Setting {
    match find(name) {
        Some(Prop { set: Set::Never, .. }) => Setting::Protected,
        Some(Prop { set: Set::Calendar(set), .. }) if on_calendar => Setting::Live(*set),
        Some(Prop { set: Set::CalendarElement(set), .. }) if on_calendar => Setting::LiveElement(*set),
        Some(Prop { set: Set::Inbox(setting), .. }) if on_inbox => Setting::Inbox(*setting),
        Some(Prop { set: Set::Inbox(_), .. }) => Setting::Protected,
        // On the inbox it is told, by what each calendar says.
        Some(Prop { name: "calendar-free-busy-set", .. }) if on_inbox => Setting::Protected,
        // A person's name is not a client's to change.
        Some(Prop { name: "displayname", .. }) if on_principal => Setting::Protected,
        Some(_) => Setting::Dead,
        None if is_reserved(name) || *name == calendar_data() => Setting::Protected,
        None => Setting::Dead,
    }
}

fn calendar_data() -> PropName {
    PropName { ns: CalDav.uri().to_owned(), name: "calendar-data".to_owned() }
}

/// The kinds that a `supported-calendar-component-set` names; the error says which one is not possible.
pub fn components(value: &Value) -> Result<Vec<Kind>, String> {
    let mut kinds = Vec::new();
    for (_, name) in value.children.iter().filter(|(c, _)| Ns::of(&c.ns) == Some(CalDav) && c.name == "comp") {
        let name = name.as_deref().unwrap_or("").to_ascii_uppercase();
        let kind = [Kind::Event, Kind::Todo, Kind::Journal].into_iter().find(|k| k.name() == name);
        let kind = kind.ok_or_else(|| format!("a calendar can hold VEVENT, VTODO and VJOURNAL, not {name:?}"))?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() {
        return Err("a calendar must hold at least one kind of component".to_owned());
    }
    Ok(kinds)
}
