/*
 * One job of any algorithm that the installed library has, from its raw key to its tag: for comparing
 * results, not for speed. exact.rs mirrors the struct below.
 */
#define NO_COMPAT_IMB_API_053 1
#include <intel-ipsec-mb.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct exact_job {
        const uint8_t *key;
        uint64_t key_len;
        const uint8_t *iv;
        uint64_t iv_len;
        const uint8_t *aad;
        uint64_t aad_len;
        const uint8_t *src;
        uint8_t *dst;
        uint64_t len;
        uint8_t *tag; /* always written: what decryption is given is compared by the caller */
        uint64_t tag_len;
        /* Chained with a hash: it covers hash_len bytes from head_len bytes before src, which is dst. */
        const uint8_t *hash_key;
        uint64_t hash_key_len;
        uint64_t head_len;
        uint64_t hash_len;
        uint32_t hash; /* its row plus one; 0 where there is none */
        uint32_t hash_first;
        /* Lengths of the message's pieces; none where it is one. */
        const uint64_t *pieces;
        uint64_t piece_count;
        uint32_t algorithm;
        uint32_t decrypt;
        uint64_t done;
};

/* What a key becomes; the library wants most of it on boundaries of 16, of GCM on 64. */
struct expanded {
        struct gcm_key_data gcm;
        _Alignas(64) uint8_t encrypt[15 * 16];
        _Alignas(64) uint8_t decrypt[15 * 16];
        _Alignas(64) uint8_t first[128];
        _Alignas(64) uint8_t second[128];
        _Alignas(64) uint64_t des[3][IMB_DES_KEY_SCHED_SIZE / 8];
        _Alignas(64) uint8_t raw[64];
        _Alignas(64) uint8_t iv[64];
        const void *des3[3];
        struct gcm_context_data gcm_state;
        struct chacha20_poly1305_context_data chacha_state;
        struct IMB_SGL_IOV pieces[64];
};

/* What is special about a row. */
enum { AES, GCM, RAW, DES, DES3, PADS, XCBC, CMAC, GMAC, GHASH, NONE, EIA3 };

