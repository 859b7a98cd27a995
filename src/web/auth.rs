//! Who is asking: Basic (RFC 7617) → [`Actor`].
//!
//! Three ways, the cheap ones first. A login that was right before is known by its HMAC, and once a minute it is looked
//! whether its user has the same password still. An app password is found by its keyed hash, in one read. Only then the
//! user's password is tried, which costs tens of milliseconds: behind a count of wrong tries, two at a time, and once for
//! all who send the same at that time. So nobody can make the server hash for them, and nobody's wrong tries lock out an
//! app password or a login that is known.
//!
//! How long something taken away still works: an app password that was revoked, a password that was changed and a user
//! that was removed (by a command, which is another process) for at most [`UNSEEN`] seconds more; after a reload of the
//! configuration not at all.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{AUTHORIZATION, HOST, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};

use super::throttle::{Block, Throttle};
use super::{Web, say, say_later, store_trouble};
use crate::app::App;
use crate::body::Body;
use crate::config::Config;
use crate::ical::Instant;
use crate::secrets::{self, Secret};
use crate::store::users::{self, Actor, User};
use crate::store::{self, app_passwords};

/// Seconds for which a right login is not looked at again.
const UNSEEN: i64 = 60;
/// Right logins remembered at most.
const KNOWN: usize = 10_000;
/// Password hashes computed at one time, and requests that wait for one; each takes 19 MiB.
const HASHING: usize = 2;
const WAITING: usize = 32;
/// Bytes of a name or a password; a longer one is nobody's.
const LONGEST: usize = 1024;
/// Seconds between two notes that an app password was used.
const TOUCH: i64 = 3600;
/// Hashed against when there is no such user or no password, so that both take the same time. Of the same cost as
/// [`secrets::hash_password`]; what it is the hash of does not matter, it is never taken.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$WjUxsDrzhtmj2GDh0XIpRZ2VXVRDqWzUaWSbuWWVPKk";

/// In the extensions of an answer: the name of the actor, for the log.
#[derive(Clone)]
pub(super) struct Who(pub String);

/// What is remembered between logins.
pub(super) struct Doors {
    /// For the fingerprints of right logins. As long as the process lives, and nowhere else.
    key: [u8; 32],
    known: Mutex<Known>,
    /// The logins that are being tried, see [`Turn`].
    trying: Mutex<HashMap<Fingerprint, Arc<AsyncMutex<()>>>>,
    wrong_by_user: Throttle<(Block, Fingerprint)>,
    wrong_by_block: Throttle<Block>,
    hashing: Arc<Semaphore>,
    waiting: AtomicUsize,
}

type Fingerprint = [u8; 32];

#[derive(Default)]
struct Known {
    /// The configuration under which they were right: it may have brought other passwords.
    under: Option<Arc<Config>>,
    logins: HashMap<Fingerprint, Login>,
}

/// A login that was right.
#[derive(Clone)]
struct Login {
    actor: Actor,
    /// SHA-256 of the hash it fitted; `None`: it was an app password, which is looked up anew instead.
    fitted: Option<[u8; 32]>,
    /// When the store was last asked.
    seen: Instant,
}

/// The turn to try a login. A client comes with several connections at once; were each of them tried for itself, they
/// would compute the same hash side by side, and count as many tries.
struct Turn<'a> {
    trying: &'a Mutex<HashMap<Fingerprint, Arc<AsyncMutex<()>>>>,
    fingerprint: Fingerprint,
    place: Option<Arc<AsyncMutex<()>>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut trying = self.trying.lock().unwrap_or_else(PoisonError::into_inner);
        drop((self.held.take(), self.place.take()));
        // Whoever waits has a hold of it as well; the last one puts it away.
        if trying.get(&self.fingerprint).is_some_and(|place| Arc::strong_count(place) == 1) {
            trying.remove(&self.fingerprint);
        }
    }
}

/// What was sent.
struct Credentials {
    /// In lower case.
    name: String,
    password: Secret,
}

