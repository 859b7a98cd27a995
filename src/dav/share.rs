//! POST of `CS:share` to a calendar: the share dialog of Apple's clients (caldav-sharing 5.3, by CalendarServer).
//!
//! It grants to users of this gateway, who find the calendar in their home at once, or as soon as all of a large one is
//! there; nobody is asked, and no mail goes out.

use http::StatusCode;

use super::path::Target;
use super::response::{self, Answer, Ns, status_line};
use super::xml::{Element, escape};
use super::{Asked, Error};
use crate::config::PublicUrl;
use crate::ids::UserId;
use crate::store::calendars::{self, Denied, Need};
use crate::store::grants::{self, May, NotGranted};
use crate::store::{self, Tx, users};

pub(super) const CS: &str = Ns::CalendarServer.uri();
/// Users named in one request.
const MOST: usize = 100;
/// Bytes of a summary.
const MAX_SUMMARY: usize = 255;

/// What is to become of one user.
pub(super) struct Wish {
    href: String,
    /// `None`: share it no more.
    may: Option<May>,
    summary: String,
}

pub(super) async fn answer(asked: Asked<'_>, wishes: Vec<Wish>) -> Result<Answer, Error> {
    let Target::Calendar { owner, slug } = asked.target.clone() else {
        return Err(Error::not_allowed(&asked.target, "only a calendar can be shared"));
    };
    if !asked.actor.may_write {
        return Err(asked.denied(Denied::ReadOnly("this app password may only read".to_owned())));
    }
    let (actor, base, now) = (asked.actor.clone(), asked.base.clone(), asked.app.clock.now());
    let share = move |tx: &mut Tx<'_>| -> Result<Vec<(String, StatusCode, String)>, Denied> {
        // Each for itself takes its locks at once, and several would wait for each other.
        if wishes.len() > 1 {
            grants::lock_all(tx)?;
        }
        let calendar = calendars::open(tx, &actor, &owner, &slug, Need::Read)?;
        let mut done = Vec::new();
        for wish in wishes {
            let (status, why) = match find(tx, actor.user, &base, &wish.href)? {
                // The same for all that is no user's: a guess of an address tells what it must, and no more.
                None => (StatusCode::FORBIDDEN, "nobody here has this address".to_owned()),
                Some(to) => {
                    let result = match wish.may {
                        Some(may) => grants::add(tx, &calendar, to, may, &wish.summary, now),
                        None => grants::remove(tx, &calendar, to).map(|_| ()),
                    };
                    match result {
                        Ok(()) => (StatusCode::OK, String::new()),
                        Err(NotGranted::Store(e)) => return Err(e.into()),
                        Err(refused) => (StatusCode::FORBIDDEN, refused.to_string()),
                    }
                }
            };
            done.push((wish.href, status, why));
        }
        Ok(done)
    };
    let done = asked.app.store.write(share).await.map_err(|e| asked.denied(e))?;
    // What is large is filled by a duty.
    asked.app.wake.notify_one();
    if done.iter().all(|(_, status, _)| *status == StatusCode::OK) {
        return Ok(response::empty(StatusCode::OK));
    }
    let mut out = String::new();
    response::open_root("D:multistatus", &mut out);
    for (href, status, why) in &done {
        out.push_str("<D:response><D:href>");
        escape(href, &mut out);
        out.push_str("</D:href>");
        status_line(*status, &mut out);
        if !why.is_empty() {
            out.push_str("<D:responsedescription>");
            escape(why, &mut out);
            out.push_str("</D:responsedescription>");
        }
        out.push_str("</D:response>\n");
    }
    out.push_str("</D:multistatus>\n");
    Ok(response::multistatus(out))
}

pub(super) fn read(root: &Element<'_>) -> Result<Vec<Wish>, Error> {
    let mut wishes = Vec::new();
    for one in root.children().filter(|e| e.is(CS, "set") || e.is(CS, "remove")) {
        let text = |of: Option<&Element<'_>>| of.map(|e| e.text().trim().to_owned()).unwrap_or_default();
        let href = text(one.child(Ns::Dav.uri(), "href"));
        if href.is_empty() {
            return Err(Error::bad("each user of CS:share is named by a DAV:href"));
        }
        let may = match one.name {
            "remove" => None,
            _ if one.child(CS, "read-write").is_some() => Some(May::Write),
            _ => Some(May::Read),
        };
        let summary: String = text(one.child(CS, "summary")).chars().filter(|c| !c.is_control()).collect();
        let end = (0..=summary.len().min(MAX_SUMMARY)).rev().find(|at| summary.is_char_boundary(*at)).unwrap_or(0);
        wishes.push(Wish { href, may, summary: summary[..end].to_owned() });
    }
    if wishes.is_empty() {
        return Err(Error::bad("CS:share names nobody"));
    }
    if wishes.len() > MOST {
        return Err(Error::bad(format!("name at most {MOST} users at once")));
    }
    Ok(wishes)
}

/// The user of an address or of a principal; a principal only where it can be seen, so that no login can be guessed. An
/// address of several is nobody's.
fn find(tx: &mut Tx<'_>, asker: UserId, base: &PublicUrl, href: &str) -> store::Result<Option<UserId>> {
    if let Some(Target::Principal { user }) = Target::read_href(href, base) {
        return Ok(grants::principal(tx, asker, &user)?.map(|found| found.id));
    }
    let scheme = href.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"));
    let address = if scheme { &href[7..] } else { href };
    let address = percent_encoding::percent_decode_str(address).decode_utf8_lossy().to_lowercase();
    let mut found = users::list(tx)?.into_iter().filter(|user| user.addresses.contains(&address));
    Ok(found.next().map(|user| user.id).filter(|_| found.next().is_none()))
}
