//! WebDAV-Push from the registration to the message that a push service is handed, with a service on loopback that
//! keeps what it gets, and a receiver that decrypts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use calgate::app::App;
use calgate::ical::Instant;
use calgate::store::users::Actor;
use calgate::store::{app_passwords, subscriptions};
use calgate::sync::jobs;
use http::StatusCode;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::SystemRandom;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::kit::{self, Folder, NOW};

const CONFIG: &str = r#"
[server]
public_url = "https://cal.example.org/cal"
[push]
private_networks = true
[[user]]
name = "anna"
[[user.calendar]]
name = "work"
[[user.calendar]]
name = "home"
[[user.unified]]
name = "all"
members = ["work", "home"]
[[user]]
name = "ben"
"#;

/// What a push service was sent.
#[derive(Clone, Debug)]
struct Got {
    head: String,
    body: Vec<u8>,
}

/// A push service that answers every message with the next status of a list, or 201.
struct Service {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Service {
    async fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/push/secret-address", listener.local_addr().unwrap());
        let got: Arc<Mutex<Vec<Got>>> = Arc::default();
        let answers: Arc<Mutex<Vec<u16>>> = Arc::default();
        let (keep, next) = (got.clone(), answers.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (keep, next) = (keep.clone(), next.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let split = loop {
                        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
                        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
                        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap();
                        if bytes.len() >= end + 4 + length.parse::<usize>().unwrap() {
                            break end;
                        }
                    };
                    let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
                    keep.lock().unwrap().push(Got { head, body: bytes[split + 4..].to_vec() });
                    let status = next.lock().unwrap().pop().unwrap_or(201);
                    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Service { url, got, answers }
    }

    /// Waits until that many messages have come, and gives them.
    async fn messages(&self, count: usize) -> Vec<Got> {
        for _ in 0..400 {
            if self.got.lock().unwrap().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        let got = self.got.lock().unwrap().clone();
        assert_eq!(got.len(), count, "{got:?}");
        got
    }
}

struct House {
    app: Arc<App>,
    anna: Actor,
    ben: Actor,
    _stop: watch::Sender<bool>,
    _folder: Folder,
}

async fn house() -> House {
    let (url, folder) = kit::sqlite_url();
    let app = kit::app(&url, CONFIG).await;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(jobs::run(app.clone(), stopped));
    let (anna, ben) = (kit::actor(&app, "anna").await, kit::actor(&app, "ben").await);
    House { anna, ben, app, _stop: stop, _folder: folder }
}

impl House {
    async fn ask(&self, actor: &Actor, line: &str, headers: &[(&str, &str)], body: &str) -> http::Response<Bytes> {
        let (method, path) = line.split_once(' ').unwrap();
        kit::whole(kit::ask(&self.app, actor, method, path, headers, body).await).await
    }

    async fn put(&self, path: &str, uid: &str, title: &str, headers: &[(&str, &str)]) {
        let body = kit::event_text(uid, &format!("DTSTART:20260601T100000Z\nSUMMARY:{title}"));
        let answer = self.ask(&self.anna, &format!("PUT {path}"), headers, &body).await;
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// The workers look what is due.
    async fn later(&self, seconds: i64) {
        self.app.clock.set(Instant(self.app.clock.now().0 + seconds));
        self.app.wake.notify_one();
    }

    async fn count(&self) -> usize {
        let (user, now) = (self.anna.user, self.app.clock.now());
        self.app.store.read(move |tx| subscriptions::of(tx, user, now)).await.map(|l: Vec<_>| l.len()).unwrap()
    }
}

/// What a client keeps of its subscription, to decrypt one message.
struct Keys {
    private: EphemeralPrivateKey,
    public: Vec<u8>,
    auth: [u8; 16],
}

impl Keys {
    fn new() -> Keys {
        let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
        let public = private.compute_public_key().unwrap().as_ref().to_vec();
        Keys { private, public, auth: *b"sixteen octets!!" }
    }

    /// As DAVx5 writes it: without a trigger and without the name of the encryption.
    fn register(&self, url: &str, more: &str) -> String {
        let [key, auth] = [&self.public[..], &self.auth[..]].map(|b| URL_SAFE_NO_PAD.encode(b));
        format!(
            "<?xml version='1.0' encoding='UTF-8' standalone='yes' ?><push-register xmlns=\"https://bitfire.at/webdav-push\" \
             xmlns:D=\"DAV:\"><subscription><web-push-subscription><push-resource>{url}</push-resource>\
             <subscription-public-key type=\"p256dh\">{key}</subscription-public-key><auth-secret>{auth}</auth-secret>\
             </web-push-subscription></subscription>{more}</push-register>"
        )
    }

    /// RFC 8291 section 3 from the receiver's side.
    fn decrypt(self, message: &[u8]) -> String {
        let (salt, rest) = message.split_at(16);
        let (size, rest) = rest.split_at(4);
        assert_eq!(size, 4096u32.to_be_bytes());
        let (sender, sealed) = rest[1..].split_at(usize::from(rest[0]));
        let hmac = |key: &[u8], parts: &[&[u8]]| sign(&Key::new(HMAC_SHA256, key), &parts.concat());
        let public = UnparsedPublicKey::new(&ECDH_P256, sender.to_vec());
        let root = agree_ephemeral(self.private, &public, |shared| {
            let secret = hmac(&self.auth, &[shared]);
            let material = hmac(secret.as_ref(), &[b"WebPush: info\0", &self.public, sender, &[1]]);
            hmac(salt, &[material.as_ref()])
        });
        let root = root.unwrap();
        let key = hmac(root.as_ref(), &[b"Content-Encoding: aes128gcm\0\x01"]);
        let nonce = hmac(root.as_ref(), &[b"Content-Encoding: nonce\0\x01"]);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key.as_ref()[..16]).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&nonce.as_ref()[..12]).unwrap();
        let mut text = sealed.to_vec();
        let plain = key.open_in_place(nonce, Aad::empty(), &mut text).expect("it can be decrypted");
        assert_eq!(plain.last(), Some(&2), "it is the last record");
        String::from_utf8(plain[..plain.len() - 1].to_vec()).unwrap()
    }
}

fn header<'a>(answer: &'a http::Response<Bytes>, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |v| v.to_str().unwrap())
}

