/*
 * The installed library behind a small, flat interface, so that the Rust side needs to know neither
 * its structs nor the values of its enums. ffi.rs mirrors the structs below.
 */
/* Without the names of its older releases, which clash with ours. */
#define NO_COMPAT_IMB_API_053 1
#include <intel-ipsec-mb.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Algorithms, as ffi.rs numbers them. */
enum { CBC = 0, CTR = 1, SHA256 = 2, SHA512 = 3, HMAC_SHA256 = 4, HMAC_SHA512 = 5 };
enum { ENCRYPT = 0, DECRYPT = 1 };

struct reference_job {
        const uint8_t *src;
        uint8_t *dst; /* the digest's place for hashes */
        uint64_t len;
        const uint8_t *iv;
        uint64_t iv_len;
        const void *key[2]; /* encrypt and decrypt schedule, or inner and outer state of HMAC */
        uint64_t key_len;
        uint64_t tag_len;
        uint64_t user;
        uint64_t user2;
        /* Filled by reference_bind. */
        uint32_t is_hash;
        uint32_t cipher_mode;
        uint32_t cipher_direction;
        uint32_t hash_alg;
};

struct reference_done {
        uint64_t user;
        uint64_t user2;
        uint32_t status;
        uint32_t completed;
};

const char *reference_version(void) { return imb_get_version_str(); }
size_t reference_size(void) { return imb_get_mb_mgr_size(); }
uint32_t reference_architecture(const IMB_MGR *manager) { return manager->used_arch; }
uint64_t reference_features(const IMB_MGR *manager) { return manager->features; }
uint32_t reference_queue(IMB_MGR *manager) { return IMB_QUEUE_SIZE(manager); }
int reference_error(IMB_MGR *manager) { return imb_get_errno(manager); }
const char *reference_error_text(int error) { return imb_get_strerror(error); }

/* 0 auto, 1 SSE, 2 AVX, 3 AVX2, 4 AVX-512 */
static int initialise(IMB_MGR *manager, uint32_t architecture)
{
        switch (architecture) {
        case 0: init_mb_mgr_auto(manager, NULL); break;
        case 1: init_mb_mgr_sse(manager); break;
        case 2: init_mb_mgr_avx(manager); break;
        case 3: init_mb_mgr_avx2(manager); break;
        case 4: init_mb_mgr_avx512(manager); break;
        default: return -1;
        }
        return imb_get_errno(manager);
}

/* The manager in memory of the process, as most users have it. */
IMB_MGR *reference_allocate(uint32_t architecture)
{
        IMB_MGR *manager = alloc_mb_mgr(0);
        if (manager != NULL && initialise(manager, architecture) != 0) {
                free_mb_mgr(manager);
                return NULL;
        }
        return manager;
}

void reference_free(IMB_MGR *manager) { free_mb_mgr(manager); }

/* The manager in memory of the caller's, as the library's own multi-process test has it. */
IMB_MGR *reference_place(void *memory, uint32_t architecture)
{
        IMB_MGR *manager = imb_set_pointers_mb_mgr(memory, 0, 1);
        if (manager == NULL || initialise(manager, architecture) != 0)
                return NULL;
        return manager;
}

/* What that test's secondary does: sets the pointers again and keeps the state. */
IMB_MGR *reference_attach(void *memory) { return imb_set_pointers_mb_mgr(memory, 0, 0); }

int reference_bind(struct reference_job *job, uint32_t algorithm, uint32_t direction)
{
        job->is_hash = algorithm >= SHA256;
        job->cipher_mode = IMB_CIPHER_NULL;
        job->cipher_direction = direction == ENCRYPT ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
        job->hash_alg = IMB_AUTH_NULL;
        switch (algorithm) {
        case CBC: job->cipher_mode = IMB_CIPHER_CBC; break;
        case CTR: job->cipher_mode = IMB_CIPHER_CNTR; break;
        case SHA256: job->hash_alg = IMB_AUTH_SHA_256; break;
        case SHA512: job->hash_alg = IMB_AUTH_SHA_512; break;
        case HMAC_SHA256: job->hash_alg = IMB_AUTH_HMAC_SHA_256; break;
        case HMAC_SHA512: job->hash_alg = IMB_AUTH_HMAC_SHA_512; break;
        default: return -1;
        }
        return 0;
}

int reference_expand(IMB_MGR *manager, const uint8_t *key, uint64_t len, void *encrypt, void *decrypt)
{
        switch (len) {
        case 16: IMB_AES_KEYEXP_128(manager, key, encrypt, decrypt); return 0;
        case 24: IMB_AES_KEYEXP_192(manager, key, encrypt, decrypt); return 0;
        case 32: IMB_AES_KEYEXP_256(manager, key, encrypt, decrypt); return 0;
        default: return -1;
        }
}