static const struct row {
        const char *name;
        uint32_t cipher;
        uint32_t hash;
        uint32_t key;
} rows[] = {
        { "aes-128-cbc", IMB_CIPHER_CBC, IMB_AUTH_NULL, AES },
        { "aes-192-cbc", IMB_CIPHER_CBC, IMB_AUTH_NULL, AES },
        { "aes-256-cbc", IMB_CIPHER_CBC, IMB_AUTH_NULL, AES },
        { "aes-128-ctr", IMB_CIPHER_CNTR, IMB_AUTH_NULL, AES },
        { "aes-192-ctr", IMB_CIPHER_CNTR, IMB_AUTH_NULL, AES },
        { "aes-256-ctr", IMB_CIPHER_CNTR, IMB_AUTH_NULL, AES },
        { "aes-128-ecb", IMB_CIPHER_ECB, IMB_AUTH_NULL, AES },
        { "aes-192-ecb", IMB_CIPHER_ECB, IMB_AUTH_NULL, AES },
        { "aes-256-ecb", IMB_CIPHER_ECB, IMB_AUTH_NULL, AES },
        { "aes-128-docsis", IMB_CIPHER_DOCSIS_SEC_BPI, IMB_AUTH_NULL, AES },
        { "aes-256-docsis", IMB_CIPHER_DOCSIS_SEC_BPI, IMB_AUTH_NULL, AES },
        { "aes-128-gcm", IMB_CIPHER_GCM, IMB_AUTH_AES_GMAC, GCM },
        { "aes-192-gcm", IMB_CIPHER_GCM, IMB_AUTH_AES_GMAC, GCM },
        { "aes-256-gcm", IMB_CIPHER_GCM, IMB_AUTH_AES_GMAC, GCM },
        { "aes-128-ccm", IMB_CIPHER_CCM, IMB_AUTH_AES_CCM, AES },
        { "aes-256-ccm", IMB_CIPHER_CCM, IMB_AUTH_AES_CCM, AES },
        { "chacha20-poly1305", IMB_CIPHER_CHACHA20_POLY1305, IMB_AUTH_CHACHA20_POLY1305, RAW },
        { "chacha20", IMB_CIPHER_CHACHA20, IMB_AUTH_NULL, RAW },
        { "des-cbc", IMB_CIPHER_DES, IMB_AUTH_NULL, DES },
        { "3des-cbc", IMB_CIPHER_DES3, IMB_AUTH_NULL, DES3 },
        { "zuc-eea3", IMB_CIPHER_ZUC_EEA3, IMB_AUTH_NULL, RAW },
        { "zuc-256-eea3", IMB_CIPHER_ZUC_EEA3, IMB_AUTH_NULL, RAW },
        { "sha1", IMB_CIPHER_NULL, IMB_AUTH_SHA_1, NONE },
        { "sha224", IMB_CIPHER_NULL, IMB_AUTH_SHA_224, NONE },
        { "sha256", IMB_CIPHER_NULL, IMB_AUTH_SHA_256, NONE },
        { "sha384", IMB_CIPHER_NULL, IMB_AUTH_SHA_384, NONE },
        { "sha512", IMB_CIPHER_NULL, IMB_AUTH_SHA_512, NONE },
        { "docsis-crc32", IMB_CIPHER_NULL, IMB_AUTH_DOCSIS_CRC32, NONE },
        { "crc32", IMB_CIPHER_NULL, IMB_AUTH_CRC32_ETHERNET_FCS, NONE },
        { "hmac-md5", IMB_CIPHER_NULL, IMB_AUTH_MD5, PADS },
        { "hmac-sha1", IMB_CIPHER_NULL, IMB_AUTH_HMAC_SHA_1, PADS },
        { "hmac-sha224", IMB_CIPHER_NULL, IMB_AUTH_HMAC_SHA_224, PADS },
        { "hmac-sha256", IMB_CIPHER_NULL, IMB_AUTH_HMAC_SHA_256, PADS },
        { "hmac-sha384", IMB_CIPHER_NULL, IMB_AUTH_HMAC_SHA_384, PADS },
        { "hmac-sha512", IMB_CIPHER_NULL, IMB_AUTH_HMAC_SHA_512, PADS },
        { "aes-128-xcbc", IMB_CIPHER_NULL, IMB_AUTH_AES_XCBC, XCBC },
        { "aes-128-cmac", IMB_CIPHER_NULL, IMB_AUTH_AES_CMAC, CMAC },
        { "aes-256-cmac", IMB_CIPHER_NULL, IMB_AUTH_AES_CMAC_256, CMAC },
        { "aes-128-gmac", IMB_CIPHER_NULL, IMB_AUTH_AES_GMAC_128, GMAC },
        { "aes-192-gmac", IMB_CIPHER_NULL, IMB_AUTH_AES_GMAC_192, GMAC },
        { "aes-256-gmac", IMB_CIPHER_NULL, IMB_AUTH_AES_GMAC_256, GMAC },
        { "ghash", IMB_CIPHER_NULL, IMB_AUTH_GHASH, GHASH },
        { "poly1305", IMB_CIPHER_NULL, IMB_AUTH_POLY1305, RAW },
        { "zuc-eia3", IMB_CIPHER_NULL, IMB_AUTH_ZUC_EIA3_BITLEN, EIA3 },
        { "zuc-256-eia3", IMB_CIPHER_NULL, IMB_AUTH_ZUC256_EIA3_BITLEN, EIA3 },
};

/* The number of a row, or -1. */
int exact_algorithm(const char *name, size_t len)
{
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
                        return (int)i;
        return -1;
}

