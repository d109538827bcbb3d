/* weights.c: a weights section (docs/format.md) as a list of tensors that point into the mapped bundle, and the check
 * that a graph has no others outside of itself. */
#include "compiler.h"

#include <string.h>

#include "bundle.h"
#include "checked.h"
#include "memory.h"

enum { WEIGHTS_MOST_TENSORS = 4096, WEIGHTS_LONGEST_NAME_BYTES = 511, WEIGHTS_DATA_ALIGNMENT_BYTES = 64 };

typedef struct weights_entry { /* field for field as in the file */
    uint32_t name_offset, name_bytes, type, rank;
    uint64_t dims[4];
    uint64_t data_offset, data_bytes;
} weights_entry;

/* Of ONNX's TensorProto.DataType numbers, those whose items are whole bytes and valid whatever their bits. 0 = others.
 */
static uint64_t weights_item_bytes(uint32_t type) {
    static const uint8_t bytes[] = {[1] = 4, [2] = 1,  [3] = 1,  [4] = 2,  [5] = 2,  [6] = 4, [7] = 8,
                                    [9] = 1, [10] = 2, [11] = 8, [12] = 4, [13] = 8, [16] = 2};
    return type < sizeof bytes ? bytes[type] : 0;
}

static int weights_entry_is_sound(const weights_entry *entry, const exl__section *section) {
    uint64_t expected = weights_item_bytes(entry->type);

    if (expected == 0 || entry->rank > 4 || entry->name_bytes < 1 || entry->name_bytes > WEIGHTS_LONGEST_NAME_BYTES)
        return 0;
    for (uint32_t i = 0; i < 4; i++) {
        if (i >= entry->rank && entry->dims[i] != 0)
            return 0;
        if (i < entry->rank && entry->dims[i] > section->length) /* also where another one is 0 */
            return 0;
        if (i < entry->rank)
            expected = exl__times(expected, entry->dims[i]);
    }
    if (entry->data_bytes != expected || entry->data_offset % WEIGHTS_DATA_ALIGNMENT_BYTES != 0 ||
        !exl__lies_within(entry->data_offset, entry->data_bytes, section->length) ||
        !exl__lies_within(entry->name_offset, entry->name_bytes + 1ull, section->length))
        return 0;
    return strnlen((const char *)section->bytes + entry->name_offset, entry->name_bytes + 1u) == entry->name_bytes;
}

exl_status exl__weights_read(const exl_allocator *allocator, const exl__section *section, const char *role,
                             exl__tensor **tensors, size_t *count, exl_error *error) {
    uint32_t header[2] = {0, 0};
    exl__tensor *list;

    *tensors = NULL;
    *count = 0;
    if (section->length >= sizeof header)
        memcpy(header, section->bytes, sizeof header);
    if (section->length < sizeof header || header[1] != 0 || header[0] > WEIGHTS_MOST_TENSORS ||
        (section->length - sizeof header) / sizeof(weights_entry) < header[0])
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's weights do not have the size that they state", role);
    if (header[0] == 0)
        return EXL_OK;
    list = exl__allocate(allocator, header[0], sizeof *list);
    if (!list)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the %s's weights", role);
    for (uint32_t i = 0; i < header[0]; i++) {
        weights_entry entry;

        memcpy(&entry, section->bytes + sizeof header + i * sizeof entry, sizeof entry);
        if (!weights_entry_is_sound(&entry, section)) {
            exl__release(allocator, list, header[0], sizeof *list);
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "weight %u of the %s is not well formed", i, role);
        }
        list[i].name = (const char *)section->bytes + entry.name_offset;
        list[i].data = section->bytes + entry.data_offset;
        list[i].data_bytes = entry.data_bytes;
        list[i].type = entry.type;
        list[i].rank = entry.rank;
        for (uint32_t d = 0; d < entry.rank; d++)
            list[i].dims[d] = (int64_t)entry.dims[d];
    }
    *tensors = list;
    *count = header[0];
    return EXL_OK;
}

/* ONNX names a tensor's file in a pair of protobuf strings, key and value: each string a tag byte (0A, 12), its length,
 * and its characters. `location` as a string of its own, behind a length that may also be written longer than it must
 * be and then ends in a 0 byte, has to be the first half of exactly this. */
int exl__graph_is_closed(const exl__section *graph, size_t weight_count) {
    static const char pair[] = "\x0a\x08location\x12\x07weights";
    const size_t key_at = 2, key_bytes = 8, pair_bytes = sizeof pair - 1;
    const uint8_t *bytes = graph->bytes;
    size_t found = 0;

    for (size_t at = key_at; at + key_bytes <= graph->length; at++) {
        if (bytes[at] != 'l' || memcmp(bytes + at, pair + key_at, key_bytes) != 0)
            continue;
        if (bytes[at - 1] != 8 && bytes[at - 1] != 0) /* the end of a longer name */
            continue;
        if (graph->length - (at - key_at) < pair_bytes || memcmp(bytes + at - key_at, pair, pair_bytes) != 0)
            return 0;
        found++;
    }
    return found == weight_count;
}
