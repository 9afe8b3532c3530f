/* The switches: defaults, what is refused and how, the way through JSON. */
#include <stdlib.h>
#include <string.h>

#include "models/config.h"
#include "tests/support/support.h"

static void defaults_are_the_paper(void **state)
{
    (void)state;
    vg_model_config c = vg_model_config_default();
    assert_ok(vg_model_config_check(&c));
    assert_int_equal(c.segment_length, 1280);
    assert_int_equal(c.conv_channels.count, 3);
    assert_int_equal(c.conv_channels.item[2], 256);
    assert_int_equal(c.conv_kernels.item[0], 65);
    assert_int_equal(c.conv_norm, VG_CONV_NORM_FIRST);
    assert_int_equal(c.norm, VG_NORM_POST);
    assert_true(c.dropout_attention == 0.1 && c.head_dropout == 0.3);
    vg_masking_config m = vg_masking_config_default();
    assert_ok(vg_masking_config_check(&m));
    assert_true(m.probability == 0.0325 && m.span == 20);
}

/* One change of the defaults each, and a word the message must say. */
static void refusals(void **state)
{
    (void)state;
#define REFUSED(text, ...)                                                                                   \
    do {                                                                                                     \
        vg_model_config c = vg_model_config_default();                                                       \
        __VA_ARGS__;                                                                                         \
        assert_fails(vg_model_config_check(&c), VG_ERR_CONFIG, text);                                        \
    } while (0)
    REFUSED("segment_length", c.segment_length = 0);
    REFUSED("d_model", c.d_model = 128);
    REFUSED("heads", c.heads = 3);
    REFUSED("heads", c.heads = 0);
    REFUSED("conv_kernels", c.conv_kernels.item[1] = 32);
    REFUSED("conv_kernels", c.conv_kernels.count = 2);
    REFUSED("conv_channels", c.conv_channels.count = 0);
    REFUSED("conv_channels", c.conv_channels.count = 5);
    REFUSED("conv_channels", c.conv_channels.item[0] = -1);
    REFUSED("classification_head", c.classification_head.count = -1);
    REFUSED("layers", c.layers = -1);
    REFUSED("feedforward", c.feedforward = 0);
    REFUSED("dropout_attention", c.dropout_attention = 1);
    REFUSED("dropout_input", c.dropout_input = -0.1);
    REFUSED("norm_epsilon", c.norm_epsilon = 0);
    REFUSED("norm_epsilon", c.norm_epsilon = 0.0 / 0.0);
    REFUSED("pooling", c.pooling = 4);
    REFUSED("activation", c.activation = -1);
    REFUSED("type", c.type = 17);
#undef REFUSED
    vg_masking_config m = vg_masking_config_default();
    m.span = 0;
    assert_fails(vg_masking_config_check(&m), VG_ERR_CONFIG, "span");
    m = vg_masking_config_default();
    m.random_share = m.keep_share = 0.6;
    assert_fails(vg_masking_config_check(&m), VG_ERR_CONFIG, "keep_share");
    m = vg_masking_config_default();
    m.probability = 0.0 / 0.0;
    assert_fails(vg_masking_config_check(&m), VG_ERR_CONFIG, "probability");
}

static void json_and_back(void **state)
{
    (void)state;
    vg_model_config c = vg_model_config_default(), back;
    c.conv_channels = (vg_config_list){1, {24}};
    c.conv_kernels = (vg_config_list){1, {3}};
    c.d_model = 24;
    c.layers = 0;
    c.classification_head.count = 0;
    c.norm = VG_NORM_PRE;
    c.norm_epsilon = 1.0 / 3e6;
    char *json, text[128];
    assert_ok(vg_model_config_to_json(&c, &json));
    assert_ok(vg_model_config_from_json(json, "test", &back));
    assert_false(vg_model_config_differs(&c, &back, true, text, sizeof text));
    assert_true(back.norm_epsilon == c.norm_epsilon);
    assert_int_equal(back.classification_head.count, 0);
    free(json);

    vg_masking_config m = vg_masking_config_default(), m_back;
    m.fill = 3;
    m.keep_share = 0.125;
    assert_ok(vg_masking_config_to_json(&m, &json));
    assert_ok(vg_masking_config_from_json(json, "test", &m_back));
    assert_true(m_back.fill == 3 && m_back.keep_share == 0.125 && m_back.span == 20);
    free(json);

    assert_fails(vg_model_config_from_json("{\"layer\": 3}", "some.safetensors", &back), VG_ERR_CONFIG,
                 "layer");
    assert_int_not_equal(vg_model_config_from_json("{\"layers\": 3", "some.safetensors", &back), VG_OK);
    assert_int_not_equal(vg_model_config_from_json("[", "some.safetensors", &back), VG_OK);
    assert_int_not_equal(vg_model_config_from_json("{\"layers\": \"x\"}", "s", &back), VG_OK);
    assert_ok(vg_model_config_from_json("{\"layers\": 3}", "younger fields are defaults", &back));
    assert_int_equal(back.layers, 3);
    assert_int_equal(back.heads, 2);
}

static void differences(void **state)
{
    (void)state;
    vg_model_config a = vg_model_config_default(), b = a;
    char text[128];
    b.dropout_residual = 0.5;
    b.head_dropout = 0;
    b.segment_length = 640;
    assert_false(vg_model_config_differs(&a, &b, true, text, sizeof text));
    b.pooling = 1;
    assert_false(vg_model_config_differs(&a, &b, false, text, sizeof text));
    assert_true(vg_model_config_differs(&a, &b, true, text, sizeof text));
    assert_non_null(strstr(text, "pooling"));
    b = a;
    b.conv_kernels.item[2] = 19;
    assert_true(vg_model_config_differs(&a, &b, false, text, sizeof text));
    assert_non_null(strstr(text, "conv_kernels"));
    assert_non_null(strstr(text, "19"));
    b = a;
    b.heads = 4;
    assert_true(vg_model_config_differs(&a, &b, false, NULL, 0));
}

static void long_lists_are_cut(void **state)
{
    (void)state;
    int64_t items[] = {1, 2, 3, 4, 5, 6};
    vg_config_list list = vg_config_list_make(items, 6);
    assert_int_equal(list.count, 6);
    assert_int_equal(list.item[VG_MAX_CONFIG_LIST - 1], VG_MAX_CONFIG_LIST);
    list = vg_config_list_make(NULL, 0);
    assert_int_equal(list.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_paper), cmocka_unit_test(refusals),
        cmocka_unit_test(json_and_back),          cmocka_unit_test(differences),
        cmocka_unit_test(long_lists_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
