/* lookup.c: labels by their number, their id, or how their text begins: those of the bundle and those that were added.
 */
#include "compiler.h"

#include "lookup.h"

#include <string.h>

#include "fold.h"
#include "memory.h"
#include "options.h"
#include "overlay.h"

/* ---- finding ids --------------------------------------------------------------------------------------------- */

/* An open-addressing table of the wanted ids, equivalent ones behind each other: place + 1, or 0. */
typedef struct lookup_id_table {
    const exl__text *ids;
    uint32_t *slots;
    uint32_t slot_count; /* a power of two, more than twice the ids */
    int exact;           /* nonzero: the same bytes alone are the same id */
    uint32_t *found;     /* [count]: the label of each id */
    uint8_t *is_same;    /* [count]: whether that has the very bytes, and not only equivalent ones */
} lookup_id_table;

static int lookup_same_bytes(const exl__text *one, const char *id, size_t bytes) {
    return one->bytes == bytes && memcmp(one->text, id, bytes) == 0;
}

static exl_status lookup_fill_table(lookup_id_table *table, uint32_t count, exl_error *error) {
    uint32_t mask = table->slot_count - 1;

    for (uint32_t i = 0; i < count; i++) {
        const exl__text *one = &table->ids[i];
        uint32_t slot = exl__equivalent_hash(one->text, one->bytes) & mask;
        for (; table->slots[slot] != 0; slot = (slot + 1) & mask)
            if (lookup_same_bytes(&table->ids[table->slots[slot] - 1], one->text, one->bytes))
                return exl__fail(error, EXL_BAD_ARGUMENT, "the id %.*s is given twice", exl__quoted(one->bytes),
                                 one->text);
        table->slots[slot] = i + 1;
        table->found[i] = EXL__NO_LABEL;
    }
    return EXL_OK;
}

/* Notes a label of the set for the ids that it is meant by: the same bytes win, then the first that is equivalent. */
static void lookup_note(lookup_id_table *table, const char *id, size_t bytes, uint32_t label) {
    uint32_t mask = table->slot_count - 1;

    for (uint32_t slot = exl__equivalent_hash(id, bytes) & mask; table->slots[slot] != 0; slot = (slot + 1) & mask) {
        uint32_t place = table->slots[slot] - 1;
        const exl__text *one = &table->ids[place];
        if (lookup_same_bytes(one, id, bytes))
            table->found[place] = label, table->is_same[place] = 1;
        else if (!table->exact && table->found[place] == EXL__NO_LABEL &&
                 exl__equivalent(one->text, one->bytes, id, bytes))
            table->found[place] = label;
    }
}

/* An id that is only equivalent to a label's must not mean one that another id, given too, means as well. */
static exl_status lookup_check_table(const lookup_id_table *table, uint32_t count, exl_error *error) {
    uint32_t mask = table->slot_count - 1;

    for (uint32_t i = 0; i < count; i++) {
        const exl__text *one = &table->ids[i];
        if (table->is_same[i] || table->found[i] == EXL__NO_LABEL)
            continue;
        for (uint32_t slot = exl__equivalent_hash(one->text, one->bytes) & mask; table->slots[slot] != 0;
             slot = (slot + 1) & mask)
            if (table->slots[slot] - 1 != i && table->found[table->slots[slot] - 1] == table->found[i])
                return exl__fail(error, EXL_BAD_ARGUMENT, "the id %.*s is given twice, in two forms",
                                 exl__quoted(one->bytes), one->text);
    }
    return EXL_OK;
}

/* All ids of the bundle once, whatever the number wanted. */
static exl_status lookup_find_compiled(const exl_bundle *bundle, const exl__live *live, lookup_id_table *table,
                                       char *buffer, exl_error *error) {
    for (uint32_t label = 0; label < bundle->parameters.labels; label++) {
        size_t bytes = 0;
        exl_status status = exl__label_string(&bundle->ids, label, buffer, bundle->ids.longest_bytes, &bytes, error);
        if (status != EXL_OK)
            return status;
        if (!exl__live_is_retired(bundle, live, label))
            lookup_note(table, buffer, bytes, label);
    }
    return EXL_OK;
}

