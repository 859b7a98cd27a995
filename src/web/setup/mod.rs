//! Set-up for people: what to type where, as a page, as a profile for Apple's devices, and for `calgate setup`.
//!
//! `place.rs` knows the addresses of one user, `guide.rs` the steps for each client, which stand in `docs/clients.md`;
//! `profile.rs` writes Apple's profile and `sign.rs` signs it.

pub mod guide;
mod place;
pub mod profile;
pub mod sign;

use askama::Template;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use qrcode::QrCode;
use qrcode::render::svg;

pub use place::Place;

use super::server::Peer;
use super::{Web, auth, pages, say, store_trouble};
use crate::body::Body;
use crate::store::calendars::{self, Denied};
use crate::store::users::{self, Actor};
use guide::Guide;

const PAGE: &str = "/setup/";
const PROFILE: &str = "/setup/apple.mobileconfig";

/// Whether the path is one of this file.
pub(super) fn is_here(path: &str) -> bool {
    path == "/setup" || path == PAGE || path == PROFILE
}

/// Answers GET and HEAD, after a login as for calendars: it is where clients are set up, and holds no secret.
pub(super) async fn get(web: &Web, peer: Peer, head: &Parts) -> Response<Body> {
    let actor = match auth::actor(web, peer.address.ip(), &head.headers).await {
        Ok(actor) => actor,
        Err(refusal) => return refusal,
    };
    let mut answer = match head.uri.path() {
        PROFILE => signed_profile(web, &actor).await,
        _ => page(web, &actor).await,
    };
    answer.extensions_mut().insert(auth::Who(actor.name));
    answer
}

/// The page of one person.
#[derive(Template)]
#[template(path = "setup.html")]
struct Page<'a> {
    user: &'a str,
    address: &'a str,
    /// The path of the profile; empty: Apple would refuse it.
    profile: &'a str,
    davx5: &'a str,
    /// SVG.
    code: &'a str,
    calendars: &'a [Shown],
    guides: &'a [Guide],
}

struct Shown {
    name: String,
    url: String,
    writable: bool,
}

async fn page(web: &Web, actor: &Actor) -> Response<Body> {
    let public_url = web.app.config.load().server.public_url.clone();
    let place = Place::new(&actor.name, public_url.as_str());
    let of = actor.clone();
    let listed = web.app.store.read(move |tx| calendars::home(tx, &of, &of.name)).await;
    let shown: Vec<Shown> = match listed {
        Ok(list) => list
            .into_iter()
            .map(|c| Shown { url: place.calendar(&c.slug), name: c.display_name, writable: c.writable })
            .collect(),
        Err(Denied::Store(trouble)) => return store_trouble(&trouble),
        Err(denied) => return say(StatusCode::NOT_FOUND, &denied.to_string()),
    };
    let guides: Vec<Guide> = guide::CLIENTS.iter().filter_map(|(slug, _)| guide::of(slug, &place)).collect();
    let profile = if place.is_secure() { format!("{}{PROFILE}", public_url.prefix()) } else { String::new() };
    let page = Page {
        user: &actor.name,
        address: &place.address(),
        profile: &profile,
        davx5: &place.davx5(None),
        code: &code(&place.page()),
        calendars: &shown,
        guides: &guides,
    };
    pages::page(StatusCode::OK, &page)
}

/// A QR code as SVG, dark on light whatever the page around it.
fn code(text: &str) -> String {
    let Ok(code) = QrCode::new(text) else { return String::new() };
    let svg = code.render::<svg::Color>().module_dimensions(4, 4).build();
    // It stands in a page: without the head of a file of its own.
    match svg.split_once("<svg ") {
        Some((_, svg)) => format!("<svg class=\"qr\" role=\"img\" aria-label=\"QR code of this page\" {svg}"),
        None => String::new(),
    }
}

/// Without a password: whoever installs it types one. Signed by the certificate of this server, if it has one.
async fn signed_profile(web: &Web, actor: &Actor) -> Response<Body> {
    let config = web.app.config.load_full();
    let place = Place::new(&actor.name, config.server.public_url.as_str());
    let id = actor.user;
    let user = match web.app.store.read(move |tx| users::by_id(tx, id)).await {
        Ok(user) => user,
        Err(trouble) => return store_trouble(&trouble),
    };
    let plain = profile::write(&place, user.as_ref().map_or("", |user| &user.display_name), None).into_bytes();
    let bytes = match config.server.tls.clone() {
        None => plain,
        Some(tls) => {
            let (copy, now) = (plain.clone(), web.app.clock.now());
            let signing = move || sign::Signer::open(&tls.certificate, &tls.key)?.sign(&copy, now);
            let signed = tokio::task::spawn_blocking(signing).await;
            signed.unwrap_or_else(|_| Err("it panicked".to_owned())).unwrap_or_else(|why| {
                tracing::warn!("a profile goes out without a signature: {why}");
                plain
            })
        }
    };
    let mut answer = Response::new(Body::from(bytes));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-apple-aspen-config"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"calgate.mobileconfig\""));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
