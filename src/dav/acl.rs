//! Who may do what, as properties: RFC 3744 4 and 5, and how CalendarServer tells of shared calendars. `props.rs` lists
//! them.
//!
//! Who may what is decided in `store::calendars::open`; here it is only told. Nothing of it is set by the ACL method:
//! grants come from `gateway.toml`, from a command, or from the share dialog of a client (`share.rs`).

use super::path;
use super::props::{Node, Scene};
use super::xml::escape;
use crate::config::PublicUrl;
use crate::store::calendars::Calendar;
use crate::store::grants::{Grant, May};

/// Everything that `current-user-privilege-set` and `acl` may say, in the tree of what is part of what.
pub fn supported_privilege_set(_: &Scene, _: &Node<'_>, out: &mut String) -> bool {
    /// A privilege, what it lets do, and what is part of it.
    struct Privilege(&'static str, &'static str, &'static [Privilege]);
    const ALL: Privilege = Privilege("D:all", "Everything", &[READ, WRITE, READ_ACL, DELIVER, SEND]);
    const READ: Privilege = Privilege(
        "D:read",
        "Read what is here",
        &[
            Privilege("D:read-current-user-privilege-set", "Read what one may do here", &[]),
            Privilege("C:read-free-busy", "Read when time is taken", &[]),
        ],
    );
    const WRITE: Privilege = Privilege(
        "D:write",
        "Change what is here",
        &[
            Privilege("D:write-properties", "Change properties", &[]),
            Privilege("D:write-content", "Change what a resource holds", &[]),
            Privilege("D:bind", "Put something new here", &[]),
            Privilege("D:unbind", "Remove something from here", &[]),
        ],
    );
    // RFC 6638 6; which of them one has is for the upstreams' sake.
    const DELIVER: Privilege = Privilege(
        "C:schedule-deliver",
        "Deliver into an inbox",
        &[
            Privilege("C:schedule-deliver-invite", "Deliver invitations", &[]),
            Privilege("C:schedule-deliver-reply", "Deliver answers", &[]),
            Privilege("C:schedule-query-freebusy", "Ask for free and busy time", &[]),
        ],
    );
    const SEND: Privilege = Privilege(
        "C:schedule-send",
        "Send from an outbox",
        &[
            Privilege("C:schedule-send-invite", "Send invitations", &[]),
            Privilege("C:schedule-send-reply", "Send answers", &[]),
            Privilege("C:schedule-send-freebusy", "Ask others for free and busy time", &[]),
        ],
    );
    const READ_ACL: Privilege = Privilege("D:read-acl", "Read who may do what here", &[]);
    fn write(Privilege(name, says, parts): &Privilege, out: &mut String) {
        out.push_str("<D:supported-privilege><D:privilege><");
        out.push_str(name);
        out.push_str("/></D:privilege>");
        if *name == "D:all" {
            // Nobody is given it as such.
            out.push_str("<D:abstract/>");
        }
        out.push_str("<D:description xml:lang=\"en\">");
        out.push_str(says);
        out.push_str("</D:description>");
        parts.iter().for_each(|part| write(part, out));
        out.push_str("</D:supported-privilege>");
    }
    write(&ALL, out);
    true
}

/// Whether this user may know who else may do what here: at what is their own.
pub fn may_read_acl(scene: &Scene, node: &Node<'_>) -> bool {
    match node {
        Node::Principal(user) | Node::Home(user) => user.id == scene.actor.user,
        Node::Calendar(calendar) | Node::Resource(calendar, ..) => calendar.share.is_none(),
        Node::Inbox(..) | Node::Outbox(..) | Node::Root | Node::Principals => false,
    }
}

/// RFC 3744 5.5: the owner, and everybody it is granted to. Every entry is protected: the ACL method changes none.
pub fn acl(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    if !may_read_acl(scene, node) {
        return false;
    }
    let entry = |principal: &str, privileges: &[&str], out: &mut String| {
        out.push_str("<D:ace><D:principal>");
        out.push_str(principal);
        out.push_str("</D:principal><D:grant>");
        for privilege in privileges {
            out.push_str("<D:privilege><D:");
            out.push_str(privilege);
            out.push_str("/></D:privilege>");
        }
        out.push_str("</D:grant><D:protected/></D:ace>");
    };
    let owner: &[&str] = match node {
        Node::Principal(_) => &["read", "write-properties", "read-acl"],
        Node::Home(_) => &["read", "write-properties", "bind", "unbind", "read-acl"],
        Node::Calendar(c) | Node::Resource(c, ..) if c.writable || !scene.actor.may_write => {
            &["read", "write", "read-acl"]
        }
        _ => &["read", "write-properties", "read-acl"],
    };
    entry("<D:property><D:owner/></D:property>", owner, out);
    if let Node::Calendar(calendar) | Node::Resource(calendar, ..) = node {
        for grant in &calendar.granted {
            let privileges: &[&str] = if grant.may == May::Write { &["read", "write"] } else { &["read"] };
            entry(&format!("<D:href>{}</D:href>", path::principal(&scene.base, &grant.to_name)), privileges, out);
        }
    }
    true
}

/// RFC 3744 5.6: what an ACL could hold, if it could be set.
pub fn acl_restrictions(_: &Scene, _: &Node<'_>, out: &mut String) -> bool {
    out.push_str("<D:grant-only/><D:no-invert/>");
    true
}

/// Nothing is inherited, there are no groups, and nobody acts for somebody else: these are there, and empty.
pub fn empty(_: &Scene, _: &Node<'_>, _: &mut String) -> bool {
    true
}

pub fn empty_of_principal(_: &Scene, node: &Node<'_>, _: &mut String) -> bool {
    matches!(node, Node::Principal(_))
}

/// Who acts for whom is told to oneself alone; it is nobody.
pub fn empty_of_oneself(scene: &Scene, node: &Node<'_>, _: &mut String) -> bool {
    matches!(node, Node::Principal(user) if user.id == scene.actor.user)
}

/// RFC 3744 4.1.
pub fn alternate_uri_set(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Principal(user) = node else { return false };
    for address in &user.addresses {
        out.push_str("<D:href>mailto:");
        escape(address, out);
        out.push_str("</D:href>");
    }
    true
}

pub fn email_address_set(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Principal(user) = node else { return false };
    for address in &user.addresses {
        out.push_str("<CS:email-address>");
        escape(address, out);
        out.push_str("</CS:email-address>");
    }
    true
}

/// RFC 6638 2.4.2: whoever has a login here is a person.
pub fn calendar_user_type(_: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    out.push_str("INDIVIDUAL");
    matches!(node, Node::Principal(_))
}

/// That a calendar can be shared, where who asks may share it: Apple's clients then offer the dialog.
pub fn allowed_sharing_modes(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    out.push_str("<CS:can-be-shared/>");
    matches!(node, Node::Calendar(calendar) if calendar.share.is_none() && scene.actor.may_write)
}

/// Who shares a calendar and with whom. The owner sees everybody, the others the owner and themselves; a calendar that
/// is not shared has none, because an empty one shows as "shared with unknown".
pub fn invite(scene: &Scene, node: &Node<'_>, out: &mut String) -> bool {
    let Node::Calendar(calendar) = node else { return false };
    match &calendar.share {
        None if calendar.granted.is_empty() => return false,
        None => {
            organizer(scene, &calendar.owner, &calendar.owner_display_name, calendar.owner_address.as_deref(), out);
            calendar.granted.iter().for_each(|grant| invited(scene, grant, out));
        }
        Some(share) => {
            organizer(scene, &share.owner_name, &share.owner_display_name, share.owner_address.as_deref(), out);
            let Calendar { owner, owner_display_name, owner_address, .. } = calendar;
            let href = address(&scene.base, owner, owner_address.as_deref());
            user(&href, owner_display_name, share.may, "", out);
        }
    }
    true
}

/// As an address where there is one: clients show it, and know themselves by it.
fn address(base: &PublicUrl, name: &str, address: Option<&str>) -> String {
    match address {
        Some(address) => format!("mailto:{address}"),
        None => path::principal(base, name),
    }
}

fn organizer(scene: &Scene, name: &str, display_name: &str, mail: Option<&str>, out: &mut String) {
    out.push_str("<CS:organizer><D:href>");
    escape(&address(&scene.base, name, mail), out);
    out.push_str("</D:href><CS:common-name>");
    escape(display_name, out);
    out.push_str("</CS:common-name></CS:organizer>");
}

fn invited(scene: &Scene, grant: &Grant, out: &mut String) {
    let href = address(&scene.base, &grant.to_name, grant.to_address.as_deref());
    user(&href, &grant.to_display_name, grant.may, &grant.summary, out);
}

fn user(href: &str, display_name: &str, may: May, summary: &str, out: &mut String) {
    out.push_str("<CS:user><D:href>");
    escape(href, out);
    out.push_str("</D:href><CS:common-name>");
    escape(display_name, out);
    // Nobody is asked: what is granted is there.
    out.push_str("</CS:common-name><CS:invite-accepted/><CS:access>");
    out.push_str(if may == May::Write { "<CS:read-write/>" } else { "<CS:read/>" });
    out.push_str("</CS:access>");
    if !summary.is_empty() {
        out.push_str("<CS:summary>");
        escape(summary, out);
        out.push_str("</CS:summary>");
    }
    out.push_str("</CS:user>");
}
