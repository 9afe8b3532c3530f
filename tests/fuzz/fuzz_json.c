/* JSON: what is read is walked through and written again, and that reads back. */
#include "core/json.h"
#include "tests/fuzz/fuzz.h"

static void put(vg_json_writer *json, const char *key, const vg_json_value *value, int depth)
{
    switch (vg_json_kind_of(value)) {
    case VG_JSON_NULL:
        vg_json_put_null(json, key);
        break;
    case VG_JSON_BOOL:
        vg_json_put_bool(json, key, true);
        break;
    case VG_JSON_NUMBER:
        vg_json_put_double(json, key, vg_json_number(value));
        break;
    case VG_JSON_STRING:
        vg_json_put_string(json, key, vg_json_text(value));
        break;
    case VG_JSON_ARRAY:
    case VG_JSON_OBJECT:
        if (depth == VG_JSON_DEPTH) {
            vg_json_put_null(json, key);
            break;
        }
        if (vg_json_kind_of(value) == VG_JSON_ARRAY)
            vg_json_begin_array(json, key);
        else
            vg_json_begin_object(json, key);
        for (const vg_json_value *v = vg_json_first(value); v; v = vg_json_next(v))
            put(json, vg_json_key(v), v, depth + 1);
        vg_json_end(json);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vg_json *json, *again;
    char *text;
    if (!fuzz_good(vg_json_parse((const char *)data, size, "input", &json))) return 0;
    const vg_json_value *found;
    int64_t integer;
    (void)fuzz_good(vg_json_get(json, NULL, "a", VG_JSON_OBJECT, &found));
    (void)fuzz_good(vg_json_get_int(json, NULL, "step", &integer));
    vg_json_writer writer = vg_json_writer_make(size % 2);
    put(&writer, NULL, vg_json_root(json), 0);
    FUZZ_CHECK(vg_json_take(&writer, &text) == VG_OK);
    FUZZ_CHECK(vg_json_parse(text, strlen(text), "what was written", &again) == VG_OK);
    FUZZ_CHECK(vg_json_count(vg_json_root(again)) == vg_json_count(vg_json_root(json)));
    free(text);
    vg_json_destroy(again);
    vg_json_destroy(json);
    return 0;
}