const XML: (&str, &str) = ("content-type", "application/xml; charset=utf-8");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_told_once_and_says_only_that_there_is_one() {
    let (house, service, keys) = (house().await, Service::start().await, Keys::new());
    let properties = "<D:propfind xmlns:D=\"DAV:\" xmlns:P=\"https://bitfire.at/webdav-push\"><D:prop><P:transports/>\
                      <P:topic/><P:supported-triggers/><D:sync-token/></D:prop></D:propfind>";
    let offered = house.ask(&house.anna, "PROPFIND /dav/anna/work/", &[("depth", "0")], properties).await;
    let body = std::str::from_utf8(offered.body()).unwrap().to_owned();
    assert!(body.contains("<vapid-public-key type=\"p256ecdsa\">B"), "{body}");
    assert!(!body.contains("404"), "{body}");
    let topic = body.split("<topic xmlns=\"https://bitfire.at/webdav-push\">").nth(1).unwrap();
    let topic = topic.split('<').next().unwrap();

    let asked = keys.register(&service.url, "<expires>Thu, 04 Jun 2026 00:00:00 GMT</expires>");
    let made = house.ask(&house.anna, "POST /dav/anna/work/", &[XML], &asked).await;
    assert_eq!(made.status(), StatusCode::NO_CONTENT, "{made:?}");
    assert_eq!(header(&made, "expires"), "Thu, 04 Jun 2026 00:00:00 GMT");
    let address = header(&made, "location").to_owned();
    assert!(address.starts_with("https://cal.example.org/cal/push/"), "{address}");
    // Asked again, it is the same one.
    let again = house.ask(&house.anna, "POST /dav/anna/work/", &[XML], &asked).await;
    assert_eq!((header(&again, "location"), house.count().await), (address.as_str(), 1));

    for (at, title) in ["Dentist", "Dentist at two", "Dentist at three"].iter().enumerate() {
        house.put(&format!("/dav/anna/work/{at}.ics"), &format!("u{at}"), title, &[]).await;
    }
    house.put("/dav/anna/home/h.ics", "h", "Elsewhere", &[]).await;
    house.later(3).await;
    let [got] = service.messages(1).await.try_into().unwrap();
    let head = got.head.to_lowercase();
    assert!(head.starts_with("post /push/secret-address http/1.1"), "{head}");
    for line in ["content-encoding: aes128gcm", "ttl: 86400", "urgency: normal", "authorization: vapid t=ey", "topic: "]
    {
        assert!(head.contains(line), "{line}: {head}");
    }
    assert!(!head.contains(&topic.to_lowercase()), "what the service sees is not our topic");
    let text = keys.decrypt(&got.body);
    assert!(text.contains(&format!("<topic>{topic}</topic><content-update><D:sync-token>urn:calgate:")), "{text}");
    assert!(!text.contains("property-update") && !text.contains("Dentist"), "{text}");

    // Renewed before it was told, it is told all the same.
    let url = format!("{}/renewed", service.url);
    house.ask(&house.anna, "POST /dav/anna/home/", &[XML], &Keys::new().register(&url, "")).await;
    house.put("/dav/anna/home/i.ics", "i", "Soon told", &[]).await;
    house.ask(&house.anna, "POST /dav/anna/home/", &[XML], &Keys::new().register(&url, "")).await;
    house.later(3).await;
    service.messages(2).await;

    // Nothing new, nothing told; what only looks different is told as that.
    house.later(60).await;
    let look = "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop><D:displayname>Office</D:displayname></D:prop></D:set>\
                </D:propertyupdate>";
    assert_eq!(house.ask(&house.anna, "PROPPATCH /dav/anna/work/", &[], look).await.status(), StatusCode::MULTI_STATUS);
    house.later(3).await;
    service.messages(3).await;

    // Ended, by its owner alone.
    let path = address.strip_prefix("https://cal.example.org/cal").unwrap();
    let end = format!("DELETE {path}");
    assert_eq!(house.ask(&house.ben, &end, &[], "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(house.ask(&house.anna, &end, &[], "").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(house.ask(&house.anna, &end, &[], "").await.status(), StatusCode::NOT_FOUND);
    house.put("/dav/anna/work/x.ics", "x", "Nobody hears", &[]).await;
    house.later(60).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    service.messages(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_not_told_of_what_it_did_itself() {
    let (house, service) = (house().await, Service::start().await);
    let other = Service::start().await;
    let mut addresses = Vec::new();
    for (service, path) in [(&service, "work"), (&service, "all"), (&other, "work")] {
        let body = Keys::new().register(&service.url, "");
        let made = house.ask(&house.anna, &format!("POST /dav/anna/{path}/"), &[XML], &body).await;
        addresses.push(header(&made, "location").to_owned());
    }
    let quiet = format!("\"{}\", \"{}\"", addresses[0], addresses[1]);
    house.put("/dav/anna/work/a.ics", "a", "Mine", &[("push-dont-notify", &quiet)]).await;
    house.later(3).await;
    other.messages(1).await;
    service.messages(0).await;
    house.put("/dav/anna/work/b.ics", "b", "Mine", &[("push-dont-notify", "*")]).await;
    house.later(3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    other.messages(1).await;
    service.messages(0).await;
    // Two numbers of the clock and one resource: somebody else was at it in the same moment.
    let (mut mine, theirs) = (Vec::new(), ("a", "Theirs"));
    for round in 0..20 {
        let title = format!("Mine {round}");
        let still = [("push-dont-notify", quiet.as_str())];
        let ours = house.put("/dav/anna/work/a.ics", "a", &title, &still);
        let other = house.put("/dav/anna/work/a.ics", theirs.0, theirs.1, &[]);
        let (_, _) = tokio::join!(ours, other);
        let kept = house.ask(&house.anna, "GET /dav/anna/work/a.ics", &[], "").await;
        mine.push(std::str::from_utf8(kept.body()).unwrap().contains(&title));
        let told = service.got.lock().unwrap().len();
        house.later(3).await;
        if !mine[round] {
            // What is there is not ours: both subscriptions that were to keep still hear of it.
            service.messages(told + 2).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (told, others) = (service.got.lock().unwrap().len(), other.got.lock().unwrap().len());
    // What it was not told of before is told all the same.
    house.put("/dav/anna/work/c.ics", "c", "Somebody's", &[]).await;
    house.put("/dav/anna/work/d.ics", "d", "Mine", &[("push-dont-notify", &quiet)]).await;
    house.later(3).await;
    other.messages(others + 1).await;
    service.messages(told + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_home_is_told_of_calendars_that_come_and_go() {
    let (house, service) = (house().await, Service::start().await);
    let body = Keys::new()
        .register(&service.url, "<trigger><content-update><D:depth>infinity</D:depth></content-update></trigger>");
    assert_eq!(house.ask(&house.anna, "POST /dav/anna/", &[XML], &body).await.status(), StatusCode::NO_CONTENT);
    house.put("/dav/anna/work/a.ics", "a", "In a calendar", &[]).await;
    house.later(3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    service.messages(0).await;
    assert_eq!(house.ask(&house.anna, "MKCALENDAR /dav/anna/new/", &[], "").await.status(), StatusCode::CREATED);
    house.later(3).await;
    service.messages(1).await;
    assert_eq!(house.ask(&house.anna, "DELETE /dav/anna/new/", &[], "").await.status(), StatusCode::NO_CONTENT);
    house.later(3).await;
    service.messages(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_are_gone_are_forgotten_and_those_away_are_tried_again() {
    let (house, service) = (house().await, Service::start().await);
    let body = Keys::new().register(&service.url, "");
    house.ask(&house.anna, "POST /dav/anna/work/", &[XML], &body).await;
    service.answers.lock().unwrap().extend([410, 503]);
    house.put("/dav/anna/work/a.ics", "a", "Once", &[]).await;
    house.later(3).await;
    service.messages(1).await;
    assert_eq!(house.count().await, 1, "503 is no reason to forget it");
    for _ in 0..200 {
        house.later(60).await;
        tokio::time::sleep(Duration::from_millis(25)).await;
        if house.count().await == 0 {
            break;
        }
    }
    service.messages(2).await;
    assert_eq!(house.count().await, 0, "410 is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_ends_with_the_login_it_was_made_by() {
    let (house, service) = (house().await, Service::start().await);
    let user = house.anna.user;
    let device =
        house.app.store.write(move |tx| app_passwords::add(tx, user, "phone", b"hash", true, NOW)).await.unwrap();
    let phone = Actor { may_write: false, app_password: Some(device), ..house.anna.clone() };
    let body = Keys::new().register(&service.url, "");
    assert_eq!(house.ask(&phone, "POST /dav/anna/work/", &[XML], &body).await.status(), StatusCode::NO_CONTENT);
    let body = Keys::new().register(&format!("{}/laptop", service.url), "");
    assert_eq!(house.ask(&house.anna, "POST /dav/anna/work/", &[XML], &body).await.status(), StatusCode::NO_CONTENT);
    house.app.store.write(move |tx| app_passwords::revoke(tx, user, device)).await.unwrap();
    assert_eq!(house.count().await, 1);
    let mut config = (**house.app.config.load()).clone();
    config.users[0].password =
        Some("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$7ZyWs0g1ReTNUiDGnBNJzMhNHs8h/wMzsRyDPbsTEmI".to_owned());
    house.app.apply(config).await.unwrap();
    house.put("/dav/anna/work/a.ics", "a", "Not for a thief", &[]).await;
    house.later(3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    service.messages(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_wants_rest_has_it_and_the_others_do_not_wait() {
    let (house, slow, quick) = (house().await, Service::start().await, Service::start().await);
    for service in [&slow, &quick] {
        let body = Keys::new().register(&service.url, "");
        house.ask(&house.anna, "POST /dav/anna/work/", &[XML], &body).await;
    }
    slow.answers.lock().unwrap().push(503);
    for at in 1..=3 {
        house.put(&format!("/dav/anna/work/{at}.ics"), &format!("u{at}"), "One more", &[]).await;
        house.later(3).await;
        quick.messages(at).await;
        slow.messages(1).await;
    }
    house.later(60).await;
    slow.messages(2).await;
    quick.messages(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_registered_is_refused_in_words() {
    let house = house().await;
    let keys = Keys::new();
    let check = async |path: &str, body: String, status: u16, condition: &str| {
        let answer = house.ask(&house.anna, &format!("POST {path}"), &[XML], &body).await;
        let said = std::str::from_utf8(answer.body()).unwrap().to_owned();
        assert_eq!(answer.status().as_u16(), status, "{said}");
        assert!(said.contains(condition), "{condition}: {said}");
    };
    let work = "/dav/anna/work/";
    let good = |url: &str, more: &str| keys.register(url, more);
    check(work, good("ftp://push.example.net/", ""), 403, "invalid-subscription").await;
    check(work, good("https://u:p@push.example.net/", ""), 403, "invalid-subscription").await;
    check(work, good("https://push.example.net/", "").replace("auth-secret", "other"), 403, "auth-secret is missing")
        .await;
    let coding = "<content-encoding>aesgcm</content-encoding></web-push-subscription>";
    let body = good("https://push.example.net/", "").replace("</web-push-subscription>", coding);
    check(work, body, 403, "aes128gcm").await;
    check(work, good("https://push.example.net/", "<trigger/>"), 403, "no-supported-trigger").await;
    check("/dav/anna/none/", good("https://push.example.net/", ""), 404, "").await;
    check("/dav/ben/", good("https://push.example.net/", ""), 404, "").await;
    // Switched off, nothing is offered; and with private networks closed, none is reached.
    let mut config = (**house.app.config.load()).clone();
    config.push.private_networks = false;
    house.app.apply(config.clone()).await.unwrap();
    check(work, good("http://push.example.net/", ""), 403, "https:").await;
    for address in ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:169.254.169.254]", "2130706433", "0x7f.1"] {
        check(work, good(&format!("https://{address}/x"), ""), 403, "private network").await;
    }
    config.push.enabled = false;
    house.app.apply(config).await.unwrap();
    check(work, good("https://push.example.net/", ""), 403, "push-not-available").await;
}
