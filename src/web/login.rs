//! The login flow of Nextcloud, version 2: a program asks, its user grants in a browser, the program gets an app
//! password. DAVx5 and GNOME Online Accounts speak it; of that server nothing else is imitated.
//!
//! ```text
//!   POST /index.php/login/v2              the program asks       → a token to poll with, a page to show
//!   GET, POST /index.php/login/v2/flow/…  the user's browser     → user name and password, granted
//!   POST /index.php/login/v2/poll         the program asks again → 404, and once the app password
//! ```
//!
//! Only the user's own password grants: an app password opens calendars and makes no other.

use std::net::IpAddr;

use askama::Template;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::json;

use super::auth::Sender;
use super::pages::{self, Said};
use super::throttle::Block;
use super::{Web, auth, say, say_later, store_trouble};
use crate::body::Body;
use crate::secrets::{self, Secret};
use crate::store::logins;

/// Where a program asks, and what the other two begin with.
pub const LOGIN: &str = "/index.php/login/v2";
const POLL: &str = "/index.php/login/v2/poll";
/// What stands behind it opens the page: a secret.
pub const PAGE: &str = "/index.php/login/v2/flow/";

/// Bytes of a form.
pub const MOST: usize = 16 * 1024;

/// Whether the path is one of this file.
pub fn is_here(path: &str) -> bool {
    path == LOGIN || path == POLL || path.starts_with(PAGE)
}

/// Answers a request whose body was read.
pub(super) async fn answer(web: &Web, from: IpAddr, head: &Parts, body: &[u8]) -> Response<Body> {
    let path = head.uri.path();
    match (path.strip_prefix(PAGE), &head.method) {
        (Some(token), &Method::GET | &Method::HEAD) => show(web, token).await,
        (Some(token), &Method::POST) => granted(web, from, &head.headers, token, body).await,
        (Some(_), _) => only("GET, HEAD, POST, OPTIONS"),
        (None, &Method::POST) if path == LOGIN => ask(web, from, &head.headers).await,
        (None, &Method::POST) => poll(web, body).await,
        (None, _) => only("POST, OPTIONS"),
    }
}