exl_status exl__labels_find(const exl_bundle *bundle, const exl__live *live, const exl__text *ids, uint32_t count,
                            int exact, uint32_t *found, exl_error *error) {
    const exl_allocator *allocator = &bundle->allocator;
    lookup_id_table table = {.ids = ids, .slot_count = 4, .exact = exact, .found = found};
    uint64_t buffer_bytes = bundle->ids.longest_bytes + 1ull;
    char *buffer = exl__allocate_scratch(allocator, buffer_bytes, 1);
    exl_status status = EXL_OK;

    while (table.slot_count / 2 <= count)
        table.slot_count *= 2;
    table.slots = exl__allocate(allocator, table.slot_count, sizeof *table.slots);
    table.is_same = exl__allocate(allocator, count, sizeof *table.is_same);
    if (!buffer || !table.slots || !table.is_same)
        status = exl__fail(error, EXL_OUT_OF_MEMORY, "no memory to look labels up");
    if (status == EXL_OK)
        status = lookup_fill_table(&table, count, error);
    if (status == EXL_OK)
        status = lookup_find_compiled(bundle, live, &table, buffer, error);
    for (uint32_t i = 0; status == EXL_OK && live && i < live->added; i++)
        if (live->labels[i].row_count > 0)
            lookup_note(&table, live->labels[i].id, live->labels[i].id_bytes, bundle->parameters.labels + i);
    if (status == EXL_OK)
        status = lookup_check_table(&table, count, error);
    exl__release(allocator, table.is_same, count, sizeof *table.is_same);
    exl__release(allocator, table.slots, table.slot_count, sizeof *table.slots);
    exl__release(allocator, buffer, buffer_bytes, 1);
    return status;
}

/* ---- by number ------------------------------------------------------------------------------------------------ */

static exl_status lookup_no_room(uint32_t label, size_t bytes, exl_error *error) {
    return exl__fail(error, EXL_BUFFER_TOO_SMALL, "a string of label %u takes %zu bytes and a NUL", label, bytes);
}

exl_status exl__label_string(const exl__strings *strings, uint32_t label, char *to, size_t capacity, size_t *bytes,
                             exl_error *error) {
    int result = exl__strings_get(strings, label, to, capacity, bytes);

    if (result == EXL__STRINGS_TOO_SMALL)
        return lookup_no_room(label, *bytes, error);
    if (result != EXL__STRINGS_OK)
        return exl__fail(error, EXL_BUNDLE_CORRUPT, "the strings of label %u are damaged: copy the bundle again",
                         label);
    return EXL_OK;
}

/* The same for a label of the bundle (live is null) or one that was added, with a closing NUL; none is wanted where
 * `to` is null. */
static exl_status lookup_give_string(const exl__strings *own, uint32_t number, const char *live, size_t live_bytes,
                                     char *to, size_t capacity, size_t *bytes, exl_error *error) {
    size_t room = capacity > 0 ? capacity - 1 : 0;
    exl_status status = EXL_OK;

    *bytes = 0;
    if (!to)
        return EXL_OK;
    if (live)
        memcpy(to, live, live_bytes < room ? live_bytes : room), *bytes = live_bytes;
    else
        status = exl__label_string(own, number, to, room, bytes, error);
    if (capacity > 0)
        to[*bytes < room ? *bytes : room] = '\0';
    return status == EXL_OK && *bytes >= capacity ? lookup_no_room(number, *bytes, error) : status;
}

