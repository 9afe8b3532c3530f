/* Strict YAML: what is read, what is refused and where, merging, overriding, writing back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/yaml.h"
#include "tests/support/support.h"

static vg_yaml *parse(const char *text)
{
    vg_yaml *yaml;
    assert_ok(vg_yaml_parse(text, strlen(text), "a.yaml", &yaml));
    return yaml;
}

static void test_tree(void **state)
{
    (void)state;
    vg_yaml *yaml = parse("# a comment\n"
                          "name: first run\n"
                          "optimizer:\n"
                          "  lr: 1e-3\n"
                          "  betas: [0.9, 0.999]\n"
                          "stages:\n"
                          "  - kind: warm\n"
                          "    epochs: 30\n"
                          "  - \"30\"\n");
    const vg_yaml_node *root = vg_yaml_root(yaml), *node;
    assert_int_equal(root->kind, VG_YAML_MAPPING);
    assert_int_equal(root->count, 3);
    assert_string_equal(root->entries[1].key, "optimizer");
    assert_int_equal(root->entries[1].place.line, 3);
    node = vg_yaml_find(root, "optimizer.lr");
    assert_non_null(node);
    assert_string_equal(node->text, "1e-3");
    assert_string_equal(node->place.source, "a.yaml");
    assert_int_equal(node->place.line, 4);
    assert_int_equal(node->place.column, 7);
    node = vg_yaml_find(root, "optimizer.betas");
    assert_int_equal(node->kind, VG_YAML_SEQUENCE);
    assert_int_equal(node->count, 2);
    assert_string_equal(node->entries[1].value->text, "0.999");
    node = vg_yaml_get(root, "stages");
    assert_string_equal(vg_yaml_get(node->entries[0].value, "epochs")->text, "30");
    assert_false(vg_yaml_get(node->entries[0].value, "epochs")->quoted);
    assert_true(node->entries[1].value->quoted);
    assert_null(vg_yaml_find(root, "optimizer.momentum"));
    assert_null(vg_yaml_find(root, "name.first"));
    assert_null(vg_yaml_find(root, "optimizer."));
    assert_null(vg_yaml_find(root, ""));
    assert_null(vg_yaml_get(root, "opt"));
    vg_yaml_destroy(yaml);
    vg_yaml_destroy(NULL);
}

static void test_refusals(void **state)
{
    (void)state;
    char deep[200] = "", wide[40000] = "", fat[600];
    for (int i = 0; i < 40; i++) strcat(deep, "[");
    for (int i = 0; i < 1100; i++) sprintf(wide + strlen(wide), "k%d: 1\n", i);
    memset(fat, 'k', sizeof fat);
    snprintf(fat + 300, sizeof fat - 300, ": 1\n");
    const struct {
        const char *text, *says;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "a.yaml:3:1: duplicate key 'a', first given at line 1"},
        {"t:\n  x: 1\n  y: {p: 1, q: 2, p: 3}\n", "a.yaml:3:19: duplicate key 'p'"},
        {"a: 1\n\"a\": 2\n", "a.yaml:2:1: duplicate key 'a'"},
        {"a: &x 1\n", "a.yaml:1:4: anchors (&x)"},
        {"a: &x [1]\n", "a.yaml:1:4: anchors (&x)"},
        {"a:\n  &m\n  b: 1\n", "anchors (&m)"},
        {"&k a: 1\n", "a.yaml:1:1: anchors (&k)"},
        {"a: *x\n", "a.yaml:1:4: aliases (*x)"},
        {"*x : 1\n", "a.yaml:1:1: aliases (*x)"},
        {"a: !!int 3\n", "a.yaml:1:4: tags (tag:yaml.org,2002:int)"},
        {"a: !mine {b: 1}\n", "a.yaml:1:4: tags (!mine)"},
        {"a: ! x\n", "a.yaml:1:4: tags (!)"},
        {"a: 1\n---\nb: 2\n", "a.yaml:2:1: a second document"},
        {deep, "a.yaml:1:33: nested deeper than 32 levels"},
        {wide, "more than 1024 keys"},
        {fat, "a key is longer"},
        {"[a, b]: 1\n", "a.yaml:1:1: a key must be a plain name"},
        {"? {a: 1}\n: 1\n", "a key must be a plain name"},
        {"\"\": 1\n", "a.yaml:1:1: a key is empty"},
        {"a: 1\nb: \xff\n", "a.yaml:2:4: not UTF-8 text (byte 0xff)"},
        {"caf\xc3\xa9: \xc3(\n", "a.yaml:1:7: not UTF-8"},
        {"a: \"x\\0y\"\n", "a.yaml:1:4: the text contains a zero byte"},
        {"a: b: c\n", "a.yaml:1:5: not valid YAML: mapping values are not allowed"},
        {"a: [1, 2\n", "not valid YAML"},
        {"a:\n\t- 1\n", "a.yaml:2:1: not valid YAML: found character that cannot start any token"},
        {"a: 'x\n", "not valid YAML: found unexpected end of stream"},
        {"a: 1\n b: 2\n", "a.yaml:2:3: not valid YAML"},
        {"a: \x01\n", "not valid YAML: control characters are not allowed"},
        {"%YAML 7.3\n--- 1\n", "not valid YAML: found incompatible YAML document"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vg_yaml *yaml = NULL;
        vg_status status = vg_yaml_parse(cases[i].text, strlen(cases[i].text), "a.yaml", &yaml);
        if (status == VG_OK) fail_msg("case %zu is accepted: %.60s", i, cases[i].text);
        support_assert_fails(status, VG_ERR_CONFIG, cases[i].says, cases[i].text);
        assert_null(yaml);
    }
}

/* Every prefix of a valid text, and every text with one byte changed, is read or refused, and nothing else.
 */
