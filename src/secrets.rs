//! Secrets: a type that does not print itself, seal and open at rest, password hashes.
//!
//! One key file holds the keys of an installation, one a line: `ID HEX`, 32 bytes each, the first in use, the others
//! only for what was sealed before. From each key two are derived, one to seal and one to look up, so that neither
//! use says anything about the other.

use std::fs;
use std::io::Write;
use std::path::Path;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::config;

/// A text that must not be seen: no Debug, no Display; wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(text.into()))
    }

    /// The text itself. Call it where it leaves for its purpose, nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Where a sealed value belongs; a value moved elsewhere does not open.
pub struct Place<'a> {
    pub table: &'a str,
    pub column: &'a str,
    pub row: &'a str,
}

/// The keys of this installation, from the key file. The first is in use.
pub struct Secrets {
    /// Never empty.
    keys: Vec<Key>,
}

struct Key {
    id: String,
    sealing: Zeroizing<[u8; 32]>,
    looking_up: Zeroizing<[u8; 32]>,
}

const KEY_FILE_HEAD: &str = "\
# The keys of this calgate, one a line: a name and 64 hex digits.
# Keep a copy apart from the database: without it no sealed password opens and no app password fits.
# To change keys put a new line above the old one; the first is in use, the others open what is older.
";

/// First byte of a sealed value: the layout that follows.
/// 1: length of the key's id (one byte), the id, 24 bytes nonce, ciphertext with its tag.
const LAYOUT: u8 = 1;
const NONCE: usize = 24;

