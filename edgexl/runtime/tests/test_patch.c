/* Patches: what the writer writes the reader reads, and what somebody else wrote it survives. */
#include "damage.h"

#include "../private/patch_writer.h"

enum { SUBSPACES_AT = 20 };

static uint64_t random_state = 1;

static uint32_t next_random(uint32_t below) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

static uint32_t code_bytes_of(uint8_t *file) { return get32(file + get64(entry_of(file, 2) + 8) + SUBSPACES_AT) / 2; }

static void turn(uint8_t *file) {
    uint8_t *entry = entry_of(file, 9), *codes = file + get64(entry + 8);
    uint32_t wide = code_bytes_of(file), size = wide * 256;
    uint8_t *block = malloc(size);

    CHECK(block != NULL);
    for (uint64_t at = 0; at < get64(entry + 16); at += size) {
        memcpy(block, codes + at, size);
        for (uint32_t i = 0; i < size; i++)
            codes[at + i % 256 * wide + i / 256] = block[i];
    }
    free(block);
}

/* Blocks around contents, each with the hash of the one behind it. */
static void seal_patch(uint8_t *patch, size_t length) {
    size_t body = length - EXL__PATCH_HEADER_BYTES,
           blocks = (body + EXL__PATCH_BLOCK_BYTES - 1) / EXL__PATCH_BLOCK_BYTES;
    uint8_t following[32] = {0};

    for (size_t i = blocks; i-- > 0;) {
        uint8_t *block = patch + EXL__PATCH_HEADER_BYTES + i * EXL__PATCH_BLOCK_BYTES;
        size_t left = length - (size_t)(block - patch);
        memcpy(block, following, 32);
        hash(block, left < EXL__PATCH_BLOCK_BYTES ? left : EXL__PATCH_BLOCK_BYTES, following);
    }
    memcpy(patch + 128, following, 32);
}

static file_bytes write_patch(const file_bytes old, const file_bytes made) {
    static const uint8_t head[16] = {0x89, 'E', 'X', 'P', '\r', '\n', 0x1a, '\n', 1, 0, 0, 0, 0, 0, 1, 0};
    const uint64_t starts[2] = {0, 0};
    size_t capacity = made.length * 2 + 65536, at = EXL__PATCH_HEADER_BYTES, room = EXL__PATCH_BLOCK_BYTES - 32;
    uint8_t *turned_old = malloc(old.length), *turned_new = malloc(made.length), *contents = malloc(capacity);
    file_bytes patch = {calloc(1, capacity), 0};
    uint64_t written;

    CHECK(turned_old && turned_new && contents && patch.bytes);
    memcpy(turned_old, old.bytes, old.length);
    memcpy(turned_new, made.bytes, made.length);
    turn(turned_old);
    turn(turned_new);
    written = private_patch_write(turned_old, old.length, turned_new, made.length, starts, 1, contents, capacity);
    CHECK(written > 0 && written <= capacity);
    for (uint64_t done = 0; done < written; done += room) {
        size_t take = written - done < room ? (size_t)(written - done) : room;
        memcpy(patch.bytes + at + 32, contents + done, take);
        at += 32 + take;
    }
    patch.length = at;
    memcpy(patch.bytes, head, sizeof head);
    put(patch.bytes + 16, at, 8);
    put(patch.bytes + 24, old.length, 8);
    put(patch.bytes + 32, made.length, 8);
    put(patch.bytes + 40, code_bytes_of(old.bytes), 4);
    put(patch.bytes + 44, code_bytes_of(made.bytes), 4);
    hash(old.bytes, HEADER_BYTES * (1 + get32(old.bytes + 12)), patch.bytes + 64);
    hash(made.bytes, HEADER_BYTES * (1 + get32(made.bytes + 12)), patch.bytes + 96);
    seal_patch(patch.bytes, at);
    free(turned_old);
    free(turned_new);
    free(contents);
    return patch;
}

/* A bundle that is like another: weights that moved a little, codes that changed here and there. */
static file_bytes make_other(const file_bytes old) {
    file_bytes made = {malloc(old.length), old.length};
    const uint32_t kinds[] = {5, 9, 10};

    CHECK(made.bytes != NULL);
    memcpy(made.bytes, old.bytes, old.length);
    for (size_t k = 0; k < 3; k++) {
        uint8_t *entry = entry_of(made.bytes, kinds[k]);
        uint64_t start = get64(entry + 8), length = get64(entry + 16);
        for (uint64_t i = kinds[k] == 5 ? length / 2 : 0; i < length; i++)
            if (kinds[k] == 5 ? next_random(2) : next_random(100) == 0)
                made.bytes[start + i] = (uint8_t)(made.bytes[start + i] + (kinds[k] == 5 ? 1 : next_random(256)));
        seal(made.bytes, kinds[k]);
    }
    return made;
}