exl_status exl_label_read(const exl_bundle *bundle, uint32_t number, exl_label *label, exl_error *error) {
    exl_label known = {0};
    const exl__live_label none = {0}, *one = &none;
    const exl__live *live;
    exl_status status = EXL_OK, text_status, description_status;
    const char *undescribed = NULL;

    if (!exl__begin(error, bundle && exl__can_give(label)) || exl__take_struct(&known, sizeof known, label, error))
        return EXL_BAD_ARGUMENT;
    live = exl__live_take(bundle);
    if (number >= exl__live_end(bundle, live)) {
        status = exl__fail(error, EXL_NO_SUCH_LABEL, "there is no label %u, they end at %u", number,
                           exl__live_end(bundle, live));
    } else {
        known.state = (int32_t)exl__label_origin(bundle, number, &known.overlay);
        if (number >= bundle->parameters.labels)
            one = &live->labels[number - bundle->parameters.labels];
        if (exl__live_is_retired(bundle, live, number))
            known.state = EXL_LABEL_RETIRED;
        status = lookup_give_string(&bundle->ids, number, one->id, one->id_bytes, known.id, known.id_capacity,
                                    &known.id_bytes, error);
        text_status = lookup_give_string(&bundle->texts, number, one->text, one->text_bytes, known.text,
                                         known.text_capacity, &known.text_bytes, error);
        if (number >= bundle->parameters.labels || !bundle->sections[EXL__LABEL_DESCRIPTIONS].bytes)
            undescribed = "";
        description_status = lookup_give_string(&bundle->descriptions, number, undescribed, 0, known.description,
                                                known.description_capacity, &known.description_bytes, error);
        status = status == EXL_OK ? text_status : status;
        status = status == EXL_OK ? description_status : status;
        exl__give_struct(label, &known, sizeof known);
    }
    exl__live_give(bundle, live);
    return status;
}

/* ---- by id ---------------------------------------------------------------------------------------------------- */

typedef int (*lookup_way)(const exl__strings *strings, const char *prefix, size_t prefix_bytes, uint32_t from,
                          uint32_t *found, uint32_t capacity, uint32_t *count);

/* Among the bundle's own labels. The ids that begin with this one, in turn: few or none but itself. exact: of the same
 * bytes, else of equivalent ones. */
static exl_status lookup_find_own(const exl_bundle *bundle, const exl__live *live, const char *id, size_t id_bytes,
                                  int exact, uint32_t *label) {
    lookup_way find = exact ? exl__strings_with_bytes : exl__strings_prefix;
    /* what is equivalent has at most three times the bytes of its normal form D, and that of the id's */
    uint64_t most = exact ? id_bytes : 9ull * id_bytes, longest = bundle->ids.longest_bytes;
    size_t room = (size_t)(most < longest ? most : longest);
    char buffer[512], *candidate = buffer;
    exl_status status = EXL_NO_SUCH_LABEL;
    uint32_t place = 0, count = 1;

    if ((exact && id_bytes > longest) || (!exact && id_bytes > EXL__LONGEST_FOLDED))
        return EXL_NO_SUCH_LABEL;
    if (room > sizeof buffer && !(candidate = exl__allocate_scratch(&bundle->allocator, room, 1)))
        return EXL_OUT_OF_MEMORY;
    for (uint32_t from = 0; status == EXL_NO_SUCH_LABEL; from = place + 1) {
        size_t bytes = 0;
        int result = find(&bundle->ids, id, id_bytes, from, &place, 1, &count);
        if (result == EXL__STRINGS_OK && count == 0)
            break;
        if (result == EXL__STRINGS_OK)
            result = exl__strings_get(&bundle->ids, place, candidate, room, &bytes);
        if (result == EXL__STRINGS_MALFORMED)
            status = EXL_BUNDLE_CORRUPT;
        else if (result == EXL__STRINGS_OK && !exl__live_is_retired(bundle, live, place) &&
                 (exact ? bytes == id_bytes : exl__equivalent(candidate, bytes, id, id_bytes)))
            *label = place, status = EXL_OK;
    }
    if (candidate != buffer)
        exl__release(&bundle->allocator, candidate, room, 1);
    return status;
}

static exl_status lookup_find_live(const exl_bundle *bundle, const exl__live *live, const char *id, size_t id_bytes,
                                   int exact, uint32_t *label) {
    exl__text wanted = {id, id_bytes};

    for (uint32_t i = 0; live && i < live->added; i++) {
        const exl__live_label *one = &live->labels[i];
        if (one->row_count > 0 && (exact ? lookup_same_bytes(&wanted, one->id, one->id_bytes)
                                         : exl__equivalent(one->id, one->id_bytes, id, id_bytes))) {
            *label = bundle->parameters.labels + i;
            return EXL_OK;
        }
    }
    return EXL_NO_SUCH_LABEL;
}