impl Secrets {
    /// Reads the key file. Refuses one that others can read.
    pub fn open(file: &Path) -> Result<Secrets, String> {
        let shown = file.display();
        let text = fs::read_to_string(file).map(Zeroizing::new).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => format!("there is no key file {shown}: make one with `calgate keygen`"),
            _ => format!("the key file {shown} can not be read: {}", config::io_words(&e)),
        })?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(file)
                .map_err(|e| format!("the key file {shown} can not be read: {e}"))?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(format!(
                    "the key file {shown} can be read by others (mode {:04o}): run `chmod 600 {shown}`",
                    mode & 0o7777
                ));
            }
        }
        Secrets::parse(&text).map_err(|why| format!("the key file {shown} {why}"))
    }

    /// Keys that live as long as the process: for tests and the demo.
    pub fn ephemeral() -> Secrets {
        Secrets { keys: vec![Key::derive("ephemeral", &Zeroizing::new(random()))] }
    }

    /// Makes a key file with mode 0600; refuses to overwrite one.
    pub fn generate(file: &Path) -> Result<(), String> {
        let id = hex(&random::<4>());
        let master = Zeroizing::new(random::<32>());
        let text = Zeroizing::new(format!("{KEY_FILE_HEAD}{id} {}\n", *Zeroizing::new(hex(&*master))));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let shown = file.display();
        let mut made = options.open(file).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => {
                format!("{shown} is there already; calgate never overwrites a key, move it away yourself")
            }
            _ => format!("the key file {shown} can not be made: {e}"),
        })?;
        made.write_all(text.as_bytes())
            .and_then(|()| made.sync_all())
            .map_err(|e| format!("the key file {shown} can not be written: {e}"))
    }

    /// XChaCha20-Poly1305 with a random nonce, the place as associated data, the key's id in front.
    pub fn seal(&self, place: &Place<'_>, secret: &Secret) -> Vec<u8> {
        let key = &self.keys[0];
        // Key::derive is only given ids that parse() or we ourselves kept short.
        let mut sealed = vec![LAYOUT, key.id.len() as u8];
        sealed.extend_from_slice(key.id.as_bytes());
        let bound = associated(&sealed, place);
        let nonce: [u8; NONCE] = random();
        let text = Payload { msg: secret.reveal().as_bytes(), aad: &bound };
        let sealing = XChaCha20Poly1305::new((&*key.sealing).into());
        let ciphertext = sealing.encrypt(&XNonce::from(nonce), text).expect("a password is shorter than 256 GiB");
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        sealed
    }

    /// The error says in words why it can not be opened (other key, moved, damaged).
    pub fn unseal(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Secret, String> {
        const DAMAGED: &str = "the sealed value is damaged; give it again";
        let [layout, length, rest @ ..] = sealed else { return Err(DAMAGED.to_owned()) };
        if *layout != LAYOUT {
            return Err(format!("the sealed value has layout {layout}, which this calgate does not know"));
        }
        let (id, rest) = rest.split_at_checked(usize::from(*length)).ok_or(DAMAGED)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or(DAMAGED)?;
        let key = self.keys.iter().find(|k| k.id.as_bytes() == id).ok_or_else(|| {
            let id = String::from_utf8_lossy(id).escape_debug().to_string();
            format!(
                "it was sealed with the key `{id}`, which is not in the key file; put it back or give the value again"
            )
        })?;
        let head = &sealed[..sealed.len() - rest.len()];
        let text = Payload { msg: ciphertext, aad: &associated(head, place) };
        let opened = XChaCha20Poly1305::new((&*key.sealing).into())
            .decrypt(&XNonce::from(*nonce), text)
            .map_err(|_| "the sealed value is damaged, or was moved here from another row; give it again")?;
        String::from_utf8(opened).map(Secret::new).map_err(|e| {
            e.into_bytes().zeroize();
            DAMAGED.to_owned()
        })
    }

    /// HMAC-SHA256 with the key in use: what is stored of an app password, to look it up by.
    pub fn keyed_hash(&self, text: &str) -> [u8; 32] {
        hmac(&*self.keys[0].looking_up, text.as_bytes())
    }

    /// The same by every key of the file, the one in use first: an app password made before a change of keys still fits.
    pub fn keyed_hashes(&self, text: &str) -> impl Iterator<Item = [u8; 32]> {
        self.keys.iter().map(|k| hmac(&*k.looking_up, text.as_bytes()))
    }

    fn parse(text: &str) -> Result<Secrets, String> {
        let mut keys: Vec<Key> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line itself is never in a message: it holds the key.
            let form = || format!("is wrong in line {number}: a name and 64 hex digits are wanted");
            let (id, digits) = line.split_once(char::is_whitespace).ok_or_else(form)?;
            let named = id.len() <= 32 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            let master = unhex(digits.trim()).filter(|_| named).ok_or_else(form)?;
            if keys.iter().any(|k| k.id == id) {
                return Err(format!("names the key `{id}` twice (line {number})"));
            }
            keys.push(Key::derive(id, &master));
        }
        match keys.is_empty() {
            true => Err("holds no key: make a new one with `calgate keygen`".to_owned()),
            false => Ok(Secrets { keys }),
        }
    }
}

impl Key {
    fn derive(id: &str, master: &[u8; 32]) -> Key {
        let sub = |label: &str| Zeroizing::new(hmac(master, label.as_bytes()));
        Key {
            id: id.to_owned(),
            sealing: sub("calgate 1: seal a value at rest"),
            looking_up: sub("calgate 1: look up an app password"),
        }
    }
}

/// argon2id in PHC form (19 MiB, t=2, p=1). Takes tens of milliseconds: call it on a blocking thread.
pub fn hash_password(password: &Secret) -> String {
    // The default parameters are those of the docstring; a test holds it.
    Argon2::default()
        .hash_password(password.reveal().as_bytes())
        .expect("the default parameters fit, and the system gives a random salt")
        .to_string()
}

/// Whether the password fits the PHC text. Takes tens of milliseconds.
pub fn verify_password(password: &str, phc: &str) -> bool {
    if check_phc(phc).is_err() {
        return false;
    }
    let Ok(phc) = PasswordHash::new(phc) else { return false };
    let (Some(salt), Some(hash), Ok(params)) = (&phc.salt, &phc.hash, Params::try_from(&phc)) else { return false };
    let (mut room, mut found) = (room(params.block_count()), Zeroizing::new(vec![0; hash.len()]));
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut found, &mut room)
        .is_ok_and(|()| Output::new(&found).as_ref() == Ok(hash))
}

