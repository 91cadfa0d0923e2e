//! What a Rust user picks without a multi-buffer manager: one buffer after the other, with the
//! RustCrypto crates and, behind the feature `aws-lc-rs`, with that. The first also says what all
//! others must compute.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::{AeadInOut, Nonce};
use anyhow::{Result, bail};
use cipher::block_padding::NoPadding;
use cipher::consts::{U12, U16};
use cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt,
    BlockSizeUser, InnerIvInit, KeyInit, StreamCipher,
};
use hmac::{Hmac, Mac};
use mbmgr::{Algorithm, Direction};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::rig::Rig;
use crate::row::Spec;

/// Takes a buffer and its IV; ciphers write the result into the buffer, hashes return it.
pub(crate) type Work = Box<dyn FnMut(&[u8; 16], &mut [u8]) -> Vec<u8>>;

/// A contender that works on one buffer at a time; its buffers are its own.
pub(crate) struct Single {
    jobs: Vec<Input>,
    /// By key.
    work: Vec<Work>,
}

/// Index of the key, IV, and the buffer.
type Input = (usize, [u8; 16], Vec<u8>);

impl Single {
    /// RustCrypto.
    pub(crate) fn rustcrypto(rig: &Rig) -> Result<Single> {
        let mut work =
            rig.keys.iter().map(|key| rustcrypto(&rig.spec, key)).collect::<Result<Vec<_>>>()?;
        if let Some(hash) = rig.spec.hash {
            let hash = Spec { algorithm: hash, ..rig.spec };
            let chained = work.into_iter().zip(&rig.hash_keys);
            work = chained
                .map(|(work, key)| Ok(chain(work, rustcrypto(&hash, key)?)))
                .collect::<Result<_>>()?;
        }
        Ok(Single { jobs: inputs(rig), work })
    }

    /// aws-lc-rs, for the algorithms that it has.
    #[cfg(feature = "aws-lc-rs")]
    pub(crate) fn aws_lc(rig: &Rig) -> Result<Option<Single>> {
        if rig.spec.hash.is_some() {
            return Ok(None);
        }
        let work = rig.keys.iter().map(|key| crate::aws_lc::work(&rig.spec, key));
        let work = work.collect::<Result<Option<_>>>()?;
        Ok(work.map(|work| Single { jobs: inputs(rig), work }))
    }

    /// Works on every buffer `turns` times.
    pub(crate) fn run(&mut self, turns: u64) {
        for _ in 0..turns {
            for (key, iv, buffer) in &mut self.jobs {
                std::hint::black_box((self.work[*key])(iv, buffer));
            }
        }
    }

    /// The results from fresh inputs.
    pub(crate) fn outputs(&mut self, rig: &Rig) -> Vec<Vec<u8>> {
        let mut outputs = Vec::new();
        for (key, iv, mut buffer) in inputs(rig) {
            let digest = (self.work[key])(&iv, &mut buffer);
            if !rig.spec.algorithm.is_cipher() {
                buffer.clear();
            }
            buffer.extend(digest);
            outputs.push(buffer);
        }
        outputs
    }
}

/// A cipher, and then a hash of what it wrote.
fn chain(mut cipher: Work, mut hash: Work) -> Work {
    Box::new(move |iv, buffer| {
        cipher(iv, buffer);
        hash(iv, buffer)
    })
}

fn inputs(rig: &Rig) -> Vec<Input> {
    let jobs = rig.jobs.iter().enumerate();
    jobs.map(|(i, job)| (rig.key_of(i), job.iv, rig.input(i))).collect()
}