static exl_status apply(file_bytes old, file_bytes patch, file_bytes made) {
    return exl_patch_memory(old.bytes, old.length, patch.bytes, patch.length, made.bytes, made.length, NULL, &said);
}

static void test_refusals(file_bytes old, file_bytes patch, file_bytes room) {
    static const struct {
        size_t at;
        uint32_t value;
        exl_status status;
    } forbidden[] = {
        {0, 0, EXL_PATCH_MALFORMED},          {8, 2, EXL_VERSION_TOO_NEW},    {8, 0, EXL_PATCH_MALFORMED},
        {12, 1, EXL_PATCH_MALFORMED},         {16, 1, EXL_PATCH_MALFORMED},   {24, 1, EXL_PATCH_OF_ANOTHER_BUNDLE},
        {32, 64, EXL_PATCH_MALFORMED},        {40, 129, EXL_PATCH_MALFORMED}, {40, 3, EXL_PATCH_MALFORMED},
        {44, 129, EXL_PATCH_MALFORMED},       {44, 3, EXL_PATCH_MALFORMED},   {48, 1, EXL_PATCH_MALFORMED},
        {64, 1, EXL_PATCH_OF_ANOTHER_BUNDLE}, {96, 1, EXL_PATCH_MALFORMED},   {128, 1, EXL_PATCH_MALFORMED}};
    exl_patch_info info = {.struct_size = sizeof info};
    uint8_t kept[4];

    CHECK_STATUS(exl_patch_get_info(patch.bytes, EXL__PATCH_HEADER_BYTES, &info, &said), EXL_OK);
    CHECK(info.patch_bytes == patch.length && info.old_bytes == old.length && info.new_bytes == room.length);
    CHECK_STATUS(exl_patch_get_info(patch.bytes, EXL__PATCH_HEADER_BYTES - 1, &info, &said), EXL_PATCH_MALFORMED);
    CHECK_STATUS(exl_patch_get_info(NULL, 160, &info, &said), EXL_BAD_ARGUMENT);
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        memcpy(kept, patch.bytes + forbidden[i].at, 4);
        put(patch.bytes + forbidden[i].at, forbidden[i].value, 4);
        CHECK_STATUS(apply(old, patch, room), forbidden[i].status);
        memcpy(patch.bytes + forbidden[i].at, kept, 4);
    }
    for (size_t cut = 0; cut < patch.length; cut += 1 + patch.length / 50)
        CHECK_STATUS(apply(old, (file_bytes){patch.bytes, cut}, room), EXL_PATCH_MALFORMED);
    CHECK_STATUS(apply(old, patch, (file_bytes){room.bytes, room.length - 1}), EXL_BUFFER_TOO_SMALL);
    CHECK_STATUS(apply((file_bytes){old.bytes, 63}, patch, room), EXL_PATCH_OF_ANOTHER_BUNDLE);
    CHECK_STATUS(apply((file_bytes){old.bytes, old.length - 1}, patch, room), EXL_PATCH_OF_ANOTHER_BUNDLE);
    old.bytes[get64(entry_of(old.bytes, 10) + 8)] ^= 1;
    CHECK_STATUS(apply(old, patch, room), EXL_PATCH_MALFORMED); /* a section comes out wrong */
    old.bytes[get64(entry_of(old.bytes, 10) + 8)] ^= 1;
}

/* Damage behind right hashes, as who makes patches can do it. */
static void test_damage(file_bytes old, file_bytes patch, file_bytes room, int rounds) {
    uint8_t *kept = malloc(patch.length);
    int refused = 0;

    CHECK(kept != NULL);
    memcpy(kept, patch.bytes, patch.length);
    for (int round = 0; round < rounds; round++) {
        exl_status status;
        for (uint32_t count = 1 + next_random(4); count > 0; count--) {
            size_t span = next_random(2) ? 64 : patch.length - 192;
            patch.bytes[192 + next_random((uint32_t)span)] = (uint8_t)next_random(256);
        }
        seal_patch(patch.bytes, patch.length);
        status = apply(old, patch, room);
        CHECK(status == EXL_OK || status == EXL_PATCH_MALFORMED);
        refused += status != EXL_OK;
        memcpy(patch.bytes, kept, patch.length);
    }
    CHECK(refused > rounds * 9 / 10);
    free(kept);
}

/* ---- signatures ------------------------------------------------------------------------------------------------ */