/* HMAC (FIPS 198-1): the states after the pads. A key that is longer than a block is hashed first. */
static int pads(IMB_MGR *m, uint32_t hash, const struct exact_job *job, struct expanded *to)
{
        const size_t len = hash == IMB_AUTH_HMAC_SHA_384 || hash == IMB_AUTH_HMAC_SHA_512 ? 128 : 64;
        uint8_t block[128] = { 0 };
        uint8_t pad[128];
        void *const states[2] = { to->first, to->second };
        const uint8_t masks[2] = { 0x36, 0x5c };
        if (job->key_len <= len)
                memcpy(block, job->key, job->key_len);
        else
                switch (hash) {
                case IMB_AUTH_HMAC_SHA_1: IMB_SHA1(m, job->key, job->key_len, block); break;
                case IMB_AUTH_HMAC_SHA_224: IMB_SHA224(m, job->key, job->key_len, block); break;
                case IMB_AUTH_HMAC_SHA_256: IMB_SHA256(m, job->key, job->key_len, block); break;
                case IMB_AUTH_HMAC_SHA_384: IMB_SHA384(m, job->key, job->key_len, block); break;
                case IMB_AUTH_HMAC_SHA_512: IMB_SHA512(m, job->key, job->key_len, block); break;
                default: return -1;
                }
        for (int which = 0; which < 2; which++) {
                for (size_t i = 0; i < len; i++)
                        pad[i] = block[i] ^ masks[which];
                switch (hash) {
                case IMB_AUTH_MD5: IMB_MD5_ONE_BLOCK(m, pad, states[which]); break;
                case IMB_AUTH_HMAC_SHA_1: IMB_SHA1_ONE_BLOCK(m, pad, states[which]); break;
                case IMB_AUTH_HMAC_SHA_224: IMB_SHA224_ONE_BLOCK(m, pad, states[which]); break;
                case IMB_AUTH_HMAC_SHA_256: IMB_SHA256_ONE_BLOCK(m, pad, states[which]); break;
                case IMB_AUTH_HMAC_SHA_384: IMB_SHA384_ONE_BLOCK(m, pad, states[which]); break;
                case IMB_AUTH_HMAC_SHA_512: IMB_SHA512_ONE_BLOCK(m, pad, states[which]); break;
                default: return -1;
                }
        }
        return 0;
}

static void expand_aes(IMB_MGR *m, const struct exact_job *job, void *encrypt, void *decrypt)
{
        switch (job->key_len) {
        case 16: IMB_AES_KEYEXP_128(m, job->key, encrypt, decrypt); break;
        case 24: IMB_AES_KEYEXP_192(m, job->key, encrypt, decrypt); break;
        default: IMB_AES_KEYEXP_256(m, job->key, encrypt, decrypt); break;
        }
}

static void expand_gcm(IMB_MGR *m, const struct exact_job *job, struct gcm_key_data *to)
{
        switch (job->key_len) {
        case 16: IMB_AES128_GCM_PRE(m, job->key, to); break;
        case 24: IMB_AES192_GCM_PRE(m, job->key, to); break;
        default: IMB_AES256_GCM_PRE(m, job->key, to); break;
        }
}

/* Whether the key has a length that `expand` may read. */
static int key_fits(const struct row *row, uint64_t len)
{
        switch (row->key) {
        case AES:
        case GCM:
        case GMAC:
        case CMAC: return len == 16 || len == 24 || len == 32;
        case XCBC:
        case GHASH: return len == 16;
        case DES: return len == 8;
        case DES3: return len == 24;
        case RAW:
        case EIA3: return len <= 64;
        default: return 1;
        }
}