/// The memory in which a hash is computed. The C library keeps what a thread frees for that thread, unless it is more
/// than 32 MiB: that it takes from the system each time, and gives back. Were the 19 MiB of a hash asked for as they
/// are, each thread that ever logged somebody in would keep them. What is asked for beyond is never touched, so there
/// is no memory behind it.
fn room(blocks: usize) -> Vec<Block> {
    const GIVEN_BACK: usize = (33 << 20) / Block::SIZE;
    let mut room = Vec::with_capacity(blocks.max(GIVEN_BACK));
    room.resize(blocks, Block::new());
    room
}

/// Whether a text is a PHC hash that `verify_password` can use; the error says what is wrong with it, as a clause.
pub fn check_phc(phc: &str) -> Result<(), String> {
    let hash = PasswordHash::new(phc)
        .map_err(|_| "it is not a password hash in PHC form (`$argon2id$v=19$m=…`)".to_owned())?;
    if hash.algorithm.as_str() != "argon2id" {
        return Err(format!("it is hashed with {}, and only argon2id is taken", hash.algorithm));
    }
    if hash.version != Some(19) || hash.salt.is_none() || hash.hash.is_none() {
        return Err("it lacks its version (19), its salt or its hash".to_owned());
    }
    let params = Params::try_from(&hash).map_err(|e| format!("its parameters do not fit: {e}"))?;
    // Each login would cost this much: 1 GiB or 32 rounds is a mistake, not caution.
    if params.m_cost() > 1 << 20 || params.t_cost() > 32 || params.p_cost() > 16 {
        return Err("its parameters are beyond m=1048576,t=32,p=16".to_owned());
    }
    Ok(())
}

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A new app password: 160 random bits as `xxxx-xxxx-…` of lower-case base32.
pub fn new_app_password() -> Secret {
    let bits = Zeroizing::new(random::<20>());
    let mut digits = Zeroizing::new(String::with_capacity(32));
    for five in bits.as_chunks::<5>().0 {
        // 40 bits are eight digits, the highest first.
        let word = five.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        for at in (0..8).rev() {
            digits.push(char::from(BASE32[(word >> (5 * at)) as usize % 32]));
        }
    }
    grouped(&digits)
}

/// The app password that a person may have meant: as [`new_app_password`] writes it, whatever case, dashes and spaces it
/// was typed with. `None`: it can not be one.
pub fn app_password(typed: &str) -> Option<Secret> {
    // Nothing that long is one, and nothing that long is looked at.
    if typed.len() > 128 {
        return None;
    }
    let mut digits = Zeroizing::new(String::with_capacity(32));
    for c in typed.chars().filter(|c| !matches!(c, '-' | ' ')) {
        let digit = c.to_ascii_lowercase();
        if digits.len() == 32 || !BASE32.iter().any(|d| char::from(*d) == digit) {
            return None;
        }
        digits.push(digit);
    }
    (digits.len() == 32).then(|| grouped(&digits))
}

/// A new feed token: 192 random bits, URL-safe.
pub fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random::<24>())
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// HMAC-SHA256.
pub fn hmac(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// Random bytes of the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness there is no safe way on; no request can cause this.
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// 64 hex digits.
fn unhex(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|d| char::from(d).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(bytes)
}

/// 32 digits as eight groups of four.
fn grouped(digits: &str) -> Secret {
    let mut text = String::with_capacity(39);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            text.push('-');
        }
        text.push(digit);
    }
    Secret::new(text)
}

/// What a sealed value is bound to: its head (layout and key) and its place, each part with its length in front, so
/// that no two places look alike.
fn associated(head: &[u8], place: &Place<'_>) -> Vec<u8> {
    let mut bound = Vec::new();
    for part in [head, place.table.as_bytes(), place.column.as_bytes(), place.row.as_bytes()] {
        bound.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bound.extend_from_slice(part);
    }
    bound
}

