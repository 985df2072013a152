# BLAKE2b (RFC 7693) of one short text, as a number: that of hashlib's blake2b(text, digest_size=8), read as big-endian.

from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    static const uint64_t BLAKE2B_BEGIN[8] = {
        0x6a09e667f3bcc908ULL, 0xbb67ae8584caa73bULL, 0x3c6ef372fe94f82bULL, 0xa54ff53a5f1d36f1ULL,
        0x510e527fade682d1ULL, 0x9b05688c2b3e6c1fULL, 0x1f83d9abfb41bd6bULL, 0x5be0cd19137e2179ULL};
    static const unsigned char BLAKE2B_ORDER[12][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
        {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
        {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
        {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
        {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};
    """
    const uint64_t *BLAKE2B_BEGIN
    const unsigned char (*BLAKE2B_ORDER)[16]

cdef enum:
    BLOCK = 128


cdef inline uint64_t rotated(uint64_t value, int bits) noexcept nogil:
    return value >> bits | value << (64 - bits)


cdef inline void mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y) noexcept nogil:
    v[a] += v[b] + x
    v[d] = rotated(v[d] ^ v[a], 32)
    v[c] += v[d]
    v[b] = rotated(v[b] ^ v[c], 24)
    v[a] += v[b] + y
    v[d] = rotated(v[d] ^ v[a], 16)
    v[c] += v[d]
    v[b] = rotated(v[b] ^ v[c], 63)


cdef inline uint64_t blake2b_64(const char *text, Py_ssize_t size) noexcept nogil:
    """Of at most BLOCK bytes."""
    cdef uint64_t words[16]
    cdef uint64_t v[16]
    cdef uint64_t begin = BLAKE2B_BEGIN[0] ^ 0x01010008ULL   # a digest of 8 bytes, no key
    cdef const unsigned char *order
    cdef int place
    cdef uint64_t digest, number = 0
    memset(words, 0, BLOCK)
    for place in range(<int>size):
        words[place >> 3] |= <uint64_t><unsigned char>text[place] << (8 * (place & 7))
    memcpy(v, BLAKE2B_BEGIN, 64)
    memcpy(v + 8, BLAKE2B_BEGIN, 64)
    v[0] = begin
    v[12] ^= <uint64_t>size
    v[14] = ~v[14]
    for place in range(12):
        order = BLAKE2B_ORDER[place]
        mix(v, 0, 4, 8, 12, words[order[0]], words[order[1]])
        mix(v, 1, 5, 9, 13, words[order[2]], words[order[3]])
        mix(v, 2, 6, 10, 14, words[order[4]], words[order[5]])
        mix(v, 3, 7, 11, 15, words[order[6]], words[order[7]])
        mix(v, 0, 5, 10, 15, words[order[8]], words[order[9]])
        mix(v, 1, 6, 11, 12, words[order[10]], words[order[11]])
        mix(v, 2, 7, 8, 13, words[order[12]], words[order[13]])
        mix(v, 3, 4, 9, 14, words[order[14]], words[order[15]])
    digest = begin ^ v[0] ^ v[8]
    for place in range(8):
        number = number << 8 | (digest >> (8 * place) & 255)
    return number