static void test_damage(void **state)
{
    (void)state;
    static const char text[] = "a: [1, {b: 'x', c: \"y\\n\"}]\nd:\n  - e: |\n      f\n  - ~\n# g\nh: &i *j\n";
    char copy[sizeof text];
    int read = 0, refused = 0;
    for (size_t i = 0; i < sizeof text; i++)
        for (int change = 0; change < 9; change++) {
            vg_yaml *yaml = NULL;
            memcpy(copy, text, sizeof text);
            size_t length = sizeof text - 1;
            if (change == 8)
                length = i;
            else
                copy[i] = "\0\xff:[}\n\t-"[change];
            if (vg_yaml_parse(copy, length, "damaged", &yaml) == VG_OK)
                read++;
            else
                refused++;
            vg_yaml_destroy(yaml);
        }
    assert_true(read > 5 && refused > 50);
}

static void test_files(void **state)
{
    (void)state;
    char *folder = support_temp_dir(), *path = support_path(folder, "x.yaml");
    vg_yaml *yaml;
    assert_fails(vg_yaml_read(path, &yaml), VG_ERR_NOT_FOUND, "x.yaml: No such file");
    assert_fails(vg_yaml_read(folder, &yaml), VG_ERR_IO, "Is a directory");
    support_write_file(path, "# nothing\n", 10);
    assert_ok(vg_yaml_read(path, &yaml));
    assert_int_equal(vg_yaml_root(yaml)->kind, VG_YAML_MAPPING);
    assert_int_equal(vg_yaml_root(yaml)->count, 0);
    vg_yaml_destroy(yaml);
    support_write_file(path, "- 1\n", 4);
    assert_fails(vg_yaml_read(path, &yaml), VG_ERR_CONFIG,
                 "x.yaml:1:1: the file must hold keys and values, not a list");
    support_write_file(path, "abc", 3);
    assert_fails(vg_yaml_read(path, &yaml), VG_ERR_CONFIG, "not 'abc'");
    size_t size = VG_YAML_LIMIT + 1;
    char *large = malloc(size);
    assert_non_null(large);
    memset(large, '\n', size);
    support_write_file(path, large, size);
    assert_fails(vg_yaml_read(path, &yaml), VG_ERR_CONFIG, "larger than");
    support_write_file(path, large, size - 1);
    assert_ok(vg_yaml_read(path, &yaml));
    vg_yaml_destroy(yaml);
    free(large);
    free(path);
    free(folder);
}