static int expand(IMB_MGR *m, const struct row *row, const struct exact_job *job,
                  struct expanded *to)
{
        if (!key_fits(row, job->key_len))
                return -1;
        switch (row->key) {
        case AES: expand_aes(m, job, to->encrypt, to->decrypt); break;
        case GCM:
        case GMAC: expand_gcm(m, job, &to->gcm); break;
        case GHASH: IMB_GHASH_PRE(m, job->key, &to->gcm); break;
        case RAW:
        case EIA3: memcpy(to->raw, job->key, job->key_len); break;
        case DES: IMB_DES_KEYSCHED(m, to->des[0], job->key); break;
        case DES3:
                for (int i = 0; i < 3; i++) {
                        IMB_DES_KEYSCHED(m, to->des[i], job->key + 8 * i);
                        to->des3[i] = to->des[i];
                }
                break;
        case PADS: return pads(m, row->hash, job, to);
        case XCBC: IMB_AES_XCBC_KEYEXP(m, job->key, to->encrypt, to->first, to->second); break;
        case CMAC:
                expand_aes(m, job, to->encrypt, to->decrypt);
                if (job->key_len == 16)
                        IMB_AES_CMAC_SUBKEY_GEN_128(m, to->encrypt, to->first, to->second);
                else
                        IMB_AES_CMAC_SUBKEY_GEN_256(m, to->encrypt, to->first, to->second);
                break;
        default: break;
        }
        if (job->iv_len <= sizeof(to->iv))
                memcpy(to->iv, job->iv, job->iv_len);
        return 0;
}

static void fill_keys(IMB_JOB *to, const struct row *row, const struct exact_job *job,
                      struct expanded *key)
{
        switch (row->key) {
        case AES:
                to->enc_keys = key->encrypt;
                to->dec_keys = key->decrypt;
                break;
        case GCM: to->enc_keys = to->dec_keys = &key->gcm; break;
        case RAW: to->enc_keys = to->dec_keys = key->raw; break;
        case DES: to->enc_keys = to->dec_keys = key->des[0]; break;
        case DES3: to->enc_keys = to->dec_keys = key->des3; break;
        default: break;
        }
        switch (row->hash) {
        case IMB_AUTH_AES_GMAC:
                to->u.GCM.aad = job->aad;
                to->u.GCM.aad_len_in_bytes = job->aad_len;
                break;
        case IMB_AUTH_AES_CCM:
                to->u.CCM.aad = job->aad;
                to->u.CCM.aad_len_in_bytes = job->aad_len;
                break;
        case IMB_AUTH_CHACHA20_POLY1305:
                to->u.CHACHA20_POLY1305.aad = job->aad;
                to->u.CHACHA20_POLY1305.aad_len_in_bytes = job->aad_len;
                break;
        case IMB_AUTH_AES_XCBC:
                to->u.XCBC._k1_expanded = (const uint32_t *)key->encrypt;
                to->u.XCBC._k2 = key->first;
                to->u.XCBC._k3 = key->second;
                break;
        case IMB_AUTH_AES_CMAC:
        case IMB_AUTH_AES_CMAC_256:
                to->u.CMAC._key_expanded = key->encrypt;
                to->u.CMAC._skey1 = key->first;
                to->u.CMAC._skey2 = key->second;
                break;
        case IMB_AUTH_AES_GMAC_128:
        case IMB_AUTH_AES_GMAC_192:
        case IMB_AUTH_AES_GMAC_256:
                to->u.GMAC._key = &key->gcm;
                to->u.GMAC._iv = job->iv;
                to->u.GMAC.iv_len_in_bytes = job->iv_len;
                break;
        case IMB_AUTH_GHASH: {
                static const uint8_t zeros[16];
                to->u.GHASH._key = &key->gcm;
                to->u.GHASH._init_tag = zeros;
                break;
        }
        case IMB_AUTH_POLY1305: to->u.POLY1305._key = key->raw; break;
        case IMB_AUTH_ZUC_EIA3_BITLEN:
                to->u.ZUC_EIA3._key = key->raw;
                to->u.ZUC_EIA3._iv = key->iv;
                break;
        case IMB_AUTH_ZUC256_EIA3_BITLEN:
                to->u.ZUC_EIA3._key = key->raw;
                to->u.ZUC_EIA3._iv = NULL;
                to->u.ZUC_EIA3._iv23 = key->iv;
                break;
        default:
                to->u.HMAC._hashed_auth_key_xor_ipad = key->first;
                to->u.HMAC._hashed_auth_key_xor_opad = key->second;
                break;
        }
}