/* The states after the pads (FIPS 198-1); a key that is longer than a block is hashed first. */
int reference_pads(IMB_MGR *manager, uint32_t algorithm, const uint8_t *key, uint64_t key_len,
                   void *inner, void *outer)
{
        const size_t len = algorithm == HMAC_SHA256 ? 64 : 128;
        uint8_t pad[2][128];
        uint8_t block[128] = { 0 };
        if (algorithm != HMAC_SHA256 && algorithm != HMAC_SHA512)
                return -1;
        if (key_len <= len)
                memcpy(block, key, key_len);
        else if (algorithm == HMAC_SHA256)
                IMB_SHA256(manager, key, key_len, block);
        else
                IMB_SHA512(manager, key, key_len, block);
        for (size_t i = 0; i < len; i++) {
                pad[0][i] = block[i] ^ 0x36;
                pad[1][i] = block[i] ^ 0x5c;
        }
        if (algorithm == HMAC_SHA256) {
                IMB_SHA256_ONE_BLOCK(manager, pad[0], inner);
                IMB_SHA256_ONE_BLOCK(manager, pad[1], outer);
        } else {
                IMB_SHA512_ONE_BLOCK(manager, pad[0], inner);
                IMB_SHA512_ONE_BLOCK(manager, pad[1], outer);
        }
        memset(pad, 0, sizeof(pad));
        memset(block, 0, sizeof(block));
        return 0;
}

static inline void fill(IMB_JOB *to, const struct reference_job *job)
{
        to->cipher_mode = job->cipher_mode;
        to->cipher_direction = job->cipher_direction;
        to->hash_alg = job->hash_alg;
        to->src = job->src;
        to->user_data = (void *)(uintptr_t)job->user;
        to->user_data2 = (void *)(uintptr_t)job->user2;
        if (job->is_hash) {
                to->chain_order = IMB_ORDER_HASH_CIPHER;
                to->hash_start_src_offset_in_bytes = 0;
                to->msg_len_to_hash_in_bytes = job->len;
                to->msg_len_to_cipher_in_bytes = 0;
                to->auth_tag_output = job->dst;
                to->auth_tag_output_len_in_bytes = job->tag_len;
                to->u.HMAC._hashed_auth_key_xor_ipad = job->key[0];
                to->u.HMAC._hashed_auth_key_xor_opad = job->key[1];
        } else {
                to->chain_order = IMB_ORDER_CIPHER_HASH;
                to->dst = job->dst;
                to->cipher_start_src_offset_in_bytes = 0;
                to->msg_len_to_cipher_in_bytes = job->len;
                to->iv = job->iv;
                to->iv_len_in_bytes = job->iv_len;
                to->enc_keys = job->key[0];
                to->dec_keys = job->key[1];
                to->key_len_in_bytes = job->key_len;
        }
}

static inline int report(const IMB_JOB *job, struct reference_done *done)
{
        if (job == NULL)
                return 0;
        done->user = (uint64_t)(uintptr_t)job->user_data;
        done->user2 = (uint64_t)(uintptr_t)job->user_data2;
        done->status = (uint32_t)job->status;
        done->completed = job->status == IMB_STATUS_COMPLETED;
        return 1;
}

/* Returns 1 and fills `done` if a job came back. */
int reference_submit(IMB_MGR *manager, const struct reference_job *job, struct reference_done *done)
{
        fill(IMB_GET_NEXT_JOB(manager), job);
        return report(IMB_SUBMIT_JOB(manager), done);
}

int reference_flush(IMB_MGR *manager, struct reference_done *done)
{
        return report(IMB_FLUSH_JOB(manager), done);
}

int reference_completed(IMB_MGR *manager, struct reference_done *done)
{
        return report(IMB_GET_COMPLETED_JOB(manager), done);
}

/*
 * The loops of the benchmark are on this side, so that the library is called as a C program calls it.
 * All return the number of jobs that completed.
 */
uint64_t reference_submit_all(IMB_MGR *manager, const struct reference_job *jobs, uint64_t count,
                              int checked)
{
        uint64_t completed = 0;
        for (uint64_t i = 0; i < count; i++) {
                fill(IMB_GET_NEXT_JOB(manager), &jobs[i]);
                const IMB_JOB *job =
                        checked ? IMB_SUBMIT_JOB(manager) : IMB_SUBMIT_JOB_NOCHECK(manager);
                while (job != NULL) {
                        completed += job->status == IMB_STATUS_COMPLETED;
                        job = IMB_GET_COMPLETED_JOB(manager);
                }
        }
        return completed;
}

uint64_t reference_flush_all(IMB_MGR *manager)
{
        uint64_t completed = 0;
        for (;;) {
                const IMB_JOB *job = IMB_FLUSH_JOB(manager);
                if (job == NULL)
                        return completed;
                completed += job->status == IMB_STATUS_COMPLETED;
        }
}

uint64_t reference_burst_all(IMB_MGR *manager, const struct reference_job *jobs, uint64_t count,
                             uint32_t burst, int checked)
{
        IMB_JOB *list[IMB_MAX_BURST_SIZE];
        uint64_t completed = 0;
        uint64_t at = 0;
        while (at < count) {
                uint32_t want = count - at < burst ? (uint32_t)(count - at) : burst;
                uint32_t got = IMB_GET_NEXT_BURST(manager, want, list);
                if (got == 0) {
                        got = IMB_FLUSH_BURST(manager, burst, list);
                        for (uint32_t i = 0; i < got; i++)
                                completed += list[i]->status == IMB_STATUS_COMPLETED;
                        if (got == 0)
                                return completed;
                        continue;
                }
                for (uint32_t i = 0; i < got; i++)
                        fill(list[i], &jobs[at + i]);
                const uint32_t back = checked ? IMB_SUBMIT_BURST(manager, got, list)
                                              : IMB_SUBMIT_BURST_NOCHECK(manager, got, list);
                for (uint32_t i = 0; i < back; i++)
                        completed += list[i]->status == IMB_STATUS_COMPLETED;
                at += got;
        }
        return completed;
}

