//! sync-collection on a home (RFC 6578, as Apple's clients use it): which calendars came, went, or changed in any way.

use std::collections::VecDeque;
use std::mem;

use http::StatusCode;

use crate::body::Body;
use crate::dav::page::{self, FULL, Page, Writer};
use crate::dav::path::Target;
use crate::dav::props::Node;
use crate::dav::response::{self, bare_response};
use crate::dav::xml::escape;
use crate::dav::{Asked, Error, propfind};
use crate::store::homes::{self, Change, Since};

/// `deep`: what is in the calendars is asked for as well.
pub async fn body(
    asked: &Asked<'_>,
    mut writer: Writer,
    token: String,
    limit: Option<u32>,
    deep: bool,
) -> Result<Body, Error> {
    if deep {
        // Each calendar has a token of its own, and one over all of them would make every change of one a walk through
        // all.
        let message = "ask with sync-level 1 here, and then each calendar that changed";
        return Err(Error::refused("<D:sync-traversal-supported/>", message));
    }
    let Target::Home { owner } = asked.target.clone() else { return Err(Error::not_found()) };
    // What is left to tell, all of it as the first page found it; `None` before that.
    let mut left: Option<(VecDeque<Change>, Since)> = None;
    page::body(asked.app, writer.pace(), move |tx, out| {
        let (changes, since) = match &mut left {
            Some(left) => left,
            None => {
                let actor = writer.scene.actor.clone();
                if actor.name != owner {
                    return Err(Error::not_found());
                }
                let now = homes::own(tx, &actor)?;
                let from = match token.as_str() {
                    "" => None,
                    token => Some(now.read_token(token).ok_or_else(super::sync::invalid)?),
                };
                let mut since = homes::since(tx, &actor, &owner, from, limit.unwrap_or(u32::MAX))?;
                response::open_root("D:multistatus", out);
                left.insert((mem::take(&mut since.changes).into(), since))
            }
        };
        while let Some(change) = changes.pop_front() {
            let target = Target::Calendar { owner: owner.clone(), slug: change.slug.clone() };
            match &change.live {
                Some(calendar) => {
                    let node = Node::Calendar(calendar);
                    propfind::collection(tx, &writer.scene, &mut writer.sheet, &target, &node, out)?;
                }
                None => bare_response(&target.href(&writer.scene.base), StatusCode::NOT_FOUND, "", out),
            }
            if out.len() >= FULL && !changes.is_empty() {
                return Ok(Page::More(writer.pace()));
            }
        }
        if since.more {
            let home = Target::Home { owner: owner.clone() }.href(&writer.scene.base);
            let condition = "<D:number-of-matches-within-limits/>";
            bare_response(&home, StatusCode::INSUFFICIENT_STORAGE, condition, out);
        }
        out.push_str("<D:sync-token>");
        escape(&since.home.token(), out);
        out.push_str("</D:sync-token>\n");
        response::close_root("D:multistatus", out);
        Ok(Page::Last)
    })
    .await
}