static void fill(IMB_JOB *to, const struct row *row, const struct exact_job *job,
                 struct expanded *key)
{
        /* CCM hashes the plaintext, the others the ciphertext. */
        const int hash_first = (row->cipher == IMB_CIPHER_CCM) != (job->decrypt != 0);
        memset(&to->u, 0, sizeof(to->u));
        to->cipher_mode = row->cipher;
        to->hash_alg = row->hash;
        to->cipher_direction = job->decrypt ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
        to->chain_order = hash_first || row->cipher == IMB_CIPHER_NULL ? IMB_ORDER_HASH_CIPHER
                                                                      : IMB_ORDER_CIPHER_HASH;
        to->src = job->src;
        to->dst = job->dst;
        to->cipher_start_src_offset_in_bytes = 0;
        to->hash_start_src_offset_in_bytes = 0;
        to->msg_len_to_cipher_in_bytes = row->cipher == IMB_CIPHER_NULL ? 0 : job->len;
        to->msg_len_to_hash_in_bytes = row->hash == IMB_AUTH_NULL ? 0 : job->len;
        if (row->key == EIA3)
                to->msg_len_to_hash_in_bits = 8 * job->len;
        to->iv = job->iv_len <= sizeof(key->iv) ? key->iv : job->iv;
        to->iv_len_in_bytes = job->iv_len;
        to->key_len_in_bytes = job->key_len;
        to->auth_tag_output = job->tag;
        to->auth_tag_output_len_in_bytes = job->tag_len;
        fill_keys(to, row, job, key);
        to->user_data = (void *)(uintptr_t)job;
}

/* Expands the key of the hash that a cipher's job is chained with. */
static int expand_chained(IMB_MGR *m, const struct exact_job *job, struct expanded *key)
{
        struct exact_job of_hash = *job;
        of_hash.key = job->hash_key;
        of_hash.key_len = job->hash_key_len;
        of_hash.iv_len = 0;
        return expand(m, &rows[job->hash - 1], &of_hash, key);
}

/* Adds the hash to a cipher's job, which works in place. */
static void chain(IMB_JOB *to, const struct exact_job *job, struct expanded *key)
{
        const struct row *row = &rows[job->hash - 1];
        to->hash_alg = row->hash;
        to->chain_order = job->hash_first ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
        to->src = job->src - job->head_len;
        to->cipher_start_src_offset_in_bytes = job->head_len;
        to->msg_len_to_hash_in_bytes = job->hash_len;
        fill_keys(to, row, job, key);
}

/* Hands the message of GCM or ChaCha20-Poly1305 over in pieces. */
static int cut(IMB_JOB *to, const struct exact_job *job, struct expanded *key)
{
        uint64_t at = 0;
        if (job->piece_count > sizeof(key->pieces) / sizeof(key->pieces[0]))
                return -1;
        for (uint64_t i = 0; i < job->piece_count; i++) {
                key->pieces[i].in = job->src + at;
                key->pieces[i].out = job->dst + at;
                key->pieces[i].len = job->pieces[i];
                at += job->pieces[i];
        }
        switch (to->cipher_mode) {
        case IMB_CIPHER_GCM:
                to->cipher_mode = IMB_CIPHER_GCM_SGL;
                to->hash_alg = IMB_AUTH_GCM_SGL;
                to->u.GCM.ctx = &key->gcm_state;
                break;
        case IMB_CIPHER_CHACHA20_POLY1305:
                to->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305_SGL;
                to->hash_alg = IMB_AUTH_CHACHA20_POLY1305_SGL;
                to->u.CHACHA20_POLY1305.ctx = &key->chacha_state;
                break;
        default: return -1;
        }
        to->sgl_state = IMB_SGL_ALL;
        to->sgl_io_segs = key->pieces;
        to->num_sgl_io_segs = job->piece_count;
        return at == job->len ? 0 : -1;
}