impl Doors {
    pub fn new() -> Doors {
        Doors {
            key: secrets::random(),
            known: Mutex::default(),
            trying: Mutex::default(),
            wrong_by_user: Throttle::new(10, 300),
            wrong_by_block: Throttle::new(60, 300),
            hashing: Arc::new(Semaphore::new(HASHING)),
            waiting: AtomicUsize::new(0),
        }
    }

    fn fingerprint(&self, sent: &Credentials) -> Fingerprint {
        // A name holds no control character, so the two can not run into each other.
        let both = zeroize::Zeroizing::new(format!("{}\0{}", sent.name, sent.password.reveal()));
        secrets::hmac(&self.key, both.as_bytes())
    }

    fn known(&self, fingerprint: &Fingerprint, config: &Arc<Config>) -> Option<Login> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.under.as_ref().is_some_and(|under| Arc::ptr_eq(under, config)) {
            *known = Known { under: Some(Arc::clone(config)), logins: HashMap::new() };
        }
        known.logins.get(fingerprint).cloned()
    }

    /// `config`: the one in force before the login was checked; if there is another by now, nothing is remembered.
    fn remember(&self, fingerprint: Fingerprint, config: &Arc<Config>, login: Login) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.under.as_ref().is_some_and(|under| Arc::ptr_eq(under, config)) {
            return;
        }
        if known.logins.len() >= KNOWN {
            let now = login.seen;
            known.logins.retain(|_, login| within(login.seen, UNSEEN, now));
            if known.logins.len() >= KNOWN {
                known.logins.clear();
            }
        }
        known.logins.insert(fingerprint, login);
    }

    fn forget(&self, fingerprint: &Fingerprint) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).logins.remove(fingerprint);
    }

    /// Waits for those who came with the same login before.
    async fn turn(&self, fingerprint: Fingerprint) -> Turn<'_> {
        let place = {
            let mut trying = self.trying.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(trying.entry(fingerprint).or_default())
        };
        // Whole before it waits: who goes away while waiting leaves nothing behind.
        let mut turn = Turn { trying: &self.trying, fingerprint, place: Some(Arc::clone(&place)), held: None };
        turn.held = Some(place.lock_owned().await);
        turn
    }

    /// Whether the password fits. `None`: too many wait already.
    async fn fits(&self, password: Secret, phc: String) -> Option<bool> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let waiting = Waiting(&self.waiting);
        if before >= WAITING {
            return None;
        }
        // The permit goes with the work: a client that hangs up does not make room for the next.
        let permit = Arc::clone(&self.hashing).acquire_owned().await.ok()?;
        drop(waiting);
        let verify = move || {
            let fits = secrets::verify_password(password.reveal(), &phc);
            drop(permit);
            fits
        };
        tokio::task::spawn_blocking(verify).await.ok()
    }
}

/// Makes the actor, or says what to answer: 401 with the challenge, 400, 429, and 503 (never 401) when it is the server
/// that can not tell.
pub(super) async fn actor(web: &Web, address: IpAddr, headers: &HeaderMap) -> Result<Actor, Response<Body>> {
    let sent = credentials(headers).map_err(|not_read| match not_read {
        NotRead::None(words) => challenge(words),
        NotRead::Garbage(words) => say(StatusCode::BAD_REQUEST, words),
    })?;
    let now = web.app.clock.now();
    let config = web.app.config.load_full();
    let fingerprint = web.doors.fingerprint(&sent);
    let fresh = || web.doors.known(&fingerprint, &config).filter(|login| within(login.seen, UNSEEN, now));
    if let Some(login) = fresh() {
        return Ok(login.actor);
    }
    let _turn = web.doors.turn(fingerprint).await;
    // Tried by another connection meanwhile?
    if let Some(login) = fresh() {
        return Ok(login.actor);
    }
    if let Some(login) = web.doors.known(&fingerprint, &config) {
        if let Some(login) = seen_again(web, login, now).await? {
            web.doors.remember(fingerprint, &config, login.clone());
            return Ok(login.actor);
        }
        web.doors.forget(&fingerprint);
    }
    let login = match by_app_password(web, &sent, now).await? {
        Some(login) => login,
        None => {
            let wrong = || challenge("The user name or the password is wrong.");
            by_password(web, Block::of(address), &sent, now).await?.ok_or_else(wrong)?
        }
    };
    web.doors.remember(fingerprint, &config, login.clone());
    Ok(login.actor)
}