/* Of the header that test_signatures makes, by the second key: secret_key(b"edgexl 1", bytes([7]) * 32) in Python. */
static const char SIGNATURE[] =
    "untrusted comment: signature of an edgexl patch\n"
    "RURlZGdleGwgMTcsWh8KCkmo34c8Ib32rogaggH1qN6oUvWVN3tlz6Lll2d6+A0RWc+GTdhE8wcuC4TQj3Yt5Fd4H"
    "EjvurtDiAs=\n"
    "trusted comment: edgexl\n"
    "AMb7pALbf+6sGMYmH41S0IOYiEgEuAeINrMQ5gqEAb3lIi451J6byHCP2jBdDF5NNrbMWjnJEAhoQ+16ab0qCQ==\n";
static const char *const KEYS[] = {"RWQAAAAAAAAAAOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs", /* of another id */
                                   "RWRlZGdleGwgMepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"};

static void test_signatures(void) {
    uint8_t header[EXL__PATCH_HEADER_BYTES] = {0x89, 'E', 'X', 'P', '\r', '\n', 0x1a, '\n', 1, 0, 0, 0, 0, 0, 1, 0};
    char text[sizeof SIGNATURE];
    exl_open_options trust = {.struct_size = sizeof trust,
                              .trusted_keys = KEYS,
                              .trusted_key_count = 2,
                              .signature = text,
                              .signature_bytes = sizeof text - 1};
    exl_patch_options update = {.struct_size = sizeof update, .open = &trust};

    memcpy(text, SIGNATURE, sizeof text);
    put(header + 16, 200, 8);
    put(header + 32, 128, 8);
    CHECK_STATUS(exl_patch_verify(header, sizeof header, &trust, &said), EXL_OK);
    for (size_t i = 0; i < sizeof header; i++) {
        header[i] ^= 1;
        CHECK(exl_patch_verify(header, sizeof header, &trust, &said) / 100 == 3);
        header[i] ^= 1;
    }
    for (size_t i = 20; i < sizeof text - 1; i++) {
        text[i] ^= 1;
        CHECK((exl_patch_verify(header, sizeof header, &trust, &said) == EXL_OK) == (i < strcspn(SIGNATURE, "\n")));
        text[i] ^= 1;
    }
    CHECK_STATUS(exl_patch_verify(header, sizeof header - 1, &trust, &said), EXL_PATCH_MALFORMED);
    trust.trusted_key_count = 1;
    CHECK_STATUS(exl_patch_verify(header, sizeof header, &trust, &said), EXL_UNKNOWN_KEY);
    trust.signature_bytes = 0;
    CHECK_STATUS(exl_patch_verify(header, sizeof header, &trust, &said), EXL_BAD_ARGUMENT);
    trust.signature = NULL;
    CHECK_STATUS(exl_patch_verify(header, sizeof header, &trust, &said), EXL_NOT_SIGNED);
    trust.flags = EXL_OPEN_ANYONE;
    CHECK_STATUS(exl_patch_verify(header, sizeof header, &trust, &said), EXL_BAD_ARGUMENT);
    CHECK_STATUS(exl_patch_verify(header, sizeof header, NULL, &said), EXL_BAD_ARGUMENT);
    update.signature = text;
    CHECK_STATUS(exl_patch("old", "patch", "new", &update, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK(strstr(said.sentence, "needs its length") != NULL);
    update.signature_bytes = sizeof text - 1;
    update.signed_patch = 2;
    CHECK_STATUS(exl_patch("old", "patch", "new", &update, NULL, &said), EXL_BAD_ARGUMENT);
    update.signed_patch = 0;
    update.open = NULL;
    CHECK_STATUS(exl_patch("old", "patch", "new", &update, NULL, &said), EXL_BAD_ARGUMENT);
    CHECK(strstr(said.sentence, "means nothing without trusted_keys") != NULL);
}

int main(int argc, char **argv) {
    file_bytes old, made, patch, room, none;

    CHECK(argc >= 2);
    old = read_file(argv[1]);
    made = make_other(old);
    patch = write_patch(old, made);
    CHECK(patch.length < made.length / 4);
    room = (file_bytes){malloc(made.length), made.length};
    CHECK(room.bytes != NULL);
    CHECK_STATUS(apply(old, patch, room), EXL_OK);
    CHECK(memcmp(room.bytes, made.bytes, made.length) == 0);
    CHECK_STATUS(apply(made, patch, room), EXL_PATCH_OF_ANOTHER_BUNDLE);
    CHECK(strstr(said.sentence, "already") != NULL);
    test_refusals(old, patch, room);
    test_damage(old, patch, room, 150);
    test_signatures();
    none = write_patch(old, old);
    CHECK(none.length < 1000);
    free(none.bytes);
    free(old.bytes);
    free(made.bytes);
    free(patch.bytes);
    free(room.bytes);
    return 0;
}
