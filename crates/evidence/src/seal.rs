//! Hashes, keys and signatures.
//!
//! Invariant: a private key is never in a package, an error or a log; who opens its file is its owner alone.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use huong_types::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::EvidenceError;
use crate::disk::{Disk, SECRET};
use crate::error::Context;

/// In lower case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Only what [`hex`] writes: one text for each value.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    (hex(&bytes) == text).then_some(bytes)
}

/// An Ed25519 public key and when it was the one that signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// 32 bytes in hex.
    pub public: String,
    pub from: Timestamp,
    /// `None` while it is in use.
    pub until: Option<Timestamp>,
}

/// Whether `signature`, 64 bytes in hex, is that of `public` over `bytes`.
pub(crate) fn signed(public: &str, bytes: &[u8], signature: &str) -> bool {
    let (Some(public), Some(signature)) = (unhex::<32>(public), unhex::<64>(signature)) else { return false };
    UnparsedPublicKey::new(&ED25519, public).verify(bytes, &signature).is_ok()
}

/// The private key of the installation.
pub(crate) struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl SigningKey {
    /// A new one, kept in `dir`.
    pub(crate) fn make(disk: &dyn Disk, dir: &Path) -> Result<SigningKey, EvidenceError> {
        let mut seed = [0; 32];
        let unlucky = |what: &str| EvidenceError::Io {
            action: "make a key in",
            path: dir.to_owned(),
            source: std::io::Error::other(what.to_owned()),
        };
        SystemRandom::new().fill(&mut seed).map_err(|_| unlucky("the system gives no random bytes"))?;
        let key = Self::of(&seed).ok_or_else(|| unlucky("the random bytes make no key"))?;
        disk.create_dir(dir).during("create", dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).during("protect", dir)?;
        disk.write_whole(&path_of(dir, &key.public()), format!("{}\n", hex(&seed)).as_bytes(), SECRET)?;
        Ok(key)
    }

    /// The one that belongs to `public`.
    pub(crate) fn load(dir: &Path, public: &str) -> Result<SigningKey, EvidenceError> {
        let path = path_of(dir, public);
        let refused = |found: String| EvidenceError::Key { path: path.clone(), found, public: public.to_owned() };
        let file = fs::metadata(&path).map_err(|error| refused(error.to_string()))?;
        let mode = file.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(refused(format!("found mode {mode:04o}")));
        }
        let text = fs::read_to_string(&path).map_err(|error| refused(error.to_string()))?;
        let key = unhex(text.trim_end()).and_then(|seed| Self::of(&seed)).filter(|key| key.public() == public);
        key.ok_or_else(|| refused("found another text".to_owned()))
    }

    fn of(seed: &[u8; 32]) -> Option<SigningKey> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(SigningKey)
    }

    pub(crate) fn public(&self) -> String {
        hex(self.0.public_key().as_ref())
    }

    /// 64 bytes in hex.
    pub(crate) fn sign(&self, bytes: &[u8]) -> String {
        hex(self.0.sign(bytes).as_ref())
    }
}

/// Where the private key of `public` is.
pub(crate) fn path_of(dir: &Path, public: &str) -> PathBuf {
    dir.join(format!("{public}.key"))
}