/// Who typed a password into a page of ours; `Ok(None)`: it is wrong. Behind the same counts as Basic. An app password
/// is none here: it opens calendars and nothing else, so it can not make another that outlives it.
pub(super) async fn person(
    web: &Web,
    address: IpAddr,
    name: &str,
    password: Secret,
) -> Result<Option<Actor>, Response<Body>> {
    if name.len() > LONGEST || password.reveal().len() > LONGEST || name.chars().any(char::is_control) {
        return Ok(None);
    }
    let sent = Credentials { name: name.to_lowercase(), password };
    let login = by_password(web, Block::of(address), &sent, web.app.clock.now()).await?;
    Ok(login.map(|login| login.actor))
}

/// The login as it is now, if its user is still there with the same password. It was right for that very hash, so it is
/// right for it now and needs not be hashed again; and it is no guess, so nobody's guesses can keep it out.
async fn seen_again(web: &Web, login: Login, now: Instant) -> Result<Option<Login>, Response<Body>> {
    if login.fitted.is_none() {
        return Ok(None);
    }
    let user = user(&web.app, login.actor.name.clone()).await?;
    let same = user.filter(|user| user.id == login.actor.user && fitted(user) == login.fitted);
    Ok(same.map(|user| Login { actor: Actor::of(&user), seen: now, ..login }))
}

/// What [`Login::fitted`] is of a user.
fn fitted(user: &User) -> Option<[u8; 32]> {
    user.password.as_ref().map(|phc| secrets::sha256(phc.as_bytes()))
}

async fn user(app: &App, name: String) -> Result<Option<User>, Response<Body>> {
    app.store.glance(move |tx| users::by_name(tx, &name)).await.map_err(|e| store_trouble(&e))
}

async fn by_app_password(web: &Web, sent: &Credentials, now: Instant) -> Result<Option<Login>, Response<Body>> {
    let Some(password) = secrets::app_password(sent.password.reveal()) else { return Ok(None) };
    let hashes: Vec<_> = web.app.secrets.keyed_hashes(password.reveal()).collect();
    let find = move |tx: &mut store::Tx<'_>| {
        for hash in hashes {
            if let Some(found) = app_passwords::find(tx, &hash)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    };
    let found = web.app.store.glance(find).await.map_err(|e: store::Error| store_trouble(&e))?;
    let Some((device, user)) = found.filter(|(_, user)| user.name == sent.name) else { return Ok(None) };
    if device.last_used.is_none_or(|at| !within(at, TOUCH, now)) {
        let (app, id) = (Arc::clone(&web.app), device.id);
        // Beside the answer: a note that is lost is made an hour later.
        tokio::spawn(async move {
            if let Err(e) = app.store.write(move |tx| app_passwords::touch(tx, id, now)).await {
                tracing::warn!("the use of an app password was not noted: {e}");
            }
        });
    }
    let actor = Actor { may_write: !device.read_only, app_password: Some(device.id), ..Actor::of(&user) };
    Ok(Some(Login { actor, fitted: None, seen: now }))
}

/// `Ok(None)`: wrong.
async fn by_password(
    web: &Web,
    block: Block,
    sent: &Credentials,
    now: Instant,
) -> Result<Option<Login>, Response<Body>> {
    let doors = &web.doors;
    let of_user = (block, secrets::hmac(&doors.key, sent.name.as_bytes()));
    // Counted before it is tried, so that many at one time are no way around it; taken back when it was right.
    doors.wrong_by_user.take(of_user, now).map_err(too_often)?;
    if let Err(seconds) = doors.wrong_by_block.take(block, now) {
        doors.wrong_by_user.give_back(&of_user);
        return Err(too_often(seconds));
    }
    let tried = match user(&web.app, sent.name.clone()).await {
        Ok(user) => try_password(web, user, sent.password.clone(), now).await,
        Err(trouble) => Err(trouble),
    };
    if !matches!(tried, Ok(None)) {
        doors.wrong_by_user.give_back(&of_user);
        doors.wrong_by_block.give_back(&block);
    }
    tried
}

