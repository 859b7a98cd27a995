//! Web Push: a message to a push service (RFC 8030), which nobody but its receiver can read (RFC 8291) and which says
//! that it comes from us (VAPID, RFC 8292).

use std::fmt;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use ::http::{HeaderValue, Method};
use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use url::Url;

use super::http::{Client, Request, place};
use crate::ical::Instant;
use crate::secrets::Secret;

/// The longest message there is room for in one record (RFC 8291 section 4): every push service takes 4096 octets.
const MAX_MESSAGE: usize = 3993;
const RECORD_SIZE: u32 = 4096;
/// An uncompressed point of P-256.
const POINT: usize = 65;
/// How long a push service keeps a message for a receiver that is away, in seconds. Whoever was away for longer looks
/// for changes anyway.
const KEEP: u32 = 24 * 3600;
/// How long a VAPID token is good, in seconds; RFC 8292 allows a day.
const TOKEN_LIFE: i64 = 12 * 3600;

/// Where messages for one receiver go, and what they are encrypted with.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The push resource: whoever knows it can send, so it is a secret.
    pub url: Url,
    /// Its public key, uncompressed.
    pub key: Vec<u8>,
    /// Its authentication secret, 16 octets.
    pub auth: Vec<u8>,
}

/// Why a subscription can not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable(pub String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Receiver {
    /// Reads what a client sent: an absolute URL, and key and secret in base64url, padded or not.
    /// `plain`: `http:` is taken too, for a push service in the house.
    pub fn read(url: &str, key: &str, auth: &str, plain: bool) -> Result<Receiver, Unusable> {
        const MAX_URL: usize = 2048;
        let wrong = |why: &str| Err(Unusable(why.to_owned()));
        if url.len() > MAX_URL {
            return wrong("the push resource is longer than 2048 characters");
        }
        let Ok(url) = Url::parse(url.trim()) else { return wrong("the push resource is no absolute URL") };
        if !(url.scheme() == "https" || plain && url.scheme() == "http") || url.host_str().is_none() {
            return wrong("the push resource must begin with https:");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("the push resource may hold no user name and no password");
        }
        let key = decode(key).filter(|k| k.len() == POINT && k[0] == 4);
        let auth = decode(auth).filter(|a| a.len() == 16);
        match (key, auth) {
            (Some(key), Some(auth)) => Ok(Receiver { url, key, auth }),
            (None, _) => wrong("the public key must be an uncompressed point of P-256 in base64url"),
            (_, None) => wrong("the authentication secret must be 16 octets in base64url"),
        }
    }

    /// One text, to be sealed.
    pub fn write(&self) -> Secret {
        let [key, auth] = [&self.key, &self.auth].map(|b| URL_SAFE_NO_PAD.encode(b));
        Secret::new(format!("{}\n{key}\n{auth}", self.url))
    }

    /// Reads what `write` wrote.
    pub fn restore(text: &Secret) -> Result<Receiver, Unusable> {
        let mut lines = text.reveal().lines();
        match (lines.next(), lines.next(), lines.next()) {
            (Some(url), Some(key), Some(auth)) => Receiver::read(url, key, auth, true),
            _ => Err(Unusable("what was kept of the subscription is damaged".to_owned())),
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    URL_SAFE_NO_PAD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// The key pair by which push services know us.
pub struct Vapid {
    pair: EcdsaKeyPair,
    public: String,
    /// RFC 8292 2.1: whom to turn to.
    subject: String,
}

impl Vapid {
    /// A new key pair, as text to be sealed.
    pub fn generate() -> Secret {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Secret::new(URL_SAFE_NO_PAD.encode(made.expect("the system gives random octets")))
    }

    /// `subject`: a URL or `mailto:` of this server.
    pub fn restore(text: &Secret, subject: &str) -> Result<Vapid, Unusable> {
        let damaged = || Unusable("the key for push services is damaged".to_owned());
        let octets = URL_SAFE_NO_PAD.decode(text.reveal()).map_err(|_| damaged())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &octets, &SystemRandom::new())
            .map_err(|_| damaged())?;
        let public = URL_SAFE_NO_PAD.encode(pair.public_key());
        Ok(Vapid { pair, public, subject: subject.to_owned() })
    }

    /// The public key, uncompressed, in base64url.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The `Authorization` of one message.
    fn authorization(&self, to: &Url, now: Instant) -> String {
        let claims = serde_json::json!({
            "aud": to.origin().ascii_serialization(),
            "exp": now.plus(TOKEN_LIFE).0,
            "sub": self.subject,
        });
        let head = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature =
            self.pair.sign(&SystemRandom::new(), signed.as_bytes()).expect("the system gives random octets");
        format!("vapid t={signed}.{}, k={}", URL_SAFE_NO_PAD.encode(signature), self.public)
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Done,
    /// The receiver is gone for good, or does not take us: the subscription is of no use any more.
    Gone(String),
    /// Later, perhaps.
    Failed {
        why: String,
        after: Option<Duration>,
    },
}

/// Sends one message. `topic`: an undelivered message of the same topic is replaced by this one (at most 32 characters
/// of base64url; the push service sees it). Redirects are not followed: a push service has no reason to send us on.
pub async fn send(client: &Client, to: &Receiver, vapid: &Vapid, message: &str, topic: &str, now: Instant) -> Sent {
    let Some(body) = seal(to, message.as_bytes()) else {
        return Sent::Gone("its public key is no point of P-256".to_owned());
    };
    let header = |text: &str| HeaderValue::from_str(text).ok();
    let mut secret = header(&vapid.authorization(&to.url, now));
    if let Some(value) = &mut secret {
        value.set_sensitive(true);
    }
    let headers = [
        (AUTHORIZATION, secret),
        (CONTENT_ENCODING, header("aes128gcm")),
        (CONTENT_TYPE, header("application/xml; charset=\"UTF-8\"")),
        (HeaderName::from_static("ttl"), header(&KEEP.to_string())),
        (HeaderName::from_static("topic"), header(topic)),
        (HeaderName::from_static("urgency"), header("normal")),
    ];
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let request = Request { method: Method::POST, url: to.url.clone(), headers, body: Bytes::from(body) };
    let host = place(&to.url);
    match client.send_once(request).await {
        Ok(answer) => match answer.status.as_u16() {
            200..=299 => Sent::Done,
            404 | 410 => Sent::Gone(format!("{host} does not know it any more")),
            _ => Sent::Failed { why: format!("{host} answered {}", answer.status), after: answer.retry_after() },
        },
        Err(super::Error::Refused(why)) => Sent::Gone(why),
        Err(super::Error::Retry { why, after }) => Sent::Failed { why, after },
        Err(_) => Sent::Failed { why: format!("{host} can not be reached"), after: None },
    }
}

/// RFC 8291: one record of `aes128gcm`. `None`: the receiver's key is none, or the message is too long.
fn seal(to: &Receiver, message: &[u8]) -> Option<Vec<u8>> {
    let random = SystemRandom::new();
    let ours = EphemeralPrivateKey::generate(&ECDH_P256, &random).ok()?;
    let public = ours.compute_public_key().ok()?;
    let mut salt = [0; 16];
    random.fill(&mut salt).ok()?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &to.key);
    agree_ephemeral(ours, &theirs, |shared| record(to, message, shared, public.as_ref(), salt)).ok()?
}

/// The record, when everything random is known (RFC 8291 section 3.4, RFC 8188 section 2).
fn record(to: &Receiver, message: &[u8], shared: &[u8], public: &[u8], salt: [u8; 16]) -> Option<Vec<u8>> {
    if message.len() > MAX_MESSAGE {
        return None;
    }
    let hmac = |key: &[u8], parts: &[&[u8]]| sign(&Key::new(HMAC_SHA256, key), &parts.concat());
    let secret = hmac(&to.auth, &[shared]);
    let material = hmac(secret.as_ref(), &[b"WebPush: info\0", &to.key, public, &[1]]);
    let root = hmac(&salt, &[material.as_ref()]);
    let key = hmac(root.as_ref(), &[b"Content-Encoding: aes128gcm\0", &[1]]);
    let nonce = hmac(root.as_ref(), &[b"Content-Encoding: nonce\0", &[1]]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key.as_ref()[..16]).ok()?);
    let nonce = Nonce::try_assume_unique_for_key(&nonce.as_ref()[..12]).ok()?;
    // A 2 behind the text says that this record is the last.
    let mut text = [message, &[2]].concat();
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut text).ok()?;
    let mut out = salt.to_vec();
    out.extend_from_slice(&RECORD_SIZE.to_be_bytes());
    out.push(u8::try_from(public.len()).ok()?);
    out.extend_from_slice(public);
    out.extend_from_slice(&text);
    Some(out)
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey as Verifier};

    use super::*;

    const URL: &str = "https://push.example.net/push/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV";
    const KEY: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    /// RFC 8291 section 5 and appendix A.
    #[test]
    fn the_example_of_the_rfc() {
        let to = Receiver::read(URL, KEY, AUTH, false).unwrap();
        let octets = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
        let shared = octets("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let public = octets("BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8");
        let salt = octets("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let made = record(&to, b"When I grow up, I want to be a watermelon", &shared, &public, salt).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(made),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6P\
             Bru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn a_subscription_is_read_or_refused() {
        let check = |url: &str, key: &str, auth: &str, expect: &str| {
            let read = Receiver::read(url, key, auth, false);
            assert_eq!(read.err().map_or(String::new(), |e| e.0), expect, "{url}");
        };
        check(URL, KEY, AUTH, "");
        check(URL, &format!("{KEY}="), &format!(" {AUTH}==\n"), "");
        check("http://push.example.net/x", KEY, AUTH, "the push resource must begin with https:");
        check("file:///etc/passwd", KEY, AUTH, "the push resource must begin with https:");
        check("/x", KEY, AUTH, "the push resource is no absolute URL");
        check("https://a:b@push.example.net/", KEY, AUTH, "the push resource may hold no user name and no password");
        let point = "the public key must be an uncompressed point of P-256 in base64url";
        check(URL, "", AUTH, point);
        check(URL, &KEY[..40], AUTH, point);
        check(URL, KEY, "BTBZMqHH6r4Tts7J", "the authentication secret must be 16 octets in base64url");
        let long = format!("https://push.example.net/{}", "x".repeat(2048));
        check(&long, KEY, AUTH, "the push resource is longer than 2048 characters");
        let to = Receiver::read(URL, KEY, AUTH, false).unwrap();
        assert!(Receiver::restore(&to.write()).unwrap() == to);
    }

    #[test]
    fn a_point_that_is_not_on_the_curve_gives_no_message() {
        let mut to = Receiver::read(URL, KEY, AUTH, false).unwrap();
        assert!(seal(&to, b"x").is_some());
        to.key[64] ^= 1;
        assert!(seal(&to, b"x").is_none());
    }

    /// RFC 8292: signed claims about where the message goes, until when, and from whom.
    #[test]
    fn a_token_can_be_verified_with_the_public_key() {
        let vapid = Vapid::restore(&Vapid::generate(), "https://calendar.example.org").unwrap();
        let header = vapid.authorization(&Url::parse(URL).unwrap(), Instant(1_000_000));
        let token = header.strip_prefix("vapid t=").unwrap();
        let (token, key) = token.split_once(", k=").unwrap();
        assert_eq!(key, vapid.public());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let octets = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
        Verifier::new(&ECDSA_P256_SHA256_FIXED, octets(key)).verify(signed.as_bytes(), &octets(signature)).unwrap();
        let claims = octets(signed.split_once('.').unwrap().1);
        let expect = r#"{"aud":"https://push.example.net","exp":1043200,"sub":"https://calendar.example.org"}"#;
        assert_eq!(String::from_utf8(claims).unwrap(), expect);
    }
}