static void test_scalars(void **state)
{
    (void)state;
    vg_yaml *yaml =
        parse("t: true\nf: False\nyes: yes\nq: \"true\"\n"
              "i: -42\nplus: +7\nbig: 9223372036854775807\nover: 9223372036854775808\noct: 010\n"
              "hex: 0x10\nreal: 1.5\nexp: 1e-3\ndot: .5\nhuge: 1e999\ninf: -.inf\nnan: .nan\nword: 1 s\n"
              "null: null\ntilde: ~\nnone:\nlist: [1]\nsci: 1e3\nseed: 18446744073709551615\nneg: -1\n");
    const vg_yaml_node *root = vg_yaml_root(yaml);
    bool flag = false;
    int64_t whole = 0;
    uint64_t seed = 0;
    double real = 0;
    const char *text;
#define AT(key) vg_yaml_get(root, key), key
    assert_ok(vg_yaml_bool(AT("t"), &flag));
    assert_true(flag);
    assert_ok(vg_yaml_bool(AT("f"), &flag));
    assert_false(flag);
    assert_fails(vg_yaml_bool(AT("yes"), &flag), VG_ERR_CONFIG,
                 "a.yaml:3:6: yes must be true or false, not 'yes'");
    assert_fails(vg_yaml_bool(AT("q"), &flag), VG_ERR_CONFIG, "not the text \"true\"");
    assert_ok(vg_yaml_int(AT("i"), &whole));
    assert_int_equal(whole, -42);
    assert_ok(vg_yaml_int(AT("plus"), &whole));
    assert_int_equal(whole, 7);
    assert_ok(vg_yaml_int(AT("big"), &whole));
    assert_true(whole == INT64_MAX);
    assert_fails(vg_yaml_int(AT("over"), &whole), VG_ERR_CONFIG, "64 bits");
    assert_fails(vg_yaml_int(AT("oct"), &whole), VG_ERR_CONFIG, "a whole number, not '010'");
    assert_fails(vg_yaml_int(AT("hex"), &whole), VG_ERR_CONFIG, "a whole number");
    assert_fails(vg_yaml_int(AT("real"), &whole), VG_ERR_CONFIG, "a whole number");
    assert_fails(vg_yaml_int(AT("sci"), &whole), VG_ERR_CONFIG, "a whole number");
    assert_fails(vg_yaml_int(AT("null"), &whole), VG_ERR_CONFIG, "not null");
    assert_fails(vg_yaml_int(AT("list"), &whole), VG_ERR_CONFIG, "not a list");
    assert_ok(vg_yaml_uint64(AT("seed"), &seed));
    assert_true(seed == UINT64_MAX);
    assert_fails(vg_yaml_uint64(AT("neg"), &seed), VG_ERR_CONFIG, "from 0 up");
    assert_ok(vg_yaml_double(AT("exp"), &real));
    assert_true(real == 1e-3);
    assert_ok(vg_yaml_double(AT("dot"), &real));
    assert_true(real == 0.5);
    assert_ok(vg_yaml_double(AT("i"), &real));
    assert_true(real == -42);
    assert_ok(vg_yaml_double(AT("inf"), &real));
    assert_true(real == -INFINITY);
    assert_fails(vg_yaml_double(AT("huge"), &real), VG_ERR_CONFIG, "1.8e308");
    assert_fails(vg_yaml_double(AT("nan"), &real), VG_ERR_CONFIG, "a number");
    assert_fails(vg_yaml_double(AT("word"), &real), VG_ERR_CONFIG, "a number, not '1 s'");
    assert_fails(vg_yaml_double(AT("hex"), &real), VG_ERR_CONFIG, "a number");
    assert_true(vg_yaml_is_null(vg_yaml_get(root, "null")));
    assert_true(vg_yaml_is_null(vg_yaml_get(root, "tilde")));
    assert_true(vg_yaml_is_null(vg_yaml_get(root, "none")));
    assert_ok(vg_yaml_string(AT("i"), &text));
    assert_string_equal(text, "-42");
    assert_fails(vg_yaml_string(AT("none"), &text), VG_ERR_CONFIG, "a text, not null");
#undef AT
    vg_yaml_destroy(yaml);
}

static void test_merge_keeps_origins(void **state)
{
    (void)state;
    vg_yaml *merged, *base = parse("name: base\ntrain:\n  epochs: 5\n  batch: 16\nlist: [1, 2]\n"), *over;
    static const char text[] = "train:\n  epochs: 9\nlist: [3]\nextra:\n  a: 1\n";
    assert_ok(vg_yaml_parse(text, strlen(text), "child.yaml", &over));
    assert_ok(vg_yaml_create(&merged));
    assert_ok(vg_yaml_merge(merged, vg_yaml_root(base)));
    assert_ok(vg_yaml_merge(merged, vg_yaml_root(over)));
    vg_yaml_destroy(base);
    vg_yaml_destroy(over);
    assert_ok(vg_yaml_override(merged, "train.batch=64"));
    assert_ok(vg_yaml_override(merged, "new.deep.key=[1, x]"));
    assert_ok(vg_yaml_override(merged, "name="));
    assert_ok(vg_yaml_override(merged, "train=")); /* nothing leaves a mapping as it is */

    const vg_yaml_node *root = vg_yaml_root(merged), *node = vg_yaml_find(root, "train.epochs");
    assert_string_equal(node->text, "9");
    assert_string_equal(node->place.source, "child.yaml");
    assert_int_equal(node->place.line, 2);
    node = vg_yaml_find(root, "train.batch");
    assert_string_equal(node->text, "64");
    assert_string_equal(node->place.source, "command line \"train.batch=64\"");
    assert_int_equal(node->place.line, 0);
    assert_int_equal(vg_yaml_get(root, "list")->count, 1);
    assert_int_equal(vg_yaml_find(root, "new.deep.key")->count, 2);
    assert_true(vg_yaml_is_null(vg_yaml_get(root, "name")));
    int64_t whole;
    assert_fails(vg_yaml_int(vg_yaml_find(root, "new.deep.key"), "new.deep.key", &whole), VG_ERR_CONFIG,
                 "command line \"new.deep.key=[1, x]\": new.deep.key must be a whole number, not a list");
    assert_fails(vg_yaml_override(merged, "train.epochs.more=1"), VG_ERR_CONFIG,
                 "'train.epochs' has a value");
    assert_fails(vg_yaml_override(merged, "epochs"), VG_ERR_CONFIG, "key.path=value");
    assert_fails(vg_yaml_override(merged, "=3"), VG_ERR_CONFIG, "key.path=value");
    assert_fails(vg_yaml_override(merged, "a..b=3"), VG_ERR_CONFIG, "'a..b' is not a key path");
    assert_fails(vg_yaml_override(merged, "a=[1"), VG_ERR_CONFIG, "command line \"a=[1\": not valid YAML");
    assert_fails(vg_yaml_override(merged, "a=*b"), VG_ERR_CONFIG, "aliases");
    assert_null(vg_yaml_find(root, "a"));

    vg_yaml_node *taken = vg_yaml_remove(vg_yaml_root(merged), "list");
    assert_int_equal(taken->count, 1);
    assert_null(vg_yaml_get(root, "list"));
    assert_null(vg_yaml_remove(vg_yaml_root(merged), "list"));
    vg_yaml_destroy(merged);
}