/// `Ok(None)`: wrong. Takes as long whether the user is there or not.
async fn try_password(
    web: &Web,
    user: Option<User>,
    password: Secret,
    now: Instant,
) -> Result<Option<Login>, Response<Body>> {
    let phc = user.as_ref().and_then(|u| u.password.clone());
    let has_one = phc.is_some();
    let fits = web.doors.fits(password, phc.unwrap_or_else(|| NOBODY.to_owned())).await.ok_or_else(|| {
        say_later(StatusCode::SERVICE_UNAVAILABLE, 5, "Too many log in at this moment. Try again soon.")
    })?;
    let user = user.filter(|_| fits && has_one);
    Ok(user.map(|user| Login { actor: Actor::of(&user), fitted: fitted(&user), seen: now }))
}

/// Whether `at` is less than `seconds` before `now`. A clock that was set back ends it.
fn within(at: Instant, seconds: i64, now: Instant) -> bool {
    (0..seconds).contains(&now.0.saturating_sub(at.0))
}

/// Why there are no credentials.
#[derive(Debug, PartialEq, Eq)]
enum NotRead {
    /// None that we take were sent: 401.
    None(&'static str),
    /// What was sent is garbage: 400.
    Garbage(&'static str),
}

fn credentials(headers: &HeaderMap) -> Result<Credentials, NotRead> {
    use NotRead::Garbage;
    /// Padding is what clients forget.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let header = sent.next().ok_or(NotRead::None("Log in with your user name and an app password."))?.as_bytes();
    if sent.next().is_some() {
        return Err(Garbage("There are two Authorization headers."));
    }
    let (scheme, coded) = header.split_at(header.iter().position(|b| *b == b' ').unwrap_or(header.len()));
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return Err(NotRead::None("Only Basic is understood here."));
    }
    let plain = BASE64.decode(coded.trim_ascii()).map_err(|_| Garbage("The Authorization header is not base64."))?;
    let plain = zeroize::Zeroizing::new(plain);
    let plain = std::str::from_utf8(&plain).map_err(|_| Garbage("The Authorization header is not UTF-8."))?;
    let (name, password) = plain.split_once(':').ok_or(Garbage("The Authorization header has no colon."))?;
    if plain.chars().any(char::is_control) {
        return Err(Garbage("The Authorization header holds a control character."));
    }
    if name.len() > LONGEST || password.len() > LONGEST {
        return Err(Garbage("The user name or the password is longer than 1024 bytes."));
    }
    Ok(Credentials { name: name.to_lowercase(), password: Secret::new(password) })
}

/// 401. The realm is always the same: a client that sees another forgets its password.
fn challenge(words: &str) -> Response<Body> {
    let mut answer = say(StatusCode::UNAUTHORIZED, words);
    let basic = HeaderValue::from_static("Basic realm=\"calgate\", charset=\"UTF-8\"");
    answer.headers_mut().insert(WWW_AUTHENTICATE, basic);
    answer
}

/// What made a client send a request, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// A program, which says nothing of it; a page of ours; a person who typed the address.
    Ours,
    /// A page of another site.
    OtherSite,
    /// A page that its browser does not name.
    Hidden,
}

pub(super) fn sender(web: &Web, headers: &HeaderMap) -> Sender {
    if let Some(site) = headers.get("sec-fetch-site") {
        return match site.as_bytes() {
            b"same-origin" | b"none" => Sender::Ours,
            _ => Sender::OtherSite,
        };
    }
    let Some(origin) = headers.get(ORIGIN) else { return Sender::Ours };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let here = origin.split_once("://").is_some_and(|(_, at)| host == Some(at));
    match origin {
        "null" => Sender::Hidden,
        _ if here || origin == web.app.config.load().server.public_url.origin() => Sender::Ours,
        _ => Sender::OtherSite,
    }
}