fn only(methods: &'static str) -> Response<Body> {
    let mut answer = say(StatusCode::METHOD_NOT_ALLOWED, "This is for programs that ask their user to log in.");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

async fn ask(web: &Web, from: IpAddr, headers: &HeaderMap) -> Response<Body> {
    let (poll, page) = (secrets::new_token(), secrets::new_token());
    let hashes = (secrets::sha256(poll.as_bytes()), secrets::sha256(page.as_bytes()));
    let (agent, now) = (agent(headers), web.app.clock.now());
    let block = Block::of(from).to_string();
    let asked = web.app.store.write(move |tx| logins::ask(tx, (&hashes.0, &hashes.1), &agent, &block, now)).await;
    match asked {
        Ok(Ok(())) => {
            let server = web.app.config.load().server.public_url.to_string();
            json(&json!({
                "poll": { "token": poll, "endpoint": format!("{server}{POLL}") },
                "login": format!("{server}{PAGE}{page}"),
            }))
        }
        Ok(Err(seconds)) => {
            say_later(StatusCode::TOO_MANY_REQUESTS, seconds, "Too many programs wait for their user to log in.")
        }
        Err(trouble) => store_trouble(&trouble),
    }
}

/// The app password of a granted login, once; until then, and after it, 404: programs ask every few seconds.
async fn poll(web: &Web, body: &[u8]) -> Response<Body> {
    let Some(token) = field(body, "token") else { return not_yet() };
    let hash = secrets::sha256(token.reveal().as_bytes());
    let now = web.app.clock.now();
    match web.app.store.read(move |tx| logins::is_granted(tx, &hash, now)).await {
        Ok(true) => {}
        Ok(false) => return not_yet(),
        Err(trouble) => return store_trouble(&trouble),
    }
    let password = secrets::new_app_password();
    let keyed = web.app.secrets.keyed_hash(password.reveal());
    let taken = web.app.store.write(move |tx| logins::take(tx, &hash, &keyed, now)).await;
    match taken {
        Ok(Some(user)) => {
            let mut answer = json(&json!({
                "server": web.app.config.load().server.public_url.to_string(),
                "loginName": user.name,
                "appPassword": password.reveal(),
            }));
            answer.extensions_mut().insert(auth::Who(user.name));
            answer
        }
        Ok(None) => not_yet(),
        Err(trouble) => store_trouble(&trouble),
    }
}

fn not_yet() -> Response<Body> {
    let mut answer = json(&json!([]));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}

fn json(value: &serde_json::Value) -> Response<Body> {
    let mut answer = Response::new(Body::from(value.to_string()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What the browser shows.
#[derive(Template)]
#[template(path = "login.html")]
struct Form<'a> {
    /// What people call the program.
    program: &'a str,
    /// What it calls itself.
    agent: &'a str,
    host: &'a str,
    /// As typed before.
    name: &'a str,
    /// Shows that the form came from this page.
    seal: &'a str,
    /// What went wrong, as a sentence.
    trouble: &'a str,
}

async fn show(web: &Web, token: &str) -> Response<Body> {
    match waiting(web, token).await {
        Ok(agent) => form(web, StatusCode::OK, token, &agent, "", ""),
        Err(refusal) => refusal,
    }
}

/// What the program of that page calls itself, if it still waits.
async fn waiting(web: &Web, token: &str) -> Result<String, Response<Body>> {
    let (hash, now) = (secrets::sha256(token.as_bytes()), web.app.clock.now());
    match web.app.store.read(move |tx| logins::page(tx, &hash, now)).await {
        Ok(Some((agent, false))) => Ok(agent),
        Ok(Some((agent, true))) => Err(done(&agent)),
        Ok(None) => Err(over()),
        Err(trouble) => Err(store_trouble(&trouble)),
    }
}

fn form(web: &Web, status: StatusCode, token: &str, agent: &str, name: &str, trouble: &str) -> Response<Body> {
    let public_url = web.app.config.load().server.public_url.to_string();
    let host = public_url.split_once("://").map_or(public_url.as_str(), |(_, host)| host);
    let seal = seal(web, token);
    pages::page(status, &Form { program: program(agent), agent, host, name, seal: &seal, trouble })
}

/// The form of this page came back: with a login, or with "cancel".
async fn granted(web: &Web, from: IpAddr, headers: &HeaderMap, token: &str, body: &[u8]) -> Response<Body> {
    let sealed = field(body, "seal").is_some_and(|seal| same(seal.reveal(), &seal_of(web, token)));
    // Our pages have no referrer, and then a browser may hide where a form comes from.
    if !sealed || auth::sender(web, headers) == Sender::OtherSite {
        let words = "This form was sent from somewhere else. Start again in your program.";
        return pages::page(StatusCode::FORBIDDEN, &Said { title: "Not granted", words, good: false });
    }
    let agent = match waiting(web, token).await {
        Ok(agent) => agent,
        Err(refusal) => return refusal,
    };
    let page = secrets::sha256(token.as_bytes());
    if field(body, "deny").is_some() {
        return match web.app.store.write(move |tx| logins::deny(tx, &page)).await {
            Ok(()) => {
                let words = "The program got nothing. You can close this window.";
                pages::page(StatusCode::OK, &Said { title: "Not granted", words, good: false })
            }
            Err(trouble) => store_trouble(&trouble),
        };
    }
    let typed = |name| field(body, name).unwrap_or_else(|| Secret::new(""));
    let name = typed("name");
    let name = name.reveal().trim();
    let actor = match auth::person(web, from, name, typed("password")).await {
        Ok(Some(actor)) => actor,
        Ok(None) => {
            let trouble =
                "The user name or the password is wrong. An app password does not do here: it must be your own.";
            return form(web, StatusCode::FORBIDDEN, token, &agent, name, trouble);
        }
        Err(refusal) => return again(web, token, &agent, name, &refusal),
    };
    let (user, now) = (actor.user, web.app.clock.now());
    let granted = web.app.store.write(move |tx| logins::grant(tx, &page, user, now)).await;
    let mut answer = match granted {
        Ok(true) => done(&agent),
        Ok(false) => over(),
        Err(trouble) => store_trouble(&trouble),
    };
    answer.extensions_mut().insert(auth::Who(actor.name));
    answer
}

/// The page once more, with what a client of ours would have heard.
fn again(web: &Web, token: &str, agent: &str, name: &str, refusal: &Response<Body>) -> Response<Body> {
    let words = String::from_utf8_lossy(refusal.body().whole().map_or(&[], |bytes| bytes));
    let mut answer = form(web, refusal.status(), token, agent, name, words.trim_end());
    if let Some(later) = refusal.headers().get(RETRY_AFTER) {
        answer.headers_mut().insert(RETRY_AFTER, later.clone());
    }
    answer
}

fn done(agent: &str) -> Response<Body> {
    let words = format!("{} can use your calendars now. You can close this window.", program(agent));
    pages::page(StatusCode::OK, &Said { title: "Access granted", words: &words, good: true })
}

fn over() -> Response<Body> {
    let words = "This address was used, is older than twenty minutes, or was never one. Start again in your program.";
    pages::page(StatusCode::NOT_FOUND, &Said { title: "Nobody waits here", words, good: false })
}

/// What a form of this page carries: nobody else can make it, and it fits no other page.
fn seal(web: &Web, token: &str) -> String {
    secrets::hex(&seal_of(web, token))
}

fn seal_of(web: &Web, token: &str) -> [u8; 32] {
    web.app.secrets.keyed_hash(&format!("the form of {token}"))
}

/// Compares without telling where they differ.
fn same(sent: &str, seal: &[u8]) -> bool {
    let key = secrets::random::<32>();
    secrets::hmac(&key, sent.as_bytes()) == secrets::hmac(&key, secrets::hex(seal).as_bytes())
}

/// A field of a form.
fn field(body: &[u8], name: &str) -> Option<Secret> {
    url::form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| Secret::new(value.into_owned()))
}

/// What a program calls itself, fit to be shown and to be the name of its app password.
fn agent(headers: &HeaderMap) -> String {
    let sent = headers.get(USER_AGENT).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let clean: String = sent.unwrap_or_default().chars().filter(|c| !c.is_control()).take(120).collect();
    match clean.trim() {
        "" => "a program without a name".to_owned(),
        clean => clean.to_owned(),
    }
}

/// What people call it.
fn program(agent: &str) -> &str {
    const KNOWN: [(&str, &str); 3] =
        [("DAVx5", "DAVx⁵"), ("gnome-online-accounts", "GNOME Online Accounts"), ("Mozilla/", "a web browser")];
    match KNOWN.iter().find(|(mark, _)| agent.starts_with(mark)) {
        Some((_, name)) => name,
        None if agent.starts_with("a program") => agent,
        None => agent.split(['/', ' ', '(']).next().filter(|name| !name.is_empty()).unwrap_or(agent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_have_names() {
        let check = |sent: Option<&[u8]>, agent_is: &str, program_is: &str| {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(USER_AGENT, HeaderValue::from_bytes(sent).unwrap());
            }
            let agent = agent(&headers);
            assert_eq!((agent.as_str(), program(&agent)), (agent_is, program_is));
        };
        check(None, "a program without a name", "a program without a name");
        check(Some(b"  "), "a program without a name", "a program without a name");
        check(Some(b"DAVx5/4.5 (x) Android/15"), "DAVx5/4.5 (x) Android/15", "DAVx⁵");
        check(Some(b"gnome-online-accounts/3.54.0 "), "gnome-online-accounts/3.54.0", "GNOME Online Accounts");
        check(Some(b"curl/8.1"), "curl/8.1", "curl");
        check(Some(b"/x"), "/x", "/x");
        check(Some("Kalender ö/1".as_bytes()), "Kalender ö/1", "Kalender");
        check(Some(&[b'x'; 4000]), &"x".repeat(120), &"x".repeat(120));
    }

    #[test]
    fn which_paths_are_here() {
        let check = |path: &str, expect: bool| assert_eq!(is_here(path), expect, "{path}");
        check("/index.php/login/v2", true);
        check("/index.php/login/v2/poll", true);
        check("/index.php/login/v2/flow/x", true);
        check("/index.php/login/v2x", false);
        check("/index.php/login/flow", false);
        check("/index.php", false);
    }

    #[test]
    fn fields_are_decoded() {
        let check = |body: &str, expect: Option<&str>| {
            assert_eq!(field(body.as_bytes(), "a").as_ref().map(Secret::reveal), expect, "{body}");
        };
        check("a=1", Some("1"));
        check("b=2&a=p%C3%A4ss+w%2B", Some("päss w+"));
        check("a=1&a=2", Some("1"));
        check("", None);
        check("b=1", None);
    }

    #[test]
    fn seals_are_compared_whole() {
        assert!(same("0aff", &[10, 255]));
        assert!(!same("0afe", &[10, 255]));
        assert!(!same("0a", &[10, 255]));
        assert!(!same("", &[10, 255]));
    }
}