exl_status exl_label_find(const exl_bundle *bundle, const char *id, size_t id_bytes, uint32_t *label,
                          exl_error *error) {
    const exl__live *live;
    uint32_t found;
    exl_status status = EXL_NO_SUCH_LABEL;

    if (!exl__begin(error, bundle && label && (id || id_bytes == 0)))
        return EXL_BAD_ARGUMENT;
    live = exl__live_take(bundle);
    for (int exact = 1; exact >= 0 && status == EXL_NO_SUCH_LABEL; exact--) {
        status = lookup_find_own(bundle, live, id, id_bytes, exact, &found);
        if (status == EXL_NO_SUCH_LABEL)
            status = lookup_find_live(bundle, live, id, id_bytes, exact, &found);
    }
    exl__live_give(bundle, live);
    if (status != EXL_OK)
        return exl__fail(error, status, "%s", exl_describe_status(status));
    *label = found;
    return EXL_OK;
}

/* ---- by prefix ------------------------------------------------------------------------------------------------ */

/* Of the bundle's own labels, those that are not retired. */
static exl_status lookup_own_prefix(const exl_bundle *bundle, const exl__live *live, const char *prefix, size_t bytes,
                                    uint32_t from, uint32_t *labels, uint32_t capacity, uint32_t *count) {
    while (from < bundle->parameters.labels && *count < capacity) {
        uint32_t wanted = capacity - *count, found = 0;
        if (exl__strings_prefix(&bundle->texts, prefix, bytes, from, labels + *count, wanted, &found) !=
            EXL__STRINGS_OK)
            return EXL_BUNDLE_CORRUPT;
        from = found == wanted ? labels[*count + found - 1] + 1 : bundle->parameters.labels;
        for (uint32_t i = 0, first = *count; i < found; i++) /* in place: those that stay move forward */
            if (!exl__live_is_retired(bundle, live, labels[first + i]))
                labels[(*count)++] = labels[first + i];
    }
    return EXL_OK;
}

exl_status exl_labels_complete(const exl_bundle *bundle, const char *prefix, size_t prefix_bytes, uint32_t from,
                               uint32_t *labels, uint32_t capacity, uint32_t *count, exl_error *error) {
    const exl__live *live;
    uint32_t compiled;
    exl_status status;

    if (!exl__begin(error, bundle && count && (prefix || prefix_bytes == 0) && (labels || capacity == 0)))
        return EXL_BAD_ARGUMENT;
    *count = 0;
    compiled = bundle->parameters.labels;
    live = exl__live_take(bundle);
    status = lookup_own_prefix(bundle, live, prefix, prefix_bytes, from, labels, capacity, count);
    for (uint32_t label = from > compiled ? from : compiled;
         status == EXL_OK && label < exl__live_end(bundle, live) && *count < capacity; label++)
        if (live->labels[label - compiled].row_count > 0 &&
            exl__begins_folded(live->labels[label - compiled].text, live->labels[label - compiled].text_bytes, prefix,
                               prefix_bytes, NULL))
            labels[(*count)++] = label;
    exl__live_give(bundle, live);
    return status == EXL_OK ? status : exl__fail(error, status, "%s", exl_describe_status(status));
}

/* ---- the set -------------------------------------------------------------------------------------------------- */

exl_status exl_labels_get_info(const exl_bundle *bundle, exl_labels_info *info, exl_error *error) {
    exl_labels_info known = {0};
    const exl__live *live;

    if (!exl__begin(error, bundle && exl__can_give(info)))
        return EXL_BAD_ARGUMENT;
    live = exl__live_take(bundle);
    known.end = exl__live_end(bundle, live);
    known.labels = known.end;
    if (live) {
        known.added = live->added - live->overlaid;
        known.overlaid = live->overlaid;
        known.retired_overlaid = live->retired_overlaid;
        known.retired_compiled = live->retired_compiled;
        known.retired_added = live->retired_added;
        known.labels -= live->retired_compiled + live->retired_added + live->retired_overlaid;
        known.generation = live->generation;
        known.file_bytes = live->file_bytes;
    }
    exl__live_give(bundle, live);
    exl__give_struct(info, &known, sizeof known);
    return EXL_OK;
}