fn too_often(seconds: i64) -> Response<Body> {
    let words = format!("There were too many wrong passwords. Try again in {seconds} s, or use an app password.");
    say_later(StatusCode::TOO_MANY_REQUESTS, seconds, &words)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn credentials_are_read_or_refused() {
        let check = |values: &[&str], expect: Result<(&str, &str), u16>| {
            let read = credentials(&with(values));
            let read =
                read.as_ref().map(|c| (c.name.as_str(), c.password.reveal())).map_err(|not_read| match not_read {
                    NotRead::None(_) => 401,
                    NotRead::Garbage(_) => 400,
                });
            assert_eq!(read, expect, "{values:?}");
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        check(&[], Err(401));
        check(&[&basic("anna:secret")], Ok(("anna", "secret")));
        check(&[&basic("Anna:se:cr et")], Ok(("anna", "se:cr et")));
        check(&[&basic("jürgen:pässwört")], Ok(("jürgen", "pässwört")));
        check(&[&basic("anna:")], Ok(("anna", "")));
        check(&[&basic(":")], Ok(("", "")));
        check(&[&format!("bAsIc   {}", STANDARD.encode("anna:secret"))], Ok(("anna", "secret")));
        check(&[basic("anna:secretx").trim_end_matches('=')], Ok(("anna", "secretx")));
        check(&[&basic(&format!("anna:{}", "x".repeat(1024)))], Ok(("anna", &"x".repeat(1024))));
        check(&["Bearer abc"], Err(401));
        check(&["Digest username=\"anna\""], Err(401));
        check(&[""], Err(401));
        check(&["Basic"], Err(400));
        check(&["Basic !!!"], Err(400));
        check(&["Basic YW5uYTpzZWNyZXQ=YQ"], Err(400));
        check(&[&basic("anna")], Err(400));
        check(&[&basic("anna:a\0b")], Err(400));
        check(&[&basic("an\nna:b")], Err(400));
        check(&[&format!("Basic {}", STANDARD.encode(b"anna:\xff\xfe"))], Err(400));
        check(&[&basic(&format!("anna:{}", "x".repeat(1025)))], Err(400));
        check(&[&basic("anna:secret"), &basic("anna:secret")], Err(400));
    }

    #[test]
    fn the_hash_for_nobody_costs_what_a_real_one_costs() {
        let real = secrets::hash_password(&Secret::new("x"));
        let cost = |phc: &str| phc.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(NOBODY), cost(&real));
        assert_eq!(secrets::check_phc(NOBODY), Ok(()));
    }

    #[tokio::test]
    async fn the_same_login_is_tried_by_one_at_a_time() {
        let doors = Doors::new();
        let (one, other) = ([1; 32], [2; 32]);
        let first = doors.turn(one).await;
        let second = doors.turn(other).await;
        let mut third = Box::pin(doors.turn(one));
        assert!(asked_once(&mut third).is_none());
        // One that goes away while it waits.
        let mut fourth = Box::pin(doors.turn(one));
        assert!(asked_once(&mut fourth).is_none());
        drop(fourth);
        drop((first, second));
        assert_eq!(doors.trying.lock().unwrap().len(), 1);
        drop(third.await);
        assert!(doors.trying.lock().unwrap().is_empty());
    }

    /// What a future gives when it is asked once.
    fn asked_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        match std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn hashes_are_computed_two_at_a_time_and_few_may_wait() {
        let doors = Arc::new(Doors::new());
        let held = Arc::clone(&doors.hashing).acquire_many_owned(HASHING as u32).await.unwrap();
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let doors = Arc::clone(&doors);
                tokio::spawn(async move { doors.fits(Secret::new("x"), "no hash".to_owned()).await })
            })
            .collect();
        while doors.waiting.load(Ordering::Acquire) < WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(doors.fits(Secret::new("x"), "no hash".to_owned()).await, None);
        drop(held);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Some(false));
        }
        assert_eq!(doors.waiting.load(Ordering::Acquire), 0);
    }
}