static void assert_same(const vg_yaml_node *a, const vg_yaml_node *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->count, b->count);
    if (a->kind == VG_YAML_SCALAR) {
        assert_int_equal(vg_yaml_is_null(a), vg_yaml_is_null(b));
        if (!vg_yaml_is_null(a)) assert_string_equal(a->text, b->text);
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->entries[i].key) assert_string_equal(a->entries[i].key, b->entries[i].key);
        assert_same(a->entries[i].value, b->entries[i].value);
    }
}

static void test_print_reads_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a: 1\nb: {c: [1, -2.5, 'x, y'], d: {}}\ne: []\nf:\n",
        "list:\n  - a: 1\n    b: [2]\n  - [1, [2, 3]]\n  - - {}\n    - ~\n",
        "t: |\n  two\n  lines\nu: \"tab\\tquote\\\" back\\\\ bell\\a \\u2028 \\u00e9 \\uFEFF\"\nempty: "
        "''\nspace: ' x '\n",
        "'odd: key': 1\n\"#\": 2\n'1': 3\n'null': 4\n'-': 5\n",
        "colon: a:b\nurl: https://x.org/#a\ndash: -x\nhash: a#b\nstr: '- x'\nq: '?'\nat: '@x'\nend: 'a:'\n",
        "[1, two, \"3\"]",
        "plain text",
        "s: folded\n  plain\n  scalar, with [marks]\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *out;
        vg_yaml *yaml = parse(texts[i]), *again;
        assert_ok(vg_yaml_print(vg_yaml_root(yaml), &out));
        vg_status status = vg_yaml_parse(out, strlen(out), "printed", &again);
        if (status != VG_OK) fail_msg("%s: printed as\n%s", vg_cause(), out);
        assert_same(vg_yaml_root(yaml), vg_yaml_root(again));
        free(out);
        vg_yaml_destroy(yaml);
        vg_yaml_destroy(again);
    }
}

/* Strings that look like something else come back as the same string, in quotes. */
static void test_print_scalar(void **state)
{
    (void)state;
    static const char *const strings[] = {
        "",           "null", "~",    "true",     "no",          "1",    "-1",
        "1e5",        ".inf", ".5",   "a: b",     "a #b",        "-",    "- a",
        "--- a",      "{",    "a,b",  "\"",       "'",           "it's", "\\",
        " ",          "\n",   "\x7f", "\xc2\x85", "caf\xc3\xa9", "=",    "<<",
        "2001-01-01", "%a",   "a%",   "!x",       "&x",          "*x",   "|",
        ">",          "?",    "? a",  ":a",       "a:",          "`",    "\xf0\x9f\xab\x80"};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        vg_text text = {0};
        char *out;
        vg_yaml *yaml;
        vg_text_add(&text, "[");
        vg_yaml_print_scalar(&text, strings[i]);
        vg_text_add(&text, "]");
        assert_ok(vg_text_take(&text, &out));
        vg_status status = vg_yaml_parse(out, strlen(out), "printed", &yaml);
        if (status != VG_OK) fail_msg("%s: printed as %s", vg_cause(), out);
        const vg_yaml_node *root = vg_yaml_root(yaml);
        assert_int_equal(root->count, 1);
        assert_string_equal(root->entries[0].value->text, strings[i]);
        assert_false(vg_yaml_is_null(root->entries[0].value));
        free(out);
        vg_yaml_destroy(yaml);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_scalars),
        cmocka_unit_test(test_merge_keeps_origins),
        cmocka_unit_test(test_print_reads_back),
        cmocka_unit_test(test_print_scalar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
