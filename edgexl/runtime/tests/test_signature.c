/* test_signature.c: the hashes and the check of Ed25519 by published examples, and minisign's text however it is
 * broken.
 */
#include "../src/blake2b.h"
#include "../src/ed25519.h"
#include "../src/sha512.h"
#include "../src/signature.h"
#include "testing.h"

static const char PUBLIC_KEY[] = "RWRlZGdleGwgMepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
static const char MESSAGE[] = "header and section table";
static const char TEXT[] =
    "untrusted comment: signature of an edgexl bundle\n"
    "RURlZGdleGwgMR/aRXCVx/ZGtHaOsASjDIPfTwFLlcFUAgXzuGCYI4Gb/TjpJb0FE6rnauQ05AMtdGw8WGvdHFtQRcSmj8g7rQk=\n"
    "trusted comment: version:3 of the spring fair\n"
    "oz8R1MAeANFV9aN8JPU2rJ+iAqAU7xpGGBwO7vJvkVYMJcJp/jUycV8J6X6NmNQ+XzcIBv4tothweq9Sh32yDg==\n";
/* of the message itself, as minisign -l makes them */
static const char LEGACY[] =
    "untrusted comment: signature of an edgexl bundle\n"
    "RWRlZGdleGwgMaMWjrKamCmdQ4jeq6FIpCd9hn4ZR9KgqHy1Ll1nWa8h0LP7lesLrL+jG/n4jx80wBPNgiBRwhrS7AZHu/7DrgU=\n"
    "trusted comment: edgexl\n"
    "I2E2ssPZgwrxkkCLffS6zKSiTlZxsquR/HlMyJH6SiWPT5oyWYUegf7VZh6TrRRytdMuHNziaUaNPQJKZWqBBQ==\n";

static size_t from_hex(const char *hex, uint8_t *bytes) {
    size_t count = strlen(hex) / 2;

    for (size_t i = 0; i < count; i++) {
        unsigned value = 0;
        CHECK(sscanf(hex + 2 * i, "%2x", &value) == 1);
        bytes[i] = (uint8_t)value;
    }
    return count;
}

static int is(const uint8_t *digest, const char *hex) {
    uint8_t expected[64];

    return from_hex(hex, expected) == 64 && memcmp(digest, expected, 64) == 0;
}

/* SHA-512 over the digests of 400 messages, of 0 bytes to 399, as Python's hashlib gives it. */
static void test_hashes(void) {
    exl__sha512 all_sha, all_blake, one;
    uint8_t message[400], digest[64];

    exl__sha512_init(&all_sha);
    exl__sha512_init(&all_blake);
    for (size_t bytes = 0; bytes < 400; bytes++) {
        for (size_t i = 0; i < bytes; i++)
            message[i] = (uint8_t)(i * 7 + bytes);
        exl__sha512_init(&one);
        exl__sha512_update(&one, message, bytes / 3);
        exl__sha512_update(&one, message + bytes / 3, bytes - bytes / 3);
        exl__sha512_final(&one, digest);
        exl__sha512_update(&all_sha, digest, sizeof digest);
        exl__blake2b_of(message, bytes, digest);
        exl__sha512_update(&all_blake, digest, sizeof digest);
    }
    exl__sha512_final(&all_sha, digest);
    CHECK(is(digest, "8165ec30b61f5f58b609cd1eee477f5e992f9a95b04b9d7fdb42b2d8c5f41e31"
                     "00c47aeae65c6ce2a2a60d3299bc5a929a325b0a738845aafe84b8f292e5f08b"));
    exl__sha512_final(&all_blake, digest);
    CHECK(is(digest, "cde7d39652de25451439b0a12e9fbb1652f97952a4ebee30d6f62ecdf0f45a32"
                     "3b4d5e0b3df906ccba7dc7ab6856bfb43117aec9f7c5d07267cbb87e15215170"));
}