/// Does not compile when `Secret` can be printed: the call is then ambiguous.
const _: fn() = || {
    trait Silent<A> {
        fn silent() {}
    }
    struct ByDebug;
    struct ByDisplay;
    impl<T> Silent<()> for T {}
    impl<T: std::fmt::Debug> Silent<ByDebug> for T {}
    impl<T: std::fmt::Display> Silent<ByDisplay> for T {}
    <Secret as Silent<_>>::silent();
};

/// A random positive number: the epoch of a calendar.
pub fn random_epoch() -> i64 {
    i64::from_le_bytes(random()) & i64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place { table: "accounts", column: "password", row: "anna/work" };
    const A: &str = "a 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const B: &str = "b ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn keys(text: &str) -> Secrets {
        Secrets::parse(text).map_err(|e| panic!("{e}")).unwrap()
    }

    /// A folder of this test's own, removed at the end.
    struct Folder(std::path::PathBuf);
    impl Folder {
        fn new() -> Folder {
            let path = std::env::temp_dir().join(format!("calgate-secrets-{}", hex(&random::<8>())));
            fs::create_dir(&path).unwrap();
            Folder(path)
        }
    }
    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_sealed_opens_and_never_looks_the_same() {
        let secrets = keys(A);
        for text in ["", "hunter2", "pässwört 🗝", &"long ".repeat(1000)] {
            let sealed = secrets.seal(&HERE, &Secret::new(text));
            assert!(text.is_empty() || !sealed.windows(text.len()).any(|w| w == text.as_bytes()));
            assert_ne!(sealed, secrets.seal(&HERE, &Secret::new(text)));
            assert_eq!(secrets.unseal(&HERE, &sealed).ok().unwrap().reveal(), text);
        }
    }

    #[test]
    fn a_sealed_value_opens_nowhere_else() {
        let secrets = keys(A);
        let sealed = secrets.seal(&HERE, &Secret::new("hunter2"));
        let places = [
            Place { table: "account", ..HERE },
            Place { column: "token", ..HERE },
            Place { row: "anna/home", ..HERE },
            // The same letters, cut elsewhere.
            Place { table: "accountsp", column: "assword", row: HERE.row },
        ];
        for place in places {
            let why = secrets.unseal(&place, &sealed).err().unwrap();
            assert!(why.contains("moved"), "{why}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let secrets = keys(A);
        let sealed = secrets.seal(&HERE, &Secret::new("hunter2"));
        for bit in 0..sealed.len() * 8 {
            let mut broken = sealed.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert!(secrets.unseal(&HERE, &broken).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(secrets.unseal(&HERE, &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn keys_are_changed_by_a_new_first_line() {
        let (old, both, new) = (keys(A), keys(&format!("{B}\n{A}\n")), keys(B));
        let sealed = old.seal(&HERE, &Secret::new("hunter2"));
        assert!(both.unseal(&HERE, &sealed).is_ok());
        let why = new.unseal(&HERE, &sealed).err().unwrap();
        assert!(why.contains("key `a`"), "{why}");
        // The new key is in use.
        assert!(new.unseal(&HERE, &both.seal(&HERE, &Secret::new("hunter2"))).is_ok());
        // An app password of the old key is still found by one of the hashes.
        assert_eq!(both.keyed_hashes("x").collect::<Vec<_>>(), [new.keyed_hash("x"), old.keyed_hash("x")]);
        assert_ne!(new.keyed_hash("x"), old.keyed_hash("x"));
        assert_ne!(new.keyed_hash("x"), new.keyed_hash("y"));
    }

    #[test]
    fn the_two_keys_made_of_one_differ_from_it_and_from_each_other() {
        let master = [7; 32];
        let key = Key::derive("a", &master);
        assert_ne!(*key.sealing, *key.looking_up);
        assert_ne!(*key.sealing, master);
    }

    #[test]
    fn wrong_key_files_are_refused_without_showing_the_key() {
        let check = |text: &str, says: &str| {
            let why = Secrets::parse(text).err().unwrap();
            assert!(why.contains(says), "{text}: {why}");
            assert!(!why.contains("0102030405"), "{why}");
        };
        check("", "no key");
        check("# only words\n\n", "no key");
        check("a", "line 1");
        check(&A[..A.len() - 1], "line 1");
        check(&format!("{A}00"), "line 1");
        check(&A.replace("0f", "0g"), "line 1");
        check(&format!("# x\n\u{e4}{A}"), "line 2");
        check(&format!("{A}\n{A}"), "twice (line 2)");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Folder::new();
        let file = folder.0.join("calgate.key");
        assert!(Secrets::open(&file).err().unwrap().contains("calgate keygen"));
        Secrets::generate(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let secrets = Secrets::open(&file).ok().unwrap();
        let sealed = secrets.seal(&HERE, &Secret::new("hunter2"));
        assert!(Secrets::open(&file).ok().unwrap().unseal(&HERE, &sealed).is_ok());
        assert!(Secrets::generate(&file).unwrap_err().contains("already"));
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert!(Secrets::open(&file).err().unwrap().contains("chmod 600"));
        }
    }

    #[test]
    fn passwords_are_hashed_as_promised_and_verified() {
        let phc = hash_password(&Secret::new("correct horse"));
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify_password("correct horse", &phc));
        assert!(!verify_password("correct horse ", &phc));
        assert!(!verify_password("correct horse", "plain"));
    }

    #[test]
    fn a_hash_of_another_cost_and_length_fits() {
        let params = Params::new(256, 3, 2, Some(20)).unwrap();
        let other = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let phc = other.hash_password(b"correct horse").unwrap().to_string();
        assert!(phc.starts_with("$argon2id$v=19$m=256,t=3,p=2$"), "{phc}");
        assert!(verify_password("correct horse", &phc));
        assert!(!verify_password("correct hors", &phc));
    }

    #[test]
    fn wrong_hashes_say_what_is_wrong() {
        let salt_and_hash = "c29tZXNhbHRzb21lc2FsdA$WjUxsDrzhtmj2GDh0XIpRZ2VXVRDqWzUaWSbuWWVPKk";
        let check = |phc: &str, says: &str| match check_phc(phc) {
            Ok(()) => assert_eq!(says, "", "{phc}"),
            Err(why) => assert!(!says.is_empty() && why.contains(says), "{phc}: {why}"),
        };
        check(&format!("$argon2id$v=19$m=19456,t=2,p=1${salt_and_hash}"), "");
        check("hunter2", "PHC form");
        check("", "PHC form");
        check(&format!("$argon2i$v=19$m=19456,t=2,p=1${salt_and_hash}"), "only argon2id");
        check(&format!("$argon2id$m=19456,t=2,p=1${salt_and_hash}"), "version");
        check("$argon2id$v=19$m=19456,t=2,p=1", "salt");
        check(&format!("$argon2id$v=19$m=4000000,t=2,p=1${salt_and_hash}"), "beyond");
        check(&format!("$argon2id$v=19$m=19456,t=900,p=1${salt_and_hash}"), "beyond");
    }

    #[test]
    fn app_passwords_are_read_as_people_type_them() {
        let made = new_app_password();
        assert_eq!(made.reveal().len(), 39);
        assert_ne!(made.reveal(), new_app_password().reveal());
        let bare = made.reveal().replace('-', "");
        for typed in
            [made.reveal(), &bare, &bare.to_uppercase(), &made.reveal().replace('-', " "), &format!(" {bare} ")]
        {
            assert_eq!(app_password(typed).unwrap().reveal(), made.reveal(), "{typed}");
        }
        for other in
            ["", "hunter2", &bare[1..], &format!("{bare}a"), &bare.replacen(|_| true, "1", 1), &"-".repeat(500)]
        {
            assert!(app_password(other).is_none(), "{other}");
        }
    }

    #[test]
    fn tokens_are_long_and_fit_a_url() {
        let token = new_token();
        assert_eq!(token.len(), 32);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_ne!(token, new_token());
    }
}