static uint64_t take(const IMB_JOB *done)
{
        if (done == NULL)
                return 0;
        struct exact_job *job = (struct exact_job *)done->user_data;
        job->done = done->status == IMB_STATUS_COMPLETED;
        return 1;
}

/*
 * For the benchmark: keys once, then the same jobs again and again. The loop is on this side, so that
 * the library is called as a C program calls it. Returns NULL if a key is refused.
 */
void *exact_prepare(IMB_MGR *m, const struct exact_job *jobs, uint64_t count)
{
        struct expanded *keys = NULL;
        if (posix_memalign((void **)&keys, 64, (2 * count + 1) * sizeof(*keys)) != 0)
                return NULL;
        memset(keys, 0, (2 * count + 1) * sizeof(*keys));
        for (uint64_t i = 0; i < count; i++) {
                if (expand(m, &rows[jobs[i].algorithm], &jobs[i], &keys[i]) != 0 ||
                    (jobs[i].hash != 0 && expand_chained(m, &jobs[i], &keys[count + i]) != 0)) {
                        free(keys);
                        return NULL;
                }
        }
        return keys;
}

void exact_release(void *keys) { free(keys); }

/* Submits every job once; returns how many came back complete. */
uint64_t exact_again(IMB_MGR *m, struct exact_job *jobs, void *expanded, uint64_t count, int checked)
{
        struct expanded *keys = expanded;
        uint64_t completed = 0;
        for (uint64_t i = 0; i < count; i++) {
                IMB_JOB *next = IMB_GET_NEXT_JOB(m);
                fill(next, &rows[jobs[i].algorithm], &jobs[i], &keys[i]);
                if (jobs[i].hash != 0)
                        chain(next, &jobs[i], &keys[count + i]);
                const IMB_JOB *done = checked ? IMB_SUBMIT_JOB(m) : IMB_SUBMIT_JOB_NOCHECK(m);
                while (done != NULL) {
                        completed += done->status == IMB_STATUS_COMPLETED;
                        done = IMB_GET_COMPLETED_JOB(m);
                }
        }
        return completed;
}

uint64_t exact_finish(IMB_MGR *m)
{
        uint64_t completed = 0;
        for (const IMB_JOB *done = IMB_FLUSH_JOB(m); done != NULL; done = IMB_FLUSH_JOB(m))
                completed += done->status == IMB_STATUS_COMPLETED;
        return completed;
}

/* Runs all jobs together; returns how many came back, or UINT64_MAX without memory. */
uint64_t exact_run(IMB_MGR *m, struct exact_job *jobs, uint64_t count)
{
        struct expanded *keys = NULL;
        uint64_t came = 0;
        if (posix_memalign((void **)&keys, 64, (2 * count + 1) * sizeof(*keys)) != 0)
                return UINT64_MAX;
        memset(keys, 0, (2 * count + 1) * sizeof(*keys));
        for (uint64_t i = 0; i < count; i++) {
                const struct row *row = &rows[jobs[i].algorithm];
                jobs[i].done = 0;
                if (expand(m, row, &jobs[i], &keys[i]) != 0)
                        continue;
                IMB_JOB *next = IMB_GET_NEXT_JOB(m);
                fill(next, row, &jobs[i], &keys[i]);
                if (jobs[i].piece_count != 0 && cut(next, &jobs[i], &keys[i]) != 0)
                        continue;
                if (jobs[i].hash != 0) {
                        if (expand_chained(m, &jobs[i], &keys[count + i]) != 0)
                                continue;
                        chain(next, &jobs[i], &keys[count + i]);
                }
                for (IMB_JOB *done = IMB_SUBMIT_JOB(m); done != NULL; done = IMB_GET_COMPLETED_JOB(m))
                        came += take(done);
        }
        for (IMB_JOB *done = IMB_FLUSH_JOB(m); done != NULL; done = IMB_FLUSH_JOB(m))
                came += take(done);
        free(keys);
        return came;
}