pub(crate) fn rustcrypto(spec: &Spec, key: &[u8]) -> Result<Work> {
    Ok(match (spec.algorithm, spec.direction) {
        (Algorithm::Aes128Cbc, Direction::Encrypt) => cbc_encrypt::<Aes128>(key)?,
        (Algorithm::Aes192Cbc, Direction::Encrypt) => cbc_encrypt::<Aes192>(key)?,
        (Algorithm::Aes256Cbc, Direction::Encrypt) => cbc_encrypt::<Aes256>(key)?,
        (Algorithm::Aes128Cbc, Direction::Decrypt) => cbc_decrypt::<Aes128>(key)?,
        (Algorithm::Aes192Cbc, Direction::Decrypt) => cbc_decrypt::<Aes192>(key)?,
        (Algorithm::Aes256Cbc, Direction::Decrypt) => cbc_decrypt::<Aes256>(key)?,
        (Algorithm::Aes128Ctr, _) => ctr::<Aes128>(key)?,
        (Algorithm::Aes192Ctr, _) => ctr::<Aes192>(key)?,
        (Algorithm::Aes256Ctr, _) => ctr::<Aes256>(key)?,
        (Algorithm::Sha256, _) => Box::new(|_, buffer| Sha256::digest(buffer).to_vec()),
        (Algorithm::Sha512, _) => Box::new(|_, buffer| Sha512::digest(buffer).to_vec()),
        (Algorithm::HmacSha256, _) => {
            let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key)?;
            Box::new(move |_, buffer| {
                mac.clone().chain_update(buffer).finalize().into_bytes().to_vec()
            })
        }
        (Algorithm::HmacSha512, _) => {
            let mac = <Hmac<Sha512> as KeyInit>::new_from_slice(key)?;
            Box::new(move |_, buffer| {
                mac.clone().chain_update(buffer).finalize().into_bytes().to_vec()
            })
        }
        (Algorithm::Sha1, _) => Box::new(|_, buffer| Sha1::digest(buffer).to_vec()),
        (Algorithm::HmacSha1, _) => mac::<Hmac<Sha1>>(key)?,
        (Algorithm::Aes128Cmac, _) => mac::<cmac::Cmac<Aes128>>(key)?,
        (Algorithm::Aes256Cmac, _) => mac::<cmac::Cmac<Aes256>>(key)?,
        (Algorithm::Aes128Gcm, Direction::Encrypt) => aead::<aes_gcm::Aes128Gcm>(key)?,
        (Algorithm::Aes256Gcm, Direction::Encrypt) => aead::<aes_gcm::Aes256Gcm>(key)?,
        (Algorithm::Aes128Gmac, _) => gmac::<aes_gcm::Aes128Gcm>(key)?,
        (Algorithm::Aes256Ccm, Direction::Encrypt) => aead::<ccm::Ccm<Aes256, U16, U12>>(key)?,
        (Algorithm::Aes128Ccm, Direction::Encrypt) => aead::<ccm::Ccm<Aes128, U16, U12>>(key)?,
        // The sizes of the rows are whole blocks, of which DOCSIS makes what CBC does.
        (Algorithm::Aes128Docsis, Direction::Encrypt) => cbc_encrypt::<Aes128>(key)?,
        (Algorithm::Aes128Docsis, Direction::Decrypt) => cbc_decrypt::<Aes128>(key)?,
        (Algorithm::Aes128Ecb, Direction::Encrypt) => ecb_encrypt::<Aes128>(key)?,
        (Algorithm::Aes128Cfb, Direction::Encrypt) => cfb_encrypt::<Aes128>(key)?,
        (other, _) => bail!("the bench has no one-buffer contender for {other}"),
    })
}

fn mac<M>(key: &[u8]) -> Result<Work>
where
    M: Mac + KeyInit + Clone + 'static,
{
    let mac = <M as KeyInit>::new_from_slice(key)?;
    Ok(Box::new(move |_, buffer| mac.clone().chain_update(buffer).finalize().into_bytes().to_vec()))
}

/// Seals with a nonce of 12 bytes; returns the tag.
fn aead<A>(key: &[u8]) -> Result<Work>
where
    A: AeadInOut + KeyInit + 'static,
{
    let cipher = A::new_from_slice(key)?;
    Ok(Box::new(move |iv, buffer| {
        let nonce = Nonce::<A>::try_from(&iv[..12]).expect("12 bytes");
        cipher.encrypt_inout_detached(&nonce, &[], buffer.into()).expect("a short message").to_vec()
    }))
}

/// The tag of GCM over associated data alone.
fn gmac<A>(key: &[u8]) -> Result<Work>
where
    A: AeadInOut + KeyInit + 'static,
{
    let cipher = A::new_from_slice(key)?;
    Ok(Box::new(move |iv, buffer| {
        let nonce = Nonce::<A>::try_from(&iv[..12]).expect("12 bytes");
        let message = (&mut [][..]).into();
        cipher.encrypt_inout_detached(&nonce, buffer, message).expect("a short message").to_vec()
    }))
}

fn cfb_encrypt<C>(key: &[u8]) -> Result<Work>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static,
{
    let cipher = C::new_from_slice(key)?;
    Ok(Box::new(move |iv, buffer| {
        cfb_mode::Encryptor::<&C>::inner_iv_init(&cipher, iv.into()).encrypt(buffer);
        Vec::new()
    }))
}

fn cbc_encrypt<C>(key: &[u8]) -> Result<Work>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static,
{
    let cipher = C::new_from_slice(key)?;
    Ok(Box::new(move |iv, buffer| {
        let mode = cbc::Encryptor::<&C>::inner_iv_init(&cipher, iv.into());
        let len = buffer.len();
        mode.encrypt_padded::<NoPadding>(buffer, len).expect("whole blocks");
        Vec::new()
    }))
}

fn ecb_encrypt<C>(key: &[u8]) -> Result<Work>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static,
{
    let cipher = C::new_from_slice(key)?;
    Ok(Box::new(move |_, buffer| {
        cipher.encrypt_blocks(Block::<C>::slice_as_chunks_mut(buffer).0);
        Vec::new()
    }))
}

fn cbc_decrypt<C>(key: &[u8]) -> Result<Work>
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static,
{
    let cipher = C::new_from_slice(key)?;
    Ok(Box::new(move |iv, buffer| {
        let mode = cbc::Decryptor::<&C>::inner_iv_init(&cipher, iv.into());
        mode.decrypt_padded::<NoPadding>(buffer).expect("whole blocks");
        Vec::new()
    }))
}

fn ctr<C>(key: &[u8]) -> Result<Work>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static,
{
    let cipher = C::new_from_slice(key)?;
    Ok(Box::new(move |iv, buffer| {
        let core = ctr::CtrCore::<&C, ctr::flavors::Ctr128BE>::inner_iv_init(&cipher, iv.into());
        cipher::StreamCipherCoreWrapper::from_core(core).apply_keystream(buffer);
        Vec::new()
    }))
}