/* RFC 8032, 7.1: tests 1, 2, 3 and "SHA(abc)". Then every bit of each. */
static void test_ed25519(void) {
    static const struct {
        const char *key, *message, *signature;
    } examples[] = {
        {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
         "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
         "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
         "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
        {"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
         "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
         "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
         "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"},
    };
    /* the group's order, which a signature's second half is below */
    static const char ORDER[] = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    uint8_t key[32], message[64], signature[64], order[32];

    from_hex(ORDER, order);
    for (size_t e = 0; e < sizeof examples / sizeof *examples; e++) {
        size_t bytes = from_hex(examples[e].message, message);
        unsigned carry = 0;

        from_hex(examples[e].key, key);
        from_hex(examples[e].signature, signature);
        for (size_t cut = 0; cut <= bytes; cut++)
            CHECK(exl__ed25519_check(signature, key, message, cut, message + cut, bytes - cut));
        for (size_t bit = 0; bit < 8 * (64 + 32 + bytes); bit++) {
            uint8_t *at = bit < 512   ? signature + bit / 8
                          : bit < 768 ? key + (bit - 512) / 8
                                      : message + (bit - 768) / 8;
            *at ^= (uint8_t)(1u << bit % 8);
            CHECK(!exl__ed25519_check(signature, key, message, bytes, NULL, 0));
            *at ^= (uint8_t)(1u << bit % 8);
        }
        for (int i = 0; i < 32; i++) { /* the same number modulo the order is another signature */
            carry += signature[32 + i] + order[i];
            signature[32 + i] = (uint8_t)carry;
            carry >>= 8;
        }
        CHECK(!exl__ed25519_check(signature, key, message, bytes, NULL, 0));
    }
}

static const char *read_text(const char *text, size_t bytes, exl__signature *signature) {
    char *copy = malloc(bytes ? bytes : 1); /* so that the sanitizer sees its end */
    const char *why;

    CHECK(copy);
    memcpy(copy, text, bytes);
    why = exl__signature_read(copy, bytes, signature);
    signature->comment = NULL;
    free(copy);
    return why;
}

static void test_text(void) {
    exl__signature signature, other;
    exl__public_key key;
    char changed[sizeof TEXT + 8], id[17];
    size_t bytes = strlen(TEXT);

    CHECK(!exl__public_key_read(PUBLIC_KEY, strlen(PUBLIC_KEY), &key));
    exl__key_id_write(key.id, id);
    CHECK(strcmp(id, "31206C7865676465") == 0);
    CHECK(!exl__signature_read(TEXT, bytes, &signature));
    CHECK(signature.prehashed && signature.canonical && signature.version == 3 && signature.comment_bytes == 28);
    CHECK(exl__signature_holds(&signature, &key, MESSAGE, strlen(MESSAGE)));
    CHECK(!exl__signature_holds(&signature, &key, MESSAGE, strlen(MESSAGE) - 1));
    CHECK(!exl__signature_read(LEGACY, strlen(LEGACY), &other));
    CHECK(!other.prehashed && other.canonical && other.version == 0);
    CHECK(exl__signature_holds(&other, &key, MESSAGE, strlen(MESSAGE)));
    memcpy(other.of_message, signature.of_message, sizeof other.of_message);
    CHECK(!exl__signature_holds(&other, &key, MESSAGE, strlen(MESSAGE)));

    for (size_t length = 0; length < bytes; length++) /* only the last line's end may be missing */
        CHECK(!read_text(TEXT, length, &other) == (length == bytes - 1) && (length < bytes - 1 || !other.canonical));
    for (size_t at = 0; at < bytes; at++)
        for (int value = 0; value < 256; value++) {
            memcpy(changed, TEXT, bytes);
            changed[at] = (char)value;
            if (changed[at] == TEXT[at] || exl__signature_read(changed, bytes, &other))
                continue;
            CHECK(!other.canonical || !exl__signature_holds(&other, &key, MESSAGE, strlen(MESSAGE)) ||
                  memcmp(other.key_id, key.id, sizeof key.id) != 0);
        }
    memcpy(changed, TEXT, bytes);
    memcpy(changed + bytes, "\n", 1);
    CHECK(exl__signature_read(changed, bytes + 1, &other));
}

static void test_keys(void) {
    exl__public_key key;
    char text[256];
    static const char *const good[] = {"%s", "%s\n", "%s\r\n\n", "untrusted comment: shop\n%s\n",
                                       "untrusted comment: \r\n%s"};
    static const char *const wrong[] = {
        "", " %s", "%s ", "%s\n%s", "trusted comment: x\n%s", "%s\nx", "\n%s", "untrusted comment: ", "=%s", "RX%s"};

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, good[i], PUBLIC_KEY);
        memset(&key, 0, sizeof key);
        CHECK(!exl__public_key_read(text, strlen(text), &key) && memcmp(key.id, "edgexl 1", 8) == 0);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof text, wrong[i], PUBLIC_KEY, PUBLIC_KEY);
        CHECK(exl__public_key_read(text, strlen(text), &key));
    }
    for (size_t length = 0; length < strlen(PUBLIC_KEY); length++)
        CHECK(exl__public_key_read(PUBLIC_KEY, length, &key));
}

int main(void) {
    test_hashes();
    test_ed25519();
    test_text();
    test_keys();
    puts("signature: all passed");
    return 0;
}
