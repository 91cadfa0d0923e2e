//! What to tell of an algorithm: which kind of kernel runs it, and what the journal keeps of its jobs.
//! Called by tables for people; nothing here runs or survives anything.

use crate::algorithm::{Algorithm, Kind};
use crate::kernel::Backend;
use crate::table::Engine;

impl Algorithm {
    /// The kind of kernel that runs it on `backend`: `lanes` takes up to 16 jobs side by side, `wide` the
    /// blocks of one job side by side, `crate` is code of the RustCrypto crates, one job at a time.
    #[must_use]
    pub fn kernel(self, backend: Backend) -> &'static str {
        match (&self.row().engine, backend) {
            (_, Backend::Portable) => "crate",
            (Engine::Cbc | Engine::Docsis(_) | Engine::Cfb(_), _) => "lanes, decrypt wide",
            (Engine::CbcMac, _) => "lanes",
            (Engine::Ccm(_), _) => "MAC lanes, counter wide",
            (Engine::Ctr | Engine::Ecb | Engine::Gcm(_) | Engine::Gmac, _) => "wide",
            (Engine::Sha1, Backend::AesNi) => "crate",
            (Engine::Sha1, Backend::Vaes256 | Backend::Vaes512) => "lanes, or crate",
            (Engine::Sha256, Backend::AesNi) => "sha-ni streams, or crate",
            (Engine::Sha256, Backend::Vaes256 | Backend::Vaes512) => "sha-ni streams, or lanes",
            (Engine::Sha512, Backend::AesNi) => "crate",
            (Engine::Sha512, Backend::Vaes256 | Backend::Vaes512) => "lanes",
            (Engine::Single(_), _)
                if matches!(self, Algorithm::Aes128Xts | Algorithm::Aes256Xts) =>
            {
                "wide"
            }
            (Engine::Single(_), _) => "crate",
        }
    }

    /// What the journal keeps of a job in place while a step runs, and from where a job goes on after a
    /// takeover.
    #[must_use]
    pub fn journaled(self) -> &'static str {
        match (&self.row().engine, self.kind()) {
            (Engine::Cbc, _) => "inputs of each step, decrypt also the chaining value; goes on",
            (Engine::Ctr | Engine::Ecb, _) => "input of each step; goes on",
            (_, Kind::Aead) => "input of each step; the cipher goes on, the MAC starts again",
            (_, Kind::Cipher) => "input and chaining value of each step; goes on",
            _ => "nothing; starts again",
        }
    }
}
