//! Secrets: a type that does not print itself, seal and open at rest, password hashes.
#![allow(unused_variables)]

use std::path::Path;

/// A text that must not be seen: no Debug, no Display; wiped when dropped.
#[derive(Clone)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(zeroize::Zeroizing::new(text.into()))
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

/// The keys of this installation, from the key file.
pub struct Secrets {}

impl Secrets {
    /// Reads the key file. Refuses one that others can read.
    pub fn open(file: &Path) -> Result<Secrets, String> { todo!() }
    /// Keys that live as long as the process: for tests and the demo.
    pub fn ephemeral() -> Secrets { todo!() }
    /// Makes a key file with mode 0600; refuses to overwrite one.
    pub fn generate(file: &Path) -> Result<(), String> { todo!() }
    /// XChaCha20-Poly1305 with a random nonce, the place as associated data, the key's id in front.
    pub fn seal(&self, place: &Place<'_>, secret: &Secret) -> Vec<u8> { todo!() }
    /// The error says in words why it can not be opened (other key, moved, damaged).
    pub fn unseal(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Secret, String> { todo!() }
    /// HMAC-SHA256 with a key of this installation: for looking up app passwords.
    pub fn keyed_hash(&self, text: &str) -> [u8; 32] { todo!() }
}

/// argon2id in PHC form (19 MiB, t=2, p=1). Takes tens of milliseconds: call it on a blocking thread.
pub fn hash_password(password: &Secret) -> String { todo!() }
/// Whether the password fits the PHC text. Takes tens of milliseconds.
pub fn verify_password(password: &str, phc: &str) -> bool { todo!() }
/// Whether a text is a PHC hash that `verify_password` can use; the error says what is wrong.
pub fn check_phc(phc: &str) -> Result<(), String> { todo!() }
/// A new app password: 160 random bits as `xxxx-xxxx-…` of lower-case base32.
pub fn new_app_password() -> Secret { todo!() }
/// A new feed token: 192 random bits, URL-safe.
pub fn new_token() -> String { todo!() }
/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] { todo!() }
