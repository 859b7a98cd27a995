//! sync-collection (RFC 6578). A token that we did not give, or no longer can honour, is refused and never guessed at.

use http::StatusCode;

use crate::body::Body;
use crate::dav::page::{self, Choice, Page, Place, Writer};
use crate::dav::path::Target;
use crate::dav::response::{self, bare_response};
use crate::dav::xml::escape;
use crate::dav::{Asked, Error};
use crate::ids::Seq;
use crate::store::Tx;
use crate::store::calendars::{self, Need, Token};
use crate::store::walk::Walk;

pub async fn body(asked: &Asked<'_>, mut writer: Writer, token: String, limit: Option<u32>) -> Result<Body, Error> {
    let target = asked.target.clone();
    // What is left to tell; `None` before the first page.
    let mut left: Option<Delta> = None;
    page::body(asked.app, writer.pace(), move |tx, out| {
        let delta = match &mut left {
            Some(delta) => {
                delta.again(tx, &writer)?;
                delta
            }
            None => {
                let delta = Delta::of(tx, &writer, &target, &token, limit)?;
                response::open_root("D:multistatus", out);
                left.insert(delta)
            }
        };
        let Some(seen) = delta.page(tx, &mut writer, out)? else { return Ok(Page::more(writer.pace(), out)) };
        out.push_str("<D:sync-token>");
        escape(&seen, out);
        out.push_str("</D:sync-token>\n");
        response::close_root("D:multistatus", out);
        Ok(Page::Last)
    })
    .await
}

/// What changed in a calendar up to the state in which the first page found it. What changes while the pages are read
/// is beyond that, and is told to whoever goes on from the token.
struct Delta {
    place: Place,
    until: Seq,
    /// Of a first listing, in one answer or several: where the calendar stood when it began.
    begun: Option<Seq>,
    walk: Walk,
    /// How many more may be told.
    left: Option<u32>,
}

impl Delta {
    fn of(tx: &mut Tx<'_>, writer: &Writer, target: &Target, token: &str, limit: Option<u32>) -> Result<Delta, Error> {
        let Target::Calendar { owner, slug } = target else { return Err(Error::not_found()) };
        let calendar = calendars::open(tx, &writer.scene.actor, owner, slug, Need::Read)?;
        let since = match token {
            "" => None,
            token => Some(calendar.read_token(token).ok_or_else(invalid)?),
        };
        let until = calendar.seq;
        let begun = since.map_or(Some(until), |since| since.begun);
        let after = since.map_or(Seq(0), |since| since.seq);
        let walk = Walk::Changes { after, until, tombstones: since.is_some() };
        Ok(Delta { place: Place::of(tx, &writer.scene, &writer.sheet, calendar)?, until, begun, walk, left: limit })
    }

    fn again(&mut self, tx: &mut Tx<'_>, writer: &Writer) -> Result<(), Error> {
        self.place = self.place.again(tx, &writer.scene, &writer.sheet)?;
        // Were tombstones dropped that this has yet to tell, its token would promise too much.
        match self.walk {
            Walk::Changes { after, .. } if self.begun.unwrap_or(after) < self.place.calendar.floor => Err(invalid()),
            _ => Ok(()),
        }
    }

    /// `Some`: this was all, and the client has now seen what this token says.
    fn page(&mut self, tx: &mut Tx<'_>, writer: &mut Writer, out: &mut String) -> Result<Option<String>, Error> {
        let (count, over) = writer.rows(tx, &self.place, &mut self.walk, &Choice::All, self.left, out)?;
        self.left = self.left.map(|left| left - count);
        if !over && self.left != Some(0) {
            return Ok(None);
        }
        let mut seen = Token { seq: self.until, begun: None };
        if !over && self.walk.goes_on(tx, &self.place.calendar)? {
            let condition = "<D:number-of-matches-within-limits/>";
            bare_response(&self.place.href, StatusCode::INSUFFICIENT_STORAGE, condition, out);
            // No two rows of a calendar have the same seq, so this may end after any of them.
            if let Walk::Changes { after, .. } = self.walk {
                // Who has come as far as the calendar was at first has seen all that an ordinary token says.
                seen = Token { seq: after, begun: self.begun.filter(|begun| after < *begun) };
            }
        }
        Ok(Some(self.place.calendar.token_of(seen)))
    }
}

/// For a token that can not be gone on from.
pub fn invalid() -> Error {
    let message = "this sync token can not be gone on from: begin again with an empty one";
    Error::refused("<D:valid-sync-token/>", message)
}
